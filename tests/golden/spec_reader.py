"""A second, independent implementation of dver's formats, from `docs/design/formats.md` alone.

It imports nothing of dver. Where it and dver disagree, one of them or the page is wrong. It reads packs, index files
and manifests, builds manifests and cuts chunks, as plainly as can be and slowly. Errors are assertions.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import xxhash
import zstandard
from blake3 import blake3

NODE_CONTEXT = "dver 2026-11 manifest node v1"
GEAR = [int.from_bytes(hashlib.md5(bytes([i]) * 64).digest()[:8], "big") for i in range(256)]
MASKS = {
    8: 0x0000001800035300,
    9: 0x0000019000353000,
    10: 0x0000590003530000,
    11: 0x0000D90003530000,
    12: 0x0000D90103530000,
    13: 0x0000D90303530000,
    14: 0x0000D90313530000,
    15: 0x0000D90F03530000,
    16: 0x0000D90303537000,
    17: 0x0000D90703537000,
    18: 0x0000D90707537000,
    19: 0x0000D91707537000,
    20: 0x0000D91747537000,
    21: 0x0000D91767537000,
    22: 0x0000D93767537000,
    23: 0x0000D93777537000,
    24: 0x0000D93777577000,
}


def node_id(encoded: bytes) -> bytes:
    return blake3(encoded, derive_key_context=NODE_CONTEXT).digest()


def number(data: bytes, at: int, length: int) -> int:
    assert at + length <= len(data)
    return int.from_bytes(data[at : at + length], "little")


# Chunks


def cut(data: bytes, average: int) -> list[int]:
    """Return the ends of a file's chunks."""
    bits = average.bit_length() - 1
    ends = []
    start = 0
    while start < len(data):
        start += _first_chunk(data[start : start + 4 * average], average, MASKS[bits + 1], MASKS[bits - 1])
        ends.append(start)
    return ends


def _first_chunk(rest: bytes, average: int, strict: int, loose: int) -> int:
    if len(rest) <= average // 4:
        return len(rest)
    h = 0
    for p in range(average // 4, len(rest) // 2 * 2):
        h = (2 * h + GEAR[rest[p]]) % (1 << 64)
        if not h & (strict if p < average else loose):
            return p
    return len(rest)


# Packs and index files


class Entry(NamedTuple):
    """An entry of a footer."""

    id: bytes
    offset: int
    stored: int
    plain: int
    kind: int
    codec: int


def read_entries(data: bytes) -> list[Entry]:
    assert len(data) % 52 == 0
    entries = []
    for at in range(0, len(data), 52):
        assert number(data, at + 50, 2) == 0
        fields = [number(data, at + offset, size) for offset, size in [(32, 8), (40, 4), (44, 4), (48, 1), (49, 1)]]
        entries.append(Entry(data[at : at + 32], *fields))
    return entries


def read_record(pack: bytes, at: int) -> tuple[Entry, bytes]:
    """Return what the header at `at` says, and the object."""
    assert number(pack, at + 34, 2) == 0
    entry = Entry(
        pack[at : at + 32],
        at,
        number(pack, at + 40, 4),
        number(pack, at + 36, 4),
        number(pack, at + 32, 1),
        number(pack, at + 33, 1),
    )
    assert entry.plain <= 16 << 20
    payload = pack[at + 52 : at + 52 + entry.stored]
    assert len(payload) == entry.stored
    assert number(pack, at + 44, 8) == xxhash.xxh3_64_intdigest(pack[at : at + 44] + payload)
    match entry.codec:
        case 0:
            plain = payload
        case 1:
            plain = zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
        case _:
            raise ValueError(entry.codec)
    assert len(plain) == entry.plain
    match entry.kind:
        case 0:
            assert blake3(plain).digest() == entry.id
        case 1:
            assert node_id(plain) == entry.id
        case _:
            raise ValueError(entry.kind)
    return entry, plain


def read_pack(pack: bytes, name: bytes) -> list[tuple[Entry, bytes]]:
    """Return the objects of a pack in order."""
    assert pack[:8] == b"DVPK\x01\0\0\0"
    trailer = pack[-24:]
    assert trailer[16:] == b"DVPE\0\0\0\0"
    length = number(trailer, 0, 8)
    footer = pack[len(pack) - 24 - length : len(pack) - 24]
    assert xxhash.xxh3_64_intdigest(footer) == number(trailer, 8, 8)
    assert blake3(footer).digest() == name
    objects = [read_record(pack, entry.offset) for entry in read_entries(footer)]
    assert [entry for entry, _ in objects] == read_entries(footer)
    return objects


def read_index(index: bytes, name: bytes) -> list[tuple[bytes, int, list[Entry]]]:
    """Return id, size and entries of each pack."""
    assert blake3(index).digest() == name
    assert index[:8] == b"DVIX\x01\0\0\0"
    assert xxhash.xxh3_64_intdigest(index[:-8]) == number(index, len(index) - 8, 8)
    packs = []
    at = 12
    for _ in range(number(index, 8, 4)):
        end = at + 44 + 52 * number(index, at + 40, 4)
        packs.append((index[at : at + 32], number(index, at + 32, 8), read_entries(index[at + 44 : end])))
        at = end
    assert at == len(index) - 8
    return packs


# msgpack, as far as nodes use it


def pack_value(value: Any) -> bytes:
    match value:
        case int():
            for limit, head, size in [
                (0x80, b"", 1),
                (1 << 8, b"\xcc", 1),
                (1 << 16, b"\xcd", 2),
                (1 << 32, b"\xce", 4),
            ]:
                if value < limit:
                    return head + value.to_bytes(size, "big")
            return b"\xcf" + value.to_bytes(8, "big")
        case bytes():
            for limit, head, size in [(1 << 8, b"\xc4", 1), (1 << 16, b"\xc5", 2), (1 << 32, b"\xc6", 4)]:
                if len(value) < limit:
                    return head + len(value).to_bytes(size, "big") + value
            raise ValueError(len(value))
        case list() | tuple():
            head = bytes([0x90 + len(value)]) if len(value) < 16 else b"\xdc" + len(value).to_bytes(2, "big")
            return head + b"".join(map(pack_value, value))
        case _:
            raise ValueError(value)


_LENGTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xC4: 1, 0xC5: 2, 0xC6: 4, 0xDC: 2}


