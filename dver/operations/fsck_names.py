"""What versions are to people: which datasets and commits name them; and which pointers name nothing.

For saying what damage touches all counts that a garbage collection keeps versions for, in this repository and in others
that use the same cache, and it is called what it is called there. Of the history here, all commits are counted.

What is wrong with a pointer counts only where it can be put right: in the working tree, in what is staged, and at the
tips of branches and tags.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dver.errors import BackendError, DverError, FormatError, PathError, UnsupportedFormatError, first_of
from dver.git import CommitId
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, checked_dataset_path, decode_pointer, has_conflict_markers, pointer_path
from dver.operations.datasets import typed, working_datasets
from dver.operations.neighbours import ask_neighbours
from dver.operations.roots import CURRENT, RootKind, RootName, collect_roots
from dver.repo import Repo
from dver.storage.clones import known_clones
from dver.workspace.pointers import read_pointer

MOST_COMMITS = 100
# What is not at work any more, as in a reflog, or is only counted on, as a base, need not be had.
_AT_WORK = (CURRENT - {RootKind.BASE}) | {RootKind.STASH, RootKind.REF, RootKind.OPERATION}


@dataclass(slots=True)
class Naming:
    """Where a version is named under one dataset's path.

    Attributes:
        commits: the first that were met, from the tips of history backwards.
        count: how many there are.
        here: whether a working tree, what is staged, a stash or an unfinished operation of git names it directly.
        historic: whether a commit that HEAD, a branch or a tag leads to names it.
        tips: the branches and tags that name it, and HEAD where no branch is checked out.
        by: all that names it, in words, as a garbage collection does.
    """

    commits: list[CommitId] = field(default_factory=list)
    count: int = 0
    here: bool = False
    historic: bool = False
    tips: list[str] = field(default_factory=list)
    by: dict[str, None] = field(default_factory=dict)

    @property
    def is_current(self) -> bool:
        """Whether more than mere history names it."""
        return self.here or bool(self.tips)


@dataclass(frozen=True, slots=True)
class BadPointer:
    """A pointer that cannot be read.

    Attributes:
        places: where it is so, such as "working tree" or "branch main", each with the commit at that tip.
        hint: what helps, where that is another thing than a whole pointer.
    """

    path: str
    places: tuple[tuple[str, CommitId | None], ...]
    reason: str
    hint: str | None


@dataclass(slots=True)
class Names:
    """All versions that a repository and its neighbours name, and what in it names none.

    Attributes:
        versions: by version and dataset, "" where that is not known.
        neighbours: where other repositories are that use the same cache.
        tips: the commits of HEAD, branches and tags, each with what is there, in words.
        notes: of which repositories nobody can tell what they name.
    """

    versions: dict[VersionId, dict[str, Naming]] = field(default_factory=dict)
    problems: list[BadPointer] = field(default_factory=list)
    neighbours: list[Path] = field(default_factory=list)
    tips: dict[CommitId, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, version: VersionId) -> dict[str, Naming]:
        """Return the datasets under which a version is named."""
        return self.versions.get(version, {})

    def current(self) -> set[VersionId]:
        """Return the versions that more than mere history names."""
        return {
            version for version, datasets in self.versions.items() if any(one.is_current for one in datasets.values())
        }

    def tipped(self) -> set[VersionId]:
        """Return the versions that HEAD, a branch or a tag names itself."""
        return {version for version, datasets in self.versions.items() if any(one.tips for one in datasets.values())}

    def historic(self) -> set[VersionId]:
        """Return the versions that commits name which HEAD, a branch or a tag leads to."""
        return {
            version for version, datasets in self.versions.items() if any(one.historic for one in datasets.values())
        }

    def namers_of(self, version: VersionId) -> list[str]:
        """Return the branches and tags that name a version or, where none does, what else."""
        namings = self.of(version).values()
        tips = [tip for one in namings for tip in one.tips]
        return list(dict.fromkeys(tips or [name for one in namings for name in one.by]))

    def datasets(self) -> set[str]:
        """Return the datasets that are named."""
        return {dataset for datasets in self.versions.values() for dataset in datasets if dataset}


def find_names(repo: Repo) -> Names:
    """Read all that names versions here, and in the repositories that use the same cache."""
    return _Finder(repo).run()


class _Finder:
    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._names = Names()
        self._decoded: dict[tuple[str, bytes], tuple[str, VersionId] | FormatError] = {}
        self._bad: dict[tuple[str, str, str | None], list[tuple[str, CommitId | None]]] = {}

    def run(self) -> Names:
        self._working_tree()
        self._staged()
        git = self._repo.git
        refs = git.refs()
        head = git.head_commit()
        tips = {commit: _shown(name) for name, commit in reversed(refs.items())}
        if head is not None:
            tips.setdefault(head, "HEAD")
        self._names.tips = tips
        for commit in git.ancestry([*([head] if head else []), *refs.values()]):
            for path, data in git.list_files(commit, suffix=SUFFIX).items():
                self._take(path, data, tips.get(commit), commit)
        for (path, reason, hint), places in self._bad.items():
            self._names.problems.append(BadPointer(path, tuple(places), reason, hint))
        self._roots()
        self._neighbours()
        return self._names

    def _roots(self) -> None:
        """Add what a garbage collection keeps versions for: stashes, reflogs, linked work trees and more."""
        # What cannot be read has been told of, or is of a newer dver and names what nobody here can know.
        roots = collect_roots(self._repo, trouble=[])
        at_work = {tip.target for tip in self._repo.git.reach().tips()}
        for version, names in roots.versions.items():
            for name in names:
                naming = self._add_name(version, name, name.by)
                # The pointers of this working tree and its index have been read.
                is_read = name.commit is None and not name.name
                if name.kind in _AT_WORK and not is_read and (name.commit is None or name.commit in at_work):
                    naming.here = True

    def _neighbours(self) -> None:
        def ask(other: Repo) -> None:
            trouble: list[DverError] = []
            for version, names in collect_roots(other, trouble=trouble).versions.items():
                for name in names:
                    self._add_name(version, name, f"{name.by} in {other.root}")
            self._names.neighbours.append(other.root)
            self._note_absent(str(other.root), [one.message for one in trouble])

        try:
            clones = known_clones(self._repo.cache.backend)
        except BackendError as exc:
            self._names.notes.append(f"which other repositories use the cache cannot be known: {exc.message}")
            return
        for absent in ask_neighbours(self._repo, clones, ask):
            self._note_absent(absent.path, [absent.reason])

    def _note_absent(self, path: str, reasons: Sequence[str]) -> None:
        if reasons:
            what = f"what {path}, which uses the cache too, names cannot all be known"
            self._names.notes.append(f"{what}: {first_of(reasons, 1)}")

    def _add_name(self, version: VersionId, name: RootName, by: str) -> Naming:
        naming = self._naming(version, name.dataset)
        naming.by[by] = None
        # Of those that are counted already, a root names one again.
        if name.commit is not None and not naming.historic and name.commit not in naming.commits:
            naming.count += 1
            if len(naming.commits) < MOST_COMMITS:
                naming.commits.append(name.commit)
        return naming

    def _working_tree(self) -> None:
        for dataset in working_datasets(self._repo):
            try:
                pointer = read_pointer(self._repo.root, dataset)
            except DverError as exc:
                if not self._is_in_conflict(dataset):
                    self._note(pointer_path(dataset), exc, "working tree")
                continue
            if pointer is not None:
                self._naming(pointer.version, dataset).here = True

    def _is_in_conflict(self, dataset: str) -> bool:
        # What git or the user is in the middle of is no damage, and dver status tells of it.
        try:
            return has_conflict_markers((self._repo.root / pointer_path(dataset)).read_bytes())
        except OSError:
            return False

    def _staged(self) -> None:
        for path, blob in self._repo.git.index_files(SUFFIX).items():
            self._take(path, self._repo.git.read_blob(blob), "what is staged", None)

    def _take(self, path: str, data: bytes, tip: str | None, commit: CommitId | None) -> None:
        found = self._decode(path, data)
        if isinstance(found, FormatError):
            if tip is not None:
                self._note(path, found, tip, commit)
            return
        naming = self._naming(found[1], found[0])
        if commit is None:
            naming.here = True
            return
        naming.historic = True
        if tip is not None:
            naming.tips.append(tip)
        naming.count += 1
        if len(naming.commits) < MOST_COMMITS:
            naming.commits.append(commit)

    def _note(self, path: str, problem: DverError, place: str, commit: CommitId | None = None) -> None:
        reason = problem.reason if isinstance(problem, FormatError | PathError) else problem.message
        # What is wrong with the text itself is put right by a whole one, which is looked for later.
        is_text = isinstance(problem, FormatError) and not isinstance(problem, UnsupportedFormatError)
        hint = None if is_text else problem.hint
        if is_text and is_refused(path):
            hint = f"git rm {typed(path)}, then git commit"
        self._bad.setdefault((path, reason, hint), []).append((place, commit))

    def _decode(self, path: str, data: bytes) -> tuple[str, VersionId] | FormatError:
        known = self._decoded.get((path, data))
        if known is None:
            try:
                known = checked_dataset_path(path, path), decode_pointer(data, path).version
            except FormatError as exc:
                known = exc
            self._decoded[path, data] = known
        return known

    def _naming(self, version: VersionId, dataset: str) -> Naming:
        return self._names.versions.setdefault(version, {}).setdefault(dataset, Naming())


def is_refused(path: str) -> bool:
    """Whether a pointer lies where no dataset may be."""
    try:
        checked_dataset_path(path, path)
    except FormatError:
        return True
    return False


def _shown(name: str) -> str:
    kind, _, rest = name.removeprefix("refs/").partition("/")
    return f"{ {'heads': 'branch', 'remotes': 'remote branch', 'tags': 'tag'}.get(kind, kind) } {rest}"
