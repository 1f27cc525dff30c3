"""All that a repository leads to: from every reference, stash, reflog, linked work tree and unfinished operation.

git keeps commits for more reasons than branches and tags, and whoever deletes what no commit names must know them all.
The folders of linked work trees are looked into as well as the common one. A reference to a commit that is not here is
an error; an entry of a reflog, or a note of an unfinished operation, that git has let go leads nowhere.

Trees that two commits have in common are read once, so the cost is that of what changed in the history.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType, ReferenceType

from dver.git.objects import DVER_FOLDER, CommitId, ObjectReader, is_wanted
from dver.git.staging import StagingArea
from dver.git.translation import translated

_OPERATION_FOLDERS = ("rebase-merge", "rebase-apply", "sequencer")
_PSEUDO = re.compile(r"[A-Z][A-Z_]*")
_ID = re.compile(rb"(?<![0-9a-zA-Z])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-zA-Z])")
_ANY_ID = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{4,64}(?![0-9a-zA-Z])")
_REFLOG_LINE = re.compile(rb"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ")
_MOST_NOTES = 1 << 20
_FOLDERS = ("refs/heads/", "refs/tags/", "refs/remotes/")


class TipKind(StrEnum):
    """What leads to commits, in the order in which one is named for those that several lead to."""

    HEAD = "HEAD"
    BRANCH = "branch"
    TAG = "tag"
    REMOTE = "remote branch"
    STASH = "stash"
    REF = "reference"
    OPERATION = "operation"
    REFLOG = "reflog"


# What was, and is not at work any more, is like an entry of a reflog.
_PSEUDO_KINDS = {"HEAD": TipKind.HEAD, "ORIG_HEAD": TipKind.REFLOG, "FETCH_HEAD": TipKind.REFLOG}


@dataclass(frozen=True, slots=True)
class Tip:
    """A commit or a tree that something names directly. `target` is its id."""

    kind: TipKind
    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A file that commits have.

    Attributes:
        commit: the newest that has it so, None for a tree that is named without one.
        when: that commit's time, in seconds since 1970.
        blob: the id of its content.
        tip: what leads there.
    """

    path: str
    blob: str
    commit: CommitId | None
    when: int
    tip: Tip


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A work tree of a repository: what git keeps for it, and where its files are.

    Attributes:
        root: None where the folder is not there, be it deleted, moved or on a disk that is not connected.
    """

    git_dir: Path
    root: Path | None


class Reach:
    """All that a repository leads to."""

    def __init__(
        self,
        repository: pygit2.Repository,
        reader: ObjectReader,
        common: Path,
        main_root: Path | None,
        indexes: Mapping[Path, Collection[Path]],
    ) -> None:
        """Look around from an open repository.

        Args:
            common: the git directory that all work trees share.
            main_root: the top of the main work tree, None for a bare repository.
            indexes: the index files of a work tree, by its git directory, where these are not the usual one.
        """
        self._repository = repository
        self._reader = reader
        self._indexes = indexes
        with translated("cannot read which work trees there are"):
            self.work_trees = _work_trees(common, main_root)

    def tips(self) -> list[Tip]:
        """Return everything that names a commit or a tree, each target under the first kind that does."""
        found: dict[str, Tip] = {}
        with translated("cannot read what names commits"):
            tips = [*_reference_tips(self._repository)]
            for number, tree in enumerate(self.work_trees):
                tips += _pseudo_tips(self._repository, tree.git_dir)
                tips += _reflog_tips(self._repository, tree.git_dir / "logs")
                if number:
                    # Those of the common folder have been listed, packed ones too.
                    tips += _loose_tips(self._repository, tree.git_dir / "refs")
        for tip in sorted(tips, key=lambda one: list(TipKind).index(one.kind)):
            found.setdefault(tip.target, tip)
        return list(found.values())

    def files(self, tips: Sequence[Tip], suffix: str, *, history: bool = True) -> Iterator[Reached]:
        """Yield the files whose name ends with `suffix`, newest commits first, each content at a path once.

        `.dver` folders are left out.

        Args:
            history: whether all commits that lead to the tips count, or the tips alone.
        """
        with translated("cannot read the history"):
            yield from _walk(self._repository, self._reader, tips, os.fsencode(suffix), history=history)

    def file_at(self, tip: Tip, path: str) -> str | None:
        """Return the id of the blob at `path` in what a tip names; None where there is none."""
        with translated(f"cannot read {path} at {tip.target[:12]}"):
            blob = self._reader.find_blob(self._repository[tip.target].peel(pygit2.Tree), path)
            return None if blob is None else str(blob)

    def read(self, blob: str) -> bytes:
        """Return the content of a blob."""
        with translated(f"cannot read blob {blob[:12]}"):
            return self._reader.content(pygit2.Oid(hex=blob))

    def staged(self, tree: WorkTree, suffix: str) -> list[tuple[str, str]]:
        """Return path and blob id of what the index of a work tree has, all sides of conflicts included."""
        found = []
        for path in self._indexes.get(tree.git_dir, [tree.git_dir / "index"]):
            if path.exists():
                found += StagingArea(self._repository, tree.git_dir, path).contents(suffix)
        return found


def _work_trees(common: Path, main_root: Path | None) -> list[WorkTree]:
    """Return the main work tree and all that are linked to it."""
    found = [WorkTree(common, main_root)]
    with suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted((common / "worktrees").iterdir()):
            with suppress(FileNotFoundError):
                named = os.fsdecode((folder / "gitdir").read_bytes().strip())
                # Git may write it relative to the folder itself.
                root = Path(os.path.normpath(folder / named)).parent
                found.append(WorkTree(folder.resolve(), root if (root / ".git").exists() else None))
    return found


def _walk(
    repository: pygit2.Repository, reader: ObjectReader, tips: Sequence[Tip], suffix: bytes, *, history: bool
) -> Iterator[Reached]:
    seen_trees: set[bytes] = set()
    starts: dict[CommitId, Tip] = {}
    for tip in tips:
        if repository[tip.target].type == ObjectType.COMMIT:
            starts.setdefault(CommitId(tip.target), tip)
            continue
        for path, blob in _new_files(repository[tip.target].peel(pygit2.Tree), b"", suffix, seen_trees):
            yield Reached(path, blob, None, 0, tip)
    for commit, tip in _ordered(reader, starts, history=history):
        for path, blob in _new_files(commit.tree, b"", suffix, seen_trees):
            yield Reached(path, blob, CommitId(str(commit.id)), commit.commit_time, tip)


def _ordered(
    reader: ObjectReader, starts: Mapping[CommitId, Tip], *, history: bool
) -> Iterator[tuple[pygit2.Commit, Tip]]:
    """Yield commits with what leads to them, each before its parents, and else the newest first."""
    children = _count_children(reader, starts) if history else dict.fromkeys(starts, 0)
    leading = dict(starts)
    queue = [(-reader.commit(start).commit_time, number, start) for number, start in enumerate(starts)]
    queue = [one for one in queue if not children[one[2]]]
    heapify(queue)
    count = len(starts)
    while queue:
        _, _, identity = heappop(queue)
        commit, tip = reader.commit(identity), leading.pop(identity)
        yield commit, tip
        for parent in reader.parents(commit) if history else ():
            above = CommitId(str(parent.id))
            leading.setdefault(above, tip)
            children[above] -= 1
            if not children[above]:
                count += 1
                heappush(queue, (-parent.commit_time, count, above))


def _count_children(reader: ObjectReader, starts: Iterable[CommitId]) -> dict[CommitId, int]:
    """Return all commits that lead to some, with the number of those that come right after each."""
    children = dict.fromkeys(starts, 0)
    pending = list(children)
    while pending:
        for parent in reader.parents(reader.commit(pending.pop())):
            identity = CommitId(str(parent.id))
            if identity not in children:
                children[identity] = 0
                pending.append(identity)
            children[identity] += 1
    return children


def _new_files(tree: pygit2.Tree, prefix: bytes, suffix: bytes, seen: set[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the wanted files of a tree, but not of the trees in it that were seen at the same path before."""
    key = tree.id.raw + prefix
    if key in seen:
        return
    seen.add(key)
    for entry in tree:
        name = entry.raw_name or b""
        if isinstance(entry, pygit2.Tree):
            if name != DVER_FOLDER:
                yield from _new_files(entry, prefix + name + b"/", suffix, seen)
        elif entry.type == ObjectType.BLOB and entry.filemode != FileMode.LINK and is_wanted(name, suffix):
            yield os.fsdecode(prefix + name), str(entry.id)


