"""`dver repro` and the installed dver on a pipeline of real scripts, which say in a log that they ran."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.integration.pipelines import CLEAN, PipelineBase, logged
from tests.templates import copy_template, make_repository

CODE = {
    "clean": CLEAN,
    "split": """\
import os, settings
rows = open("clean/rows.csv").readlines()
cut = int(len(rows) * settings.read("split.share"))
os.makedirs("parts", exist_ok=True)
open("parts/train", "w").writelines(rows[:cut])
open("parts/test", "w").writelines(rows[cut:])
""",
    "train": """\
import settings
rows = [[float(cell) for cell in line.split(",")] for line in open("parts/train")]
weight = 0.0
for x, y in rows * 20:
    weight -= settings.read("train.rate") * (weight * x - y) * x / 10000
open("model", "w").write(repr(weight))
""",
    "evaluate": """\
import json
weight = float(open("model").read())
rows = [[float(cell) for cell in line.split(",")] for line in open("parts/test")]
json.dump({"error": sum(abs(weight * x - y) for x, y in rows)}, open("metrics.json", "w"))
""",
    "report": """\
import json
open("report.md", "w").write(f"The error is {json.load(open('metrics.json'))['error']:.6f}\\n")
""",
}
READER = """\
def read(key):
    section, _, name = key.partition(".")
    found = None
    for line in open("params.yaml"):
        if not line.startswith(" "):
            found = line.strip().rstrip(":")
        elif found == section and line.strip().startswith(name + ":"):
            return float(line.partition(":")[2])
"""
STEPS = {
    "clean": ("-d", "raw", "-o", "clean"),
    "split": ("-d", "clean/rows.csv", "-o", "parts", "-p", "params.yaml:split"),
    "train": ("-d", "parts/train", "-o", "model", "-p", "params.yaml:train.rate"),
    "evaluate": ("-d", "model", "-d", "parts/test", "-o", "metrics.json"),
    "report": ("-d", "metrics.json", "-o", "report.md"),
}
PARAMS = "split:\n  share: 0.5\ntrain:\n  rate: 0.5\n"


class Pipeline(PipelineBase):
    """A repository with five steps."""

    def params(self, old: str = "", new: str = "") -> None:
        """Write the parameters, changed."""
        (self.root / "params.yaml").write_text(PARAMS.replace(old, new) if old else PARAMS)

    def results(self) -> list[str]:
        """Return what the last steps made."""
        return [(self.root / name).read_text() for name in ("model", "metrics.json", "report.md")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    made = Pipeline(make_repository(folder))
    (made.root / "settings.py").write_text(READER)
    (made.root / ".gitignore").write_text("__pycache__\n")
    made.params()
    made.set_up(logged(CODE), "".join(f"{n},{n * 3 + n * 7 % 11}\n" for n in range(100)) + "1,\n")
    made.run_steps(STEPS)
    made.commit("first run")
    assert made.ran() == list(STEPS)
    return folder


@pytest.fixture
def pipeline(template: Path, tmp_path: Path) -> Pipeline:
    """The pipeline after its first run, committed."""
    copy_template(template, tmp_path)
    return Pipeline(tmp_path / "repo")


def test_a_change_runs_exactly_what_depends_on_it_and_going_back_runs_nothing(pipeline: Pipeline) -> None:
    first = pipeline.results()
    assert pipeline.repro() == []
    pipeline.params("rate: 0.5", "rate: 0.25")
    status = pipeline.dver.ok("status")
    assert "Stale:" in status
    assert "model  made with params.yaml:train.rate = 0.5, which is 0.25 now" in status
    assert pipeline.repro("--dry-run") == []
    assert pipeline.results() == first
    assert pipeline.repro() == ["train", "evaluate", "report"]
    assert all(old != new for old, new in zip(first, pipeline.results(), strict=True))
    assert pipeline.dver.ok("status") == "nothing to do: all 6 datasets are unchanged\n"
    pipeline.params()
    assert pipeline.repro() == []
    assert pipeline.results() == first
    assert [record["state"] for record in pipeline.records()[-3:]] == ["cached"] * 3
    assert pipeline.repro() == []


def test_each_kind_of_change_reaches_as_far_as_it_matters(pipeline: Pipeline) -> None:
    pipeline.params("share: 0.5", "share: 0.75")
    assert pipeline.repro("model") == ["split", "train"]
    assert pipeline.repro() == ["evaluate", "report"]
    with (pipeline.root / "report.py").open("a") as file:
        file.write("# a remark\n")
    assert pipeline.repro() == ["report"]
    # What is dropped again in the first step changes nothing beyond it.
    with (pipeline.root / "raw" / "in.csv").open("a") as file:
        file.write("2,\n")
    pipeline.dver.ok("add", "raw")
    assert pipeline.repro() == ["clean"]


def test_a_failure_ends_it_and_the_next_one_goes_on_from_there(pipeline: Pipeline) -> None:
    good = (pipeline.root / "evaluate.py").read_text()
    (pipeline.root / "evaluate.py").write_text(good + "raise SystemExit(9)\n")
    pipeline.params("rate: 0.5", "rate: 0.25")
    assert "failed with exit code 9" in pipeline.dver.fails(9, "repro")
    assert pipeline.ran() == ["train", "evaluate"]
    (pipeline.root / "evaluate.py").write_text(good)
    assert pipeline.repro() == ["evaluate", "report"]


def test_a_clone_restores_everything_from_the_remote(pipeline: Pipeline) -> None:
    pipeline.dver.ok("push")
    copy = Pipeline(pipeline.root.parent / "copy")
    pipeline.git("clone", "--quiet", str(pipeline.root), str(copy.root))
    copy.dver.ok("pull", "raw")
    assert copy.repro() == []
    assert copy.results() == pipeline.results()


def test_branches_with_different_runs_merge_and_both_are_known(pipeline: Pipeline) -> None:
    pipeline.git("checkout", "--quiet", "-b", "other")
    line = shlex.join([sys.executable, "-c", "print(len(open('clean/rows.csv').readlines()))"])
    pipeline.dver.ok("run", "-n", "count", "-d", "clean", "-o", "count", "--shell", "--", f"{line} > count")
    pipeline.commit("count")
    pipeline.git("checkout", "--quiet", "main")
    pipeline.dver.ok("checkout")
    pipeline.params("rate: 0.5", "rate: 0.25")
    assert pipeline.repro() == ["train", "evaluate", "report"]
    pipeline.commit("another rate")
    pipeline.git("merge", "--quiet", "-m", "merge", "other")
    pipeline.dver.ok("checkout")
    names = [record["name"] for record in pipeline.records()]
    assert sorted(names) == sorted([*STEPS, "count", "train", "evaluate", "report"])
    assert pipeline.repro() == []
    (pipeline.root / "count").unlink()
    assert pipeline.repro("count") == []
    assert (pipeline.root / "count").read_text() == "100\n"
