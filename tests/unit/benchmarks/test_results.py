"""The log of the benchmarks: what comes back, what is resumed, and what of it makes a page."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import results
from tests.bench.results import Entry, Extent, Sample, StoreSize, Subject, Traffic

_MACHINE = {"processor": "Abacus 9"}


def _entry(tool: str = "dver", run: int = 0, wall: float = 1.0, build: str = "b1", version: str = "1") -> Entry:
    sample = Sample("csv", tool, "add v1", run, wall, wall, 1, None, None, Traffic(1, 2, 3, None))
    subject = Subject("csv", "One file", 1.0, {"v1": Extent(1, 2)})
    sizes = [StoreSize("csv", tool, run, "v1", 9)]
    return Entry(_MACHINE, subject, tool, version, build, run, "2031-02-03", [sample], sizes, [])


def _walls(log: list[Entry]) -> list[float]:
    return [sample.wall for sample in results.select(log, _MACHINE, 1.0).samples]


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    log = [_entry(), _entry("dvc", run=1)]
    for entry in log:
        results.append(tmp_path / "log.jsonl", entry)
    assert results.read(tmp_path / "log.jsonl") == log


def test_entry_that_was_cut_off_is_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    results.append(path, _entry())
    with path.open("a") as file:
        file.write('{"format": 2, "mach')
    results.append(path, _entry(run=1))
    assert results.read(path) == [_entry(), _entry(run=1)]


def test_results_of_another_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"format": 99}\n')
    with pytest.raises(ValueError, match="format 2"):
        results.read(tmp_path / "log.jsonl")


def test_runs_that_are_known_are_those_of_the_same_machine_version_sources_and_scale() -> None:
    log = [_entry(run=0), _entry(run=1, build="b2"), _entry("dvc", run=2), _entry(run=3, version="2")]
    log.append(replace(_entry(run=4), machine={"processor": "Abacus 8"}))
    log.append(replace(_entry(run=5), subject=Subject("csv", "One file", 0.5)))
    assert results.known_runs(log, _entry()) == {0}


def test_page_has_the_latest_sources_and_version_of_each_tool() -> None:
    log = [_entry(wall=1.0), _entry("dvc", wall=2.0, build=""), _entry(wall=3.0, build="b2")]
    assert sorted(_walls(log)) == [2.0, 3.0]
    assert sorted(_walls([*log, _entry("dvc", wall=4.0, build="", version="2")])) == [3.0, 4.0]


def test_page_has_the_latest_measurement_of_a_run() -> None:
    assert _walls([_entry(wall=1.0), _entry(wall=2.0)]) == [2.0]


def test_page_leaves_out_other_machines_and_scales() -> None:
    other = replace(_entry(), machine={"processor": "Abacus 8"})
    small = replace(_entry(), subject=Subject("csv", "One file", 0.5))
    assert _walls([other, small]) == []
