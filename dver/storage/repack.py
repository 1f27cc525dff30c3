"""Copies records out of packs into new ones, as they are stored.

The new packs are durable when they are returned, and no index file lists them yet. Chunks and nodes go to packs of
their own, each in the order in which they come, so what lay together stays together.
"""

from collections.abc import Iterator, Sequence

from dver.errors import FormatError, IntegrityError
from dver.objects.ids import PackId
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import TARGET_SIZE, Kind, PackBuilder, PackEntry, Record, decode_record
from dver.storage.packs import RUN, pack_key, runs
from dver.storage.store import Store


class Repacker:
    """One session of copying within a store. Memory holds two unfinished packs and the one that is read."""

    def __init__(self, store: Store, *, pack_size: int = TARGET_SIZE) -> None:
        """Begin a session; `pack_size` is the size in bytes at which a new pack is closed."""
        self.copied_bytes = 0
        self._store = store
        self._pack_size = pack_size
        self._chunks = PackBuilder()
        self._nodes = PackBuilder()
        self._written: list[IndexedPack] = []

    def copy(self, pack: PackId, entries: Sequence[PackEntry]) -> None:
        """Copy some records of a pack, all of them or, where one is damaged, none.

        Raises:
            IntegrityError: a record is damaged.
            BackendError: the pack is gone or cannot be read.
        """
        for record in list(self._read(pack, entries)):
            self._add(record)

    def finish(self) -> list[IndexedPack]:
        """Write what is left, and return the new packs since the last call."""
        chunks, nodes = self._chunks, self._nodes
        self._chunks, self._nodes = PackBuilder(), PackBuilder()
        if len(chunks) and len(nodes) and chunks.size + nodes.size < self._pack_size:
            chunks.absorb(nodes)
            nodes = PackBuilder()
        for builder in (chunks, nodes):
            if len(builder):
                self._write(builder)
        written, self._written = self._written, []
        return written

    def _read(self, pack: PackId, entries: Sequence[PackEntry]) -> Iterator[Record]:
        where = f"{self._store.backend.location}/{pack_key(pack)}"
        for run in runs(sorted(entries, key=lambda entry: entry.offset), RUN):
            start = run[0].offset
            data = self._store.backend.read_range(pack_key(pack), start, run[-1].end - start)
            for entry in run:
                try:
                    record = decode_record(data, entry.offset - start, where)
                except FormatError as exc:
                    raise IntegrityError(where, exc.reason) from exc
                if record.id != entry.id:
                    raise IntegrityError(where, "a record is not what the pack's list says")
                yield record

    def _add(self, record: Record) -> None:
        builder = self._nodes if record.kind is Kind.NODE else self._chunks
        builder.add(record)
        self.copied_bytes += record.length
        if builder.size >= self._pack_size:
            self._write(builder)
            if record.kind is Kind.NODE:
                self._nodes = PackBuilder()
            else:
                self._chunks = PackBuilder()

    def _write(self, builder: PackBuilder) -> None:
        pack = builder.finish()
        if pack.id in self._store.index.damaged_packs:
            # Backends keep a blob of the same name and size as it is.
            self._store.backend.delete(pack_key(pack.id))
        self._store.backend.write(pack_key(pack.id), pack.pieces)
        self._written.append(IndexedPack(pack.id, pack.size, pack.entries))
