"""Hypothesis strategies for dver's values, in one place for all property tests.

Sizes are small and chances of collisions large: few names, short parts and tiny chunks find more in fewer examples.
"""

import random
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from dver.errors import FormatError
from dver.objects.builder import Summary, build_manifest
from dver.objects.codec import Codec
from dver.objects.entry import CHUNK_REF_LENGTH, DirectoryEntry, Entry, FileEntry, LinkEntry, check_path, pack_chunk
from dver.objects.ids import ID_LENGTH, Bytes, ChunkId, NodeId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import Kind, Record, encode_object, identify
from dver.objects.pointer import DatasetKind, Pointer

ids = st.binary(min_size=ID_LENGTH, max_size=ID_LENGTH)


class NodeStore:
    """Manifest nodes in memory; counts what is loaded."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, bytes] = {}
        self.loaded: list[NodeId] = []

    def sink(self, identity: NodeId, encoded: bytes) -> None:
        self.nodes[identity] = encoded

    def load(self, wanted: Sequence[NodeId]) -> Sequence[Bytes]:
        self.loaded.extend(wanted)
        return [self.nodes[identity] for identity in wanted]

    def build(self, entries: Sequence[Entry]) -> Summary:
        return build_manifest(sorted(entries, key=lambda entry: entry.path), self.sink)

    def manifest(self, version: VersionId) -> Manifest:
        return Manifest(version, self.load)


@st.composite
def data(draw: st.DrawFn, max_pieces: int = 6, max_piece: int = 20_000) -> bytes:
    """Bytes as files have them: noise, runs of one byte, and repetitions of what came before."""
    out = bytearray()
    for _ in range(draw(st.integers(0, max_pieces))):
        length = draw(st.integers(0, max_piece))
        match draw(st.sampled_from(["noise", "run", "repeat"])):
            case "noise":
                out += random.Random(draw(st.integers(0, 9))).randbytes(length)
            case "run":
                out += bytes([draw(st.sampled_from([0, 1, 10, 32, 255]))]) * length
            case _:
                out += out[:length]
    return bytes(out)


def _is_plain(path: bytes) -> bool:
    try:
        check_path(path, "a drawn path")
    except FormatError:
        return False
    return True


_names = st.sampled_from([b"a", b"b", b"ab", b"a.b", b"a-", b"a0", b"B", b"\xff", b"d\xc3\xa9"]) | st.binary(
    min_size=1, max_size=5
)
any_paths = st.lists(_names | st.sampled_from([b"", b".", b"..", b".git", b".GIT"]), max_size=4).map(b"/".join)
paths = st.lists(_names, min_size=1, max_size=4).map(b"/".join).filter(_is_plain)


@st.composite
def chunk_lists(draw: st.DrawFn, max_chunks: int = 3) -> tuple[bytes, int]:
    """A packed chunk list and the size in bytes of the file it stands for."""
    lengths = draw(st.lists(st.integers(1, 9), max_size=max_chunks))
    return b"".join(pack_chunk(ChunkId(draw(ids)), length) for length in lengths), sum(lengths)


@st.composite
def entries_at(draw: st.DrawFn, path: bytes) -> Entry:
    """An entry of any kind at `path`."""
    match draw(st.sampled_from(["file", "file", "tree", "link", "directory"])):
        case "file":
            packed, size = draw(chunk_lists())
            return FileEntry(path, size, draw(st.booleans()), packed)
        case "tree":
            return FileEntry(path, draw(st.integers(0, 1 << 40)), draw(st.booleans()), b"", NodeId(draw(ids)))
        case "link":
            return LinkEntry(path, draw(st.binary(min_size=1, max_size=9).filter(lambda target: b"\0" not in target)))
        case _:
            return DirectoryEntry(path)


def without_nesting(wanted: Sequence[bytes]) -> list[bytes]:
    """Return `wanted` in order, without those below another of them: a file cannot be a folder as well."""
    kept: set[bytes] = set()
    for path in sorted(set(wanted)):
        parts = path.split(b"/")
        if not any(b"/".join(parts[:count]) in kept for count in range(1, len(parts))):
            kept.add(path)
    return sorted(kept)


@st.composite
def datasets(draw: st.DrawFn, max_size: int = 12) -> list[Entry]:
    """The entries of a dataset in path order: a folder's, or the single one of a file."""
    if draw(st.integers(0, 9)) == 0:
        return [draw(entries_at(b""))]
    chosen = without_nesting(draw(st.lists(paths, max_size=max_size)))
    return [draw(entries_at(path)) for path in chosen]


def many_files(count: int, *, size_of: Callable[[int], int] = lambda number: 1 + number % 9) -> list[Entry]:
    """Return files in path order, enough of them for a tree of several levels, the same each time."""
    noise = random.Random(20)
    return [
        FileEntry(
            b"folder-%02d/file-%06d.bin" % (number // 1000, number),
            size_of(number),
            number % 7 == 0,
            pack_chunk(ChunkId(noise.randbytes(ID_LENGTH)), size_of(number)),
        )
        for number in range(count)
    ]


def packed_list(count: int, *, seed: int = 1, length: int = 5) -> bytes:
    """Return a packed chunk list of `count` chunks, the same each time."""
    noise = random.Random(seed)
    refs = b"".join(pack_chunk(ChunkId(noise.randbytes(ID_LENGTH)), length) for _ in range(count))
    assert len(refs) == count * CHUNK_REF_LENGTH
    return refs


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record as the storing side makes it, compressed or not."""
    kind = draw(st.sampled_from(list(Kind)))
    plain = draw(
        st.binary(max_size=60) | st.builds(lambda byte, n: bytes([byte]) * n, st.integers(0, 255), st.just(400))
    )
    record = encode_object(kind, identify(kind, plain), plain)
    assert record.codec in Codec
    return record


pointers = st.builds(
    Pointer,
    st.sampled_from(list(DatasetKind)),
    ids.map(VersionId),
    st.integers(0, (1 << 62) - 1),
    st.integers(0, (1 << 62) - 1),
)
