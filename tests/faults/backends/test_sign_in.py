"""Credentials that ran out, that may only read, and clocks that differ, for each command; and uploads that hang."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dver.cli.session import Session
from tests.cli.runner import Cli
from tests.faults.backends.bad_days import COMMANDS, BadDay, FirstTimes
from tests.faults.backends.faulty_s3 import Fault, FaultyS3, Request, S3Failure, Slow

REFUSED = {
    "log in again": S3Failure(400, "ExpiredToken"),
    "set this machine's clock": S3Failure(403, "RequestTimeTooSkewed"),
}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, none of which takes any time."""
    made: list[float] = []
    monkeypatch.setattr(Session, "wait", lambda _session, seconds: made.append(seconds))
    return made


@pytest.fixture
def day(faulty_s3: FaultyS3, tmp_path: Path) -> BadDay:
    """Repositories with a remote on the server."""
    made = BadDay(faulty_s3, tmp_path)
    made.prepare()
    return made


@dataclass(frozen=True, slots=True)
class RunsOut:
    """Lets so many requests pass, and refuses all others."""

    server: FaultyS3
    asked: int
    failure: S3Failure

    def __call__(self, request: Request) -> Fault | None:
        """Return what happens to a request."""
        return self.failure if len(self.server.requests) > self.asked else None


def changes(request: Request) -> bool:
    """Whether something is to be written or deleted."""
    return request.method in {"PUT", "DELETE"}


@pytest.mark.parametrize("command", ["push", "pull"])
def test_credentials_that_end_before_or_in_the_middle_are_told_at_once(
    day: BadDay, waits: list[float], command: str
) -> None:
    for words, failure in REFUSED.items():
        # In the middle: once something was written or read.
        for asked in (0, 5):
            clone = day.begin(COMMANDS[command])
            day.server.decide = RunsOut(day.server, asked, failure)
            result = day.run(COMMANDS[command], clone)
            assert result.code == 3, result
            assert result.err.count("dver: error:") == 1, result
            assert words in result.err
            assert waits == []
            day.require_completion(COMMANDS[command], clone)


def test_credentials_that_may_only_read_stop_a_push_and_no_pull(day: BadDay, waits: list[float]) -> None:
    denied = S3Failure(403, "AccessDenied")
    for command, code in (("push", 3), ("pull", 0)):
        clone = day.begin(COMMANDS[command])
        before = dict(day.server.blobs)
        day.server.decide = lambda request: denied if changes(request) else None
        result = day.run(COMMANDS[command], clone)
        assert result.code == code, result
        assert ("ask for permission" in result.err) == bool(code)
        assert day.server.blobs == before
        assert waits == []
        day.require_completion(COMMANDS[command], clone)


@pytest.mark.usefixtures("waits")
def test_an_upload_that_hangs_is_sent_again(day: BadDay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.storage.schemes.READ_SECONDS", 0.3)
    clone = day.begin(COMMANDS["push"])
    # It is carried out in the end, when nobody waits for it any more.
    day.server.decide = FirstTimes(Slow(0.8), 1, where=lambda request: changes(request) and "packs/" in request.key)
    result = day.run(COMMANDS["push"], clone)
    assert result.code == 0, result
    assert "did not answer in time; trying again" in result.err
    day.server.recover()
    assert Cli(clone.root)("fsck", "--full", "--remote", "origin").code == 0
    day.require_completion(COMMANDS["push"], clone)
