"""The repository: finds git, settings, cache, remotes and stat cache, and wires them together.

No domain logic lives here; operations are functions that take a `Repo`. What is costly to open is opened on first use,
and what a clean `dver status` can do without is imported there too: this is the place for it, so that operations need
not think of how long it takes. Environment variables come in as a mapping: only the command line and the API read the
environment.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from blake3 import blake3

from dver.config import RemoteSettings, Settings, load_settings, resolve_url
from dver.errors import NotARepositoryError, PathError
from dver.git import GitRepo
from dver.workers import Workers
from dver.workspace.pointers import DVER_DIRECTORY
from dver.workspace.scan import Scanner
from dver.workspace.scratch import scratch_folder, workspace_lock
from dver.workspace.statcache import StatCache

if TYPE_CHECKING:
    from dver.objects.chunker import Chunker
    from dver.records.index import LineageIndex
    from dver.storage.backend import Backend
    from dver.storage.markers import VersionMarkers
    from dver.storage.store import Store

CONFIG_FILE = "config.toml"
LINEAGE_NAME = "lineage.jsonl"
LINEAGE_FILE = f"{DVER_DIRECTORY}/{LINEAGE_NAME}"
DEFAULT_TRANSFER_JOBS = 8
MEMORY_SCHEME = "memory://"


def _quiet(_message: str) -> None:
    pass


class Repo:
    """One working tree with dver set up. Use as a context manager, or call `close`.

    Attributes:
        root: the top of the working tree, absolute.
        dver_dir: `.dver` in it.
    """

    def __init__(
        self, git: GitRepo, *, env: Mapping[str, str] | None = None, note: Callable[[str], None] = _quiet
    ) -> None:
        """Wrap an open git repository; `find` is the usual way in. `note` takes lines that the user should see."""
        self.git = git
        self.root = git.root
        self.dver_dir = git.root / DVER_DIRECTORY
        self._env = dict(env or {})
        self._note = note
        self._backends: dict[str, Backend] = {}
        self._stores: dict[str, Store] = {}

    @classmethod
    def find(cls, start: Path, *, env: Mapping[str, str] | None = None, note: Callable[[str], None] = _quiet) -> "Repo":
        """Return the repository that `start` lies in.

        Raises:
            NotARepositoryError: there is no git repository, or `dver init` has not been run in it.
        """
        repo = cls(GitRepo.find(start, env=env or {}), env=env, note=note)
        if not (repo.dver_dir / CONFIG_FILE).is_file():
            raise NotARepositoryError(f"{repo.root}: dver is not set up here yet", hint="dver init")
        return repo

    def __enter__(self) -> "Repo":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all that was opened, and end its threads."""
        for store in self._stores.values():
            store.close()
        opened = self.__dict__
        for name in ("workers", "transfer_workers", "stat_cache", "lineage"):
            if name in opened:
                opened[name].close()

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        return load_settings(self.dver_dir)

    @cached_property
    def chunker(self) -> "Chunker":
        """The chunker with this repository's parameters."""
        from dver.objects.chunker import Chunker, ChunkerParams  # noqa: PLC0415

        return Chunker(ChunkerParams.from_average(self.settings.chunk_size))

    @cached_property
    def workers(self) -> Workers:
        """Threads for work on the processor and local files: as many as there are cores."""
        jobs = self.settings.jobs or os.cpu_count() or 1
        return Workers(None, jobs)

    @cached_property
    def transfer_workers(self) -> Workers:
        """Threads for work that mostly waits for a network."""
        jobs = self.settings.transfer_jobs or DEFAULT_TRANSFER_JOBS
        return Workers(None, jobs, name="dver-net")

    def workers_for(self, store: "Store") -> Workers:
        """Return the threads that suit reading from a store."""
        return self.workers if store.backend.is_local else self.transfer_workers

    @cached_property
    def stat_cache(self) -> StatCache:
        """What is known of the working files."""
        return StatCache(self.dver_dir / "state.db")

    @cached_property
    def lineage(self) -> "LineageIndex":
        """The lineage records, in a form that answers questions."""
        from dver.records.index import LineageIndex  # noqa: PLC0415
        from dver.records.journal import Journal  # noqa: PLC0415

        return LineageIndex(self.dver_dir / "lineage.db", Journal(self.dver_dir / LINEAGE_NAME))

    @cached_property
    def scanner(self) -> Scanner:
        """Finds what changed in the working files."""
        return Scanner(self.root, self.stat_cache, self.workers)

    @property
    def cache(self) -> "Store":
        """The local store."""
        return self._open(self._cache_url, self.settings.cache_options, "the cache")

    @property
    def cached_versions(self) -> "VersionMarkers":
        """The versions in the local store: all that most questions to it are about, without opening it."""
        from dver.storage.markers import VersionMarkers  # noqa: PLC0415

        return VersionMarkers(self._backend(self._cache_url, self.settings.cache_options))

    @cached_property
    def _cache_url(self) -> str:
        location = self._env.get("DVER_CACHE_DIR") or self.settings.cache_dir
        return resolve_url(location, self.root) if location else str(self.git.main_root / DVER_DIRECTORY / "cache")

    def remote(self, name: str | None = None) -> "Store":
        """Return a remote's store; without a name the default one.

        Raises:
            ConfigError: there is no such remote.
        """
        settings = self.remote_settings(name)
        url = resolve_url(settings.url, self.root)
        return self._open(url, settings.options, f"remote {settings.name}")

    def remote_settings(self, name: str | None = None) -> RemoteSettings:
        """Return a remote's settings; without a name the default one's. ConfigError if there is none."""
        return self.settings.remote(name)

    @property
    def has_remote(self) -> bool:
        """Whether there is a default remote."""
        return self.settings.default_remote in self.settings.remotes

    def scratch(self) -> AbstractContextManager[Path]:
        """Return a context that gives an empty folder on the working tree's file system."""
        return scratch_folder(self.dver_dir / "tmp")

    def lock(self) -> AbstractContextManager[None]:
        """Return a context in which no other command changes the working tree."""
        return workspace_lock(self.dver_dir / "tmp", self._note)

    def relative(self, path: str, start: Path) -> str:
        """Return `path`, given from the folder `start`, relative to the repository ("" for its root).

        Raises:
            PathError: it lies outside.
        """
        absolute = os.path.normpath(os.path.join(start, path))
        for candidate in (absolute, _resolve_parent(absolute)):
            if candidate == str(self.root):
                return ""
            if candidate.startswith(f"{self.root}{os.sep}"):
                return os.path.relpath(candidate, self.root)
        hint = "only what is in it can be named; move or copy data from elsewhere into it first"
        raise PathError(path, f"is outside the repository {self.root}", hint=hint)

    def _backend(self, url: str, options: Mapping[str, str | bool | int]) -> "Backend":
        known = self._backends.get(url)
        if known is None:
            from dver.storage.open import open_backend  # noqa: PLC0415

            known = self._backends[url] = open_backend(url, options, note=self._note)
        return known

    def _open(self, url: str, options: Mapping[str, str | bool | int], name: str) -> "Store":
        known = self._stores.get(url)
        if known is None:
            from dver.storage.index import ChunkIndex  # noqa: PLC0415
            from dver.storage.store import Store  # noqa: PLC0415

            backend = self._backend(url, options)
            label = name if name == "the cache" else f"{name} ({backend.location})"
            # The same bucket name means another bucket on another service.
            place = f"{options.get('endpoint_url', '')} {backend.location}"
            path = self._index_path(url, place)
            journal = path.with_suffix(".unfinished") if path else None
            known = self._stores[url] = Store(backend, ChunkIndex(path, backend), name=label, journal=journal)
        return known

    def _index_path(self, url: str, place: str) -> Path | None:
        # What lives in this process only must not leave an index behind for another.
        if url.startswith(MEMORY_SCHEME):
            return None
        home = self._env.get("XDG_CACHE_HOME") or os.path.join(self._env.get("HOME") or Path.home(), ".cache")
        chosen = self._env.get("DVER_INDEX_DIR") or self.settings.index_dir or os.path.join(home, "dver", "index")
        return Path(chosen).expanduser() / f"{blake3(os.fsencode(place)).hexdigest(16)}.db"


def _resolve_parent(path: str) -> str:
    """Resolve symbolic links above the last part, which itself may be one that is to be named."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
