"""Runs that are observed: what is recorded of them, and what it decides later."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dver.errors import NotFoundError
from dver.objects.ids import parse_version
from dver.operations.observe_strace import works
from dver.operations.repro import Ended, Fresh, repro
from dver.operations.repro_plan import plan_repro
from dver.operations.run_params import ParamSource
from dver.operations.run_plan import RunRequest
from dver.operations.run_publish import RunResult
from dver.operations.staleness import find_stale
from dver.records.record import Artifact, Record, State
from tests.clones import Clone
from tests.programs import required_program
from tests.unit.operations.running import reasons, records, run

SCRIPT = """\
import helper
text = open("data/a").read() + open("lookup").read() + open("loose").read()
open("out", "w").write(text)
open("log", "w").write(text)
"""


@pytest.fixture(scope="session")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The strace of this machine."""
    found = required_program("strace")
    if not works(found, os.environ, tmp_path_factory.mktemp("strace")):
        pytest.skip("strace may not trace here")
    return found


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with two datasets, code, and a file that nobody has."""
    clone.write("data/a", b"one\n")
    clone.write("data/b", b"two\n")
    clone.write("lookup", b"three\n")
    clone.write("helper.py", b"")
    clone.write("step.py", SCRIPT.encode())
    clone.add("data", "lookup")
    clone.commit()
    clone.write("loose", b"four\n")
    return clone


def python(script: str = "step.py", **given: Any) -> RunRequest:
    """Return a request to observe a Python script."""
    return replace(RunRequest((sys.executable, script), "", os.environ, outputs=("out",), observe=True), **given)


def shell(line: str, **given: Any) -> RunRequest:
    """Return a request to observe a line for the shell."""
    return replace(python(), command=(line,), shell=True, **given)


def script(clone: Clone, text: str, **given: Any) -> RunRequest:
    """Write a script, and return a request to observe it which declares it."""
    clone.write("other.py", text.encode())
    clone.git("add", "other.py")
    return python("other.py", code=("other.py",), **given)


def seen(artifacts: tuple[Artifact, ...]) -> dict[str, str]:
    """Return path and kind of what was observed."""
    return {artifact.path: artifact.kind for artifact in artifacts if artifact.observed}


def last(clone: Clone) -> Record:
    """Return the last record."""
    return records(clone)[-1]


def test_what_was_not_declared_is_recorded_as_observed(ready: Clone) -> None:
    result = run(ready, python(inputs=("lookup",)))
    record = last(ready)
    assert seen(record.inputs) == {"data/a": "dataset", "helper.py": "code", "step.py": "code", "loose": "file"}
    assert seen(record.outputs) == {"log": "file"}
    assert record.observed
    assert [artifact.path for artifact in record.inputs if not artifact.observed] == ["lookup"]
    part = next(artifact for artifact in record.inputs if artifact.path == "data/a")
    assert (part.dataset, part.dataset_version) == ("data", "b3:" + ready.status().pointer.version.hex())  # type: ignore[union-attr]
    assert result.observed is not None
    assert result.observed.removed == ()


def test_a_run_that_is_not_observed_says_nothing(ready: Clone) -> None:
    assert run(ready, python(observe=False)).observed is None
    assert not last(ready).observed
    assert seen(last(ready).inputs) == {}


def test_what_was_declared_is_not_recorded_again(ready: Clone) -> None:
    wanted = python(inputs=("data", "lookup"), code=("step.py", "helper.py"))
    run(ready, wanted)
    assert seen(last(ready).inputs) == {"loose": "file"}


def test_a_file_of_parameters_is_declared(ready: Clone) -> None:
    ready.write("p.json", json.dumps({"lr": 1}).encode())
    run(ready, script(ready, "open('p.json'); open('out', 'w')", params=(ParamSource("lr", "p.json"),)))
    assert seen(last(ready).inputs) == {}


@pytest.mark.parametrize(
    ("path", "data"), [("loose", b"5"), ("helper.py", b"x = 1"), ("data/a", b"5"), ("lookup", b"5"), ("loose", None)]
)
def test_a_run_is_reused_only_while_all_that_it_read_is_as_it_was(ready: Clone, path: str, data: bytes | None) -> None:
    run(ready, python())
    assert reasons(ready, python()) == []
    if data is None:
        (ready.root / path).unlink()
    else:
        ready.write(path, data)
    assert reasons(ready, python()) == [("observed", path)]
    assert reasons(ready, python(observe=False)) == [("observed", path)]


def test_what_it_did_not_read_may_change(ready: Clone) -> None:
    run(ready, python())
    ready.write("data/b", b"other\n")
    ready.save()
    assert reasons(ready, python()) == []


def test_a_reused_run_says_what_the_first_one_read_and_restores_what_was_declared(ready: Clone) -> None:
    run(ready, python())
    for name in ("out", "log"):
        (ready.root / name).unlink()
    assert run(ready, python()).state is State.CACHED
    first, second = records(ready)
    assert seen(second.inputs) == seen(first.inputs)
    assert [artifact.path for artifact in second.outputs] == ["out"]
    assert second.observed
    assert (ready.root / "out").exists()
    assert not (ready.root / "log").exists()


def test_one_that_was_not_observed_does_not_stand_in_for_one_that_is(ready: Clone) -> None:
    first = run(ready, python(observe=False))
    assert reasons(ready, python()) == [("not observed", first.record)]


def test_going_back_finds_the_run_of_then(ready: Clone) -> None:
    run(ready, python())
    ready.write("loose", b"5\n")
    run(ready, python())
    ready.write("loose", b"four\n")
    assert reasons(ready, python()) == []


def test_what_it_read_and_then_changed_keeps_it_from_being_reused(ready: Clone) -> None:
    wanted = script(ready, "n = open('loose').read()\nopen('loose', 'w').write(n + '1')\nopen('out', 'w').write(n)")
    result = run(ready, wanted)
    assert result.observed is not None
    assert result.observed.changed == ("loose",)
    assert last(ready).key == ""
    assert reasons(ready, wanted) == [("not serving", result.record)]


def test_what_it_made_and_removed_is_told_apart(ready: Clone) -> None:
    text = "import os\nopen('tmp', 'w').close(); open('tmp'); os.remove('tmp'); os.remove('loose'); open('out', 'w')\n"
    result = run(ready, script(ready, text))
    assert result.observed is not None
    assert result.observed.removed == ("loose",)
    assert seen(last(ready).inputs) == {}
    assert seen(last(ready).outputs) == {}


def test_much_of_a_dataset_is_all_of_it_and_many_files_are_their_folder(ready: Clone) -> None:
    for number in range(25):
        ready.write(f"data/{number}", b"%d" % number)
        ready.write(f"pile/{number % 5}/{number}", b"%d" % number)
        ready.write(f"few/{number % 2}", b"%d" % number)
    ready.save()
    text = """\
