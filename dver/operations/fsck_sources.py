"""The places where a repair looks for what is missing, the nearest first.

For stores: the cache for a remote, all remotes, the caches of repositories that use the same cache and keep another one
too, and what the user names. For files: this working tree, those linked to it, and those of the same repositories.
Nothing that comes from any of them is believed: what is taken is checked against its id.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dver.errors import ConfigError, DverError
from dver.objects.chunker import ChunkerParams
from dver.operations.datasets import working_datasets
from dver.operations.fsck_files import NAME, WorkingFiles
from dver.progress import Task
from dver.repo import Repo
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.repair_sources import StoreSource
from dver.storage.store import Store
from dver.workspace.pointers import DVER_DIRECTORY

_CACHE = Path(DVER_DIRECTORY) / "cache"


@dataclass(slots=True)
class Sources:
    """Where missing objects may be had. `trouble` is what is wrong with places that cannot be asked."""

    stores: list[StoreSource] = field(default_factory=list)
    files: list[WorkingFiles] = field(default_factory=list)
    trouble: list[DverError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be mended.

    Attributes:
        params: how files are cut for the store.
        first: datasets that come first, for their versions are named.
    """

    store: Store
    params: ChunkerParams
    first: Collection[str]
    task: Task


@contextmanager
def repair_sources(
    repo: Repo, wanted: Wanted, neighbours: Sequence[Path], named: Sequence[str], *, is_remote: bool
) -> Iterator[Sources]:
    """Give the places to look at; those of other repositories are open as long as the context is.

    Args:
        neighbours: the repositories that use the same cache.
        named: folders of stores and repositories that the user gave.

    Raises:
        ConfigError: a folder that was named is neither.
    """
    with ExitStack() as stack:
        finder = _Finder(repo, wanted, stack)
        for path in named:
            finder.add_named(Path(path))
        if is_remote:
            finder.add_store(repo.cache)
        finder.add_remotes()
        finder.add_repository(repo)
        for root in neighbours:
            finder.add_beside(root)
        yield finder.sources


class _Finder:
    def __init__(self, repo: Repo, wanted: Wanted, stack: ExitStack) -> None:
        self.sources = Sources()
        self._repo = repo
        self._wanted = wanted
        self._stack = stack
        self._stores = {wanted.store.backend.location}
        self._roots: set[Path] = set()

    def add_store(self, store: Store, name: str | None = None) -> None:
        try:
            if store.backend.location not in self._stores and store.read_params() is not None:
                self._stores.add(store.backend.location)
                self.sources.stores.append(StoreSource(store, name))
        except DverError as exc:
            self.sources.trouble.append(exc)

    def add_remotes(self) -> None:
        default = self._repo.settings.default_remote
        for name in sorted(self._repo.settings.remotes, key=lambda name: (name != default, name)):
            try:
                self.add_store(self._repo.remote(name))
            except DverError as exc:
                self.sources.trouble.append(exc)

    def add_named(self, path: Path) -> None:
        if (path / DESCRIPTION_KEY).is_file():
            self._add_folder(path)
        elif (path / DVER_DIRECTORY).is_dir():
            self.add_beside(path)
        else:
            raise ConfigError(
                f"{path} is neither a store nor a repository with dver", hint="--from takes such a folder"
            )

    def add_beside(self, root: Path) -> None:
        try:
            self.add_repository(self._stack.enter_context(self._repo.beside(root)))
        except DverError as exc:
            self.sources.trouble.append(exc)

    def add_repository(self, repo: Repo) -> None:
        """Add the caches of a repository, and the files of all its working trees."""
        if repo is not self._repo:
            self.add_store(repo.cache, f"the cache of {repo.root}")
        # The one that it had before it was given another.
        self._add_folder(repo.git.main_root / _CACHE)
        self._add_files(repo)
        for tree in repo.git.reach().work_trees:
            root = tree.root
            if root is not None and root not in self._roots and (root / DVER_DIRECTORY).is_dir():
                try:
                    self._add_files(self._stack.enter_context(repo.beside(root)))
                except DverError as exc:
                    self.sources.trouble.append(exc)

    def _add_folder(self, path: Path) -> None:
        if (path / DESCRIPTION_KEY).is_file():
            self.add_store(self._repo.store_in(path))

    def _add_files(self, repo: Repo) -> None:
        if repo.root in self._roots:
            return
        self._roots.add(repo.root)
        wanted = self._wanted
        ordered = sorted(working_datasets(repo), key=lambda dataset: (dataset not in wanted.first, dataset))
        files = WorkingFiles(repo.root, ordered, wanted.params, self._repo.workers, wanted.task)
        if repo is not self._repo:
            files.name = f"{NAME} in {repo.root}"
        self.sources.files.append(files)
