"""`dver lineage verify` on a real pipeline, with the installed dver: here, in a clone, and when it is told to end."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import DverCommand
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
rate = json.load(open("params.json"))["lr"]
open("model", "w").write(str(sum(len(line) for line in open("parts/train")) * rate))
""",
    "sample": """\
import os, random
os.makedirs("sample", exist_ok=True)
for number in range(3):
    open(f"sample/{number}", "w").write(str(random.random() if number else "the same"))
""",
}
STEPS = {
    "clean": ("-d", "raw", "-o", "clean"),
    "split": ("-d", "clean/rows.csv", "-o", "parts"),
    "train": ("-d", "parts/train", "-o", "model", "-p", "params.json:lr"),
    "sample": ("-o", "sample"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    made = PipelineBase(make_repository(folder))
    (made.root / "params.json").write_text('{"lr": 0.5}')
    made.set_up(CODE, "".join(f"{number},{number * 7 % 11}\n" for number in range(100)))
    (made.root / "params.json").write_text('{"lr": 0.25}')
    made.run_steps(STEPS)
    made.commit("results")
    made.dver.ok("push")
    return folder


@pytest.fixture
def pipeline(template: Path, tmp_path: Path) -> PipelineBase:
    """Four steps, run, committed and pushed; a parameter was changed before and committed with the results."""
    copy_template(template, tmp_path)
    return PipelineBase(tmp_path / "repo")


def verify(dver: DverCommand, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = dver("lineage", "verify", "--json", *arguments)
    assert result.returncode == code, str(result)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def outcomes(found: dict[str, Any], dver: DverCommand) -> dict[str, str]:
    names = {one["id"]: one["name"] for one in json.loads(dver.ok("runs", "--json"))["runs"]}
    return {names[one["id"]]: one["outcome"] for one in found["reruns"]}


def test_what_is_made_the_same_again_and_what_is_not(pipeline: PipelineBase) -> None:
    # Of the present state nothing counts.
    (pipeline.root / "params.json").write_text('{"lr": 1}')
    (pipeline.root / "train.py").write_text("raise SystemExit(1)")
    before = pipeline.git("status", "--porcelain"), (pipeline.root / ".dver" / "lineage.jsonl").read_bytes()

    found = verify(pipeline.dver, "--rerun", code=1)

    assert outcomes(found, pipeline.dver) == {"clean": "same", "split": "same", "train": "same", "sample": "differs"}
    (sample,) = (one for rerun in found["reruns"] for one in rerun["outputs"] if one["path"] == "sample")
    assert (sample["files"], sample["first"]) == (2, "1")
    assert found["verdict"] == "ok"
    assert (pipeline.git("status", "--porcelain"), (pipeline.root / ".dver" / "lineage.jsonl").read_bytes()) == before


def test_in_a_clone_without_data_all_comes_from_the_remote(pipeline: PipelineBase, tmp_path: Path) -> None:
    pipeline.git("clone", "--quiet", pipeline.root, tmp_path / "clone")
    dver = pipeline.dver.at(tmp_path / "clone")

    found = verify(dver, "--rerun", "model")

    assert outcomes(found, dver) == {"clean": "same", "split": "same", "train": "same"}
    assert all(one["place"].startswith("remote origin") for one in found["artifacts"] if one["place"] != "git")
    assert not (tmp_path / "clone" / "model").exists()


def test_secrets_of_the_environment_reach_the_command_and_nothing_else(pipeline: PipelineBase) -> None:
    line = 'echo "$UPLOAD_TOKEN" | wc -c > out'
    secret = {"UPLOAD_TOKEN": "hunter2-hunter2"}
    pipeline.dver.at(pipeline.root, secret).ok("run", "-n", "token", "-o", "out", "--shell", "--", line)

    result = pipeline.dver("lineage", "verify", "--rerun", "--keep", "out", env=secret)

    assert result.returncode == 0, str(result)
    assert "hunter2" not in result.stdout + result.stderr
    assert pipeline.dver("lineage", "verify", "--rerun", "out").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_rerun_that_is_told_to_end_leaves_nothing_behind(pipeline: PipelineBase, number: signal.Signals) -> None:
    place = pipeline.root.parent / "place"
    # The first time it is quick. A child of the shell must end with it.
    line = f"echo x > out; test -e {place} || {{ pwd > {place}; exit 0; }}; pwd >> {place}; sleep 600 | sleep 600"
    pipeline.dver.ok("run", "-o", "out", "--shell", "--", line)
    process = subprocess.Popen(
        [*pipeline.dver.command, "lineage", "verify", "--rerun", "out"],
        cwd=pipeline.root,
        env={**os.environ, **pipeline.dver.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    with process:
        while len(place.read_text().splitlines()) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        tree = Path(place.read_text().splitlines()[1])
        assert tree.is_dir()
        process.send_signal(number)
        # Pipes that a child holds open would keep this from ending.
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not tree.exists()
    assert len(pipeline.records()) == len(STEPS) + 1


def test_a_rerun_that_kills_itself_has_failed(pipeline: PipelineBase) -> None:
    place = pipeline.root.parent / "place"
    line = f"echo x > out; test -e {place} && kill -KILL $$; touch {place}"
    pipeline.dver.ok("run", "-o", "out", "--shell", "--", line)

    result = pipeline.dver("lineage", "verify", "--rerun", "out")

    assert result.returncode == 1
    assert "failed: exit code 137\n" in result.stdout