import glob
for number in range(25): open(f"data/{number}").read()
for path in glob.glob("pile/*/*") + glob.glob("few/*"): open(path).read()
open("out", "w")
"""
    ready.git("rm", "-r", "--quiet", "--cached", "pile", "few")
    wanted = script(ready, text)
    run(ready, wanted)
    assert seen(last(ready).inputs) == {"data": "dataset", "pile": "folder", "few/0": "file", "few/1": "file"}
    assert reasons(ready, wanted) == []
    ready.write("pile/0/new", b"")
    assert reasons(ready, wanted) == [("observed", "pile")]


def test_a_folder_of_a_dataset_that_was_listed_counts_as_read(ready: Clone) -> None:
    wanted = script(ready, "import os; os.listdir('data'); open('out', 'w')")
    run(ready, wanted)
    ready.write("data/new", b"")
    ready.save()
    assert reasons(ready, wanted) == [("observed", "data")]


def test_data_that_was_changed_and_not_added_counts_as_files(ready: Clone) -> None:
    ready.write("data/a", b"changed\n")
    run(ready, python())
    assert seen(last(ready).inputs)["data/a"] == "file"
    assert reasons(ready, python()) == []


def test_a_failed_run_says_what_it_read_and_fails_as_ever(ready: Clone) -> None:
    result = run(ready, script(ready, "open('lookup').read(); raise SystemExit(7)"))
    assert (result.state, result.exit_code) == (State.FAILED, 7)
    assert seen(last(ready).inputs) == {"lookup": "dataset"}


def test_what_was_read_makes_a_result_stale(ready: Clone) -> None:
    run(ready, python())
    made = next(artifact for artifact in last(ready).outputs if artifact.path == "out")
    ready.write("loose", b"5\n")
    ready.write("helper.py", b"x = 1\n")
    with ready.open() as repo:
        found = find_stale(repo, {"out": parse_version(made.version, "out")})
    assert {reason.name for reason in found["out"]} == {"loose", "helper.py"}


def test_repro_runs_what_made_an_observed_input_first_and_observes_again(ready: Clone) -> None:
    run(ready, replace(script(ready, "open('lookup', 'w').write(open('data/a').read())"), outputs=("lookup",)))
    run(ready, python(code=("step.py",)))
    ready.write("data/a", b"changed\n")
    ready.add()
    with ready.open() as repo:
        went = [step for step in repro(repo, plan_repro(repo, ["out"]), os.environ) if isinstance(step, Ended | Fresh)]
    assert [next(one.path for one in step.step.outputs) for step in went] == ["lookup", "out"]
    assert all(isinstance(step, Ended) for step in went)
    assert last(ready).observed
    assert (ready.root / "out").read_text() == "changed\nchanged\nfour\n"


def test_an_undeclared_write_takes_nothing_from_the_run_that_made_it(ready: Clone) -> None:
    first = run(ready, replace(script(ready, "open('lookup', 'w').write('x')"), outputs=("lookup",)))
    ready.write("late.py", b"open('lookup', 'w').write('y'); open('out', 'w')")
    run(ready, python("late.py"))
    with ready.open() as repo:
        maker = repo.lineage.latest_producer("lookup")
    assert maker is not None
    assert maker.id == first.record


def test_names_of_any_bytes_are_seen(ready: Clone) -> None:
    name = b"bad\xff\n"
    ready.write(name, b"x")
    run(ready, script(ready, f"open({name!r}).read(); open('out', 'w')"))
    assert seen(last(ready).inputs) == {os.fsdecode(name): "file"}


def test_nothing_is_left_behind(ready: Clone) -> None:
    run(ready, python())
    assert list((ready.root / ".dver" / "tmp").glob("**/*observe*")) == []


def test_other_programs_are_observed_with_strace(ready: Clone, strace: str) -> None:
    ready.write("tool.sh", b"#!/bin/sh\ncat loose\n", executable=True)
    line = f"cat data/a lookup > out; ./tool.sh | cat >> out; echo x > log; {sys.executable} -c 'import helper'; exit 0"
    result = run(ready, shell(line))
    assert result.state is State.COMPLETE
    found = seen(last(ready).inputs)
    assert found == {
        "data/a": "dataset", "lookup": "dataset", "loose": "file", "tool.sh": "file", "helper.py": "code",
    }  # fmt: skip
    assert seen(last(ready).outputs) == {"log": "file"}
    assert (ready.root / "out").read_text() == "one\nthree\nfour\n"
    assert reasons(ready, shell(line)) == []


@pytest.mark.parametrize(("line", "code"), [("exit 5", 5), ("kill -TERM $$", 143)])
def test_under_strace_a_command_ends_as_without(ready: Clone, strace: str, line: str, code: int) -> None:
    assert run(ready, shell(line)).exit_code == code


def test_a_process_that_is_left_behind_keeps_no_run_waiting(ready: Clone, strace: str) -> None:
    assert run(ready, shell("sleep 20 > /dev/null 2>&1 & echo $! > out")).seconds < 10
    os.kill(int((ready.root / "out").read_text()), 15)


def test_python_that_loads_no_hook_is_observed_with_strace(ready: Clone, strace: str) -> None:
    run(ready, replace(python(), command=(sys.executable, "-I", "-c", "open('lookup'); open('out', 'w')")))
    assert seen(last(ready).inputs) == {"lookup": "dataset"}


def empty_path(tmp_path: Path, strace: str | None) -> dict[str, str]:
    """Return an environment with a shell and, if it is given, a strace of this text."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    if strace is not None:
        (tmp_path / "bin" / "strace").write_text(strace)
        (tmp_path / "bin" / "strace").chmod(0o755)
    return {**os.environ, "PATH": str(tmp_path / "bin")}


