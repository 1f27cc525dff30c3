"""The repository: finds git, settings, cache, remotes and stat cache, and wires them together.

No domain logic lives here; operations are functions that take a `Repo`. What is costly to open is opened on first use,
and what a clean `dver status` can do without is imported there too: this is the place for it, so that operations need
not think of how long it takes. Environment variables come in as a mapping: only the command line and the API read the
environment.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from blake3 import blake3

from dver.config import RemoteSettings, Settings, load_settings, resolve_url
from dver.config.urls import is_url
from dver.errors import ConfigError, NotARepositoryError, PathError
from dver.git import GitRepo
from dver.workers import Workers
from dver.workspace.pointers import DVER_DIRECTORY
from dver.workspace.scan import Scanner
from dver.workspace.scratch import scratch_folder, workspace_lock
from dver.workspace.statcache import StatCache

if TYPE_CHECKING:
    from dver.config.trust import TrustedPlaces
    from dver.objects.chunker import Chunker
    from dver.records.index import LineageIndex
    from dver.spool import Spool
    from dver.storage.backend import Backend
    from dver.storage.keyring_secrets import Encryption
    from dver.storage.markers import VersionMarkers
    from dver.storage.retry import Wait
    from dver.storage.store import Store

CONFIG_FILE = "config.toml"
LINEAGE_NAME = "lineage.jsonl"
LINEAGE_FILE = f"{DVER_DIRECTORY}/{LINEAGE_NAME}"
DEFAULT_TRANSFER_JOBS = 16
MEMORY_SCHEME = "memory://"
CACHE_NAME = "the cache"


def _quiet(_message: str) -> None:
    pass


class Repo:
    """One working tree with dver set up. Use as a context manager, or call `close`.

    Attributes:
        root: the top of the working tree, absolute.
        dver_dir: `.dver` in it.
    """

    def __init__(
        self,
        git: GitRepo,
        *,
        env: Mapping[str, str] | None = None,
        note: Callable[[str], None] = _quiet,
        ask: Callable[[str], str] | None = None,
        confirm: Callable[[str], bool] | None = None,
        wait: "Wait" = time.sleep,
    ) -> None:
        """Wrap an open git repository; `find` is the usual way in.

        `note` takes lines that the user should see; `ask` asks for a passphrase, and `confirm` a question that is
        answered with yes or no. Both are None where nobody can answer. `wait` waits before a remote is asked once more.
        """
        self.git = git
        self.root = git.root
        self.dver_dir = git.root / DVER_DIRECTORY
        self._env = dict(env or {})
        self._note = note
        self._ask = ask
        self._confirm = confirm
        self._wait = wait
        self._backends: dict[str, Backend] = {}
        self._stores: dict[str, Store] = {}

    @classmethod
    def find(
        cls,
        start: Path,
        *,
        env: Mapping[str, str] | None = None,
        note: Callable[[str], None] = _quiet,
        ask: Callable[[str], str] | None = None,
        confirm: Callable[[str], bool] | None = None,
        wait: "Wait" = time.sleep,
    ) -> "Repo":
        """Return the repository that `start` lies in; see `Repo` for the rest.

        Raises:
            NotARepositoryError: there is no git repository, or `dver init` has not been run in it.
        """
        git = GitRepo.find(start, env=env or {})
        repo = cls(git, env=env, note=note, ask=ask, confirm=confirm, wait=wait)
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

    def workers_for(self, backend: "Backend") -> Workers:
        """Return the threads that suit reading from a place."""
        return self.workers if backend.is_local else self.transfer_workers

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
    def heeds_modes(self) -> bool:
        """Whether executable bits in the work tree mean anything; git's configuration is asked once."""
        return self.git.heeds_modes()

    @cached_property
    def scanner(self) -> Scanner:
        """Finds what changed in the working files."""
        return Scanner(self.root, self.stat_cache, self.workers, heed_modes=self.heeds_modes)

    @property
    def cache(self) -> "Store":
        """The local store."""
        return self._open(self._cache_url, self.settings.cache_options, CACHE_NAME)

    def storing(self) -> AbstractContextManager[None]:
        """Return a context in which nothing is deleted from the cache; see `Store.kept`."""
        return self.cache.kept()

    def beside(self, root: Path, *, note: Callable[[str], None] = _quiet) -> "Repo":
        """Return the repository of another working tree, opened with the same environment but for git's."""
        env = {name: value for name, value in self._env.items() if not name.startswith("GIT_")}
        return Repo(GitRepo.find(root, env=env), env=env, note=note, wait=self._wait)

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
        encryption = self.encryption(name) if settings.encrypt else None
        return self._open(url, settings.options, f"remote {settings.name}", encryption)

    def store_in(self, folder: Path) -> "Store":
        """Return the store that lies in a folder, such as the cache of somebody else, to read from."""
        return self._open(str(folder), {}, "another store")

    def remote_backend(self, name: str | None = None) -> "Backend":
        """Return the place of a remote as it is, be what is there encrypted or not."""
        settings = self.remote_settings(name)
        return self._backend(resolve_url(settings.url, self.root), settings.options)

    def encryption(self, name: str | None = None) -> "Encryption":
        """Return how an encrypted remote is opened; its keys are not asked for yet."""
        from dver.storage.keyring_secrets import (  # noqa: PLC0415
            PASSPHRASE_FILE_VARIABLE,
            PASSPHRASE_VARIABLE,
            Encryption,
            SecretSource,
        )

        settings = self.remote_settings(name)
        file = self._env.get(PASSPHRASE_FILE_VARIABLE)
        source = SecretSource(
            f"remote {settings.name}",
            key_file=Path(resolve_url(settings.key_file, self.root)) if settings.key_file else None,
            passphrase=self._env.get(PASSPHRASE_VARIABLE),
            passphrase_file=Path(file).expanduser() if file else None,
            ask=self._ask,
        )
        url = resolve_url(settings.url, self.root)
        index = self._index_path(url, _place(settings.options, self.remote_backend(name)))
        return Encryption(source, settings.fingerprint, index.with_suffix(".key") if index else None)

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

    def spool(self) -> "Spool":
        """Return an empty list for what may be too much for memory."""
        from dver.spool import Spool  # noqa: PLC0415

        folder = self.dver_dir / "tmp"
        return Spool(folder if os.access(folder, os.W_OK) else None)

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

            self._check_trusted(url, options)
            remote = next(iter(self._remotes_at(url)), "NAME")
            known = open_backend(url, options, note=self._note, wait=self._wait, remote=remote)
            self._backends[url] = known
        return known

    def _remotes_at(self, url: str) -> list[str]:
        return [name for name, one in self.settings.remotes.items() if resolve_url(one.url, self.root) == url]

    @cached_property
    def trusted(self) -> "TrustedPlaces":
        """The places that dver may sign in to."""
        from dver.config.trust import TrustedPlaces  # noqa: PLC0415

        return TrustedPlaces.of_user(self._env)

    def _check_trusted(self, url: str, options: Mapping[str, str | bool | int]) -> None:
        """Ask before credentials are sent to a place that is new to this machine; ConfigError if it is not trusted."""
        if not is_url(url):
            return
        from dver.config.trust import TRUST_VARIABLE, place_of  # noqa: PLC0415

        place = place_of(url, options)
        # A cache that the environment names is the user's own choice, but not what settings add to it.
        named_by_user = bool(self._env.get("DVER_CACHE_DIR")) and url == self._cache_url
        if place is None or (named_by_user and not place.options) or self.trusted.knows(place):
            return
        names = self._remotes_at(url)
        what = f"remote {names[0]}" if names else CACHE_NAME
        if self._confirm is not None and self._confirm(
            f"{what} is at {place.text}, where dver has never signed in from this machine; use your credentials there?"
        ):
            self.trusted.add(place)
            return
        raise ConfigError(
            f"{what} is at {place.text}, says this repository, and dver has never signed in there from this machine",
            hint=f"dver remote trust {names[0] if names else '--cache'}, if you know that place;"
            f" in scripts, {TRUST_VARIABLE} can name it",
        )

    def _open(
        self,
        url: str,
        options: Mapping[str, str | bool | int],
        name: str,
        encryption: "Encryption | None" = None,
    ) -> "Store":
        # The plain view of an encrypted store and the place as it is are not the same store.
        known = self._stores.get(f"encrypted {url}" if encryption else url)
        if known is None:
            from dver.storage.clones import Place  # noqa: PLC0415
            from dver.storage.index import ChunkIndex  # noqa: PLC0415
            from dver.storage.store import Store  # noqa: PLC0415

            backend = self._backend(url, options)
            if encryption is not None:
                from dver.storage.open import encrypted  # noqa: PLC0415

                backend = encrypted(backend, encryption)
            label = name if name == CACHE_NAME else f"{name} ({backend.location})"
            path = self._index_path(url, _place(options, backend))
            journal = path.with_suffix(".unfinished") if path else None
            used_by = Place(self.git.common_dir, self.git.main_root) if name == CACHE_NAME else None
            known = self._stores[f"encrypted {url}" if encryption else url] = Store(
                backend, ChunkIndex(path, backend), name=label, journal=journal, note=self._note, used_by=used_by
            )
        return known

    def _index_path(self, url: str, place: str) -> Path | None:
        # What lives in this process only must not leave an index behind for another.
        if url.startswith(MEMORY_SCHEME):
            return None
        home = self._env.get("XDG_CACHE_HOME") or os.path.join(self._env.get("HOME") or Path.home(), ".cache")
        chosen = self._env.get("DVER_INDEX_DIR") or self.settings.index_dir or os.path.join(home, "dver", "index")
        return Path(chosen).expanduser() / f"{blake3(os.fsencode(place)).hexdigest(16)}.db"


def _place(options: Mapping[str, str | bool | int], backend: "Backend") -> str:
    # The same bucket name means another bucket on another service.
    return f"{options.get('endpoint_url', '')} {backend.location}"


def _resolve_parent(path: str) -> str:
    """Resolve symbolic links above the last part, which itself may be one that is to be named."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
