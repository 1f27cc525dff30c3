"""A cache that is a remote too: of other repositories, which count on what is in it, or of its own, which must not.

Whoever pushes to a folder leaves word there of the versions that it names, be the folder the cache of others or not. So
whoever cleans that cache keeps these versions, and takes the lease that those have who clean remotes. The other way
round, a remote that is the cache itself holds no second copy of anything.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from dver.config import load_settings
from dver.config.urls import is_url, resolve_url
from dver.errors import ConfigError
from dver.operations.registering import own_files, registrant
from dver.repo import Repo
from dver.storage.backend import Backend
from dver.storage.cachelock import writing_to
from dver.storage.clones import known_clones
from dver.storage.condemned import FOLDER, RESCUE_SECONDS, gc_key, read_folder
from dver.storage.description import description_size
from dver.storage.lease import Lease
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of, local_path
from dver.storage.registrations import FOLDER as ROOTS
from dver.storage.registrations import Registration
from dver.storage.same_place import are_alike, are_one, is_same_folder
from dver.storage.store import Store

# Of an id so many digits are taken for it.
_FEWEST_DIGITS = 8


def check_apart(repo: Repo, remote: str | None) -> None:
    """Refuse to count on a remote that is the cache itself.

    Raises:
        ConfigError: it is.
    """
    cache, name = repo.cache.backend, repo.remote_settings(remote).name
    if are_one(cache, repo.remote(remote).backend):
        raise ConfigError(same_place_text(name, cache.location), hint=same_place_hint(name))


def same_place_text(name: str, location: str) -> str:
    """Return the sentence that says that a remote is the cache."""
    return f"remote {name} is the cache itself ({location}), so what is there is no second copy"


def same_place_hint(name: str) -> str:
    """Return what helps where a remote is the cache."""
    return (
        f"dver remote set {name} url URL with another place, then dver push --all; or another cache:"
        " dver config set cache.dir PATH"
    )


def check_location(repo: Repo, url: str, name: str) -> None:
    """Refuse a folder for a remote that is the cache.

    Raises:
        ConfigError: it is.
    """
    folder, cache = _folder(url, repo), _cache_folder(repo)
    if folder is not None and cache is not None and is_same_folder(folder, cache):
        raise ConfigError(
            same_place_text(name, cache),
            hint="choose another folder for the remote, or first another cache: dver config set cache.dir PATH",
        )


def check_cache_location(repo: Repo, url: str) -> None:
    """Refuse a folder for the cache that is a remote.

    Raises:
        ConfigError: it is.
    """
    folder = _folder(url, repo)
    for name, place in _remote_folders(repo).items():
        if folder is not None and is_same_folder(folder, place):
            raise ConfigError(
                f"{folder} is remote {name}; as a cache as well it would hold the only copy of what is pushed there",
                hint="choose another folder for the cache, such as one beside it",
            )


def _cache_folder(repo: Repo) -> str | None:
    """Return the folder of the cache; None where it is elsewhere, or settings say nothing that can be understood."""
    # Settings are read once, and those of `repo` are about to change.
    with suppress(ConfigError), repo.beside(repo.root) as before:
        cache = before.cached_versions.backend
        return cache.location if cache.is_local else None
    return None


def _remote_folders(repo: Repo) -> dict[str, str]:
    """Return the remotes that are folders; none where settings say nothing that can be understood."""
    with suppress(ConfigError):
        found = {name: _folder(remote.url, repo) for name, remote in load_settings(repo.dver_dir).remotes.items()}
        return {name: folder for name, folder in found.items() if folder is not None}
    return {}


def _folder(url: str, repo: Repo) -> str | None:
    location = resolve_url(url, repo.root)
    path = None if is_url(location) else local_path(location)
    return None if path is None else str(path)


def counting_on(
    store: Store, note: Callable[[str], None], patience: float | None = None
) -> AbstractContextManager[None]:
    """Return a context in which nobody on this machine deletes from a remote that is a folder.

    Whoever counts on what is there leaves word in it, and looks in it, so that a cleaning either knows of that or is
    over by then.

    Raises:
        ConfigError: the settings take an encrypted store for a plain one; nothing is written to that.
    """
    if store.backend.is_local:
        description_size(store.backend, store.name)
    # A cache is never encrypted, so in an encrypted folder there is nobody to wait for.
    return writing_to(store.backend, note, patience=patience, begins=False)


@contextmanager
def cleaning(repo: Repo, store: Store) -> Iterator[Callable[[], None]]:
    """Have the lease of a cache that is a remote too; of any other, do nothing.

    Yields:
        what is to be called before each deletion.

    Raises:
        LockedError: somebody cleans it as a remote.
    """
    if not _is_remote(store.backend):
        yield lambda: None
        return
    by = registrant(repo)
    with Lease(store.backend, f"{by.host}:{by.name}") as lease:
        yield lease.keep


def _is_remote(backend: Backend) -> bool:
    return any(True for prefix in (ROOTS, FOLDER) for _ in backend.list(prefix))


def may_hold_parts(store: Store) -> bool:
    """Whether a remote is a cache, in which a node may be there without what is below it."""
    place = inner_of(store.backend)
    return isinstance(place, LocalBackend) and bool(known_clones(place))


def waiting_rescues(store: Store) -> list[str]:
    """Return the keys of what pushes said that may be at work, and count on what lists of garbage have."""
    folder = read_folder(store.backend)
    keys = [gc_key(name, "rescue") for name in folder.rescues]
    oldest = time.time() - RESCUE_SECONDS
    return [key for key in keys if folder.modified.get(key, oldest) >= oldest]


def own_words(repo: Repo, store: Store) -> frozenset[str]:
    """Return the keys of what a repository said in its own cache, which is asked itself instead."""
    found = own_files(repo, store)
    for name, remote in repo.settings.remotes.items():
        if not remote.encrypt and _folder(remote.url, repo) is not None:
            there = repo.remote(name)
            if are_alike(there.backend, store.backend):
                found |= own_files(repo, there)
    return found


def to_forget(known: Sequence[Registration], paths: Collection[str]) -> tuple[list[Registration], list[str]]:
    """Return the registrations that some paths mean, by their keys or ids, and the other paths."""
    found: list[Registration] = []
    rest = []
    for path in paths:
        meant = [one for one in known if _is_meant(one, path)]
        found += [one for one in meant if one not in found]
        rest += [] if meant else [path]
    return found, rest


def _is_meant(one: Registration, path: str) -> bool:
    name = os.path.basename(path)
    return f"/{path}".endswith(f"/{one.key}") or (len(name) >= _FEWEST_DIGITS and one.by.id.startswith(name))