def unpack_value(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Return a value and the offset after it."""
    head = data[at]
    if head < 0x80:
        return head, at + 1
    if head & 0xF0 == 0x90:
        return _unpack_array(data, at + 1, head & 0x0F)
    size = _LENGTHS[head]
    value = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    at += 1 + size
    if head in (0xCC, 0xCD, 0xCE, 0xCF):
        return value, at
    if head == 0xDC:
        return _unpack_array(data, at, value)
    return data[at : at + value], at + value


def _unpack_array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(count):
        value, at = unpack_value(data, at)
        values.append(value)
    return values, at


# Manifests

Load = Callable[[bytes], bytes]


def read_node(load: Load, identity: bytes, node_type: int) -> tuple[int, Any]:
    """Return the level and the items of a node."""
    encoded = load(identity)
    assert node_id(encoded) == identity
    (version, found_type, level, items), end = unpack_value(encoded)
    assert (version, found_type, end) == (1, node_type, len(encoded))
    assert pack_value([version, found_type, level, items]) == encoded
    return level, items


def read_manifest(load: Load, version: bytes) -> Iterator[list[Any]]:
    """Yield the entries of a manifest as they are encoded."""
    level, items = read_node(load, version, 0)
    if level == 0:
        yield from items
    for last_path, child, files, size in items if level else ():
        below = list(read_manifest(load, child))
        assert below[-1][0] == last_path
        assert sum(entry[1] != 3 for entry in below) == files
        assert sum(entry[2] for entry in below if entry[1] < 2) == size
        yield from below


def read_chunks(load: Load, content: Any) -> list[tuple[bytes, int]]:
    """Return the ids and lengths of a file's chunks, from the last element of its entry."""
    packed = content if isinstance(content, bytes) else b"".join(_chunk_leaves(load, content[0]))
    return [(packed[at : at + 32], number(packed, at + 32, 4)) for at in range(0, len(packed), 36)]


def _chunk_leaves(load: Load, identity: bytes) -> Iterator[bytes]:
    level, items = read_node(load, identity, 1)
    if level == 0:
        yield items
    for at in range(0, len(items), 40) if level else ():
        yield from _chunk_leaves(load, items[at : at + 32])


def build_manifest(entries: Sequence[Sequence[Any]], nodes: dict[bytes, bytes]) -> bytes:
    """Put the nodes over `entries`, encoded and in order, into `nodes` and return the version."""
    items: list[tuple[Any, bytes, int, int, int]] = [
        (
            entry,
            entry[0],
            16 + len(entry[0]) + _content_weight(entry),
            int(entry[1] != 3),
            entry[2] if entry[1] < 2 else 0,
        )
        for entry in entries
    ]
    level = 0
    while True:
        runs = _runs([(path, weight) for _, path, weight, _, _ in items], level)
        parents: list[tuple[Any, bytes, int, int, int]] = []
        for run in runs:
            part = [items[at] for at in run]
            encoded = pack_value([1, 0, level, [item for item, *_ in part]])
            nodes[node_id(encoded)] = encoded
            path = part[-1][1] if part else b""
            files, size = sum(item[3] for item in part), sum(item[4] for item in part)
            parents.append(([path, node_id(encoded), files, size], path, 48 + len(path), files, size))
        if len(parents) == 1:
            return bytes(parents[0][0][1])
        items, level = parents, level + 1


def _content_weight(entry: Sequence[Any]) -> int:
    if entry[1] == 2:
        return len(entry[2])
    return len(entry[3]) if entry[1] < 2 and isinstance(entry[3], bytes) else 0


def build_chunk_tree(packed: bytes, nodes: dict[bytes, bytes]) -> bytes:
    """Put the nodes over a packed chunk list into `nodes` and return the root's id."""
    refs = [(packed[at : at + 36], number(packed, at + 32, 4)) for at in range(0, len(packed), 36)]
    level = 0
    while True:
        parents = []
        for run in _runs([(ref[:32], 0) for ref, _ in refs], level):
            encoded = pack_value([1, 1, level, b"".join(refs[at][0] for at in run)])
            nodes[node_id(encoded)] = encoded
            size = sum(refs[at][1] for at in run)
            parents.append((node_id(encoded) + size.to_bytes(8, "little"), size))
        if len(parents) == 1:
            return parents[0][0][:32]
        refs, level = parents, level + 1


def _runs(items: Sequence[tuple[bytes, int]], level: int) -> list[range]:
    """Return which items belong to which node, from what decides and the weight of each."""
    runs = []
    start = weight = 0
    for at, (deciding, own_weight) in enumerate(items, 1):
        weight += own_weight
        hit = xxhash.xxh3_64_intdigest(deciding, seed=level) % 512 == 0
        if hit or at - start == 4096 or weight >= 1 << 20:
            runs.append(range(start, at))
            start, weight = at, 0
    if start < len(items) or not items:
        runs.append(range(start, len(items)))
    return runs
