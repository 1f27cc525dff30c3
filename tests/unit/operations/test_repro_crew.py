"""Steps that run side by side."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from dver.errors import CommandNotStartedError, PathError
from dver.operations.repro import Begun, Beside, Ended, Fresh, repro
from dver.operations.repro_plan import StepQueue, plan_repro
from dver.operations.run_command import LineSink
from dver.operations.run_plan import RunRequest
from dver.records.record import Record, State
from tests.clones import Clone
from tests.unit.operations.running import records, request, run

# Each waits until the other has begun as well, and gives up where that never happens.
MEET = """\
touch {me}.here
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  test -e {other}.here && break; sleep 0.1; done
test -e {other}.here || exit 9
echo {me} was here; cat raw/a > {me}
"""


def step(name: str, line: str, *inputs: str) -> RunRequest:
    return request(line, name=name, inputs=inputs or ("raw",), outputs=(name,))


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with raw data, and a file that git ignores by which steps are told to fail."""
    clone.write("raw/a", b"one\n")
    clone.write(".gitignore", b"*.here\nlog\n")
    clone.save("raw")
    return clone


def make(clone: Clone, *steps: RunRequest) -> None:
    """Run steps, and make them stale."""
    for name in "ab":
        clone.write(f"{name}.here", b"")
    for wanted in steps:
        assert run(clone, wanted).state is State.COMPLETE
    for name in "ab":
        (clone.root / f"{name}.here").unlink()
    clone.write("raw/a", b"two\n")
    clone.add("raw")


class Lines:
    """What steps wrote, by name."""

    def __init__(self) -> None:
        self.by_step: dict[str, list[bytes]] = {}

    def sink_for(self, step: Record) -> LineSink:
        """Return what takes the lines of a step."""
        found = self.by_step.setdefault(step.name, [])
        return lambda line, _is_error: found.append(line)


def again(
    clone: Clone, jobs: int = 2, *, lines: Lines | None = None, on_begun: Callable[[str], None] = lambda _name: None
) -> list[tuple[str, str]]:
    """Run repro, and return the names of the steps with what was done about them, in order."""
    with clone.open() as repo:
        found = []
        for one in repro(repo, plan_repro(repo), os.environ, beside=Beside(jobs, (lines or Lines()).sink_for)):
            if isinstance(one, Fresh):
                found.append((one.step.name, "fresh"))
            elif isinstance(one, Begun):
                found.append((one.step.name, "begun"))
                on_begun(one.step.name)
            elif isinstance(one, Ended):
                found.append((one.step.name, one.result.state.value))
        return found


def test_steps_that_do_not_need_each_other_run_at_the_same_time(ready: Clone) -> None:
    make(ready, step("a", MEET.format(me="a", other="b")), step("b", MEET.format(me="b", other="a")))
    lines = Lines()
    found = again(ready, lines=lines)
    assert found[:2] == [("a", "begun"), ("b", "begun")]
    assert sorted(found[2:]) == [("a", "complete"), ("b", "complete")]
    assert lines.by_step == {"a": [b"a was here"], "b": [b"b was here"]}
    assert (ready.root / "b").read_bytes() == b"two\n"
    assert ready.status("a").state == "unchanged"


def test_no_more_run_at_once_than_asked_for(ready: Clone) -> None:
    line = "mkdir only.here || exit 9; sleep 0.05; cat raw/a > {0}; rmdir only.here"
    make(ready, *(step(name, line.format(name)) for name in "abc"))
    assert [what for _, what in again(ready, jobs=1)] == ["begun", "complete"] * 3


def test_what_needs_others_comes_after_them(ready: Clone) -> None:
    make(
        ready,
        step("a", "sleep 0.2; cat raw/a > a"),
        step("b", "cat raw/a > b"),
        step("c", "cat a b > c", "a", "b"),
        step("d", "cat b > d", "b"),
    )
    found = again(ready, jobs=4)
    assert found.index(("c", "begun")) > max(found.index(("a", "complete")), found.index(("b", "complete")))
    assert found.index(("d", "begun")) > found.index(("b", "complete"))
    assert (ready.root / "c").read_bytes() == b"two\ntwo\n"
    assert {what for _, what in again(ready, jobs=4)} == {"fresh"}


def test_earlier_runs_serve_while_others_run(ready: Clone) -> None:
    make(ready, step("a", "cat raw/a > a"), step("b", "cat a > b", "a"), step("c", "cat raw/a > c"))
    again(ready)
    ready.write("raw/a", b"one\n")
    ready.add("raw")
    assert [what for _, what in again(ready)].count("cached") == 3
    assert (ready.root / "b").read_bytes() == b"one\n"


