"""A pipeline of real commands with the installed dver: what changes runs again, what was there before comes back."""

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.pipelines import CLEAN, PipelineBase
from tests.templates import copy_template, make_repository

CODE = {
    "clean": CLEAN,
    "split": """\
import os
rows = open("clean/rows.csv").readlines()
os.makedirs("parts", exist_ok=True)
open("parts/train", "w").writelines(rows[: len(rows) // 2])
open("parts/test", "w").writelines(rows[len(rows) // 2 :])
""",
    "train": """\
import json
rate = json.load(open("params.json"))["train"]["lr"]
total = sum(int(line.split(",")[1]) for line in open("parts/train"))
open("model", "w").write(str(total * rate))
""",
    "evaluate": """\
import json
score = float(open("model").read()) + len(open("parts/test").readlines())
json.dump({"score": score}, open("metrics.json", "w"))
""",
}
STEPS = {
    "clean": ("-d", "raw", "-o", "clean"),
    "split": ("-d", "clean/rows.csv", "-o", "parts"),
    "train": ("-d", "parts/train", "-o", "model", "-p", "params.json:train.lr"),
    "evaluate": ("-d", "model", "-d", "parts/test", "-o", "metrics.json"),
}


class Pipeline(PipelineBase):
    """A repository with four steps."""

    def run(self) -> list[str]:
        """Run all steps in order, and return the states of their records."""
        before = len(self.records())
        self.run_steps(STEPS)
        return [record["state"] for record in self.records()[before:]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    made = Pipeline(make_repository(folder))
    (made.root / "params.json").write_text('{"train": {"lr": 0.5}}')
    made.set_up(CODE, "".join(f"{n},{n * 7 % 11},x\n" for n in range(200)) + "1,,x\n")
    return folder


@pytest.fixture
def pipeline(template: Path, tmp_path: Path) -> Pipeline:
    """The pipeline with raw data, committed, before its first run."""
    copy_template(template, tmp_path)
    return Pipeline(tmp_path / "repo")


def test_a_change_runs_again_what_depends_on_it_and_going_back_runs_nothing(pipeline: Pipeline) -> None:
    assert pipeline.run() == ["complete"] * 4
    pipeline.commit("first")
    metrics = (pipeline.root / "metrics.json").read_text()
    assert pipeline.run() == ["cached"] * 4
    (pipeline.root / "params.json").write_text('{"train": {"lr": 0.25}}')
    assert pipeline.run() == ["cached", "cached", "complete", "complete"]
    assert (pipeline.root / "metrics.json").read_text() != metrics
    (pipeline.root / "params.json").write_text('{"train": {"lr": 0.5}}')
    assert pipeline.run() == ["cached"] * 4
    assert (pipeline.root / "metrics.json").read_text() == metrics
    made = {(one["path"], one["version"]) for record in pipeline.records() for one in record.get("outputs", ())}
    parts = [one for record in pipeline.records() for one in record["inputs"] if "dataset" in one]
    assert parts
    assert {(one["dataset"], one["dataset_version"]) for one in parts} <= made


def test_a_clone_restores_from_the_remote_what_was_run_elsewhere(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.commit("ran")
    pipeline.dver.ok("push")
    copy = Pipeline(pipeline.root.parent / "copy")
    pipeline.git("clone", "--quiet", str(pipeline.root), str(copy.root))
    copy.dver.ok("pull", "raw")
    assert copy.run() == ["cached"] * 4
    assert (copy.root / "metrics.json").read_text() == (pipeline.root / "metrics.json").read_text()


def test_a_merge_of_two_branches_keeps_the_runs_of_both(pipeline: Pipeline) -> None:
    pipeline.git("branch", "other")
    pipeline.dver.ok("run", "-n", "a", "-d", "raw", "-o", "a", "--shell", "--", "wc -l raw/in.csv > a")
    pipeline.commit("a")
    pipeline.git("switch", "--quiet", "other")
    pipeline.dver.ok("run", "-n", "b", "-d", "raw", "-o", "b", "--shell", "--", "sort raw/in.csv | uniq > b")
    pipeline.commit("b")
    pipeline.git("checkout", "--quiet", "--force", "main")
    lineage = pipeline.git("merge-file", "--union", "-p", *_sides(pipeline))
    assert {json.loads(line)["name"] for line in lineage.splitlines()} == {"a", "b"}
    (pipeline.root / ".dver" / "lineage.jsonl").write_text(lineage)
    result = pipeline.dver("run", "-n", "a", "-d", "raw", "-o", "a", "--shell", "--", "wc -l raw/in.csv > a")
    assert "reused" in result.stderr


def _sides(pipeline: Pipeline) -> list[str]:
    """Return the lineage files of both branches and their base as files."""
    paths = []
    for side, rev in (("ours", "main"), ("base", None), ("theirs", "other")):
        path = pipeline.root.parent / side
        path.write_text("" if rev is None else pipeline.git("show", f"{rev}:.dver/lineage.jsonl"))
        paths.append(str(path))
    return paths


def test_input_and_output_are_those_of_the_command(pipeline: Pipeline) -> None:
    result = pipeline.dver("run", "--", "sh", "-c", "tr a-z A-Z; echo problem >&2", stdin="hello")
    assert result.stdout == "HELLO"
    assert "problem\n" in result.stderr


def test_a_command_may_call_dver_itself(pipeline: Pipeline) -> None:
    line = f"{shlex.join(pipeline.dver.command)} add --no-stage more && echo done > out"
    (pipeline.root / "more").write_text("more")
    env = {"PATH": os.environ["PATH"]}
    pipeline.dver.at(pipeline.root, env).ok("run", "-o", "out", "--shell", "--", line)
    assert (pipeline.root / "more.dver").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_is_recorded_with_how_it_ended(pipeline: Pipeline, number: signal.Signals) -> None:
    line = "trap 'exit 4' TERM INT; touch ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*pipeline.dver.command, "run", "-d", "raw", "-o", "out", "--shell", "--", line],
        cwd=pipeline.root,
        env={**os.environ, **pipeline.dver.environment},
        stderr=subprocess.PIPE,
        process_group=0,
    )
    with process:
        while not (pipeline.root / "ready").exists():
            assert process.poll() is None
            time.sleep(0.02)
        # From a terminal, Ctrl-C goes to the whole group; a supervisor's signal to dver alone.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert b"failed with exit code 4" in err
    (record,) = pipeline.records()
    assert (record["state"], record["exit"]) == ("failed", 4)
