"""Laws that hold for all values: round trips, one version for one content, and decoders that never crash."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.errors import DverError, FormatError
from dver.objects import entry as entries
from dver.objects.builder import build_manifest, make_file_entry
from dver.objects.codec import Codec, compress, decompress
from dver.objects.diff import diff_manifests
from dver.objects.entry import Entry, check_path, check_paths, counts_as_file, encode_entry, entry_size
from dver.objects.ids import NodeId, PackId, VersionId, checksum
from dver.objects.indexfile import IndexedPack, decode_index, encode_index
from dver.objects.manifest import Manifest
from dver.objects.node import NodeType, decode_chunks_node, decode_entries_node, encode_node
from dver.objects.pack import (
    TRAILER_LENGTH,
    PackBuilder,
    Record,
    decode_entries,
    decode_footer,
    decode_record,
    decode_trailer,
    scan_records,
)
from dver.objects.pointer import Pointer, decode_pointer, encode_pointer
from tests.property.strategies import (
    NodeStore,
    any_paths,
    data,
    datasets,
    entries_at,
    ids,
    many_files,
    packed_list,
    paths,
    pointers,
    records,
)


@given(data())
def test_compression_round_trips(plain: bytes) -> None:
    codec, payload = compress(plain)
    assert len(payload) <= len(plain)
    assert decompress(codec, payload, len(plain), "x") == plain


@given(st.lists(records(), max_size=5), st.integers(0, 5))
def test_packs_round_trip_and_are_read_without_their_footer(found: list[Record], split: int) -> None:
    first, second = PackBuilder(), PackBuilder()
    for at, record in enumerate(found):
        (first if at < split else second).add(record)
    first.absorb(second)
    pack = first.finish()
    encoded = b"".join(pack.pieces)
    length, expected = decode_trailer(encoded[-TRAILER_LENGTH:], pack.size, "x")
    assert (
        tuple(decode_footer(encoded[-TRAILER_LENGTH - length : -TRAILER_LENGTH], expected, pack.id, "x"))
        == pack.entries
    )
    assert tuple(scan_records(encoded[: -TRAILER_LENGTH - length], "x")) == pack.entries
    assert [decode_record(encoded, entry.offset, "x").verified("x") for entry in pack.entries] == [
        record.plain("x") for record in found
    ]


@given(st.lists(st.tuples(ids, st.integers(0, (1 << 62) - 1), st.lists(records(), max_size=3)), max_size=3))
def test_index_files_round_trip(drawn: list[tuple[bytes, int, list[Record]]]) -> None:
    packs = []
    for name, size, found in drawn:
        builder = PackBuilder()
        for record in found:
            builder.add(record)
        packs.append(IndexedPack(PackId(name), size, builder.finish().entries))
    assert decode_index(encode_index(packs)[1], "x") == packs


@given(pointers)
def test_pointers_round_trip(pointer: Pointer) -> None:
    assert decode_pointer(encode_pointer(pointer), "x") == pointer


@given(paths.flatmap(entries_at))
def test_entries_round_trip(entry: Entry) -> None:
    assert entries.decode_entries([encode_entry(entry)], "x") == [entry]


@given(any_paths)
def test_a_path_is_good_exactly_if_all_its_parts_are(path: bytes) -> None:
    parts = path.split(b"/")
    good = b"\0" not in path and not any(part.lower() in (b"", b".", b"..", b".git") for part in parts)
    assert _accepts(lambda: check_path(path, "x")) == good


@given(st.lists(any_paths, max_size=4))
def test_checking_many_paths_is_checking_each(drawn: list[bytes]) -> None:
    each = all(_accepts(partial(check_path, path, "x")) for path in drawn)
    assert _accepts(lambda: check_paths(drawn, "x")) == each


def _accepts(check: Callable[[], None]) -> bool:
    try:
        check()
    except FormatError:
        return False
    return True


@given(datasets())
def test_any_dataset_comes_back_with_its_totals(entries: list[Entry]) -> None:
    store = NodeStore()
    summary = store.build(entries)
    manifest = store.manifest(summary.version)
    assert list(manifest.entries()) == entries
    assert (summary.files, summary.size) == manifest.totals()
    assert summary.files == sum(map(counts_as_file, entries))
    assert summary.size == sum(map(entry_size, entries))


@given(datasets(), st.data())
def test_lookup_and_folders_are_what_filtering_gives(entries: list[Entry], drawn: st.DataObject) -> None:
    store = NodeStore()
    manifest = store.manifest(store.build(entries).version)
    known = [entry.path for entry in entries]
    folders = [path[:at] for path in known for at, byte in enumerate(path) if byte == ord("/")]
    asked = drawn.draw(st.sampled_from([*known, *folders]) | paths if known else paths)
    by_path = {entry.path: entry for entry in entries}
    assert manifest.get(asked) == by_path.get(asked)
    inside = [entry for entry in entries if entry.path == asked or entry.path.startswith(asked + b"/")]
    assert list(manifest.entries(asked)) == (inside if asked else entries)


@given(datasets(), datasets())
def test_a_difference_is_what_comparing_all_entries_gives(old: list[Entry], new: list[Entry]) -> None:
    store = NodeStore()
    found = diff_manifests(store.manifest(store.build(old).version), store.manifest(store.build(new).version))
    before, after = ({entry.path: entry for entry in entries} for entries in (old, new))
    assert [(change.path, change.old, change.new) for change in found] == [
        (path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


MANY = many_files(6000)


@given(st.lists(st.tuples(st.integers(0, len(MANY)), st.integers(0, 1500), st.booleans()), max_size=4))
def test_a_difference_of_large_datasets_is_what_comparing_all_entries_gives(cuts: list[tuple[int, int, bool]]) -> None:
    old, new = list(MANY), list(MANY)
    for start, length, from_new in cuts:
        del (new if from_new else old)[start : start + length]
    store = NodeStore()
    versions = store.build(old).version, store.build(new).version
    found = [change.path for change in diff_manifests(*map(store.manifest, versions))]
    assert found == sorted({entry.path for entry in old} ^ {entry.path for entry in new})


@given(datasets(max_size=8), st.randoms())
def test_the_version_depends_on_the_content_alone(entries: list[Entry], shuffle: Any) -> None:
    # Whatever was there before, and in whatever order the paths came and went, the same entries are the same version.
    nodes: dict[NodeId, bytes] = {}
    version = build_manifest(entries, nodes.__setitem__).version
    current: dict[bytes, Entry] = {entry.path: entry for entry in MANY[:20]}
    shuffled = list(entries)
    shuffle.shuffle(shuffled)
    for entry in MANY[:20]:
        del current[entry.path]
        if shuffled:
            added = shuffled.pop()
            current[added.path] = added
    current.update((entry.path, entry) for entry in shuffled)
    again: dict[NodeId, bytes] = {}
    assert build_manifest([current[path] for path in sorted(current)], again.__setitem__).version == version
    assert again == nodes


@given(st.integers(0, 3000), st.integers(0, 5), st.integers(1, 9))
def test_chunk_lists_round_trip(count: int, seed: int, length: int) -> None:
    store = NodeStore()
    packed = packed_list(count, seed=seed, length=length)
    entry = make_file_entry(b"a", count * length, False, packed, store.sink)
    assert store.manifest(VersionId(bytes(32))).chunk_list(entry) == packed


# Decoders on bytes that nobody wrote.

junk = st.binary(max_size=400)


def _decode_manifest(encoded: bytes) -> None:
    manifest = Manifest(VersionId(bytes(32)), lambda wanted: [encoded for _ in wanted])
    list(manifest.entries())
    list(manifest.nodes(lambda _: False))


DECODERS: dict[str, Callable[[bytes], object]] = {
    "entries node": lambda encoded: decode_entries_node(encoded, "x"),
    "chunks node": lambda encoded: decode_chunks_node(encoded, "x"),
    "manifest": _decode_manifest,
    "record": lambda encoded: decode_record(encoded, 0, "x").verified("x"),
    "footer": lambda encoded: decode_entries(encoded, "x"),
    "trailer": lambda encoded: decode_trailer(encoded[-TRAILER_LENGTH:], len(encoded), "x"),
    "scan": lambda encoded: list(scan_records(encoded, "x")),
    "scan after head": lambda encoded: list(scan_records(b"DVPK\1\0\0\0" + encoded, "x")),
    "index": lambda encoded: decode_index(encoded, "x"),
    "sealed index": lambda encoded: decode_index(_sealed(b"DVIX\1\0\0\0" + encoded), "x"),
    "pointer": lambda encoded: decode_pointer(encoded, "x"),
    "zstd": lambda encoded: decompress(Codec.ZSTD, encoded, 100, "x"),
    "zstd after magic": lambda encoded: decompress(Codec.ZSTD, b"\x28\xb5\x2f\xfd" + encoded, 100, "x"),
}


def _sealed(body: bytes) -> bytes:
    return body + checksum(body).to_bytes(8, "little")


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())
@given(junk)
def test_junk_is_refused_with_an_error_of_dvers_own(decode: Callable[[bytes], object], encoded: bytes) -> None:
    _only_dver_errors(decode, encoded)


@given(datasets(max_size=6), st.data())
def test_a_changed_node_is_refused_or_read(entries: list[Entry], drawn: st.DataObject) -> None:
    encoded = bytearray(encode_node(NodeType.ENTRIES, 0, [encode_entry(entry) for entry in entries]))
    for _ in range(drawn.draw(st.integers(1, 3))):
        at = drawn.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = drawn.draw(st.integers(0, 255))
    _only_dver_errors(_decode_manifest, bytes(encoded))


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(st.sampled_from([0, 1, 2]), st.integers(0, 17), _values)
def test_any_msgpack_value_is_refused_or_read(node_type: int, level: int, items: object) -> None:
    encoded: bytes = msgpack.packb([1, node_type, level, items])
    for decode in (decode_entries_node, decode_chunks_node):
        _only_dver_errors(partial(decode, where="x"), encoded)


@given(_values)
def test_any_value_is_refused_or_read_as_an_entry(fields: object) -> None:
    _only_dver_errors(lambda _: entries.decode_entries([fields], "x"), b"")


_toml_words = st.sampled_from(
    [
        "format",
        "kind",
        "version",
        "size",
        "files",
        " = ",
        "1",
        "-1",
        "true",
        '"file"',
        '"b3:"',
        "[",
        "]",
        "{",
        "}",
        "\n",
        "'",
        "é",
    ]
)


@given(st.lists(_toml_words, max_size=30).map("".join))
def test_any_text_is_refused_or_read_as_a_pointer(text: str) -> None:
    _only_dver_errors(lambda encoded: decode_pointer(encoded, "x"), text.encode())


def _only_dver_errors(decode: Callable[[bytes], object], encoded: bytes) -> None:
    with contextlib.suppress(DverError):
        decode(encoded)