def test_after_a_failure_nothing_is_begun_and_what_runs_is_recorded(ready: Clone) -> None:
    make(
        ready,
        step("a", "cat raw/a > a; grep -q two raw/a && exit 7; true"),
        step("b", "sleep 0.5; cat raw/a > b"),
        step("c", "cat raw/a > c"),
        step("d", "cat a > d", "a"),
    )
    found = again(ready)
    assert found == [("a", "begun"), ("b", "begun"), ("a", "failed"), ("b", "complete")]
    assert [(one.name, one.state.value) for one in records(ready)[-2:]] == [("a", "failed"), ("b", "complete")]
    assert (ready.root / "a").read_bytes() == b"one\n"


def test_an_error_ends_it_when_what_runs_has_ended(ready: Clone) -> None:
    make(ready, step("a", "sleep 0.5; cat raw/a > a"), step("b", "cat raw/a > b", "raw", "code"))
    (ready.root / "code").unlink()
    with pytest.raises(PathError, match="code: "):
        again(ready)
    assert (records(ready)[-1].name, records(ready)[-1].state) == ("a", State.COMPLETE)


@pytest.fixture(autouse=True)
def code(ready: Clone) -> None:
    """A file that git tracks."""
    ready.write("code", b"1")
    ready.git("add", "code")


def test_a_command_that_cannot_start_leaves_all_as_it_was(ready: Clone) -> None:
    ready.write("tool.here", b"#!/bin/sh\ncat raw/a > a\n")
    (ready.root / "tool.here").chmod(0o755)
    tool = replace(step("a", ""), command=("./tool.here",), shell=False)
    make(ready, tool, step("b", "sleep 0.3; cat raw/a > b"))
    (ready.root / "tool.here").unlink()
    with pytest.raises(CommandNotStartedError):
        again(ready)
    assert (ready.root / "a").read_bytes() == b"one\n"
    assert records(ready)[-1].name == "b"
    assert list((ready.root / ".dver/tmp/runs").iterdir()) == []


def test_a_signal_to_end_reaches_all_commands_and_outputs_are_put_back(ready: Clone) -> None:
    line = "touch {0}.here; cat raw/a > {0}; grep -q two raw/a && exec sleep 20; true"
    make(ready, *(step(name, line.format(name)) for name in "abc"))

    def send() -> None:
        while not ((ready.root / "a.here").exists() and (ready.root / "b.here").exists()):
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    found = again(ready)
    sender.join()
    assert sorted(found) == [("a", "begun"), ("a", "failed"), ("b", "begun"), ("b", "failed")]
    assert [one.exit_code for one in records(ready)[-2:]] == [143, 143]
    assert (ready.root / "a").read_bytes() == b"one\n"
    assert ready.status("b").state == "unchanged"


def test_an_interrupt_that_commands_survive_ends_dver_after_them(ready: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if it had been typed, and had not reached the commands.
    monkeypatch.setattr("dver.operations.run_command._is_in_foreground", lambda: True)
    make(ready, *(step(name, f"sleep 0.3; cat raw/a > {name}") for name in "abc"))

    def interrupt(name: str) -> None:
        if name == "b":
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        again(ready, on_begun=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert sorted(one.name for one in records(ready)[3:]) == ["a", "b"]
    assert (ready.root / "c").read_bytes() == b"one\n"


def test_leaving_it_in_the_middle_ends_the_commands_and_puts_outputs_back(ready: Clone) -> None:
    make(ready, *(step(name, f"cat raw/a > {name}; grep -q two raw/a && exec sleep 20; true") for name in "ab"))
    before = len(records(ready))
    with ready.open() as repo:
        going = repro(repo, plan_repro(repo), os.environ, beside=Beside(2, Lines().sink_for))
        next(going)
        next(going)
        going.close()
    assert (ready.root / "a").read_bytes() == b"one\n"
    assert len(records(ready)) == before
    assert list((ready.root / ".dver/tmp/runs").iterdir()) == []


def test_steps_with_outputs_in_each_other_are_never_taken_at_once(ready: Clone) -> None:
    make(ready, step("a", "cat raw/a > a"), step("b", "cat raw/a > b"))
    with ready.open() as repo:
        queue = StepQueue(plan_repro(repo))
    assert queue.take(["a/part", "b"]) is None
    first = queue.take(["a"])
    assert first is not None
    assert first.name == "b"
    second = queue.take([])
    assert second is not None
    assert second.name == "a"
    assert queue.take([]) is None
