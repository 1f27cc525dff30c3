"""Laws of the chunker: chunks make up the file, sizes hold, and neither segments nor far edits move a cut."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from pyfastcdc.py import FastCDC as ReferenceFastCDC

from dver.objects.chunker import NORMALIZATION, Chunker, ChunkerParams, SegmentJoiner
from tests.property.strategies import data

PARAMS = ChunkerParams.from_average(1024)
CHUNKER = Chunker(PARAMS)


def cut(content: bytes) -> list[bytes]:
    return [content[start:end] for start, end in pairwise([0, *CHUNKER.cut(content)])]


@given(data())
def test_chunks_make_up_the_file(content: bytes) -> None:
    assert b"".join(cut(content)) == content


@given(data())
def test_chunks_keep_to_their_sizes(content: bytes) -> None:
    lengths = [len(chunk) for chunk in cut(content)]
    assert all(PARAMS.min_size <= length <= PARAMS.max_size for length in lengths[:-1])
    assert all(0 < length <= PARAMS.max_size for length in lengths[-1:])


@given(data(), st.lists(st.integers(1, 9_000), min_size=1, max_size=40))
def test_segments_of_any_sizes_give_the_chunks_of_a_single_pass(content: bytes, sizes: list[int]) -> None:
    joiner = SegmentJoiner(CHUNKER)
    chunks: list[bytes] = []
    start = turn = 0
    while start < len(content):
        segment = memoryview(content)[start : start + sizes[turn % len(sizes)]]
        chunks.extend(bytes(chunk) for chunk in joiner.feed(segment, CHUNKER.cut_segment(segment)))
        start, turn = start + len(segment), turn + 1
    chunks.extend(bytes(chunk) for chunk in joiner.finish())
    assert chunks == cut(content)


@given(data(), data(max_pieces=2))
def test_the_certain_cuts_of_a_segment_are_those_of_any_file_that_begins_with_it(begin: bytes, rest: bytes) -> None:
    certain = CHUNKER.cut_segment(begin)
    assert CHUNKER.cut(begin + rest)[: len(certain)] == certain
    first = CHUNKER.first_cut(begin)
    if first is not None:
        assert CHUNKER.cut(begin + rest)[0] == first


@given(data(), data(max_pieces=2), st.integers(0, 300), st.integers(0, 60_000))
def test_an_edit_leaves_the_cuts_before_it_as_they_are(content: bytes, inserted: bytes, deleted: int, at: int) -> None:
    edited = content[:at] + inserted + content[at + deleted :]
    before, after = ([end for end in CHUNKER.cut(file) if end < at] for file in (content, edited))
    assert before == after or len(content) <= at


def test_edits_change_few_chunks() -> None:
    generator = random.Random(1)
    content = generator.randbytes(65_000)
    before = set(cut(content))
    assert len(before) > 40
    counts = []
    for _ in range(400):
        at = generator.randrange(len(content))
        edited = content[:at] + generator.randbytes(generator.randrange(300)) + content[at + generator.randrange(300) :]
        counts.append(sum(chunk not in before for chunk in cut(edited)))
    # How soon the cuts meet again is chance, so a single place may take many chunks, but few do.
    assert sum(counts) / len(counts) <= 3
    assert sorted(counts)[len(counts) * 95 // 100] <= 8


@given(data(max_pieces=4, max_piece=10_000), st.sampled_from([1024, 2048, 8192]))
@settings(max_examples=20)
def test_cuts_are_those_of_the_reference_in_pure_python(content: bytes, average: int) -> None:
    params = ChunkerParams.from_average(average)
    reference = ReferenceFastCDC(
        average, min_size=params.min_size, max_size=params.max_size, normalized_chunking=NORMALIZATION
    )
    expected = [chunk.offset + chunk.length for chunk in reference.cut_buf(content)]
    assert Chunker(params).cut(content) == expected
