"""dver against the independent implementation that was written from the specification alone."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from dver.objects.builder import build_manifest, make_file_entry
from dver.objects.chunker import Chunker, ChunkerParams
from dver.objects.entry import Entry, encode_entry, unpack_chunks
from dver.objects.ids import NodeId
from dver.objects.indexfile import encode_index
from dver.objects.pack import Kind, PackBuilder
from tests.golden import spec_reader
from tests.golden.dataset import LONG, NOISE, TEXT, golden_index, golden_pack, large_dataset, small_dataset
from tests.property.strategies import data, datasets, many_files, packed_list, records

FILES = Path(__file__).parent / "files"


def built(entries: list[Entry]) -> tuple[bytes, dict[NodeId, bytes]]:
    nodes: dict[NodeId, bytes] = {}
    return build_manifest(entries, nodes.__setitem__).version, nodes


def rebuilt(entries: list[Entry]) -> tuple[bytes, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    return spec_reader.build_manifest([encode_entry(entry) for entry in entries], nodes), nodes


def test_the_golden_pack_is_read_whole() -> None:
    objects = spec_reader.read_pack((FILES / "pack.bin").read_bytes(), golden_pack().id)
    assert [plain for _, plain in objects] == [TEXT, NOISE, *LONG, *small_dataset()[1].values()]


def test_the_golden_dataset_is_read_from_the_golden_pack() -> None:
    objects = spec_reader.read_pack((FILES / "pack.bin").read_bytes(), golden_pack().id)
    plains = {(entry.kind, entry.id): plain for entry, plain in objects}
    found: dict[bytes, Any] = {}
    for path, kind, *rest in spec_reader.read_manifest(lambda node: plains[1, node], small_dataset()[0].version):
        match kind:
            case 0 | 1:
                chunks = spec_reader.read_chunks(lambda node: plains[1, node], rest[1])
                assert sum(length for _, length in chunks) == rest[0]
                found[path] = (kind, b"".join(plains[0, chunk] for chunk, _ in chunks))
            case _:
                found[path] = (kind, *rest)
    assert found == {
        b"empty": (3,),
        b"empty.txt": (0, b""),
        b"long.bin": (0, b"".join(LONG)),
        b"newest": (2, b"tables/a.csv"),
        b"run \xff.sh": (1, NOISE),
        b"tables/a.csv": (0, TEXT),
        "tables/ä.csv".encode(): (0, TEXT + NOISE),
    }


def test_the_golden_index_is_read() -> None:
    name, encoded = encode_index(golden_index())
    packs = spec_reader.read_index((FILES / "index.bin").read_bytes(), name)
    assert [(pack, size) for pack, size, _ in packs] == [(pack.id, pack.size) for pack in golden_index()]
    assert packs[0][2] == [entry for entry, _ in spec_reader.read_pack((FILES / "pack.bin").read_bytes(), packs[0][0])]
    assert spec_reader.read_index(encoded, name) == packs


@given(data(max_pieces=4, max_piece=8_000))
@settings(max_examples=20)
def test_chunks_are_cut_at_the_same_places(content: bytes) -> None:
    for average in (1024, 4096):
        assert Chunker(ChunkerParams.from_average(average)).cut(content) == spec_reader.cut(content, average)


@given(records())
def test_any_pack_is_read(record: Any) -> None:
    builder = PackBuilder()
    builder.add(record)
    pack = builder.finish()
    ((entry, plain),) = spec_reader.read_pack(b"".join(pack.pieces), pack.id)
    fields = (record.id, 8, len(record.payload), record.plain_length, record.kind, record.codec)
    assert entry == spec_reader.Entry(*fields)
    assert plain == record.plain("x")
    assert entry.kind == (1 if record.kind is Kind.NODE else 0)


@given(datasets())
def test_any_dataset_has_the_same_version_and_nodes(entries: list[Entry]) -> None:
    version, nodes = built(entries)
    assert rebuilt(entries) == (version, nodes)
    found = list(spec_reader.read_manifest(lambda node: nodes[NodeId(node)], version))
    assert found == [encode_entry(entry) for entry in entries]


@pytest.mark.parametrize("count", [511, 4097, 20_000])
def test_large_datasets_have_the_same_nodes(count: int) -> None:
    for entries in (large_dataset(count), many_files(count)):
        assert rebuilt(entries) == built(entries)


@pytest.mark.parametrize("count", [65, 3000, 9000])
@pytest.mark.parametrize("repeated", [False, True])
def test_long_files_have_the_same_chunk_tree(count: int, repeated: bool) -> None:
    packed = packed_list(1) * count if repeated else packed_list(count)
    nodes: dict[NodeId, bytes] = {}
    entry = make_file_entry(b"a", 5 * count, False, packed, nodes.__setitem__)
    again: dict[bytes, bytes] = {}
    assert spec_reader.build_chunk_tree(packed, again) == entry.chunk_tree
    assert again == nodes
    chunks = spec_reader.read_chunks(lambda node: nodes[NodeId(node)], [entry.chunk_tree])
    assert chunks == list(unpack_chunks(packed, "x"))
