"""Which packs are taken as a whole, and in which order the rest is."""

import pytest

from dver.objects.codec import Codec
from dver.objects.ids import ChunkId, PackId
from dver.objects.pack import ENTRY_LENGTH, HEAD_LENGTH, RECORD_HEADER_LENGTH, TRAILER_LENGTH, Kind
from dver.operations import pack_choice
from dver.operations.pack_choice import PackChoice
from dver.storage.index_copy import Location

LENGTH = 1000
RECORDS = 10
LARGE, OTHER, SMALL = (PackId(bytes([number]) * 32) for number in (1, 2, 3))
SIZES = dict.fromkeys(
    (LARGE, OTHER), HEAD_LENGTH + TRAILER_LENGTH + RECORDS * (RECORD_HEADER_LENGTH + LENGTH + ENTRY_LENGTH)
)


@pytest.fixture
def choice(monkeypatch: pytest.MonkeyPatch) -> PackChoice:
    monkeypatch.setattr(pack_choice, "SMALLEST_WHOLE", SIZES[LARGE])
    return PackChoice({**SIZES, SMALL: SIZES[LARGE] - 1}.get)


def record(pack: PackId, number: int) -> Location:
    offset = HEAD_LENGTH + number * (RECORD_HEADER_LENGTH + LENGTH)
    identity = ChunkId(pack[:16] + bytes([number]) * 16)
    return Location(identity, offset, LENGTH, LENGTH, Kind.DATA, Codec.RAW, pack)


def records(pack: PackId, count: int = RECORDS) -> list[Location]:
    return [record(pack, number) for number in range(count)]


def test_a_pack_is_taken_as_soon_as_all_of_it_is_wanted(choice: PackChoice) -> None:
    assert choice.add(records(LARGE)[:4]) == ([], [])
    packs, loose = choice.add(records(LARGE)[4:])
    assert [wish.pack for wish in packs] == [LARGE]
    assert loose == []
    assert choice.rest() == ([], [])


def test_what_is_in_small_packs_does_not_wait(choice: PackChoice) -> None:
    wanted = records(SMALL)
    assert choice.add(wanted) == ([], [at.id for at in wanted])


@pytest.mark.parametrize(("count", "whole"), [(8, False), (9, True)])
def test_nine_tenths_of_a_pack_are_enough_in_the_end(choice: PackChoice, count: int, whole: bool) -> None:
    wanted = records(LARGE, count)
    choice.add(wanted)
    packs, loose = choice.rest()
    assert [wish.pack for wish in packs] == ([LARGE] if whole else [])
    assert loose == ([] if whole else [at.id for at in wanted])


def test_what_is_taken_one_by_one_keeps_its_order(choice: PackChoice) -> None:
    wanted = [at for pair in zip(records(OTHER, 5), records(LARGE, 5), strict=True) for at in pair]
    choice.add(wanted)
    assert choice.rest() == ([], [at.id for at in wanted])


def test_too_much_does_not_wait(choice: PackChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_choice, "_MOST_WAITING", 6)
    first, second = records(LARGE, 5), records(OTHER, 5)
    assert choice.add(first) == ([], [])
    assert choice.add(second) == ([], [at.id for at in first])
    assert choice.rest() == ([], [at.id for at in second])
