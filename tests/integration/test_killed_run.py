"""Runs of the installed dver that are killed: nothing is lost, and dver says what is unfinished."""

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import GitCommand, installed_dver
from tests.templates import copy_template, make_repository

LINE = "echo $$ > ../pid; mkdir -p out; echo half > out/a; echo half > fresh; touch ../ready; sleep 30"
OUTPUTS = ("-n", "make", "-d", "raw", "-o", "out", "-o", "fresh")


class Place:
    """A repository with raw data and one output that was made before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dver = installed_dver(root, warm=True)

    def set_up(self) -> None:
        """Add the raw data, make the output and commit."""
        self.dver.ok("init")
        (self.root / "raw").write_text("raw\n")
        self.dver.ok("add", "raw")
        self.dver.ok("run", "-d", "raw", "-o", "out", "--shell", "--", "mkdir -p out; cp raw out/a; cp raw out/b")
        git = GitCommand(self.root)
        git("add", "--all")
        git("commit", "--quiet", "-m", "start")

    @contextmanager
    def run(self, *arguments: str, alone: bool = False) -> Iterator["subprocess.Popen[bytes]"]:
        """Start dver, wait until its command is in the middle, and see to it that none of them is left.

        With `alone`, it has no terminal.
        """
        environment = {**os.environ, **self.dver.environment}
        command = [*self.dver.command, *arguments]
        with subprocess.Popen(command, cwd=self.root, env=environment, start_new_session=alone) as process:
            try:
                wait_for(self.root.parent / "ready")
                yield process
            finally:
                process.kill()
                self.kill_command()

    def kill_command(self) -> None:
        """Kill the command, if it still runs, with what it waits for."""
        pid = self.root.parent / "pid"
        if pid.exists():
            subprocess.run(["sh", "-c", f"kill -KILL {pid.read_text()}"], check=False, stderr=subprocess.DEVNULL)
            pid.unlink()

    def unfinished(self) -> list[dict[str, Any]]:
        """Return what status says in JSON."""
        found = json.loads(self.dver.ok("status", "--json"))["unfinished"]
        assert isinstance(found, list)
        return found

    def out(self) -> dict[str, str]:
        """Return the files of the output that was there before."""
        return {path.name: path.read_text() for path in (self.root / "out").iterdir()}


BEFORE = {"a": "raw\n", "b": "raw\n"}


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def wait_for_end(place: Place) -> None:
    """Wait until nobody holds what a killed run held; a child of the command may take a moment."""
    deadline = time.monotonic() + 40
    while [one for one in place.unfinished() if one["state"] == "running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_until_idle(place: Place) -> None:
    """Wait until no run is at work."""
    deadline = time.monotonic() + 30
    while json.loads(place.dver.ok("status", "--json"))["at_work"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Place(make_repository(folder)).set_up()
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    copy_template(template, tmp_path)
    return Place(tmp_path / "repo")


def test_a_run_at_work_is_not_unfinished_and_its_outputs_are_refused_to_others(place: Place) -> None:
    with place.run("run", *OUTPUTS, "--shell", "--", LINE):
        assert place.unfinished() == []
        err = place.dver.fails(3, "run", "-o", "out", "--", "mkdir", "out")
        assert "out: run make is making it" in err
        assert "run make is making it" in place.dver.fails(3, "run", "-d", "out/a", "--", "true")


def test_a_run_at_work_is_shown_by_status_without_hints_that_would_disturb_it(place: Place) -> None:
    with place.run("run", *OUTPUTS, "--shell", "--", LINE):
        status = place.dver.ok("status")
        assert status.startswith("At work:\n  (dver leaves alone what they make, until they end)\n        make: echo ")
        assert "\n          (is making out, fresh)\n" in status
        assert status.endswith("\n\n1 dataset unchanged\n")
        found = json.loads(place.dver.ok("status", "--json"))
        assert [(one["name"], one["state"]) for one in found["at_work"]] == [("make", "at work")]
        assert "At work" not in place.dver.ok("status", "raw")


def test_a_run_at_work_is_not_disturbed_by_other_commands_nor_by_git(place: Place, run_git: GitCommand) -> None:
    git = run_git.at(place.root)
    place.dver.ok("install")
    (place.root / "raw").write_text("new\n")
    place.dver.ok("add", "raw")
    place.dver.ok("run", "-d", "raw", "-o", "out", "--shell", "--", "mkdir -p out; cp raw out/a; cp raw out/b")
    git("commit", "--quiet", "-m", "second")
    line = LINE.replace("sleep 30", "until test -e ../go; do sleep 0.1; done")
    with place.run("run", *OUTPUTS, "--shell", "--", line):
        for words in (("add", "out"), ("rm", "--force", "out"), ("checkout", "--force", "out"), ("mv", "out", "other")):
            assert "out: run make is making it" in place.dver.fails(3, *words)
        result = place.dver("checkout")
        assert (result.returncode, result.stderr) == (0, "dver: out: run make is making it, so it is left alone\n")
        switched = git.run("switch", "--detach", "HEAD~")
        assert "out: run make is making it, so its data was not brought" in switched.stderr
        assert (place.root / "raw").read_text() == "raw\n"
        git("switch", "-")
        assert (place.root / "out/a").read_text() == "half\n"
        (place.root.parent / "go").touch()
        wait_until_idle(place)
    assert place.out() == {"a": "half\n"}
    assert "is making" not in place.dver.ok("status")


def test_a_command_may_use_dver_on_other_paths(place: Place) -> None:
    line = "cp raw other && dver add -q other && dver checkout && dver status > ../seen && cp raw fresh"
    program = place.root.parent / "bin" / "dver"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(place.dver.command)} "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    place.dver.ok("run", "-d", "raw", "-o", "fresh", "--shell", "--", line, env=environment)
    assert "(is making fresh)" in (place.root.parent / "seen").read_text()
    assert (place.root / "fresh").read_text() == "raw\n"
    assert "nothing to do: all 4 datasets" in place.dver.ok("status")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_dver_alone_reaches_the_command_and_outputs_are_put_back(
    place: Place, number: signal.Signals
) -> None:
    with place.run("run", *OUTPUTS, "--shell", "--", LINE.replace("sleep", "exec sleep"), alone=True) as process:
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
    assert (place.out(), place.unfinished()) == (BEFORE, [])
    assert not (place.root / "fresh").exists()


def test_a_killed_run_is_named_and_the_next_one_puts_back_what_was_there(place: Place) -> None:
    with place.run("run", *OUTPUTS, "--shell", "--", LINE.replace("sleep", "exec sleep")) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        place.kill_command()
    wait_for_end(place)
    status = place.dver.ok("status")
    assert "dver add" not in status
    assert status.startswith("Unfinished:\n  (dver repro --recover puts back what was there before;")
    assert "it was killed)\n          (may be half-written: out, fresh)\n" in status
    assert "nothing to do" not in status
    (one,) = place.unfinished()
    assert (one["name"], one["state"], one["outputs"]) == ("make", "killed", ["out", "fresh"])
    assert "Unfinished" not in place.dver.ok("status", "raw")
    assert "nothing can be foretold" in place.dver.fails(3, "repro", "--dry-run")
    result = place.dver("repro")
    assert result.returncode == 0
    assert "put back out; moved what it left of out, fresh to .dver/tmp/failed/killed-" in result.stderr
    assert place.out() == BEFORE
    assert not (place.root / "fresh").exists()
    (left,) = (place.root / ".dver/tmp/failed").glob("killed-*")
    assert ((left / "fresh").read_text(), (left / "out/a").read_text()) == ("half\n", "half\n")
    assert place.dver.ok("status") == "nothing to do: all 2 datasets are unchanged\n"


def test_a_command_that_outlives_dver_is_named_and_left_alone(place: Place) -> None:
    with place.run("run", *OUTPUTS, "--shell", "--", LINE.replace("sleep", "exec sleep")) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        pid = (place.root.parent / "pid").read_text().strip()
        (one,) = place.unfinished()
        assert (one["state"], one["command_pid"]) == ("running", int(pid))
        assert f"dver was killed, the command still runs as process {pid}" in place.dver.ok("status")
        assert f"a command (process {pid}) still writes it" in place.dver.fails(3, "repro")
        assert f"as process {pid}" in place.dver.fails(1, "repro", "--recover")
        for words in (("add", "out"), ("rm", "out"), ("checkout", "--force", "out"), ("mv", "out", "other")):
            assert f"out: a command (process {pid}) still writes it" in place.dver.fails(3, *words)
        assert (place.root / "out/a").read_text() == "half\n"
        place.kill_command()
        wait_for_end(place)
    result = place.dver("repro", "--recover")
    assert (result.returncode, place.out(), place.unfinished()) == (0, BEFORE, [])


def test_side_by_side_all_that_was_killed_is_put_back(place: Place) -> None:
    for name in ("one", "two"):
        line = f"cp raw {name}; test -e ../slow && touch ../ready && exec sleep 3; true"
        place.dver.ok("run", "-n", name, "-d", "raw", "-o", name, "--shell", "--", line)
    (place.root / "raw").write_text("new\n")
    place.dver.ok("add", "raw")
    (place.root.parent / "slow").touch()
    with place.run("repro", "-j", "2", "one", "two") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for_end(place)
    place.dver.ok("repro", "--recover")
    assert [(place.root / name).read_text() for name in ("one", "two")] == ["raw\n", "raw\n"]
    (place.root.parent / "slow").unlink()
    place.dver.ok("repro", "-j", "2", "one", "two")
    assert [(place.root / name).read_text() for name in ("one", "two")] == ["new\n", "new\n"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_side_by_side_a_signal_ends_all_and_outputs_are_put_back(place: Place, number: signal.Signals) -> None:
    for name in ("one", "two"):
        line = f"cp raw {name}; test -e ../slow && touch ../{name}.ready && exec sleep 20; true"
        place.dver.ok("run", "-n", name, "-d", "raw", "-o", name, "--shell", "--", line)
    (place.root / "raw").write_text("new\n")
    place.dver.ok("add", "raw")
    (place.root.parent / "slow").touch()
    environment = {**os.environ, **place.dver.environment}
    command = [*place.dver.command, "repro", "-j", "2", "one", "two"]
    with subprocess.Popen(command, cwd=place.root, env=environment, start_new_session=True) as process:
        for name in ("one", "two"):
            wait_for(place.root.parent / f"{name}.ready")
        # As a terminal does with Ctrl-C; a signal to end goes to dver alone.
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        assert process.wait(timeout=30) == 128 + number
    assert [(place.root / name).read_text() for name in ("one", "two")] == ["raw\n", "raw\n"]
    assert place.unfinished() == []
    text = (place.root / ".dver/lineage.jsonl").read_text()
    states = [json.loads(line)["state"] for line in text.splitlines()[-2:]]
    assert states == ["failed", "failed"]


def test_a_command_that_deletes_its_inputs_publishes_nothing_and_what_was_deleted_can_be_had(place: Place) -> None:
    err = place.dver.fails(3, "run", "-d", "raw", "-o", "out", "--shell", "--", "rm raw; mkdir -p out; echo x > out/a")
    assert "input raw changed while the command ran" in err
    assert place.out() == BEFORE
    place.dver.ok("checkout", "raw")
    assert (place.root / "raw").read_text() == "raw\n"