def _reference_tips(repository: pygit2.Repository) -> Iterator[Tip]:
    for reference in repository.references.iterator():
        # A symbolic one, such as refs/remotes/origin/HEAD, only repeats another.
        if reference.type == ReferenceType.SYMBOLIC:
            continue
        name = os.fsdecode(reference.raw_name)
        target = _peeled(repository, str(reference.target))
        if target is not None:
            yield _named(name, target)
        elif str(reference.target) not in repository:
            raise KeyError(f"{name} names {reference.target}, which is missing")


def _named(name: str, target: str) -> Tip:
    if name == "refs/stash":
        return Tip(TipKind.STASH, "", target)
    for folder, kind in zip(_FOLDERS, (TipKind.BRANCH, TipKind.TAG, TipKind.REMOTE), strict=True):
        if name.startswith(folder):
            return Tip(kind, name.removeprefix(folder), target)
    return Tip(TipKind.REF, name, target)


def _pseudo_tips(repository: pygit2.Repository, folder: Path) -> Iterator[Tip]:
    """Yield what HEAD, MERGE_HEAD and the like name, and the notes of a rebase, cherry-pick or `git am`."""
    for path in sorted(folder.iterdir()):
        if _PSEUDO.fullmatch(path.name) and path.is_file():
            kind = _PSEUDO_KINDS.get(path.name, TipKind.OPERATION)
            branch = _symbolic(repository, path) if kind is TipKind.HEAD else None
            if branch is not None:
                yield Tip(kind, "", branch)
            yield from _mentioned(repository, path, _ID, kind, "" if kind is TipKind.HEAD else path.name)
    for name in _OPERATION_FOLDERS:
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in sorted((folder / name).iterdir()):
                if path.is_file():
                    yield from _mentioned(repository, path, _ANY_ID, TipKind.OPERATION, name)


