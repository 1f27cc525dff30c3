"""The page of the benchmarks: made from results alone, and complete."""

import re
from dataclasses import replace

import pytest

from tests.bench import fragments, report
from tests.bench.growth import bound
from tests.bench.results import Extent, Growth, Measured, Results, Sample, StoreSize, Traffic
from tests.bench.tables import figure
from tests.bench.tools import Operation

_MIB = 1 << 20


def _sample(tool: str, wall: float, run: int = 0, operation: str = Operation.ADD_V1, workload: str = "csv") -> Sample:
    return Sample(workload, tool, operation, run, wall, wall / 2, 30 * _MIB, 0.0, None)


@pytest.fixture
def measured() -> Results:
    """Results of two workloads, with three runs of an operation of three tools."""
    walls = {"dver": (2.0, 3.0, 2.5), "dvc": (5.0, 6.0, 7.0), "git lfs": (10.0, 11.0, 12.0)}
    samples = [_sample(tool, wall, run) for tool, times in walls.items() for run, wall in enumerate(times)]
    samples.append(_sample("cp -r", 0.75, operation=Operation.COPY))
    samples.append(_sample("dver", 0.04, operation=Operation.VERSION, workload="startup"))
    samples.append(_sample('python -c "pass"', 0.02, operation=Operation.IMPORT, workload="startup"))
    extents = {"v1": Extent(1, 1024 * _MIB), "v2": Extent(1, 1100 * _MIB)}
    return Results(
        machine={"processor": "Abacus 9"},
        versions={"dver": "dver 7.7", "dvc": "3", "git lfs": "3"},
        workloads={
            "csv": Measured("One file", "2031-02-03", 1.0, 3, extents),
            "startup": Measured("Start-up", "2031-02-03", 1.0, 1, {}),
            "edits": Measured("Edits", "2031-02-03", 1.0, 1, {}),
        },
        samples=samples,
        sizes=[StoreSize("csv", "dver", 0, "v1", 400 * _MIB), StoreSize("csv", "dver", 0, "v2", 420 * _MIB)],
        growth=[
            Growth("edits", "4 KiB overwritten", 4096, 1, 100 * 1024, 2048),
            Growth("edits", "4 KiB overwritten", 4096, 1, 200 * 1024, 2048),
        ],
    )


def _row(page: str, start: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_page_shows_median_spread_and_ratio_to_the_fastest_other_tool(measured: Results) -> None:
    row = _row(report.render(measured), "add v1")
    assert row[1] == "2.50 (2.00–3.00)<br>CPU 1.25"
    assert row[2] == "6.00 (5.00–7.00)<br>CPU 3.00"
    assert row[-1] == "0.417"


def test_page_shows_machine_versions_limits_start_up_stored_bytes_and_growth(measured: Results) -> None:
    page = report.render(measured)
    assert "- processor: Abacus 9" in page
    assert "- dver: dver 7.7" in page
    assert "`cp -r` (to copy the folder): 0.750" in page
    assert _row(page, "print the version")[1].startswith("40.0")
    assert _row(page, '`python -c "pass"`')[1].startswith("20.0")
    assert _row(page, "csv: add v1")[1:] == ["30.0", "30.0", "30.0", "–", "–"]
    assert _row(page, "csv: v2 on top")[1] == "20.0"
    assert _row(page, "edits: 4 KiB overwritten")[1:] == ["4.00", "1", "150", "200", "133", "1 of 2", "2.00"]


def test_failed_operation_is_said_and_has_no_ratio(measured: Results) -> None:
    failed = [replace(item, problem="out of cheese") if item.tool == "dver" else item for item in measured.samples]
    row = _row(report.render(replace(measured, samples=failed)), "add v1")
    assert row[1] == "failed: out of cheese"
    assert row[-1] == "–"


def test_figure_taken_on_a_busy_machine_is_marked(measured: Results) -> None:
    busy = [replace(item, others=item.wall) for item in measured.samples]
    assert _row(report.render(replace(measured, samples=busy)), "add v1")[1].startswith("2.50~")


def test_page_of_a_part_of_the_size_says_so(measured: Results) -> None:
    part = {"csv": replace(measured.workloads["csv"], scale=0.25)}
    assert "at 0.25 of the full size" in report.render(replace(measured, workloads=part))


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head(measured: Results) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", report.render(measured), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_tool_that_is_not_here_says_so_in_its_column(measured: Results) -> None:
    head = _row(report.render(measured), "operation")
    assert head[1] == "dver"
    assert head[4] == "restic (not here)"


def test_git_is_a_column_where_it_was_measured_and_no_rival(measured: Results) -> None:
    page = report.render(replace(measured, samples=[*measured.samples, _sample("git", 0.1)]))
    assert _row(page, "add v1")[-2:] == ["0.100<br>CPU 0.050", "0.417"]


def test_page_shows_requests_bytes_and_how_much_of_the_link_was_used(measured: Results) -> None:
    traffic = Traffic(7, 100 * _MIB, _MIB, 25 * _MIB)
    pushed = replace(_sample("dver", 5.0, operation=Operation.PUSH_LINK), traffic=traffic)
    page = report.render(replace(measured, samples=[*measured.samples, pushed]))
    assert _row(page, "csv: push over the slow link")[1] == "7<br>100 / 1.00<br>80 % of the link"


def test_add_is_compared_with_copying_and_hashing_together(measured: Results) -> None:
    hashed = _sample("b3sum", 0.5, operation=Operation.HASH)
    page = report.render(replace(measured, samples=[*measured.samples, hashed]))
    assert "dver adds v1 at 50 % of the speed of both together." in page


def test_fragmented_file_is_compared_with_a_fresh_one(measured: Results) -> None:
    samples = [
        _sample(tool, wall, operation=Operation.CHECKOUT_ALL, workload=fragments.NAME)
        for tool, wall in ((fragments.FRESH, 1.0), (fragments.EDITED, 1.25))
    ]
    workloads = {fragments.NAME: Measured("Edited", "2031-02-03", 1.0, 1, {"v1": Extent(1, 500 * _MIB)})}
    page = report.render(replace(measured, workloads=workloads, samples=samples))
    assert _row(page, "dver, added once")[-1] == "500"
    assert "That is 80 % of the speed" in page


def test_page_of_no_results_has_no_tables() -> None:
    assert "|" not in report.render(Results({}, {}))


@pytest.mark.parametrize(
    ("value", "shown"), [(0.00412, "0.004"), (1.234, "1.23"), (45.67, "45.7"), (123.4, "123"), (12345.6, "12,346")]
)
def test_figures_have_about_three_digits(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_growth_bound_is_in_proportion_with_a_chunk_on_each_side_of_a_region() -> None:
    assert bound(1000, 0) == 1300
    assert bound(1000, 2) == 1300 + 4 * 65536
