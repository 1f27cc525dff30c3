"""A git repository with a work tree, and the questions that dver has for it.

What walks the history is imported by the questions that need it: most commands look at the present alone.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import FileStatus, ReferenceType

from dver.errors import GitError
from dver.git.changes import StagedFile, blob_size, changed_files, is_dirty, staged_file
from dver.git.objects import CommitId, ObjectReader
from dver.git.opening import given_work_tree, locate, open_repository
from dver.git.staging import Conflict, StagingArea
from dver.git.translation import MISSING_HINT, translated

if TYPE_CHECKING:
    from dver.git.history import HistoryItem
    from dver.git.ranges import ChangedFile
    from dver.git.reach import Reach

_REFERENCE_FOLDERS = ("refs/heads/", "refs/remotes/", "refs/tags/")
_IGNORE_SAMPLE = 100
_INDEX = "index"
_PARTIAL_INDEX = "next-index-"
_READING_ATTEMPTS = 5
_CHANGED_BY_FILTERS = (b"\r\n", b"$Id")
_MOST_HELD = 1 << 26
_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REBASE_FOLDERS = ("rebase-merge", "rebase-apply")


class GitRepo:
    """A git repository with a work tree; for one thread."""

    __slots__ = ("_objects", "_repository", "_staging", "git_dir", "root")

    def __init__(self, repository: pygit2.Repository, root: Path, index_path: Path | None = None) -> None:
        """Wrap an open repository; `find` is the usual way in."""
        self.root = root
        self.git_dir = Path(repository.path).resolve()
        self._repository = repository
        self._objects = ObjectReader(repository)
        self._staging = StagingArea(repository, root, index_path or self.git_dir / _INDEX)

    @classmethod
    def find(cls, start: Path, *, env: Mapping[str, str] = {}) -> "GitRepo":
        """Return the repository that `start` lies in.

        `env` holds the variables that git itself would heed: GIT_DIR, GIT_WORK_TREE, GIT_INDEX_FILE and
        GIT_CEILING_DIRECTORIES. As in git, GIT_DIR alone makes `start` the top of the work tree.

        Raises:
            NotARepositoryError: neither `start` nor a folder above it is a git repository.
            GitError: the repository is bare, belongs to someone else, or cannot be read.
        """
        start = Path(os.path.abspath(start))
        location = locate(start, env)
        repository = open_repository(location)
        with translated(f"cannot use the work tree of {location}"):
            top = given_work_tree(repository, start, env)
            if top is not None:
                repository.workdir = str(top)
        if repository.workdir is None:
            raise GitError(
                f"{location} is a bare repository, which has no working files",
                hint="git worktree add PATH makes a work tree, and git clone a full copy",
            )
        root = Path(repository.workdir).resolve()
        index = env.get("GIT_INDEX_FILE")
        return cls(repository, root, root / index if index else None)

    @property
    def common_dir(self) -> Path:
        """The git directory that all work trees share; `git_dir` unless this one is linked to another."""
        try:
            named = (self.git_dir / "commondir").read_bytes().strip()
        except FileNotFoundError:
            return self.git_dir
        return (self.git_dir / os.fsdecode(named)).resolve()

    @property
    def main_root(self) -> Path:
        """The top of the main work tree, where this one is linked to another; else the same as `root`."""
        if self.common_dir == self.git_dir:
            return self.root
        main = open_repository(str(self.common_dir)).workdir
        return Path(main).resolve() if main else self.root

    @property
    def is_unborn(self) -> bool:
        """Whether the branch that is checked out has no commit yet."""
        with translated("cannot read HEAD"):
            return self._repository.head_is_unborn

    def head_commit(self) -> CommitId | None:
        """Return the commit that is checked out, or None before the first one."""
        return None if self.is_unborn else self.resolve("HEAD")

    def resolve(self, rev: str) -> CommitId:
        """Return the commit that a branch, tag, id prefix or other revision expression names.

        Raises:
            GitError: it names nothing, several things, or something that is not a commit.
        """
        try:
            if "\0" in rev:
                raise self._unknown(rev)
            return CommitId(str(self._repository.revparse_single(rev).peel(pygit2.Commit).id))
        except pygit2.AmbiguousError as exc:
            # libgit2 also says "ambiguous" of an unknown name that looks like two or three digits of an id.
            if "too short" in str(exc):
                raise self._unknown(rev) from exc
            raise GitError(f"more than one commit matches {rev!r}", hint="give more digits of the commit id") from exc
        except pygit2.InvalidSpecError as exc:
            if "peeled" in str(exc):
                raise GitError(f"{rev!r} does not name a commit", hint="git log --oneline shows commits") from exc
            raise self._unknown(rev) from exc
        except (KeyError, ValueError) as exc:
            raise self._unknown(rev) from exc
        except (pygit2.GitError, OSError) as exc:
            raise GitError(f"cannot look up {rev!r}: {exc}", hint=MISSING_HINT) from exc

    def is_revision(self, text: str) -> bool:
        """Return whether `text` names a commit."""
        try:
            self.resolve(text)
        except GitError:
            return False
        return True

    def find_commit(self, text: str) -> CommitId | None:
        """Return the commit whose whole id is `text`, which may be anybody's; None where there is none here."""
        if _WHOLE_ID.fullmatch(text) is None:
            return None
        try:
            commit = self.resolve(text)
        except GitError:
            return None
        # A branch may have any name, and a tag has an id of its own.
        return commit if commit == text else None

    def refs(self) -> dict[str, CommitId]:
        """Return the commits of all branches, remote-tracking branches and tags, by full name (`refs/heads/main`)."""
        found: dict[str, CommitId] = {}
        with translated("cannot read the references"):
            for reference in self._repository.references.iterator():
                name = os.fsdecode(reference.raw_name)
                # A symbolic one, such as refs/remotes/origin/HEAD, only repeats another.
                if not name.startswith(_REFERENCE_FOLDERS) or reference.type == ReferenceType.SYMBOLIC:
                    continue
                # A tag may name a tree or a blob, which hold no dataset versions.
                with suppress(pygit2.InvalidSpecError):
                    found[name] = CommitId(str(reference.peel(pygit2.Commit).id))
        return found

    def reach(self) -> "Reach":
        """Return what finds all that this repository leads to, in whatever way git keeps it."""
        from dver.git.reach import Reach  # noqa: PLC0415

        main: Path | None = self.root
        if self.common_dir != self.git_dir:
            # The main one may have no files: a bare repository with work trees linked to it.
            workdir = open_repository(str(self.common_dir)).workdir
            main = Path(workdir).resolve() if workdir else None
        indexes = {self._staging.path, self.git_dir / _INDEX}
        return Reach(self._repository, self._objects, self.common_dir, main, {self.git_dir: indexes})

    def ancestry(self, starts: Iterable[CommitId]) -> Iterator[CommitId]:
        """Yield these commits and all that lead to them, each once; it ends where a shallow clone does."""
        with translated("cannot read the history"):
            pending = [self._objects.commit(start) for start in dict.fromkeys(starts)]
            seen = {commit.id for commit in pending}
            while pending:
                commit = pending.pop()
                yield CommitId(str(commit.id))
                for parent in self._objects.parents(commit):
                    if parent.id not in seen:
                        seen.add(parent.id)
                        pending.append(parent)

    def read(self, rev: CommitId, path: str | bytes) -> bytes | None:
        """Return the content of a file at a commit, or None where there is no such file."""
        name = os.fsdecode(path)
        with translated(f"cannot read {name} at {rev[:12]}"):
            blob = self._objects.find_blob(self._objects.commit(rev).tree, name)
            return None if blob is None else self._objects.content(blob)

    def blob_at(self, rev: CommitId, path: str) -> str | None:
        """Return the id of the blob of the regular file at `path` in a commit; None where there is none."""
        with translated(f"cannot read {path} at {rev[:12]}"):
            blob = self._objects.find_blob(self._objects.commit(rev).tree, path)
            return None if blob is None else str(blob)

    def has_path(self, rev: CommitId, path: str) -> bool:
        """Return whether a commit has a file or folder at `path`."""
        with translated(f"cannot read {path} in commit {rev[:12]}"):
            return path in self._objects.commit(rev).tree

    def read_blob(self, blob_id: str) -> bytes:
        """Return the content of a blob, such as one that `index_files` named."""
        with translated(f"cannot read blob {blob_id[:12]}"):
            return self._objects.content(pygit2.Oid(hex=blob_id))

    def list_files(self, rev: CommitId, *, suffix: str) -> dict[str, bytes]:
        """Return the content of all files of a commit whose name ends with `suffix`; `.dver` folders are left out."""
        with translated(f"cannot read the files at {rev[:12]}"):
            files = self._objects.files_below(self._objects.commit(rev).tree, os.fsencode(suffix))
            return {os.fsdecode(name): self._objects.content(blob) for name, blob in files}

    def history(self, path: str, *, start: CommitId) -> "Iterator[HistoryItem]":
        """Yield the commits that changed the file at `path`, newest first, from `start` backwards, following renames.

        A merge that took the file over from one parent is left out, and only that parent is followed, so a content
        appears with the commit that made it. The history ends where a shallow clone does.
        """
        from dver.git.history import walk_history  # noqa: PLC0415

        with translated(f"cannot read the history of {path}"):
            yield from walk_history(self._objects, path, start)

    def changes_leading_to(
        self, starts: Iterable[str], known: Iterable[str], *, suffix: str
    ) -> "Iterator[ChangedFile]":
        """Yield the files ending with `suffix` that commits change which lead to `starts` and not to `known`.

        Both are ids of commits or tags; those that are not here, or name something else, count for nothing.
        """
        from dver.git.ranges import walk_changes  # noqa: PLC0415

        with translated("cannot read the commits that are pushed"):
            yield from walk_changes(self._repository, self._objects, starts, known, suffix)

    def changed_between(self, old: CommitId, new: CommitId, *, suffix: str) -> set[str]:
        """Return the files whose name ends with `suffix` that two commits do not have alike."""
        from dver.git.ranges import changed_paths  # noqa: PLC0415

        with translated(f"cannot compare {old[:12]} with {new[:12]}"):
            return changed_paths(self._objects, old, new, suffix)

    def remote_heads(self, remote: str | None = None) -> list[CommitId]:
        """Return the commits of a remote's branches as they were last seen; of all remotes' without a name."""
        from dver.git.ranges import remote_heads  # noqa: PLC0415

        with translated("cannot read the remote-tracking branches"):
            return remote_heads(self._repository, remote)

    def remote_url(self, remote: str) -> str | None:
        """Return where a remote is; None if there is none of this name."""
        with translated(f"cannot read the settings of the remote {remote}"):
            return next((found.url for found in self._repository.remotes if found.name == remote), None)

    def is_tracked(self, path: str) -> bool:
        """Return whether the index has `path`, as a file or as a conflict."""
        return self._staging.is_tracked(path)

    def tracked_under(self, path: str) -> list[str]:
        """Return what the index has at `path` or, where that is a folder, below it; for "" everything."""
        return self._staging.tracked_under(path)

    def index_files(self, suffix: str) -> dict[str, str]:
        """Return path and blob id of the staged files whose name ends with `suffix`; `.dver` folders are left out."""
        return self._staging.files(suffix)

    @property
    def is_rebasing(self) -> bool:
        """Whether a rebase or `git am` has been begun and not ended."""
        return any((self.git_dir / folder).is_dir() for folder in _REBASE_FOLDERS)

    @property
    def is_partial_commit(self) -> bool:
        """Whether `git commit PATH` is running a hook: what is staged now is in that commit, and not afterwards."""
        return self._staging.path.name.startswith(_PARTIAL_INDEX)

    def lasting_index_files(self, suffix: str) -> dict[str, str]:
        """Return the same as `index_files` of the index that there is again after a partial commit."""
        return StagingArea(self._repository, self.root, self.git_dir / _INDEX).files(suffix)

    def staged_changes(self) -> list[StagedFile]:
        """Return the files that the next commit adds or changes; of a merge, those as neither side has them."""
        with translated("cannot compare the index with HEAD"):
            parents = [self._objects.commit(commit).tree for commit in self._next_parents()]
            return changed_files(self._staging.read(), parents)

    def staged_file(self, path: str) -> StagedFile | None:
        """Return the file that the index has at `path`; None for nothing, a conflict, a link or a submodule."""
        return staged_file(self._staging.read(), path)

    def blob_size(self, blob_id: str) -> int | None:
        """Return the size of a blob without reading it, or None where it is not here, as in a partial clone."""
        with translated(f"cannot read blob {blob_id[:12]}"):
            return blob_size(self._repository, blob_id)

    def is_dirty(self, *, besides: Collection[str] = ()) -> bool:
        """Return whether tracked files, other than those in `besides`, differ from the commit that is checked out."""
        with translated("cannot compare the work tree with HEAD"):
            head = self.head_commit()
            if head is None:
                return any(path not in besides for path in self.tracked_under(""))
            tree = self._objects.commit(head).tree
            for _ in range(_READING_ATTEMPTS):
                # A file may be replaced while it is read.
                with suppress(pygit2.GitError):
                    return is_dirty(self._repository, tree, besides)
            return is_dirty(self._repository, tree, besides)

    def blob_of(self, path: str) -> str:
        """Return the id of the blob that git would make of a file as it is in the work tree now.

        The blob itself is stored only where a filter of git's may change the content, or the file is very large.
        """
        with translated(f"cannot read {path}"):
            file = self.root / path
            content = file.read_bytes() if _is_small_file(file) else _CHANGED_BY_FILTERS[0]
            # Line ends and keywords are all that libgit2 changes.
            if not any(mark in content for mark in _CHANGED_BY_FILTERS):
                return str(pygit2.hash(content))
        return self.store_blob(path)

    def store_blob(self, path: str) -> str:
        """Store a file as it is in the work tree now as a blob of git's, and return its id."""
        with translated(f"cannot read {path}"):
            return str(self._repository.create_blob_fromworkdir(path))

    def _next_parents(self) -> list[CommitId]:
        head = self.head_commit()
        with suppress(FileNotFoundError):
            merged = (self.git_dir / "MERGE_HEAD").read_text().split()
            return [CommitId(parent) for parent in (head, *merged) if parent is not None]
        return [head] if head else []

    def conflicts(self, suffix: str) -> dict[str, Conflict]:
        """Return the sides of the unmerged files whose name ends with `suffix`, by path."""
        return self._staging.conflicts(suffix)

    def stage(self, paths: Sequence[str]) -> None:
        """Stage files as they are in the work tree, ignored or not; for files that are gone, stage the removal.

        Raises:
            LockedError: another process holds the index.
        """
        self._staging.stage(paths)

    def untrack(self, paths: Sequence[str]) -> None:
        """Remove files from the index and leave them in the work tree, as `git rm --cached` does."""
        self._staging.untrack(paths)

    def heeds_modes(self) -> bool:
        """Whether executable bits in the work tree mean anything, by `core.filemode`."""
        with translated("cannot read git's configuration"):
            return self._staging.heeds_modes()

    def ignores_case(self) -> bool:
        """Whether the work tree takes names in another case for the same, by `core.ignorecase`."""
        with translated("cannot read git's configuration"):
            return self._staging.ignores_case()

    def is_ignored(self, path: str) -> bool:
        """Return whether an ignore rule covers `path`, be it tracked or not."""
        with translated(f"cannot read the ignore rules for {path}"):
            try:
                path.encode()
            except UnicodeEncodeError:
                return self._is_ignored_on_disk(path)
            return self._repository.path_is_ignored(path)

    def _is_ignored_on_disk(self, path: str) -> bool:
        """Answer for a name that is not UTF-8, for which pygit2 has only the status of an existing file."""
        top = self.root / path
        if top.is_dir() and not top.is_symlink():
            files = [Path(folder, name) for folder, _, names in os.walk(top) for name in islice(names, _IGNORE_SAMPLE)]
            names = [str(file.relative_to(self.root)) for file in files[:_IGNORE_SAMPLE]]
            return bool(names) and all(self._is_ignored_on_disk(name) for name in names)
        return os.path.lexists(top) and self._repository.status_file(path) == FileStatus.IGNORED

    def _unknown(self, rev: str) -> GitError:
        if self.is_unborn and (rev.startswith(("HEAD", "@")) or not self.refs()):
            return GitError("the repository has no commit yet", hint="git commit makes the first one")
        return GitError(
            f"no commit, branch or tag named {rev!r}",
            hint="git log --oneline shows commits, git branch -a branches",
        )


def _is_small_file(path: Path) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_HELD
