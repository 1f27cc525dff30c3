"""The chunker: parameters, and cut points on data made for its edges."""

import random
from itertools import pairwise

import pytest
from pyfastcdc.py.constants import GEAR, MASKS

from dver.config.keys import find_setting
from dver.errors import FormatError
from dver.objects.chunker import MAX_CHUNK, NORMALIZATION, Chunker, ChunkerParams, SegmentJoiner

SMALL = ChunkerParams.from_average(1024)
CHUNKER = Chunker(SMALL)


def by_segments(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` the way several cores do, in segments of the given sizes, the last one again and again."""
    joiner = SegmentJoiner(CHUNKER)
    chunks: list[bytes] = []
    view, start, turn = memoryview(data), 0, 0
    while start < len(data):
        segment = view[start : start + sizes[min(turn, len(sizes) - 1)]]
        chunks.extend(bytes(chunk) for chunk in joiner.feed(segment, CHUNKER.cut_segment(segment)))
        start, turn = start + len(segment), turn + 1
    chunks.extend(bytes(chunk) for chunk in joiner.finish())
    return chunks


def in_one_pass(data: bytes) -> list[bytes]:
    starts = [0, *CHUNKER.cut(data)]
    return [data[start:end] for start, end in pairwise(starts)]


def test_default_sizes_are_16_64_256_kib() -> None:
    average = find_setting("chunks.size").default
    assert isinstance(average, int)
    assert ChunkerParams.from_average(average) == ChunkerParams(16 << 10, 64 << 10, 256 << 10)


@pytest.mark.parametrize("average", [0, -1024, 512, 1025, 3000, 8 << 20])
def test_sizes_that_are_no_power_of_two_in_range_are_refused(average: int) -> None:
    with pytest.raises(FormatError, match="power of two"):
        ChunkerParams.from_average(average)


def test_no_parameters_allow_chunks_larger_than_readers_accept() -> None:
    assert ChunkerParams.from_average(4 << 20).max_size == MAX_CHUNK


def test_parameters_round_trip_as_plain_values() -> None:
    assert ChunkerParams.from_mapping(SMALL.to_mapping(), "x") == SMALL


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "rabin"},
        {"algorithm": 1},
        {"average_size": "1024"},
        {"average_size": 1000},
        {"min_size": 1},
        {"max_size": 1 << 40},
        {"seed": 7},
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        ChunkerParams.from_mapping({**SMALL.to_mapping(), **change}, "dver-store.json")


def test_an_empty_file_has_no_chunks() -> None:
    assert CHUNKER.cut(b"") == []
    assert CHUNKER.cut_segment(b"") == []
    assert CHUNKER.first_cut(b"") is None
    assert SegmentJoiner(CHUNKER).finish() == []


@pytest.mark.parametrize("length", [1, SMALL.min_size - 1, SMALL.min_size])
def test_a_file_up_to_the_minimum_is_one_chunk(length: int) -> None:
    assert CHUNKER.cut(bytes(length)) == [length]


def test_constant_data_is_cut_at_the_maximum() -> None:
    ends = CHUNKER.cut(bytes(10 * SMALL.max_size + 1))
    assert ends == [*range(SMALL.max_size, 10 * SMALL.max_size + 1, SMALL.max_size), 10 * SMALL.max_size + 1]


def pair_that_cuts_at_once() -> tuple[int, int]:
    """Return two bytes that satisfy the strict mask by themselves; for these sizes no single byte does."""
    strict = MASKS[SMALL.average_size.bit_length() - 1 + NORMALIZATION]
    return next((a, b) for a in range(256) for b in range(256) if not ((GEAR[a] << 1) + GEAR[b]) & strict)


@pytest.mark.parametrize("segment", [1, 7, 255, 256, 257, 258, 1000, 5000])
def test_data_built_to_cut_as_early_as_can_be_does_so_in_segments_too(segment: int) -> None:
    last, first = pair_that_cuts_at_once()
    shortest = SMALL.min_size + 1
    data = bytes([first, *random.Random(1).randbytes(shortest - 2), last]) * 40
    assert CHUNKER.cut(data) == list(range(shortest, len(data) + 1, shortest))
    assert by_segments(data, [segment]) == in_one_pass(data)


@pytest.mark.parametrize("segment", [1, 100, 4095, 4096, 4097, 10_000])
@pytest.mark.parametrize("period", [1, 3, 255, 4096])
def test_repetitive_data_gives_the_same_chunks_in_segments(period: int, segment: int) -> None:
    data = (random.Random(period).randbytes(period) * 30_000)[:30_001]
    assert by_segments(data, [segment]) == in_one_pass(data)


def test_segments_that_never_agree_with_the_file_still_give_its_chunks() -> None:
    # Constant data is cut at the maximum, counted from each segment's start, which the file's own cuts never meet.
    data = b"\xff" + bytes(20 * SMALL.max_size)
    assert by_segments(data, [SMALL.max_size * 3 + 1]) == in_one_pass(data)


def test_an_empty_segment_changes_nothing() -> None:
    data = random.Random(2).randbytes(20_000)
    joiner = SegmentJoiner(CHUNKER)
    empty = memoryview(b"")
    chunks = [*joiner.feed(memoryview(data), CHUNKER.cut_segment(data)), *joiner.feed(empty, []), *joiner.finish()]
    assert [bytes(chunk) for chunk in chunks] == in_one_pass(data)


def test_the_end_of_a_segment_is_not_taken_for_a_cut() -> None:
    data = random.Random(3).randbytes(50_000)
    assert CHUNKER.cut_segment(data) == CHUNKER.cut(data)[:-1]
    assert CHUNKER.first_cut(data[: SMALL.min_size]) is None
    assert CHUNKER.first_cut(bytes(SMALL.max_size)) == SMALL.max_size


def test_a_joiner_can_be_used_for_one_file_after_another() -> None:
    joiner = SegmentJoiner(CHUNKER)
    for seed in (4, 5):
        data = random.Random(seed).randbytes(9_000)
        chunks = [*joiner.feed(memoryview(data), CHUNKER.cut_segment(data)), *joiner.finish()]
        assert [bytes(chunk) for chunk in chunks] == in_one_pass(data)
