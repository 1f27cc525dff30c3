"""Parsers of bytes: pointers, nodes, packs, index files and lineage lines.

Where a checksum or name would hide the rest of a parser behind it, it is made to fit again.
"""

import json
import struct
from itertools import islice

from blake3 import blake3

from dver.errors import DverError
from dver.objects.builder import build_manifest
from dver.objects.codec import Codec
from dver.objects.conflict import Labels, PointerSides, encode_conflict, split_conflict
from dver.objects.entry import FileEntry
from dver.objects.ids import NodeId, VersionId, checksum, pack_id
from dver.objects.indexfile import decode_index, encode_index
from dver.objects.manifest import Manifest
from dver.objects.node import decode_chunks_node, decode_entries_node
from dver.objects.pack import (
    RECORD_HEADER_LENGTH,
    TRAILER_LENGTH,
    decode_entries,
    decode_footer,
    decode_record,
    decode_trailer,
    encode_footer,
    scan_records,
)
from dver.objects.pointer import DatasetKind, Pointer, checked_dataset_path, decode_pointer, encode_pointer
from dver.objects.references import node_references
from dver.records.record import RECORD_CONTEXT, encode_record
from dver.records.record import decode_record as decode_line
from tests.fuzz.target import Target
from tests.golden.dataset import golden_index, golden_pack, golden_records, large_dataset, small_dataset

_MOST_ENTRIES = 2000
_POINTER = Pointer(DatasetKind.DIRECTORY, VersionId(bytes(range(32))), 10**9, 50_000)
_OTHER = Pointer(DatasetKind.FILE, VersionId(bytes(32)), 7, 1)
_PLAUSIBLE_PATHS = (b"..", b".", b".git", b"git~1", b"/", b"//", b"\0", b"a", b"a/b", b".\xe2\x80\x8cgit", b"\xff")


def _parse_pointer(data: bytes) -> None:
    pointer = decode_pointer(data, "here")
    assert decode_pointer(encode_pointer(pointer), "here") == pointer


def _parse_conflict(data: bytes) -> None:
    torn = split_conflict(data)
    if torn is not None:
        for side in (torn.ours, torn.theirs):
            decode_pointer(side, "here")


def _parse_pointer_path(data: bytes) -> None:
    path = checked_dataset_path(data.decode("utf-8", "surrogateescape"), "here")
    assert not {"", ".", "..", ".git"}.intersection(path.split("/"))


def _parse_node(data: bytes) -> None:
    node_references(data, "here")


def _parse_entries_node(data: bytes) -> None:
    # Whatever node is asked for, it is this one: nothing here may rely on trees being finite.
    manifest = Manifest(VersionId(bytes(32)), lambda ids: [data] * len(ids), where="here")
    decode_entries_node(data, "here")
    for entry in islice(manifest.entries(), _MOST_ENTRIES):
        assert b".." not in entry.path.split(b"/")
        if isinstance(entry, FileEntry) and entry.chunk_tree is None:
            for _ in islice(manifest.chunks(entry), _MOST_ENTRIES):
                pass
    manifest.find([b"a", b"tables/a.csv", b"z"])
    manifest.totals()


def _parse_chunks_node(data: bytes) -> None:
    size = decode_chunks_node(data, "here").size
    manifest = Manifest(VersionId(bytes(32)), lambda ids: [data] * len(ids), where="here")
    entry = FileEntry(b"file", size, False, b"", NodeId(bytes(32)))
    for _ in islice(manifest.chunks(entry), _MOST_ENTRIES):
        pass
    for _ in islice(manifest.distinct_chunks(entry), _MOST_ENTRIES):
        pass


def _parse_record(data: bytes) -> None:
    record = decode_record(data, 0, "here")
    assert len(record.plain("here")) == record.plain_length
    record.verified("here")


def _mend_record(data: bytes) -> bytes:
    if len(data) < RECORD_HEADER_LENGTH:
        return data
    (stored,) = struct.unpack_from("<I", data, 40)
    payload = data[RECORD_HEADER_LENGTH : RECORD_HEADER_LENGTH + min(stored, len(data))]
    head = data[: RECORD_HEADER_LENGTH - 8]
    return head + checksum(head + payload).to_bytes(8, "little") + data[RECORD_HEADER_LENGTH:]


def _parse_pack(data: bytes) -> None:
    list(scan_records(data, "here"))
    length, expected = decode_trailer(data[-TRAILER_LENGTH:], len(data), "here")
    footer = data[len(data) - TRAILER_LENGTH - length : len(data) - TRAILER_LENGTH]
    for entry in decode_footer(footer, expected, pack_id(footer), "here"):
        try:
            decode_record(data, entry.offset, "here").verified("here")
        except DverError:
            continue


def _mend_pack(data: bytes) -> bytes:
    end = len(data) - TRAILER_LENGTH
    if end < 0:
        return data
    (length,) = struct.unpack_from("<Q", data, end)
    footer = data[max(0, end - min(length, end)) : end]
    return data[: end + 8] + checksum(footer).to_bytes(8, "little") + data[end + 16 :]