def _symbolic(repository: pygit2.Repository, head: Path) -> str | None:
    """Return the commit of the branch that a HEAD names; None where it names a commit, or a branch without any."""
    text = os.fsdecode(head.read_bytes()).strip()
    reference = repository.references.get(text.removeprefix("ref: ")) if text.startswith("ref: ") else None
    return None if reference is None else _peeled(repository, str(reference.resolve().target))


def _mentioned(
    repository: pygit2.Repository, path: Path, pattern: re.Pattern[bytes], kind: TipKind, name: str
) -> Iterator[Tip]:
    with path.open("rb") as file:
        text = file.read(_MOST_NOTES)
    for word in dict.fromkeys(pattern.findall(text)):
        target = _peeled(repository, word.decode())
        if target is not None:
            yield Tip(kind, name, target)


def _reflog_tips(repository: pygit2.Repository, logs: Path) -> Iterator[Tip]:
    for parent, _, names in os.walk(logs):
        for name in sorted(names):
            path = Path(parent, name)
            shown = str(path.relative_to(logs))
            kind = TipKind.STASH if shown == "refs/stash" else TipKind.REFLOG
            label = "" if kind is TipKind.STASH else shown.removeprefix("refs/heads/")
            for target in _logged(path):
                known = _peeled(repository, target)
                if known is not None:
                    yield Tip(kind, label, known)


def _logged(path: Path) -> list[str]:
    found: dict[str, None] = {}
    with path.open("rb") as file:
        for line in file:
            match = _REFLOG_LINE.match(line)
            if match:
                found.update((one.decode(), None) for one in reversed(match.groups()) if one.strip(b"0"))
    return list(found)


def _loose_tips(repository: pygit2.Repository, folder: Path) -> Iterator[Tip]:
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            yield from _mentioned(repository, path, _ID, TipKind.REF, f"refs/{path.relative_to(folder)}")


def _peeled(repository: pygit2.Repository, identity: str) -> str | None:
    """Return the commit or tree that an id stands for; None for what is not here, or is a blob."""
    try:
        named = repository.get(identity)
    except ValueError:
        # Several objects begin so; nothing was meant by a word in a message.
        return None
    while isinstance(named, pygit2.Tag):
        named = named.get_object()
    return None if named is None or named.type == ObjectType.BLOB else str(named.id)
