"""Structures that are whole in themselves and lie: built by hand or by Hypothesis, where random bytes hardly get."""

import json
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import dver
from dver.errors import DverError, FormatError, IntegrityError
from dver.objects.codec import Codec
from dver.objects.entry import MAX_SIZE, FileEntry, check_path, pack_chunk
from dver.objects.ids import ChunkId, NodeId, VersionId, checksum, chunk_id, node_id
from dver.objects.manifest import Manifest
from dver.objects.node import MAX_LEVEL, NodeType, decode_entries_node, encode_node, pack_chunk_child
from dver.objects.pack import MAX_PLAIN, Kind, Record, decode_record, encode_record_header
from dver.objects.pointer import decode_pointer
from dver.records.record import decode_record as decode_line

MEMORY = 256 * 1024 * 1024

names = st.sampled_from(
    [b"", b".", b"..", b".git", b"GIT~1", b"a", b"b", b"a/b", b"a/../b", b"/a", b"a//b", b"x\0"]
) | (st.binary(max_size=12))
paths = st.lists(names, min_size=1, max_size=5).map(b"/".join)
numbers = st.integers(-2, 5) | st.integers(MAX_SIZE - 2, 2**64 - 1) | st.booleans()
chunk_lists = st.binary(max_size=150) | st.lists(
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1)), max_size=4
).map(lambda refs: b"".join(pack_chunk(ChunkId(raw), length) for raw, length in refs))
fields = st.one_of(
    st.tuples(paths, numbers),
    st.tuples(paths, numbers, paths),
    st.tuples(paths, numbers, numbers, chunk_lists),
    st.tuples(paths, numbers, numbers, st.lists(st.binary(max_size=40), max_size=2)),
    st.lists(st.none() | numbers | paths, max_size=5),
)
children = st.tuples(paths, st.binary(min_size=31, max_size=33), numbers, numbers)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(fields, max_size=6), st.booleans())
def test_no_entry_that_is_accepted_leads_anywhere(items: list[object], in_order: bool) -> None:
    if in_order:
        items = sorted(items, key=lambda item: item[0] if item and isinstance(item[0], bytes) else b"")  # type: ignore[index]
    try:
        node = decode_entries_node(encode_node(NodeType.ENTRIES, 0, items), "here")
    except FormatError:
        return
    for entry in node.entries:
        if entry.path:
            check_path(entry.path, "here")
            assert not {b"", b".", b".."}.intersection(entry.path.split(b"/"))
            assert b"\0" not in entry.path


@given(st.integers(0, 20), st.lists(children, max_size=5))
def test_inner_nodes_that_lie_are_refused_with_a_word(level: int, items: list[object]) -> None:
    data = encode_node(NodeType.ENTRIES, level, items)
    manifest = Manifest(VersionId(bytes(32)), lambda ids: [data] * len(ids))
    try:
        assert list(islice(manifest.entries(), 100)) is not None
        manifest.find([b"a", b"a/b"])
    except DverError:
        return


@given(st.dictionaries(st.sampled_from(["format", "kind", "version", "size", "files"]), json_values))
def test_pointers_of_any_values_are_read_or_refused(values: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    try:
        pointer = decode_pointer(text.encode("utf-8", "replace"), "here")
    except DverError:
        return
    assert pointer.size >= 0


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(["inputs", "outputs", "params", "command"]), json_values))
def test_lineage_lines_of_any_values_are_read_or_refused(values: dict[str, object]) -> None:
    with pytest.raises(DverError):
        decode_line(json.dumps({"format": 1, **values}).encode(), "line 1")


def looping(data: bytes) -> Manifest:
    """Return a manifest of which every node is the same, as a lying remote could have it if hashes did not matter."""
    return Manifest(VersionId(bytes(32)), lambda ids: [data] * len(ids))


@pytest.mark.parametrize("level", [0, 1, MAX_LEVEL, MAX_LEVEL + 1, 127, 255])
def test_a_tree_that_contains_itself_ends(level: int) -> None:
    data = msgpack.packb([1, 0, 0, [[[b"a", bytes(32), 1, 1], [b"b", bytes(32), 1, 1]]]])
    data = data[:3] + bytes([level]) + msgpack.packb([[b"a", bytes(32), 1, 1], [b"b", bytes(32), 1, 1]])
    manifest = looping(data)
    for ask in (
        lambda: list(manifest.entries()),
        lambda: manifest.get(b"a"),
        lambda: manifest.find([b"a"]),
        lambda: list(manifest.nodes(lambda _node: False)),
    ):
        with pytest.raises(FormatError):
            ask()


def test_a_chunk_list_that_contains_itself_ends() -> None:
    data = encode_node(NodeType.CHUNKS, 1, pack_chunk_child(NodeId(bytes(32)), 10) * 2)
    entry = FileEntry(b"file", 20, False, b"", NodeId(bytes(32)))
    assert list(looping(data).distinct_chunks(entry)) == []
    with pytest.raises(FormatError):
        list(looping(data).chunks(entry))


def exabytes() -> tuple[Manifest, FileEntry]:
    """Return a file of exabytes whose chunk list is a few nodes, each of which names the one below 4,096 times."""
    nodes: dict[NodeId, bytes] = {}
    size = 256 * 1024
    data = encode_node(NodeType.CHUNKS, 0, pack_chunk(chunk_id(bytes(size)), size) * 4096)
    size *= 4096
    for level in range(1, 4):
        nodes[node_id(data)] = data
        data = encode_node(NodeType.CHUNKS, level, pack_chunk_child(node_id(data), size) * (4096 if level < 3 else 200))
        size *= 4096 if level < 3 else 200
    root = node_id(data)
    nodes[root] = data
    manifest = Manifest(VersionId(bytes(32)), lambda ids: [nodes[identity] for identity in ids])
    return manifest, FileEntry(b"file", size, False, b"", root)


