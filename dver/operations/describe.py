"""What is in a dataset version as rows to read, for the diffs that git shows of pointers.

Two versions differ in at least one row if anything in them differs, and a path that is the same in both has the same
row in both, so a diff of the rows is one of the versions. Only the cache is read, and only one on this machine: a
`git log -p` goes through many versions, and must neither hang nor cost a transfer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dver.errors import DverError, FormatError
from dver.objects.entry import Entry, FileEntry, LinkEntry, entry_size
from dver.objects.ids import checksum
from dver.objects.manifest import Manifest
from dver.objects.pointer import Pointer, decode_pointer
from dver.operations.datasets import decode_path
from dver.operations.kinds import NodeKind, entry_kind
from dver.repo import Repo

_NO_LIMIT = 1 << 16
_MARK_BITS = 24
_SUM = 1 << 64


@dataclass(frozen=True, slots=True)
class DescribedPath:
    """One path of a version, or a folder with all that is below it.

    Attributes:
        path: relative to the dataset; "" for a dataset that is one file, and for a folder that is the whole dataset.
        size: in bytes, of all that is below where this is a folder.
        files: how many are below, or None where this is a single path.
        content: a number that differs, but for rare chance, where the content does.
        target: what a symbolic link points to.
    """

    path: str
    kind: NodeKind
    size: int
    files: int | None
    content: int
    target: str | None = None

    @property
    def mark(self) -> str:
        """Six hexadecimal digits that tell contents of one size apart."""
        return f"{self.content % (1 << _MARK_BITS):06x}"


def readable_pointer(data: bytes) -> Pointer | None:
    """Return what a pointer says, or None for anything else: damaged, in conflict, or somebody's own `.dver` file."""
    try:
        return decode_pointer(data, "pointer")
    except FormatError:
        return None


def describe(repo: Repo, pointer: Pointer, *, most: int) -> list[DescribedPath]:
    """Return the paths of a version in order; with more than `most`, what lies deepest is summed up by folder.

    Raises:
        ObjectNotFoundError: the cache lacks the version.
        DverError: the cache is not on this machine.
    """
    cache = repo.cache
    if not cache.backend.is_local:
        raise DverError("the cache is not on this machine")
    return describe_entries(Manifest(pointer.version, cache.load_nodes).entries(), most=most)


def describe_entries(entries: Iterable[Entry], *, most: int) -> list[DescribedPath]:
    """Return the rows of entries that come in path order; at most `most`, and one at least."""
    rows = _Rows(most)
    for entry in entries:
        rows.add(entry)
    return rows.finished()


class _Rows:
    """Rows by path, as deep as their limit allows; no more than that many are ever held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._depth = _NO_LIMIT
        self._rows: dict[bytes, DescribedPath] = {}

    def add(self, entry: Entry) -> None:
        """Take in one entry."""
        self._put(entry.path, _single(entry))
        while len(self._rows) > self._most and self._depth:
            self._make_shallower()

    def finished(self) -> list[DescribedPath]:
        """Return the rows."""
        return list(self._rows.values())

    def _make_shallower(self) -> None:
        """Sum up the deepest rows in the folders that they lie in; the result is that of summing from the start."""
        deep, self._rows = self._rows, {}
        self._depth = max(map(_depth, deep)) - 1
        for path, row in deep.items():
            self._put(path, row)

    def _put(self, path: bytes, row: DescribedPath) -> None:
        if _depth(path) <= self._depth:
            self._rows[path] = row
            return
        # With a slash at the end, which no path of an entry has.
        folder = b"/".join(path.split(b"/")[: self._depth]) + b"/"
        summed = _summed(path, row)
        before = self._rows.get(folder, _EMPTY)
        self._rows[folder] = DescribedPath(
            decode_path(folder[:-1]),
            NodeKind.DIRECTORY,
            before.size + summed.size,
            (before.files or 0) + (summed.files or 0),
            (before.content + summed.content) % _SUM,
        )


_EMPTY = DescribedPath("", NodeKind.DIRECTORY, 0, 0, 0)


def _depth(path: bytes) -> int:
    """Return how many names the key of a row has: b"" stands for a file, b"/" for the whole."""
    return path.removesuffix(b"/").count(b"/") + (path != b"/")


def _single(entry: Entry) -> DescribedPath:
    target = decode_path(entry.target) if isinstance(entry, LinkEntry) else None
    return DescribedPath(decode_path(entry.path), entry_kind(entry), entry_size(entry), None, _content(entry), target)


def _content(entry: Entry) -> int:
    if isinstance(entry, FileEntry):
        return checksum(entry.chunks if entry.chunk_tree is None else entry.chunk_tree)
    return checksum(entry.target) if isinstance(entry, LinkEntry) else 0


def _summed(path: bytes, row: DescribedPath) -> DescribedPath:
    """Return a row as a share of a folder's: its number then stands for path and kind as well."""
    if row.files is not None:
        return row
    facts = b"\0".join([path, row.kind.value.encode(), b"%d" % row.content])
    files = 0 if row.kind is NodeKind.DIRECTORY else 1
    return replace(row, files=files, content=checksum(facts))
