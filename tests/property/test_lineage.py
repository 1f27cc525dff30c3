"""Laws of lineage records: they round trip, no damage passes, and the index answers as the records themselves would."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dver.errors import FormatError
from dver.records.index import LineageIndex
from dver.records.journal import Journal
from dver.records.record import Artifact, Environment, Record, State, decode_record, encode_record

texts = st.text(st.characters(), max_size=5)
hashes = st.sampled_from("0123").map(lambda digit: "b3:" + digit * 64)
paths = st.sampled_from(["a", "a/b", "a/b/c", "d", "run \udcff"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
properties = st.dictionaries(texts, scalars, max_size=2)
plain = st.builds(
    Artifact,
    path=paths,
    version=hashes | st.just("git:" + "4" * 40),
    kind=texts,
    observed=st.booleans(),
    props=properties,
)
places = st.sampled_from([("a", "a"), ("a/b", "a"), ("a/b/c", "a"), ("a/b/c", "a/b"), ("run \udcff/d", "run \udcff")])
parts = st.builds(
    lambda place, version, dataset_version: Artifact(
        place[0], version, dataset=place[1], dataset_version=dataset_version
    ),
    places,
    hashes,
    hashes,
)
artifacts = st.lists(plain | parts, max_size=3).map(tuple)
small_texts = st.sampled_from(["", "x", "y"])
records = st.builds(
    Record,
    state=st.sampled_from(State),
    started=st.integers(0, 9).map(lambda second: f"2026-11-23T13:00:0{second}.500Z"),
    name=small_texts | texts,
    command=st.lists(texts, max_size=3).map(tuple),
    shell=st.booleans(),
    folder=st.just("") | paths,
    inputs=artifacts,
    outputs=artifacts,
    params=properties,
    commit=texts,
    dirty=st.booleans(),
    seconds=st.floats(0, allow_infinity=False),
    exit_code=st.none() | st.integers(),
    environment=st.builds(Environment, python=texts, platform=texts, packages=texts, image=texts),
    tags=st.dictionaries(small_texts, small_texts, max_size=2) | st.dictionaries(texts, texts, max_size=2),
    key=small_texts,
    reuses=texts,
    source=texts,
    note=texts,
)
noise = st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b" ") + b"\n")


@contextmanager
def opened(lines: list[Record | bytes]) -> Iterator[tuple[LineageIndex, Journal]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lineage.jsonl")
        path.write_bytes(b"".join(encode_record(line) if isinstance(line, Record) else line for line in lines))
        with closing(LineageIndex(Path(folder, "lineage.db"), Journal(path))) as index:
            yield index, Journal(path)


def unique(lines: list[Record | bytes]) -> list[Record]:
    return list({line.id: line for line in lines if isinstance(line, Record)}.values())


def holds(found: tuple[Artifact, ...], path: str, version: str) -> bool:
    return any((path, version) in ((a.path, a.version), (a.dataset, a.dataset_version)) for a in found)


@given(records)
def test_records_round_trip_under_their_names(record: Record) -> None:
    line = encode_record(record)
    found = decode_record(line, "x")
    assert found == record
    assert found.id == record.id
    assert encode_record(found) == line
    assert line.isascii()
    assert line.count(b"\n") == 1


@given(records, st.data())
def test_no_changed_byte_of_a_record_passes(record: Record, data: st.DataObject) -> None:
    line = bytearray(encode_record(record).rstrip(b"\n"))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_record(bytes(line), "x")
    except FormatError:
        return
    raise AssertionError(found)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_refused(raw: bytes) -> None:
    try:
        decode_record(raw, "x")
    except FormatError:
        return
    raise AssertionError(raw)


@given(st.lists(records | noise, max_size=8), st.lists(records, max_size=3), paths, hashes)
def test_the_index_answers_as_the_records_would(
    lines: list[Record | bytes], more: list[Record], path: str, version: str
) -> None:
    with opened(lines) as (index, journal):
        assert index.records() == unique(lines)
        for record in more:
            journal.append(record)
        known = unique([*lines, *more])
        good = [
            r
            for r in known
            if r.state is not State.FAILED and any(path in (a.path, a.dataset) and not a.observed for a in r.outputs)
        ]
        latest = max(enumerate(good), key=lambda pair: (pair[1].started, pair[0]), default=(0, None))[1]
        assert index.records() == known
        assert index.count() == len(known)
        assert index.producers(path, version) == [r for r in known if holds(r.outputs, path, version)]
        assert index.consumers(path, version) == [r for r in known if holds(r.inputs, path, version)]
        assert index.records(name="x", tags={"x": "y"}) == [
            r for r in known if r.name == "x" and r.tags.get("x") == "y"
        ]
        assert index.latest_producer(path) == latest
        assert {r.id for r in index.by_key("x")} == {r.id for r in known if r.key == "x" and r.state is State.COMPLETE}
        assert [line.number for line in index.problems()] == [line.number for line in journal.read() if line.problem]
