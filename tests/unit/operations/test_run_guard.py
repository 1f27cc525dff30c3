"""What a run is making, others leave alone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dver.errors import DataLossError, LockedError
from dver.objects.merge import Side
from dver.operations.add import add
from dver.operations.checkout import checkout
from dver.operations.drift import find_drift
from dver.operations.drop import drop
from dver.operations.follow import follow, remove_gone
from dver.operations.mv import mv
from dver.operations.resolve import checkout_merging, resolve
from dver.operations.rm import rm
from dver.operations.run_register import RunNote, aside_place, register, this_host
from dver.operations.unfollowed import Move
from tests.clones import Clone
from tests.unit.operations.merging import diverge, merge, write
from tests.unit.operations.running import request, run


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with two versions of `out` and `data`, the second one checked out."""
    for text in (b"one\n", b"two\n"):
        clone.write("data", text)
        clone.write("out", text)
        clone.save("data", "out")
    return clone


@contextmanager
def at_work(clone: Clone, output: str = "out", *, is_killed: bool = False) -> Iterator[None]:
    """Be a run of another process that has begun to make an output; or leave what it leaves when it is killed."""
    note = RunNote("step", ("make",), False, "", (output,), "2026-11-23T14:48:01.123Z", this_host(), os.getppid())
    entry = register(clone.root / ".dver", note)
    if (clone.root / output).exists():
        shutil.move(clone.root / output, aside_place(entry.place, output))
    clone.write(output, b"half")
    if is_killed:
        entry._owner.close()
        entry._note.close()
    yield
    if not is_killed:
        entry.remove()


def test_a_path_that_is_named_is_refused(ready: Clone) -> None:
    with at_work(ready), ready.open() as repo:
        pointer = ready.pointer_text("out")
        for change in (
            lambda: add(repo, ["out"]),
            lambda: add(repo, ["out"], force=True),
            lambda: checkout(repo, None, ["out"]),
            lambda: checkout(repo, "HEAD~", ["data", "out"]),
            lambda: checkout_merging(repo, ["out"]),
            lambda: rm(repo, ["out"], force=True),
            lambda: rm(repo, ["out"], keep=True),
            lambda: drop(repo, ["out"], force=True),
            lambda: mv(repo, "out", "other"),
            lambda: mv(repo, "data", "out/data"),
        ):
            with pytest.raises(LockedError, match=r"^out(/data)?: run step is making it") as caught:
                change()
            assert "wait" in (caught.value.hint or "")
        assert ready.pointer_text("out") == pointer
        assert (ready.root / "out").read_bytes() == b"half"
        assert (ready.root / "data").read_bytes() == b"two\n"


@pytest.mark.parametrize("rev", [None, "HEAD~"])
def test_a_checkout_of_everything_leaves_it_alone_with_its_pointer(ready: Clone, rev: str | None) -> None:
    (ready.root / "data").unlink()
    with at_work(ready), ready.open() as repo:
        pointer = ready.pointer_text("out")
        for paths in ([], [""]):
            plan = checkout(repo, rev, paths)
            assert [problem.message for problem in plan.spared] == ["out: run step is making it"]
        assert (ready.root / "data").read_bytes() == (b"one\n" if rev else b"two\n")
        assert (ready.root / "out").read_bytes() == b"half"
        assert ready.pointer_text("out") == pointer
        if rev is None:
            assert len(checkout_merging(repo).plan.spared) == 1
    assert ready.checkout(None, force=True).spared == ()


def test_data_does_not_follow_git_where_a_run_makes_it(ready: Clone) -> None:
    before = ready.git("rev-parse", "HEAD").strip()
    with at_work(ready), ready.open() as repo:
        ready.git("checkout", "--quiet", "HEAD~")
        data, out = follow(repo, Move(before))
        assert (data.dataset, data.problem, (ready.root / "data").read_bytes()) == ("data", None, b"one\n")
        assert isinstance(out.problem, LockedError)
        assert "dver checkout out" in (out.problem.hint or "")
        assert (ready.root / "out").read_bytes() == b"half"
    ready.checkout(None, "out", force=True)
    assert (ready.root / "out").read_bytes() == b"one\n"


def test_what_git_took_the_pointer_of_stays_where_a_run_makes_it(ready: Clone) -> None:
    ready.git("rm", "--quiet", "out.dver")
    ready.git("commit", "--quiet", "-m", "no out")
    with at_work(ready), ready.open() as repo:
        before = Move("HEAD~")
        assert [type(one.problem) for one in follow(repo, before)] == [LockedError]
        assert all(isinstance(one.problem, LockedError) for one in remove_gone(repo))
        assert (ready.root / "out").read_bytes() == b"half"


def test_a_merge_conflict_is_not_decided_where_a_run_makes_the_data(clone: Clone) -> None:
    clone.write("data", b"base")
    clone.save()
    diverge(clone, write("data", b"ours"), write("data", b"theirs"), "data")
    merge(clone)
    torn = clone.pointer_text("data")
    with at_work(clone, "data"), clone.open() as repo:
        assert len(resolve(repo, Side.THEIRS).plan.spared) == 1
        assert len(checkout_merging(repo).plan.spared) == 1
        with pytest.raises(LockedError):
            resolve(repo, Side.THEIRS, ["data"])
        assert (clone.root / "data").read_bytes() == b"half"
    assert clone.pointer_text("data") == torn


def test_a_commit_is_not_held_up_by_what_a_run_makes(ready: Clone) -> None:
    with at_work(ready), ready.open() as repo:
        ready.write("data", b"changed")
        data, out = find_drift(repo)
        assert (data.status.dataset, data.in_hand) == ("data", None)
        assert out.in_hand is not None
        assert out.in_hand.message == "out: run step is making it"


def test_a_run_may_use_and_make_other_things_meanwhile(ready: Clone) -> None:
    with at_work(ready):
        assert run(ready, request("cat data > copy", inputs=("data",), outputs=("copy",))).added
        assert run(ready, request("cat data > copy", inputs=("data",), outputs=("copy",))).restored is not None
        ready.write("data", b"three")
        ready.add("data")
        ready.checkout(None, "data")


def test_what_a_killed_run_left_is_nobodys_until_it_is_cleared_up_after(ready: Clone) -> None:
    with at_work(ready, is_killed=True), ready.open() as repo:
        for change in (
            lambda: add(repo, ["out"], force=True),
            lambda: rm(repo, ["out"], force=True),
            lambda: mv(repo, "out", "other"),
        ):
            with pytest.raises(LockedError, match="out: a run that was killed was making it") as caught:
                change()
            assert caught.value.hint == "dver repro --recover puts back what was there before"
        with pytest.raises(DataLossError) as lost:
            checkout(repo, None, ["out"])
        assert lost.value.hint == "dver repro --recover puts back what was there before"
        assert (ready.root / "out").read_bytes() == b"half"
