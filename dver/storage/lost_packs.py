"""Makes packs that a store has lost once more, equal to what they were, from the objects that another store has.

A pack is named by the list of what it holds, and the store's index files have that list. Where the other store has
every object of it, stored in the same way, the pack comes out byte by byte as it was; so nothing in the index changes,
and all who count on it find what they look for.
"""

from collections.abc import Collection, Iterator

from dver.errors import FormatError, IntegrityError, ObjectNotFoundError
from dver.objects.ids import ObjectId, PackId
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import EncodedPack, PackBuilder, PackEntry, Record
from dver.storage.index_files import listed_whole
from dver.storage.packs import pack_key
from dver.storage.store import Store


def make_again(store: Store, lost: Collection[PackId], source: Store) -> Iterator[PackId]:
    """Write those of some lost packs again whose objects `source` has, and yield each that is there again."""
    for listed in listed_whole(store.backend, frozenset(lost)):
        pack = _equal_pack(listed, source)
        if pack is not None:
            # What is in its place is cut off or worse, and some places do not write over what is there.
            store.backend.delete(pack_key(pack.id))
            store.backend.write(pack_key(pack.id), pack.pieces)
            yield pack.id


def _equal_pack(listed: IndexedPack, source: Store) -> EncodedPack | None:
    """Return a pack made of the source's objects if it is the one that is listed."""
    try:
        records = _records(listed, source)
    except (ObjectNotFoundError, IntegrityError, FormatError):
        return None
    builder = PackBuilder()
    for entry in sorted(listed.entries, key=lambda entry: entry.offset):
        record = records[entry.id]
        if not _is_stored_so(record, entry, builder.size):
            return None
        builder.add(record)
    pack = builder.finish()
    return pack if (pack.id, pack.size) == (listed.id, listed.size) else None


def _records(listed: IndexedPack, source: Store) -> dict[ObjectId, Record]:
    spans = source.plan([entry.id for entry in listed.entries])
    return {record.id: record for span in spans for record in source.read_span(span)}


def _is_stored_so(record: Record, entry: PackEntry, offset: int) -> bool:
    return (offset, len(record.payload), record.codec) == (entry.offset, entry.stored_length, entry.codec)
