"""Which versions something names: the roots that a garbage collection keeps.

A root is named by a pointer: in a working tree, in git's index, or in any commit that a branch, tag, remote-tracking
branch, stash, reflog, linked work tree or unfinished operation of git leads to. Beside pointers, the bases in the stat
cache count, by which changes of working files are told, and the lists of packages that lineage records name. What else
records name does not count: the outputs of a run are kept by the commits that have them.

A pointer that cannot be read names every version that its text mentions, so what is damaged or in conflict keeps more
and not less. A pointer of a newer dver, a commit or a file that cannot be read is an error: nobody can know then what
is needed.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dver.errors import DverError, FormatError, PathError, UnsupportedFormatError, os_hint
from dver.fileio import IrregularFileError, read_regular
from dver.git import CommitId
from dver.git.reach import Reach, Reached, Tip, TipKind, WorkTree
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, dataset_path, decode_pointer, pointer_path
from dver.operations.datasets import working_datasets
from dver.repo import LINEAGE_FILE, Repo
from dver.workspace.pointers import DVER_DIRECTORY
from dver.workspace.statcache import foreign_bases

_DAY = 86_400.0
_BRANCHES = "refs/heads/"
_MENTIONED = re.compile(rb"b3:([0-9a-f]{64})(?![0-9a-f])")
_LIST = re.compile(rb'"packages"\s*:\s*"b3:([0-9a-f]{64})"')
# Of a file this large nobody can say that it is meant as a pointer.
_MOST_READ = 1 << 22


class RootKind(StrEnum):
    """What names a version."""

    HEAD = TipKind.HEAD.value
    WORKING_TREE = "working tree"
    INDEX = "index"
    BASE = "base"
    HISTORY = "history"
    BRANCH = TipKind.BRANCH.value
    TAG = TipKind.TAG.value
    REMOTE = TipKind.REMOTE.value
    STASH = TipKind.STASH.value
    REF = TipKind.REF.value
    OPERATION = TipKind.OPERATION.value
    REFLOG = TipKind.REFLOG.value
    RECORD = "record"
    REGISTRATION = "registration"


CURRENT = frozenset({RootKind.HEAD, RootKind.WORKING_TREE, RootKind.INDEX, RootKind.BASE})
"""What the work at hand needs."""


@dataclass(frozen=True, slots=True)
class RootName:
    """One thing that names a version.

    Attributes:
        dataset: the path of the dataset, "" where it is not known, as of a list of packages.
        kind: what sort of thing names it.
        name: which one, such as "main"; "" where there is only one, as with HEAD. Of a working tree and its index,
            the folder, where that is not the working tree from which was asked.
        commit: the newest commit in which it does; None for what is no commit.
    """

    dataset: str
    kind: RootKind
    name: str = ""
    commit: CommitId | None = None

    @property
    def by(self) -> str:
        """What names it, in words, such as "branch main"."""
        return f"{self.kind.value} {self.name}" if self.name else self.kind.value


@dataclass(frozen=True, slots=True)
class Roots:
    """The versions that something names.

    Attributes:
        versions: the versions that are to be kept, each with what names it.
        old: the versions that only such history names as `keep_days` and `keep_last` of `collect_roots` leave out.
    """

    versions: Mapping[VersionId, tuple[RootName, ...]]
    old: Mapping[VersionId, tuple[RootName, ...]] = field(default_factory=dict)


def collect_roots(
    repo: Repo,
    *,
    keep_days: float | None = None,
    keep_last: int | None = None,
    trouble: list[DverError] | None = None,
) -> Roots:
    """Return the versions that a repository names, with all work trees that are linked to it.

    By default the whole history counts. With `keep_days`, only its commits of so many days; with `keep_last`, only so
    many of the latest versions of each dataset; with both, what either of them keeps. What HEAD, a branch, a tag, an
    index, a work tree, a stash or an unfinished operation names directly counts in any case.

    With `trouble`, what cannot be read is passed over and put there: for those who only look, and delete nothing.

    Raises:
        GitError: a commit or a pointer in git cannot be read.
        PathError: a pointer in a working tree cannot be read.
        UnsupportedFormatError: a newer dver wrote a pointer.
    """
    reach = repo.git.reach()
    found = _Finder(repo, reach, trouble)
    for tree in reach.work_trees:
        found.look_at_index(tree)
        if tree.root is not None and (tree.root / DVER_DIRECTORY).is_dir():
            found.look_at_working_tree(tree.root)
    tips = reach.tips()
    lasting = [tip for tip in tips if tip.kind is not TipKind.REFLOG]
    heads = [tip for tip in tips if tip.kind is TipKind.HEAD]
    # Each on its own: a tree that two tips have in common is told of once.
    found.look_at(reach.files(heads, SUFFIX, history=False))
    found.look_at(reach.files(lasting, SUFFIX, history=False))
    found.look_at_records(lasting)
    history = reach.files(tips, SUFFIX)
    if keep_days is None and keep_last is None:
        found.look_at(history)
    else:
        found.look_out_for(reach.files(_with_branch(repo, lasting), SUFFIX))
        found.look_at_some(history, None if keep_days is None else time.time() - keep_days * _DAY, keep_last or 0)
    return Roots(found.kept(), found.left_out())


class _Finder:
    """Collects the versions that one repository names."""

    def __init__(self, repo: Repo, reach: Reach, trouble: list[DverError] | None) -> None:
        self._repo = repo
        self._reach = reach
        self._trouble = trouble
        self._kept: dict[VersionId, dict[RootName, None]] = {}
        self._old: dict[VersionId, dict[RootName, None]] = {}
        self._read: dict[tuple[str, str], list[VersionId]] = {}
        self._better: dict[tuple[str, str], RootName] = {}

    def kept(self) -> dict[VersionId, tuple[RootName, ...]]:
        return {version: tuple(names) for version, names in self._kept.items()}

    def left_out(self) -> dict[VersionId, tuple[RootName, ...]]:
        return {version: tuple(names) for version, names in self._old.items() if version not in self._kept}

    def look_at_index(self, tree: WorkTree) -> None:
        name = self._name_of(tree.root or tree.git_dir)
        with self._passing_over():
            for path, blob in self._reach.staged(tree, SUFFIX):
                versions = self._versions(path, blob, "git's index")
                self._keep(versions, RootName(dataset_path(path), RootKind.INDEX, name))

    def look_at_working_tree(self, root: Path) -> None:
        with self._passing_over():
            if root == self._repo.root:
                self._look_at_files(self._repo)
            else:
                with self._repo.beside(root) as other:
                    self._look_at_files(other)

    def look_at(self, files: Iterable[Reached]) -> None:
        with self._passing_over():
            for file in files:
                self._keep(self._versions_in(file), _name(file))

    def look_out_for(self, files: Iterable[Reached]) -> None:
        """Take note of what history that lasts has, to name that where a reflog leads to the same."""
        self._better.update(((file.path, file.blob), _name(file)) for file in files)

    def look_at_some(self, files: Iterable[Reached], since: float | None, last: int) -> None:
        """Keep what the newest files name, and take note of the rest; files come newest first."""
        latest: dict[str, set[VersionId]] = {}
        for file in files:
            for version in self._versions_in(file):
                of_dataset = latest.setdefault(file.path, set())
                if len(of_dataset) < last:
                    of_dataset.add(version)
                is_new = since is not None and file.when >= since
                if is_new or version in of_dataset:
                    self._keep([version], _name(file))
                else:
                    name = self._better.get((file.path, file.blob)) or _name(file)
                    self._old.setdefault(version, {})[name] = None

    def look_at_records(self, tips: Iterable[Tip]) -> None:
        with self._passing_over():
            for blob in dict.fromkeys(self._reach.file_at(tip, LINEAGE_FILE) for tip in tips):
                if blob is not None:
                    self._keep_lists(self._reach.read(blob))

    @contextmanager
    def _passing_over(self) -> Iterator[None]:
        try:
            yield
        except DverError as exc:
            if self._trouble is None:
                raise
            self._trouble.append(exc)

    def _name_of(self, root: Path) -> str:
        return "" if root == self._repo.root else str(root)

    def _look_at_files(self, repo: Repo) -> None:
        name = self._name_of(repo.root)
        for dataset in working_datasets(repo):
            with self._passing_over():
                self._keep(_working_versions(repo, dataset), RootName(dataset, RootKind.WORKING_TREE, name))
        bases = foreign_bases(repo.dver_dir / "state.db")
        if bases is None:
            raise PathError(
                str(repo.dver_dir / "state.db"),
                "cannot be read, so nobody can tell which versions the data there goes back to",
                hint=f"let yourself read and write it; or delete it: dver status in {repo.root} makes it anew",
            )
        for dataset, version in bases.items():
            self._keep([version], RootName(dataset, RootKind.BASE, name))
        lineage = repo.root / LINEAGE_FILE
        if lineage.is_file():
            try:
                self._keep_lists(lineage.read_bytes())
            except OSError as exc:
                raise PathError(str(lineage), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc

    def _keep_lists(self, lineage: bytes) -> None:
        for digits in dict.fromkeys(_LIST.findall(lineage)):
            self._keep([VersionId(bytes.fromhex(digits.decode()))], RootName("", RootKind.RECORD))

    def _keep(self, versions: Iterable[VersionId], name: RootName) -> None:
        for version in versions:
            self._kept.setdefault(version, {})[name] = None

    def _versions_in(self, file: Reached) -> list[VersionId]:
        where = f"commit {file.commit[:8]}" if file.commit else file.tip.target[:8]
        return self._versions(file.path, file.blob, where)

    def _versions(self, path: str, blob: str, where: str) -> list[VersionId]:
        known = self._read.get((path, blob))
        if known is None:
            known = []
            with self._passing_over():
                known = versions_in(self._reach.read(blob), f"{path} in {where}")
            self._read[path, blob] = known
        return known


def _with_branch(repo: Repo, tips: Iterable[Tip]) -> list[Tip]:
    """Return tips with a branch in the place of a HEAD that is at the same commit: people know it by that."""
    branches: dict[str, str] = {}
    for name, commit in repo.git.refs().items():
        if name.startswith(_BRANCHES):
            branches.setdefault(commit, name.removeprefix(_BRANCHES))
    return [
        Tip(TipKind.BRANCH, branches[tip.target], tip.target)
        if tip.kind is TipKind.HEAD and tip.target in branches
        else tip
        for tip in tips
    ]


def versions_in(content: bytes, where: str) -> list[VersionId]:
    """Return the versions that a pointer file names: one if it is whole, else all that its text mentions.

    Raises:
        UnsupportedFormatError: a newer dver wrote it.
    """
    try:
        return [decode_pointer(content, where).version]
    except UnsupportedFormatError:
        raise
    except FormatError:
        mentioned = dict.fromkeys(_MENTIONED.findall(content[:_MOST_READ]))
        return [VersionId(bytes.fromhex(digits.decode())) for digits in mentioned]


def _working_versions(repo: Repo, dataset: str) -> list[VersionId]:
    path = pointer_path(dataset)
    try:
        content = read_regular(repo.root / path, _MOST_READ)
    except (FileNotFoundError, IrregularFileError):
        return []
    except OSError as exc:
        raise PathError(path, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    return versions_in(content, path)


def _name(file: Reached) -> RootName:
    kind = RootKind(file.tip.kind.value)
    if kind is RootKind.HEAD and file.commit != file.tip.target:
        kind = RootKind.HISTORY
    return RootName(dataset_path(file.path), kind, file.tip.name, file.commit)