@pytest.mark.parametrize(
    ("strace", "message"), [(None, "is not on PATH"), ("#!/bin/sh\nexit 1\n", "does not work here")]
)
def test_without_strace_nothing_is_run(ready: Clone, tmp_path: Path, strace: str | None, message: str) -> None:
    env = empty_path(tmp_path, strace)
    with pytest.raises(NotFoundError, match=message) as caught:
        run(ready, shell("echo > out", env=env))
    assert caught.value.hint
    assert records(ready) == []
    assert not (ready.root / "out").exists()
    assert run(ready, python(env=env)).state is State.COMPLETE


def test_a_run_that_is_reused_needs_no_strace(ready: Clone, tmp_path: Path, strace: str) -> None:
    run(ready, shell("echo > out"))
    result: RunResult = run(ready, shell("echo > out", env=empty_path(tmp_path, None)))
    assert result.state is State.CACHED


def test_a_script_whose_first_line_keeps_the_hook_out_says_that_nothing_was_seen(ready: Clone) -> None:
    ready.write("tool", f"#!{sys.executable} -I\nopen('out', 'w')\n".encode(), executable=True)
    result = run(ready, replace(python(), command=("./tool",)))
    assert result.state is State.COMPLETE
    assert result.observed is not None
    assert not result.observed.is_known
    assert (last(ready).observed, last(ready).key) == (False, "")