def _parse_footer(data: bytes) -> None:
    assert encode_footer(decode_entries(data, "here")) == data


def _parse_index(data: bytes) -> None:
    assert encode_index(decode_index(data, "here"))[1] == data


def _mend_index(data: bytes) -> bytes:
    return data[:-8] + checksum(data[:-8]).to_bytes(8, "little")


def _parse_line(data: bytes) -> None:
    record = decode_line(data, "line 1")
    decode_line(encode_record(record), "line 1")
    for artifact in (*record.inputs, *record.outputs):
        assert ".." not in artifact.path.split("/")


def _mend_line(data: bytes) -> bytes:
    """Put the line in canonical form, and give it the name that fits."""
    try:
        fields = json.loads(data)
        assert isinstance(fields, dict)
        fields.pop("id", None)
        bare = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        name = "b3:" + blake3(bare, derive_key_context=RECORD_CONTEXT).hexdigest()
        return json.dumps({**fields, "id": name}, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, AssertionError, RecursionError):
        return data


def _nodes() -> list[bytes]:
    nodes = small_dataset()[1]
    build_manifest(large_dataset(900), nodes.__setitem__)
    return [*nodes.values()]


def _split(nodes: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    return [node for node in nodes if node[2] == 0], [node for node in nodes if node[2] == 1]


_PACK = golden_pack()
_PACK_BYTES = b"".join(map(bytes, _PACK.pieces))
_RECORDS = [_PACK_BYTES[entry.offset : entry.end] for entry in _PACK.entries]
_ENTRY_NODES, _CHUNK_NODES = _split(_nodes())
_NODE_WORDS = (
    *(b"\x94\x01\x00\x00", b"\x94\x01\x01\x00", b"\x94\x01\x00\x01", b"\x90", b"\x91", b"\x9f", b"\xdc\xff\xff"),
    *(b"\xdd\xff\xff\xff\xff", b"\xc4\x20", b"\xc6\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xc0", b"\xc3", b"\xc7"),
    *(b"\xc4" + bytes([len(path)]) + path for path in _PLAUSIBLE_PATHS),
)
_TOML_WORDS = (
    *(b"format = 1\n", b"format = true\n", b'kind = "file"\n', b"size = 1\n", b"files = 1\n", b"version = ", b'"""'),
    *(b"[", b"]", b"{", b"}", b"=", b"'", b"9" * 50, b"-1", b"1e9", b"\xff", b"0x7fffffffffffffff", b"1979-05-27"),
)
_MARK_WORDS = (b"<<<<<<< ours\n", b"||||||| base\n", b"=======\n", b">>>>>>> theirs\n", b'# ours "a"\n', b"\r\n")
_JSON_WORDS = (
    *(b"[", b"]", b"{", b"}", b'"', b":", b",", b"null", b"true", b"-1", b"1e400", b"NaN", b'"\\ud800"', b'".."'),
    *(b'"/etc"', b'"a/../b"', b'".git/x"', b'"inputs"', b'"params"', b'"command"', b'"format"', b"9" * 100, b"[[[["),
)

TARGETS = {
    "pointer": Target(_parse_pointer, [encode_pointer(_POINTER), encode_pointer(_OTHER)], (*_TOML_WORDS, *_MARK_WORDS)),
    "conflict": Target(
        _parse_conflict,
        [
            encode_conflict(PointerSides(_OTHER, _POINTER, _OTHER), [], labels=Labels("a", "b")),
            encode_conflict(PointerSides(None, _POINTER, _OTHER), None),
        ],
        (*_TOML_WORDS, *_MARK_WORDS),
    ),
    "pointer-path": Target(
        _parse_pointer_path, [b"data.dver", b"a/b/c.dver", "\u00e4/\u65e5.dver".encode()], [*_PLAUSIBLE_PATHS, b".dver"]
    ),
    "node": Target(_parse_node, [*_ENTRY_NODES, *_CHUNK_NODES], _NODE_WORDS),
    "entries-node": Target(_parse_entries_node, _ENTRY_NODES, _NODE_WORDS),
    "chunks-node": Target(_parse_chunks_node, _CHUNK_NODES, _NODE_WORDS),
    "record": Target(
        _parse_record,
        _RECORDS,
        (b"\x28\xb5\x2f\xfd", bytes([Codec.ZSTD]), b"\xff" * 4, b"\x50\x2a\x4d\x18"),
        _mend_record,
    ),
    "pack": Target(_parse_pack, [_PACK_BYTES], (b"DVPK", b"DVPE", b"\xff" * 8), _mend_pack),
    "footer": Target(_parse_footer, [encode_footer(_PACK.entries)], (b"\xff" * 8, bytes(56))),
    "index": Target(_parse_index, [encode_index(golden_index())[1]], (b"DVIX", b"\xff" * 8), _mend_index),
    "lineage-line": Target(
        _parse_line, [encode_record(record) for record in golden_records()], _JSON_WORDS, _mend_line
    ),
}
JSON_WORDS = _JSON_WORDS
TOML_WORDS = _TOML_WORDS
