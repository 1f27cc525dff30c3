"""What of its versions a store really has: not what its markers say, but the packs that a version needs.

Content is not read, of a remote's packs not even the beginning: they are listed, once.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from dver.database import batches
from dver.errors import (
    BackendError,
    FormatError,
    IntegrityError,
    ObjectNotFoundError,
    UnsupportedFormatError,
)
from dver.objects.entry import FileEntry
from dver.objects.ids import Bytes, NodeId, ObjectId, PackId, VersionId
from dver.objects.manifest import Manifest
from dver.storage.index import LOOKUP_BATCH
from dver.storage.packs import list_packs, pack_key
from dver.storage.store import Store


class Stock:
    """What of its versions a store really has. Manifests are read, from a store that is nearer where that has them.

    May be asked from several threads.
    """

    def __init__(
        self, store: Store, *, nearer: Store | None = None, listed: Mapping[PackId, int] | None = None
    ) -> None:
        """Ask about `store`; `listed` are its packs and their sizes in bytes, where they have been listed already."""
        self.store = store
        self._nearer = nearer
        self._known: dict[PackId, bool] = {}
        self._listed = listed
        self._is_refreshed = False
        self._lock = threading.Lock()

    def has(self, version: VersionId) -> bool:
        """Whether all of a version that is marked is there."""
        return self._walk(version, self._require)

    def packs(self, version: VersionId) -> tuple[set[PackId], bool]:
        """Return the packs that hold what the index lists of a version, and whether that is all of it."""
        packs: set[PackId] = set()
        is_all = True

        def note(ids: Sequence[ObjectId]) -> None:
            nonlocal is_all
            found = self.store.index.located(ids)
            packs.update(at.pack for at in found.values())
            is_all = is_all and len(found) == len(set(ids))

        return packs, self._walk(version, note) and is_all

    def _walk(self, version: VersionId, look: Callable[[Sequence[ObjectId]], None]) -> bool:
        """Show all nodes and chunks of a version to `look`, a batch at a time; False if some cannot be known."""

        def load(ids: Sequence[NodeId]) -> Sequence[Bytes]:
            look(ids)
            return self._load(ids)

        manifest = Manifest(version, load, where=f"manifest in {self.store.name}")
        files = (entry for entry in manifest.entries() if isinstance(entry, FileEntry))
        chunks = (chunk for entry in files for chunk, _ in manifest.chunks(entry))
        try:
            for batch in batches(chunks, LOOKUP_BATCH):
                look(batch)
        except UnsupportedFormatError:
            raise
        except (ObjectNotFoundError, IntegrityError, FormatError):
            return False
        return True

    def _load(self, ids: Sequence[NodeId]) -> Sequence[Bytes]:
        if self._nearer is not None and len(self._nearer.present(ids)) == len(set(ids)):
            # What is wrong with the nearer store says nothing of this one.
            with suppress(ObjectNotFoundError, IntegrityError, FormatError, BackendError):
                return self._nearer.load_nodes(ids)
        return self.store.load_nodes(ids)

    def _require(self, ids: Sequence[ObjectId]) -> None:
        """Raise ObjectNotFoundError for an object in no pack, or in one that is gone or cut off."""
        lost = self._first_lost(ids)
        if lost is not None:
            self._refresh()
            lost = self._first_lost(ids)
        if lost is not None:
            raise ObjectNotFoundError(lost, self.store.name)

    def _refresh(self) -> None:
        """Look again, once: another process may have moved objects to other packs."""
        with self._lock:
            if not self._is_refreshed:
                self.store.index.refresh()
                self._known.clear()
                self._listed = None
                self._is_refreshed = True

    def _first_lost(self, ids: Sequence[ObjectId]) -> ObjectId | None:
        locations = (location for span in self.store.plan(ids) for location in span.locations)
        return next((location.id for location in locations if not self._has_pack(location.pack)), None)

    def _has_pack(self, pack: PackId) -> bool:
        if pack not in self._known:
            size, expected = self._size(pack), self.store.index.pack_size(pack)
            self._known[pack] = size is not None and expected in (None, size)
        return self._known[pack]

    def _size(self, pack: PackId) -> int | None:
        if self.store.backend.is_local:
            return self.store.backend.size(pack_key(pack))
        with self._lock:
            if self._listed is None:
                self._listed = list_packs(self.store.backend)
            return self._listed.get(pack)
