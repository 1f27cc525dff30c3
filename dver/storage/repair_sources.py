"""Where a repair takes objects from: other stores, and files that are cut into chunks.

Whatever comes from there is checked against its id, so a source need not be trusted, nor be sound.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from dver.errors import IntegrityError, ObjectNotFoundError
from dver.objects.ids import NodeId, ObjectId
from dver.objects.pack import Record
from dver.storage.store import Store


class Source(Protocol):
    """Where missing objects may be had."""

    @property
    def name(self) -> str:
        """What people call it."""

    def records(self, ids: Collection[ObjectId]) -> Iterator[Record]:
        """Yield those of `ids` that it has, each checked against its id."""


class Sink(Protocol):
    """Takes what files gave; `dver.workspace.ingest.ObjectSink` is the same."""

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those objects that are wanted; they must be put."""

    def put(self, records: Sequence[Record]) -> None:
        """Take claimed records."""

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Take a manifest node."""


class FilesSource(Protocol):
    """Files whose contents may be what is missing."""

    @property
    def name(self) -> str:
        """What people call it."""

    def offer(self, sink: Sink) -> None:
        """Cut the files into chunks, and give these and the nodes over them to `sink`."""


class StoreSource:
    """Another store, such as a remote for the cache."""

    def __init__(self, store: Store, name: str | None = None) -> None:
        self._store = store
        self.name = name or store.name

    def records(self, ids: Collection[ObjectId]) -> Iterator[Record]:
        """Yield those of `ids` that the store has; what is damaged or gone there is passed over."""
        here = self._store.present(ids)
        for span in self._store.plan([one for one in ids if one in here]) if here else ():
            try:
                records = [_checked(record, self._store.name) for record in self._store.read_span(span)]
            except (IntegrityError, ObjectNotFoundError):
                records = [*self._singly([location.id for location in span.locations])]
            yield from records

    def _singly(self, ids: Sequence[ObjectId]) -> Iterator[Record]:
        for identity in ids:
            try:
                for span in self._store.plan([identity]):
                    yield from [_checked(record, self._store.name) for record in self._store.read_span(span)]
            except (IntegrityError, ObjectNotFoundError):
                continue


def _checked(record: Record, where: str) -> Record:
    record.verified(where)
    return copied(record)


def copied(record: Record) -> Record:
    """Return a record that keeps nothing else in memory."""
    # It must not keep all that was read with it in memory.
    return Record(record.id, record.kind, record.codec, record.plain_length, bytes(record.payload))
