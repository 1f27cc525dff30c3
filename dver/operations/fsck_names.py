"""What versions are to people: which datasets and commits name them; and which pointers and records name nothing.

Pointers of the whole history count for saying what damage touches. What is wrong with a pointer counts only where it
can be put right: in the working tree, in what is staged, and at the tips of branches and tags.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dver.errors import DverError, FormatError, PathError, first_of
from dver.git import CommitId
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, checked_dataset_path, decode_pointer, has_conflict_markers, pointer_path
from dver.operations.datasets import working_datasets
from dver.records.journal import Journal
from dver.repo import LINEAGE_FILE, LINEAGE_NAME, Repo
from dver.workspace.pointers import read_pointer

MOST_COMMITS = 100
_MOST_PLACES = 5


@dataclass(slots=True)
class Naming:
    """Where a version is named under one dataset's path.

    Attributes:
        commits: the first that were met, from the tips of history backwards.
        count: how many there are.
        here: whether the pointer in the working tree, or the one that is staged, names it.
        tips: the branches and tags that name it, and HEAD where no branch is checked out.
    """

    commits: list[CommitId] = field(default_factory=list)
    count: int = 0
    here: bool = False
    tips: list[str] = field(default_factory=list)

    @property
    def is_current(self) -> bool:
        """Whether more than mere history names it."""
        return self.here or bool(self.tips)


@dataclass(frozen=True, slots=True)
class BadText:
    """A pointer or line of the lineage file that cannot be read.

    Attributes:
        path: of the file.
        where: in which states of it, such as "branch main".
    """

    path: str
    where: str
    reason: str
    hint: str | None


@dataclass(slots=True)
class Names:
    """All versions that a repository names, and what in it names none."""

    versions: dict[VersionId, dict[str, Naming]] = field(default_factory=dict)
    problems: list[BadText] = field(default_factory=list)

    def of(self, version: VersionId) -> dict[str, Naming]:
        """Return the datasets under which a version is named."""
        return self.versions.get(version, {})

    def current(self) -> set[VersionId]:
        """Return the versions that the working tree, what is staged, HEAD, a branch or a tag names."""
        return {
            version for version, datasets in self.versions.items() if any(one.is_current for one in datasets.values())
        }

    def tips_of(self, version: VersionId) -> list[str]:
        """Return the branches and tags that name a version."""
        return list(dict.fromkeys(tip for one in self.of(version).values() for tip in one.tips))


def find_names(repo: Repo) -> Names:
    """Read the pointers of the working tree, of what is staged, and of all commits that branches and tags lead to."""
    return _Finder(repo).run()


def lineage_problems(repo: Repo) -> Iterator[BadText]:
    """Yield the lines of the lineage file that are no records."""
    try:
        for line in Journal(repo.dver_dir / LINEAGE_NAME).read():
            if line.problem is not None:
                reason = line.problem.reason if isinstance(line.problem, FormatError) else line.problem.message
                hint = f"git log -p {LINEAGE_FILE} shows what it was; take the line out or put it right"
                yield BadText(LINEAGE_FILE, f"line {line.number}", reason, line.problem.hint or hint)
    except PathError as exc:
        yield BadText(LINEAGE_FILE, "working tree", exc.reason, exc.hint)


class _Finder:
    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._names = Names()
        self._decoded: dict[tuple[str, bytes], tuple[str, VersionId] | FormatError] = {}
        self._bad: dict[tuple[str, str, str | None], list[str]] = {}

    def run(self) -> Names:
        self._working_tree()
        self._staged()
        git = self._repo.git
        refs = git.refs()
        head = git.head_commit()
        tips = {commit: _shown(name) for name, commit in reversed(refs.items())}
        if head is not None:
            tips.setdefault(head, "HEAD")
        for commit in git.ancestry([*([head] if head else []), *refs.values()]):
            for path, data in git.list_files(commit, suffix=SUFFIX).items():
                self._take(path, data, tips.get(commit), commit)
        for (path, reason, hint), places in self._bad.items():
            self._names.problems.append(BadText(path, first_of(places, _MOST_PLACES), reason, hint))
        return self._names

    def _working_tree(self) -> None:
        for dataset in working_datasets(self._repo):
            try:
                pointer = read_pointer(self._repo.root, dataset)
            except DverError as exc:
                if not self._is_in_conflict(dataset):
                    reason = exc.reason if isinstance(exc, FormatError | PathError) else exc.message
                    self._note(pointer_path(dataset), reason, exc.hint, "working tree")
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
                self._note(path, found.reason, found.hint, tip)
            return
        naming = self._naming(found[1], found[0])
        if commit is None:
            naming.here = True
            return
        if tip is not None:
            naming.tips.append(tip)
        naming.count += 1
        if len(naming.commits) < MOST_COMMITS:
            naming.commits.append(commit)

    def _note(self, path: str, reason: str, hint: str | None, place: str) -> None:
        self._bad.setdefault((path, reason, hint), []).append(place)

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


def _shown(name: str) -> str:
    kind, _, rest = name.removeprefix("refs/").partition("/")
    return f"{ {'heads': 'branch', 'remotes': 'remote branch', 'tags': 'tag'}.get(kind, kind) } {rest}"


def datasets_of(names: Names, versions: Iterable[VersionId]) -> list[str]:
    """Return the datasets under which some versions are named, in order."""
    return sorted({dataset for version in versions for dataset in names.of(version)})
