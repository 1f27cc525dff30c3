"""Formats, pinned byte for byte: what is written today must be what was written when these values were noted.

A test that fails here means that data stored by an earlier dver would get other ids, or could not be read. Do not
change a value; `docs/design/formats.md` says what a new format takes.
"""

from pathlib import Path

import pytest

from dver.objects.builder import build_manifest
from dver.objects.chunker import Chunker, ChunkerParams
from dver.objects.ids import NodeId, PackId, checksum, chunk_id, node_id
from dver.objects.indexfile import decode_index, encode_index
from dver.objects.manifest import Manifest
from dver.objects.pack import (
    TRAILER_LENGTH,
    Kind,
    check_head,
    decode_footer,
    decode_record,
    decode_trailer,
    scan_records,
)
from dver.objects.pointer import DatasetKind, Pointer, decode_pointer, encode_pointer
from dver.records.record import decode_record as decode_line
from dver.records.record import encode_record
from tests.golden.dataset import (
    LONG,
    NOISE,
    TEXT,
    golden_index,
    golden_pack,
    golden_records,
    large_dataset,
    small_dataset,
)
from tests.golden.prng import splitmix_bytes

FILES = Path(__file__).parent / "files"
PACK_ID = PackId(bytes.fromhex("71fa49edac8c88d2b61641cad5aeeb7421b08cb435eeeb0040e5b985eea7cc09"))
INDEX_ID = "b3b89f25ce78136eb5d3d1f4f61ce1e178739c3523f5a18a4e3f2627e7773276"
LINEAGE_IDS = [
    "b3:e278e02dfd8e78ae8f774a5a56ecc70db15caf03f0932f03b6d44b9d60023def",
    "b3:a36bc52a84af15a4ef9fe9906029b91f2bc8e385ea54c662e4194564d2c03de9",
]
SMALL_VERSION = "782512e6a07812af4413f6f78dba3ff0f34568eb46cf2e2b1f1d330435c9c28b"


def test_the_random_bytes_are_those_of_the_published_generator() -> None:
    assert int.from_bytes(splitmix_bytes(1234567, 8), "little") == 6457827717110365317


def test_cut_points_of_the_default_sizes() -> None:
    data = splitmix_bytes(1, 1 << 20)
    ends = Chunker(ChunkerParams.from_average(64 * 1024)).cut(data)
    assert ends == [
        *[28128, 115678, 180603, 248391, 278755, 317028, 367399, 468484],
        *[568652, 648474, 743224, 811353, 849084, 926334, 992291, 1048576],
    ]
    assert [chunk_id(data[start:end]).hex() for start, end in [(0, 28128), (28128, 115678), (115678, 180603)]] == [
        "4151b010f62237f51f687e297ac3a11a84d4c398c85fd49f7da1ea1cc874d712",
        "676dce499e1577319aae3c72a1ae6f350099a575f7bbe7d8422ed32f9a15bac1",
        "4dec15981a47f4e81e261c853d22c050c0a212b719b9fcb156a6862181a496d4",
    ]


@pytest.mark.parametrize(
    ("average", "chunks", "fingerprint"),
    [
        (1 << 10, 842, 7318685233787363705),
        (1 << 11, 435, 13396580158740841845),
        (1 << 12, 206, 4579139945567656575),
        (1 << 13, 102, 3208582449222611451),
        (1 << 14, 61, 6433451179989531189),
        (1 << 15, 26, 4962663989700217404),
        (1 << 16, 16, 7987414396969527486),
        (1 << 17, 8, 7461573434388232310),
        (1 << 18, 4, 14937347473263278276),
        (1 << 19, 2, 1371024783278014606),
    ],
)
def test_cut_points_of_all_sizes(average: int, chunks: int, fingerprint: int) -> None:
    ends = Chunker(ChunkerParams.from_average(average)).cut(splitmix_bytes(1, 1 << 20))
    assert len(ends) == chunks
    assert checksum(b"".join(end.to_bytes(8, "little") for end in ends)) == fingerprint


