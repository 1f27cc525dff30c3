"""What is done after dver was killed in the middle of a run."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from dver.errors import DverError, LockedError, PathError
from dver.operations.run import started_run
from dver.operations.run_plan import plan_run
from dver.operations.run_recover import Recovered, check_recovered, recover, recover_for_run, unfinished_runs
from dver.operations.run_register import FoundRun, Life, RunNote, aside_place, register, this_host
from dver.records.record import State
from tests.clones import Clone
from tests.unit.operations.running import records, request, run

MAKE = request("echo one > out; mkdir dir; echo 1 > dir/a", outputs=("out", "dir"))


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone in which the step was run."""
    clone.write("data/a", b"one\n")
    clone.save()
    run(clone, MAKE)
    return clone


def kill(
    clone: Clone, *, outputs: tuple[str, ...] = ("out", "dir"), host: str = "", publishes: bytes | None = None
) -> RunNote:
    """Leave what a run leaves that is killed when its outputs have been set aside, or when it has published them."""
    moment = "2026-11-23T14:48:01.123Z"
    note = RunNote("step", ("make",), False, "", outputs, moment, host or this_host(), os.getpid())
    entry = register(clone.root / ".dver", note)
    for path in outputs:
        root = clone.root / path
        if root.exists():
            shutil.move(root, aside_place(entry.place, path))
        if publishes is not None:
            clone.write(path, publishes)
            clone.add(path)
    entry._owner.close()
    entry._note.close()
    return note


def recover_all(clone: Clone, *paths: str) -> tuple[list[Recovered], list[FoundRun]]:
    with clone.open() as repo:
        return recover(repo, paths)


def is_clean(clone: Clone) -> bool:
    return all(clone.status(path).state == "unchanged" for path in ("out", "dir"))


def test_what_was_set_aside_is_put_back_and_what_was_left_is_kept(ready: Clone) -> None:
    kill(ready)
    ready.write("out", b"half")
    ready.write("dir/new", b"half")
    ((done,), alive) = recover_all(ready)
    assert (done.restored, done.moved, alive) == (("out", "dir"), ("out", "dir"), [])
    assert is_clean(ready)
    assert (ready.root / "out").read_bytes() == b"one\n"
    assert sorted(os.listdir(ready.root / "dir")) == ["a"]
    assert (done.leftovers / "out").read_bytes() == b"half"
    assert (done.leftovers / "dir/new").read_bytes() == b"half"
    assert list((ready.root / ".dver/tmp/runs").iterdir()) == []
    assert recover_all(ready) == ([], [])


def test_an_empty_folder_is_nothing_that_a_command_left(ready: Clone) -> None:
    kill(ready)
    (ready.root / "dir").mkdir()
    ((done,), _) = recover_all(ready)
    assert (done.restored, done.moved) == (("out", "dir"), ())
    assert is_clean(ready)
    assert not done.leftovers.exists()


def test_an_output_that_was_never_there_before_is_only_moved_away(clone: Clone) -> None:
    kill(clone, outputs=("new",))
    clone.write("new/a", b"half")
    ((done,), _) = recover_all(clone)
    assert (done.restored, done.moved) == ((), ("new",))
    assert not (clone.root / "new").exists()
    assert (done.leftovers / "new/a").read_bytes() == b"half"


def test_outputs_that_are_whole_versions_again_are_left_alone(ready: Clone) -> None:
    kill(ready)
    ready.checkout(None, "out", "dir")
    ((done,), _) = recover_all(ready)
    assert (done.restored, done.moved) == ((), ())
    assert is_clean(ready)
    assert sorted(os.listdir(ready.root / "dir")) == ["a"]


def test_a_run_that_was_killed_between_publishing_and_recording_keeps_what_it_published(ready: Clone) -> None:
    before = len(records(ready))
    kill(ready, outputs=("out",), publishes=b"two\n")
    recover_all(ready)
    assert (ready.root / "out").read_bytes() == b"two\n"
    assert len(records(ready)) == before


def test_what_the_killed_one_left_outlives_later_failures(ready: Clone) -> None:
    kill(ready)
    ready.write("out", b"half")
    ((done,), _) = recover_all(ready)
    fails = replace(MAKE, command=("echo worse > out; exit 1",))
    first, second = run(ready, fails), run(ready, fails)
    assert first.leftovers is not None
    assert second.leftovers is not None
    assert (done.leftovers / "out").read_bytes() == b"half"
    # Of one process, as where several steps of a repro fail side by side.
    assert (first.leftovers / "out").read_bytes() == b"worse\n"


def test_failures_of_earlier_commands_are_forgotten_at_the_next_one(ready: Clone) -> None:
    ready.write(".dver/tmp/failed/20261123144801-999999999-1/out", b"old")
    result = run(ready, replace(MAKE, command=("echo worse > out; exit 1",)))
    assert result.leftovers is not None
    assert list((ready.root / ".dver/tmp/failed").iterdir()) == [result.leftovers]


