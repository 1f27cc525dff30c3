"""Whoever fetches while a remote is cleaned gets all that is named, wherever either of the two is held up.

The sweep deletes a pack, and copies what is needed of another: a reader is never told that something that is named is
gone, and at worst reads again.
"""

from itertools import count
from pathlib import Path

import pytest

from tests.clones import Clone
from tests.faults.cleaning import Meeting, machine, meetings

# Who is held up until the other is done, and at which request.
_MATTERS = [
    ("read", "list index/"),
    ("read", "range packs/"),
    ("clean", "delete versions/"),
    ("clean", "write index/"),
    ("clean", "delete index/"),
    ("clean", "delete packs/"),
]


def hold_up(meeting: Meeting, who: str, step: int | str, *, knows: bool) -> bool:
    """Hold up one of the two, check that the reader has all, and return whether there was such a request.

    `knows` says that the reader has looked at the index before, so that what it says may be out of date.
    """
    with machine(meeting.folder, "dora"):
        dora = meeting.ann.clone(meeting.folder / "dora")
        if knows:
            with dora.open() as repo:
                repo.remote().index.refresh()

    def read() -> None:
        with machine(meeting.folder, "dora"):
            dora.pull()

    first, other = (read, meeting.clean) if who == "read" else (meeting.clean, read)
    was_there = meeting.run(first, other, step, kills=False)
    if was_there:
        check(meeting, dora)
    return was_there


def check(meeting: Meeting, reader: Clone) -> None:
    """Check that a reader has what is named, that what was garbage is gone, and that the remote is sound."""
    assert reader.data() == meeting.ann.data()
    meeting.check()
    assert not (meeting.folder / "remote/versions" / meeting.garbage.hex()).exists()


@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
def test_a_reader_gets_all_at_the_requests_that_matter(tmp_path: Path, knows: bool) -> None:
    with meetings(tmp_path, "parts", listed=True) as make:
        for who, step in _MATTERS:
            if (knows, step) != (True, "list index/"):
                assert hold_up(make(), who, step, knows=knows), (who, step)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("who", ["clean", "read"])
def test_a_reader_gets_all_at_any_request(tmp_path: Path, who: str, knows: bool) -> None:
    with meetings(tmp_path, "parts", listed=True) as make:
        steps = next(step for step in count() if not hold_up(make(), who, step, knows=knows))
    print(f"{steps} requests")  # noqa: T201
    assert steps > 3