def test_ids() -> None:
    assert chunk_id(b"dver").hex() == "d509e5ca5960f250b30611886d824d13521d2c63bae4a9a7ae50bd004791e76a"
    assert node_id(b"dver").hex() == "0ff06ed0cf91718f8b7b4147ec25a778ed327b040f3ab1497d738da2c0efad23"
    assert checksum(b"dver") == 5203046582610300338
    assert checksum(b"dver", seed=1) == 17510630085195614930


def test_a_pack_is_written_as_it_was() -> None:
    pack = golden_pack()
    assert pack.id == PACK_ID
    assert b"".join(pack.pieces) == (FILES / "pack.bin").read_bytes()


def test_a_pack_of_then_is_read() -> None:
    data = (FILES / "pack.bin").read_bytes()
    check_head(data, "pack")
    length, expected = decode_trailer(data[-TRAILER_LENGTH:], len(data), "pack")
    entries = decode_footer(data[len(data) - TRAILER_LENGTH - length : -TRAILER_LENGTH], expected, PACK_ID, "pack")
    plains = [bytes(decode_record(data, entry.offset, "pack").verified("pack")) for entry in entries]
    assert plains == [TEXT, NOISE, *LONG, *small_dataset()[1].values()]
    assert entries == list(scan_records(data, "pack"))


def test_a_dataset_of_then_is_read_from_its_pack() -> None:
    data = (FILES / "pack.bin").read_bytes()
    records = [decode_record(data, entry.offset, "pack") for entry in scan_records(data, "pack")]
    nodes = {NodeId(record.id): bytes(record.plain("pack")) for record in records if record.kind is Kind.NODE}
    summary, _ = small_dataset()
    manifest = Manifest(summary.version, lambda ids: [nodes[identity] for identity in ids])
    assert summary.version.hex() == SMALL_VERSION
    assert [entry.path for entry in manifest.entries()] == [
        *[b"empty", b"empty.txt", b"long.bin", b"newest", b"run \xff.sh", b"tables/a.csv"],
        "tables/ä.csv".encode(),
    ]


def test_an_index_file_is_written_and_read_as_it_was() -> None:
    data = (FILES / "index.bin").read_bytes()
    name, encoded = encode_index(golden_index())
    assert name.hex() == INDEX_ID
    assert encoded == data
    assert decode_index(data, "index") == golden_index()


def test_a_pointer_is_written_and_read_as_it_was() -> None:
    data = (FILES / "pointer.dver").read_bytes()
    pointer = Pointer(DatasetKind.DIRECTORY, small_dataset()[0].version, 7015, 6)
    assert encode_pointer(pointer) == data
    assert decode_pointer(data, "pointer.dver") == pointer


@pytest.mark.parametrize(
    ("count", "nodes", "version"),
    [
        (0, 1, "e93e86eb33ff3a4137a2b89cbd48d8b3958be47e4f68f3451255675b3bd12790"),
        (1000, 5, "07d038d036746b6e2f920d46185e254b11ca9d5eaa5faee280ff2214ddc51894"),
        (20_000, 45, "a5a0b4119352bdb45687b92f13e37a7d4bc38c471627df4de0d9f40703bf658f"),
    ],
)
def test_versions_of_datasets(count: int, nodes: int, version: str) -> None:
    found: dict[NodeId, bytes] = {}
    assert build_manifest(large_dataset(count), found.__setitem__).version.hex() == version
    assert len(found) == nodes


def test_lineage_records_are_written_and_read_as_they_were() -> None:
    data = (FILES / "lineage.jsonl").read_bytes()
    lines = data.splitlines(keepends=True)
    assert b"".join(map(encode_record, golden_records())) == data
    assert [decode_line(line, "lineage.jsonl") for line in lines] == golden_records()
    assert [record.id for record in golden_records()] == LINEAGE_IDS