@pytest.mark.parametrize("wanted", [MAKE, request("cat out > new", inputs=("out",), outputs=("new",))])
def test_the_next_run_of_an_output_or_with_it_clears_up_first(ready: Clone, wanted: object) -> None:
    assert isinstance(wanted, type(MAKE))
    kill(ready)
    ready.write("out", b"half")
    with ready.open() as repo:
        plan = plan_run(repo, wanted)
    assert [one.restored for one in plan.recovered] == [("out", "dir")]
    assert is_clean(ready)
    assert run(ready, wanted).state in (State.CACHED, State.COMPLETE)


def test_a_run_of_something_else_leaves_it_as_it_is(ready: Clone) -> None:
    kill(ready)
    assert run(ready, request("echo 1 > other", outputs=("other",))).state is State.COMPLETE
    with ready.open() as repo:
        assert len(unfinished_runs(repo)) == 1
        assert recover(repo, ["other"]) == ([], [])


def test_a_killed_run_without_outputs_is_forgotten_when_its_command_runs_again(ready: Clone) -> None:
    kill(ready, outputs=())
    with ready.open() as repo:
        assert recover_for_run(repo, ["out"], ("other",)) == ()
        assert len(recover_for_run(repo, [], ("make",))) == 1


def test_a_dry_run_does_not_clear_up_and_says_what_does(ready: Clone) -> None:
    kill(ready)
    with ready.open() as repo:
        with pytest.raises(DverError, match="a run that was killed was making it") as caught:
            check_recovered(repo, ["dir/a"])
        check_recovered(repo, ["data"])
    assert "dver repro --recover" in (caught.value.hint or "")
    assert not (ready.root / "out").exists()


def test_what_a_living_run_makes_is_not_touched_nor_used(ready: Clone) -> None:
    with ready.open() as repo, ready.open() as other:
        forced = replace(MAKE, command=("true",))
        with started_run(repo, plan_run(repo, forced)):
            for wanted in (MAKE, request("true", inputs=("out",)), request("echo > dir/x", outputs=("dir/x",))):
                with pytest.raises(LockedError, match="another dver run is making it"):
                    plan_run(other, wanted)
            assert recover(other) == ([], [])
            assert unfinished_runs(other) == []
    assert is_clean(ready)


def test_runs_within_each_others_outputs_are_not_begun(clone: Clone) -> None:
    inner, outer = request("echo > new/x", outputs=("new/x",)), request("mkdir new", outputs=("new",))
    with clone.open() as repo, clone.open() as other:
        plan = plan_run(other, inner)
        with started_run(repo, plan_run(repo, outer)), pytest.raises(LockedError, match="new/x: another dver run"):
            started_run(other, plan).__enter__()


def test_a_run_of_another_machine_is_cleared_up_only_when_told_to(ready: Clone) -> None:
    kill(ready, host="elsewhere")
    with ready.open() as repo:
        assert [one.life for one in unfinished_runs(repo)] == [Life.ELSEWHERE]
        with pytest.raises(LockedError, match="a run on elsewhere was making it") as caught:
            recover_for_run(repo, ["out"])
    assert "dver repro --recover" in (caught.value.hint or "")
    assert len(recover_all(ready)[0]) == 1
    assert is_clean(ready)


def test_a_note_that_leads_through_a_link_out_of_the_repository_moves_nothing(clone: Clone) -> None:
    outside = clone.root.parent / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"precious")
    kill(clone, outputs=("link/x",))
    (clone.root / "link").symlink_to(outside)
    with pytest.raises(DverError, match="lies behind the symbolic link"):
        recover_all(clone)
    assert (outside / "x").read_bytes() == b"precious"


def test_an_attempt_to_recover_that_failed_part_way_leaves_what_it_moved(clone: Clone) -> None:
    kill(clone, outputs=("new",))
    (place,) = (clone.root / ".dver/tmp/runs").iterdir()
    clone.write(f".dver/tmp/failed/killed-{place.name}/new/a", b"first")
    clone.write(f".dver/tmp/failed/killed-{place.name}/new-2", b"second")
    clone.write("new/a", b"third")
    ((done,), _) = recover_all(clone)
    assert [(done.leftovers / one).read_bytes() for one in ("new/a", "new-2", "new-3/a")] == [
        b"first",
        b"second",
        b"third",
    ]


def test_a_failure_removes_what_earlier_ones_left_unless_somebody_is_at_it(ready: Clone) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        settling = RunNote("step", ("make",), False, "", ("x",), "2026-11-23T14:48:01.123Z", "elsewhere", 999999999)
        entry = register(ready.root / ".dver", settling)
        names = {"20261123144801-999999998-1", f"20261123144801-{child.pid}-1", entry.place.name, "odd"}
        for name in names:
            ready.write(f".dver/tmp/failed/{name}/out", b"old")
        result = run(ready, request("echo half > out; exit 1", outputs=("out",)))
        assert result.leftovers is not None
        entry.remove()
        found = {path.name for path in (ready.root / ".dver/tmp/failed").iterdir()}
        assert found == {f"20261123144801-{child.pid}-1", entry.place.name, result.leftovers.name}
    finally:
        child.kill()
        child.wait()


def test_an_output_that_cannot_be_moved_away_is_named(ready: Clone) -> None:
    kill(ready, outputs=("out",))
    ready.write("out", b"half")
    (ready.root / ".dver/tmp/failed").write_bytes(b"")
    with pytest.raises(PathError, match="failed: is in the way"):
        recover_all(ready)
