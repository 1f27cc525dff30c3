"""Growth with size: an index that dver can read, sizes, edits that are small, and plots of it all."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from dver.objects.indexfile import decode_index
from tests.bench import curves, fragments, report, scale
from tests.bench.plot import Plot, draw, exponent
from tests.bench.results import Extent, Measured, Results, Sample


def test_made_up_index_is_one_that_dver_reads_with_as_many_chunks_as_asked_for() -> None:
    chunks = 40_000
    packs = [pack for encoded in scale.synthetic_index(chunks) for pack in decode_index(encoded, "made up")]
    ids = {entry.id for pack in packs for entry in pack.entries}
    assert len(ids) == chunks
    assert all(entry.end <= pack.size for pack in packs for entry in pack.entries)


def test_sizes_of_a_series_shrink_with_the_scale_and_never_repeat() -> None:
    assert [step.size for step in scale.steps(scale.FILES, 1.0)] == [1_000, 10_000, 100_000, 1_000_000]
    assert [step.size for step in scale.steps(scale.FILES, 0.01)] == [200, 1_000, 10_000]


def test_hundred_edits_change_little_and_make_the_file_as_long_as_said(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(1 << 20))
    random = Random(1)
    for number in range(100):
        fragments.edit(path, random, number)
    assert path.stat().st_size == fragments.working_size(1 << 20)
    assert path.read_bytes().count(0) > 1 << 19


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponent_is_the_power_that_the_points_follow(power: float) -> None:
    assert exponent([(x, 3 * x**power) for x in (1, 10, 100)]) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert exponent([(1, 2), (1, 3)]) is None


def test_plot_is_well_formed_and_names_its_lines() -> None:
    plot = Plot("p", "a < b", "files", "s", {"add & go": [(1, 0.1), (1000, 2.0)], "x": [(5, 0.1)]}, str, str)
    root = ET.fromstring(draw(plot))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "add & go", "x", "files", "s"} <= set(texts)


def test_names_at_lines_that_end_together_lie_apart() -> None:
    plot = Plot("p", "t", "x", "y", {name: [(1, 1.0), (10, 1.0)] for name in "abc"}, str, str)
    root = ET.fromstring(draw(plot))
    places = [
        float(item.get("y", "0")) for item in root.iter("{http://www.w3.org/2000/svg}text") if item.text in set("abc")
    ]
    assert len(places) == 3
    assert all(abs(one - other) > 15 for one, other in pairwise(places))


def test_page_shows_each_size_the_exponents_and_the_plots(tmp_path: Path) -> None:
    sizes = (1_000, 10_000)
    names = {size: f"files-{size}" for size in sizes}
    results = Results(
        {},
        {"dver": "7"},
        workloads={name: Measured("", "2031-02-03", 1.0, 1, {"v1": Extent(size, 0)}) for size, name in names.items()},
        samples=[
            Sample(name, "dver", "add v1", 0, size / 1000, 1.0, 50 << 20, None, None) for size, name in names.items()
        ],
    )
    page = report.render(results, "pictures")
    assert "| add | 1<br>50 MiB | 10<br>50 MiB | 1.00 | 1.00 |" in page
    curves.write(results, tmp_path)
    for name in ("files-time", "files-memory"):
        assert f"(pictures/{name}.svg)" in page
        assert (tmp_path / f"{name}.svg").exists()