def test_a_few_nodes_that_claim_exabytes_take_little_memory() -> None:
    manifest, entry = exabytes()
    assert entry.size > 10**18
    tracemalloc.start()
    try:
        assert len(set(manifest.distinct_chunks(entry))) == 1
        assert len(list(islice(manifest.chunks(entry), 100_000))) == 100_000
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_a_file_that_claims_more_than_can_be_is_refused() -> None:
    manifest, entry = exabytes()
    lying = FileEntry(entry.path, entry.size + 1, False, b"", entry.chunk_tree)
    with pytest.raises(FormatError, match="do not add up"):
        next(manifest.chunks(lying))


def compressed_zeros(count: int, *, level: int, is_told: bool) -> bytes:
    """Return a frame of so many MiB of zeros, which tells its size or not."""
    writer = zstandard.ZstdCompressor(level=level).compressobj(size=count << 20 if is_told else -1)
    zeros = bytes(1 << 20)
    return b"".join([*(writer.compress(zeros) for _ in range(count)), writer.flush()])


def frame_with_window(exponent: int) -> bytes:
    """Return the begin of a frame that wants a window of 2 to the power of `exponent` bytes."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(exponent - 10) << 3]) + b"\x01\x00\x00"


# Payloads that hold far more than a chunk may have, with the length that they claim.
BOMBS: dict[str, Callable[[], tuple[bytes, int]]] = {
    "honest": lambda: (compressed_zeros(1024, level=1, is_told=True), 1 << 30),
    "lying": lambda: (compressed_zeros(1024, level=1, is_told=True), 1000),
    "silent": lambda: (compressed_zeros(1024, level=1, is_told=False), MAX_PLAIN),
    "many": lambda: (compressed_zeros(1, level=3, is_told=True) * 1000, 1 << 20),
    "window": lambda: (frame_with_window(41), 1 << 20),
    "small window": lambda: (frame_with_window(30), 1 << 20),
}
# tracemalloc does not see what zstd takes, and a limit would make an error of it that looks like a refusal. What is
# only reserved counts too.
_MEASURE = """
import sys
from dver.errors import FormatError, IntegrityError
from dver.objects.pack import decode_record

import zstandard

def kibibytes(name):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

data = sys.stdin.buffer.read()
before = kibibytes("VmSize:")
try:
    {body}
except (FormatError, IntegrityError) as exc:
    print("refused", end=" ")
else:
    print("taken", end=" ")
print((kibibytes("VmPeak:") - before) * 1024)
"""
_VERIFY = 'decode_record(data, 0, "here").verified("here")'
_UNBOUNDED = "zstandard.ZstdDecompressor(max_window_size=1 << 30).decompressobj().decompress(data)"


def outcome(data: bytes, body: str) -> tuple[str, int]:
    """Return whether a process refuses some data, and how much memory it takes for that at most."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(body=body)],
        input=data,
        capture_output=True,
        check=False,
        cwd=Path(dver.__file__).parent.parent,
        preexec_fn=_bound_all,
    )
    assert done.returncode == 0, done.stderr
    word, grown = done.stdout.split()
    return word.decode(), int(grown)


def _bound_all() -> None:
    # For the machine's sake, far above what is asked for here.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_is_refused_and_takes_little_memory(name: str) -> None:
    payload, claimed = BOMBS[name]()
    # The header is made by hand, as no builder would.
    head = chunk_id(b"") + bytes([Kind.DATA, Codec.ZSTD, 0, 0])
    head += min(claimed, 2**32 - 1).to_bytes(4, "little") + len(payload).to_bytes(4, "little")
    data = head + checksum(head + payload).to_bytes(8, "little") + payload
    word, grown = outcome(data, _VERIFY)
    assert word == "refused"
    assert grown < MEMORY


def test_what_zstd_takes_itself_is_seen() -> None:
    assert outcome(frame_with_window(29), _UNBOUNDED)[1] > MEMORY


def stored(kind: Kind, plain: bytes) -> Record:
    """Return a record as it is read back."""
    identity = chunk_id(plain) if kind is Kind.DATA else node_id(plain)
    record = Record(identity, kind, Codec.RAW, len(plain), plain)
    return decode_record(encode_record_header(record) + plain, 0, "here")


def test_a_node_is_no_chunk_and_a_chunk_is_no_node() -> None:
    plain = encode_node(NodeType.ENTRIES, 0, [])
    chunk, node = stored(Kind.DATA, plain), stored(Kind.NODE, plain)

    assert (chunk.chunk("here", verify=False), node.node("here")) == (plain, plain)
    with pytest.raises(IntegrityError, match="should be"):
        chunk.node("here")
    with pytest.raises(IntegrityError, match="should be"):
        node.chunk("here", verify=False)


def test_other_bytes_than_the_id_says_are_refused() -> None:
    record = Record(chunk_id(b"asked for"), Kind.DATA, Codec.RAW, 9, b"otherwise")
    found = decode_record(encode_record_header(record) + record.payload, 0, "here")
    with pytest.raises(IntegrityError, match="does not match its id"):
        found.chunk("here", verify=True)
