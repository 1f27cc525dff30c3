import random
from pathlib import Path

import pytest

from dver.errors import DverError
from dver.objects.codec import Codec
from dver.objects.ids import ChunkId, IndexId, PackId
from dver.objects.pack import Kind, PackEntry, encode_footer
from dver.storage.index_files import ListedPack
from dver.storage.index_rows import SortedRows


def listed(seed: int, count: int) -> tuple[ListedPack, list[PackEntry]]:
    dice = random.Random(seed)
    entries = [
        PackEntry(ChunkId(dice.randbytes(32)), 16 + place * 200, 90, 100, Kind.DATA, Codec.ZSTD)
        for place in range(count)
    ]
    return ListedPack(PackId(dice.randbytes(32)), 9000, memoryview(encode_footer(entries)), complete=True), entries


@pytest.mark.parametrize("run_length", [7, 100, 10_000])
def test_all_entries_come_in_order_with_the_numbers_of_their_packs(tmp_path: Path, run_length: int) -> None:
    packs = [listed(seed, 50) for seed in range(9)]
    numbers: dict[int, int] = {}
    expected = []
    with SortedRows(tmp_path, run_length=run_length) as rows:
        for file in range(3):
            rows.add(IndexId(bytes([file]) * 32), [pack for pack, _ in packs[3 * file : 3 * file + 3]])
        for at, (numbered, pack) in enumerate(item for known in rows.files.values() for item in known.items()):
            assert (pack.id, pack.size, pack.complete) == (packs[at][0].id, 9000, True)
            numbers[numbered] = 1000 + at
            expected += [(e.id, 1000 + at, e.offset, 90, 100, Kind.DATA, Codec.ZSTD) for e in packs[at][1]]
        assert len(rows) == 450
        assert list(rows.rows(numbers)) == sorted(expected)


def test_packs_without_a_number_are_left_out(tmp_path: Path) -> None:
    (wanted, entries), (other, _) = listed(1, 20), listed(2, 20)
    with SortedRows(tmp_path, run_length=5) as rows:
        rows.add(IndexId(bytes(32)), [other, wanted])
        _, number = rows.files[IndexId(bytes(32))]
        assert [row[0] for row in rows.rows({number: 1})] == sorted(entry.id for entry in entries)


def test_leaves_no_file_behind_even_while_it_is_in_use(tmp_path: Path) -> None:
    with SortedRows(tmp_path, run_length=5) as rows:
        rows.add(IndexId(bytes(32)), [listed(1, 100)[0]])
        assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with SortedRows(tmp_path / "none", run_length=5) as rows, pytest.raises(DverError, match="none: cannot be written"):
        rows.add(IndexId(bytes(32)), [listed(1, 100)[0]])
