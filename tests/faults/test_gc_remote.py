"""Nothing is lost where one machine cleans a remote while another pushes, wherever either is held up or killed."""

from itertools import count
from pathlib import Path
from unittest.mock import patch

import pytest

from dver.storage.condemned import RESCUE_SECONDS, read_folder
from dver.storage.lease import LEASE_SECONDS
from dver.storage.local import LocalBackend
from tests.faults.cleaning import Aside, Meeting, meetings

_KINDS = ["shares", "same", "new"]
# Who is held up or killed, and at which request, by what the pushed version has to do with the garbage.
_MATTERS = {
    "same": [
        ("clean", "list roots/", False),
        ("clean", "delete versions/", False),
        ("clean", "delete packs/", False),
        ("push", "write roots/", False),
    ],
    "shares": [
        ("clean", "delete index/", False),
        ("clean", "delete packs/", True),
        ("push", "write packs/", False),
        ("push", "write versions/", False),
        ("push", "write versions/", True),
    ],
}


def hold_up(meeting: Meeting, who: str, step: int | str, *, kills: bool) -> bool:
    """Hold up one of the two at a request, check what comes of it, and return whether there was such a request."""
    first, other = (meeting.push, meeting.clean) if who == "push" else (meeting.clean, meeting.push)
    was_there = meeting.run(first, other, step, kills=kills)
    try:
        meeting.settle()
    except BaseException as exc:
        exc.add_note(f"{who} was held up at {step}")
        raise
    return was_there


@pytest.mark.parametrize(("what", "listed"), [("shares", True), ("same", False)], ids=["shares-due", "same-unlisted"])
def test_nothing_is_lost_at_the_requests_that_matter(tmp_path: Path, what: str, listed: bool) -> None:
    with meetings(tmp_path, what, listed=listed) as make:
        for who, step, kills in _MATTERS[what]:
            assert hold_up(make(), who, step, kills=kills)


def nothing() -> None:
    """Let only the time of a request pass."""


@pytest.mark.parametrize("request_before", ["write packs/", "write index/"])
def test_a_push_that_is_killed_after_a_sweep_leaves_nothing_that_looks_whole(
    tmp_path: Path, request_before: str
) -> None:
    with meetings(tmp_path, "shares", listed=False) as make:
        meeting = make()
        # It takes what the push counts on.
        sweep = ("write packs/", lambda: meeting.act(meeting.clean))
        assert meeting.act(meeting.push, sweep, (request_before, nothing), ("list gc/", None))
        meeting.settle()


def test_a_push_that_takes_long_says_again_what_it_counts_on(tmp_path: Path) -> None:
    hours = count(step=5)
    with (
        meetings(tmp_path, "shares", listed=True) as make,
        patch("dver.operations.push_guard.boot_clock", lambda: 3600.0 * next(hours)),
    ):
        meeting = make()
        assert meeting.act(meeting.push, ("write gc/", nothing), ("write gc/", nothing))
        meeting.settle()


@pytest.mark.parametrize("step", ["delete versions/", "delete index/", "delete packs/", "list index/"])
def test_what_a_push_indexes_while_a_sweep_deletes_is_looked_at(tmp_path: Path, step: str) -> None:
    with meetings(tmp_path, "shares", listed=False) as make:
        meeting = make()
        with Aside(meeting, meeting.clean_once, step) as sweep:

            def go() -> None:
                meeting.act(meeting.clean_once)
                sweep.go()

            assert meeting.act(meeting.push, ("write packs/", go), ("write index/", nothing), ("list gc/", None))
        meeting.settle()


def test_a_list_that_is_rescued_too_late_stays_with_the_sweep_that_began_with_it(tmp_path: Path) -> None:
    with meetings(tmp_path, "parts", listed=True) as make:
        meeting = make()

        def die_halfway() -> None:
            """Sweep the pack with the chunks, and not the one with the nodes."""
            assert meeting.act(meeting.clean, ("delete packs/", nothing), ("delete index/", None))

        # It says what it counts on when that has begun to go, and learns of the sweep only then.
        assert meeting.act(meeting.push_another, ("write gc/", die_halfway), ("list gc/", None))
        meeting.expire("lease", LEASE_SECONDS)
        meeting.clean()
        # To be whole again, the version needs nobody's help.
        meeting.push()
        meeting.check(meeting.pushed)
        meeting.expire("rescue", RESCUE_SECONDS)
        meeting.settle()
        assert read_folder(LocalBackend(meeting.folder / "remote")).running == ()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [False, True], ids=["held up", "killed"])
@pytest.mark.parametrize("who", ["clean", "push"])
@pytest.mark.parametrize("listed", [True, False], ids=["due", "unlisted"])
@pytest.mark.parametrize("what", _KINDS)
def test_nothing_is_lost_at_any_request(tmp_path: Path, what: str, listed: bool, who: str, kills: bool) -> None:
    with meetings(tmp_path, what, listed=listed) as make:
        steps = next(step for step in count() if not hold_up(make(), who, step, kills=kills))
    print(f"{steps} requests")  # noqa: T201
    assert steps > 3
