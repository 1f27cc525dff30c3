"""Keeping the cache tidy: many small packs and index files become few, without anybody asking for it.

Nothing is deleted but what was copied, so nobody needs to know what is needed. It is done after commands that store, at
most for a few seconds, and not at all while another process is at work in the cache: the next command has another try.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dver.errors import DverError
from dver.objects.ids import IndexId
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.cachelock import collecting
from dver.storage.local import LocalBackend
from dver.storage.packs import pack_key
from dver.storage.store import Store

if TYPE_CHECKING:
    from dver.storage.sweep import PackUse

MANY_PACKS = 50
MANY_INDEX_FILES = 50
# An index file of this size is as good as one that is merged.
SMALL_INDEX = 1024 * 1024
_SMALL_PACK = 4 * 1024 * 1024
_MOST_BYTES = 256 * 1024 * 1024
_MOST_SECONDS = 10.0
# What is merged between two looks at the clock.
_AT_ONCE = 16 * 1024 * 1024
_INDEX_AT_ONCE = 4 * 1024 * 1024


def tidy(repo: Repo, *, progress: Progress = NO_PROGRESS, clock: Callable[[], float] = time.monotonic) -> bool:
    """Merge the small packs and index files of the cache if there are many, and say so; return whether that was done.

    What stops it is no failure: the command before it is done.
    """
    store = repo.cache
    if not repo.settings.gc_auto or not isinstance(store.backend, LocalBackend):
        return False
    if not _is_due(store):
        return False
    try:
        with collecting(store, patience=0.0), _cleaning(repo, store) as keep:
            store.index.refresh()
            return _tidy(store, progress, keep, clock)
    except DverError:
        return False


def _is_due(store: Store) -> bool:
    if len(_small_files(store)) > MANY_INDEX_FILES:
        return True
    return sum(size < _SMALL_PACK for size in store.index.packs(complete=True).values()) > MANY_PACKS


def _small_files(store: Store) -> list[IndexId]:
    return [index for index, size in store.index.file_sizes().items() if size < SMALL_INDEX]


def _small_packs(store: Store) -> "list[PackUse]":
    """Return the small packs of which all is known: of others, parts could be lost."""
    from dver.storage.sweep import PackUse  # noqa: PLC0415

    known = store.index.packs(complete=True)
    return [PackUse(pack, size, size, 1) for pack, size in known.items() if size < _SMALL_PACK]


def _cleaning(repo: Repo, store: Store) -> AbstractContextManager[Callable[[], None]]:
    # Deferred: as below.
    from dver.operations.as_remote import cleaning  # noqa: PLC0415

    return cleaning(repo, store)


def _tidy(store: Store, progress: Progress, keep: Callable[[], None], clock: Callable[[], float]) -> bool:
    # Deferred: most of the time there is nothing to do.
    from dver.storage.sweep import Sweeper  # noqa: PLC0415

    deadline = clock() + _MOST_SECONDS
    many = [pack for pack in _small_packs(store) if store.backend.size(pack_key(pack.id)) == pack.size]
    what = f"{len(many):,} small packs" if len(many) > MANY_PACKS else f"{len(_small_files(store)):,} index files"
    progress.note(f"tidying the cache: merging {what} (gc.auto)")
    with progress.task("tidying the cache", bytes=sum(pack.size for pack in many)) as task:
        sweeper = Sweeper(store, task=task, keep=keep)
        if len(many) > MANY_PACKS:
            for group in _groups(many):
                if clock() >= deadline:
                    return True
                sweeper.repack(group, None)
            sweeper.tidy()
        for files in _index_groups(store):
            if clock() >= deadline:
                return True
            sweeper.merge_index_files(files)
    return True


def _index_groups(store: Store) -> list[list[IndexId]]:
    """Return the small index files in groups, each of which becomes one file."""
    sizes = store.index.file_sizes()
    groups: list[list[IndexId]] = []
    together = 0
    for index in _small_files(store):
        if not groups or together + sizes[index] > _INDEX_AT_ONCE:
            groups.append([])
            together = 0
        groups[-1].append(index)
        together += sizes[index]
    return [group for group in groups if len(group) > 1]


def _groups(packs: "Sequence[PackUse]") -> "list[list[PackUse]]":
    """Return packs in groups that become about one pack each, up to what may be done in one go."""
    groups: list[list[PackUse]] = [[]]
    together = done = 0
    for pack in packs:
        if done + pack.size > _MOST_BYTES:
            break
        if together + pack.size > _AT_ONCE and groups[-1]:
            groups.append([])
            together = 0
        groups[-1].append(pack)
        together += pack.size
        done += pack.size
    return groups
