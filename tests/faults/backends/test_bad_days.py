"""Every command that goes to a remote, on every kind of bad day: what passes is waited for, what stays is told at once.

Whatever happens, the repository is as it was where a command failed, nothing wrong enters the cache, and the same
command completes once the server is well.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

import dver
from dver.cli.session import Session
from tests.faults.backends.bad_days import COMMANDS, AnyTime, BadDay, FirstTimes
from tests.faults.backends.faulty_s3 import (
    Fault,
    Flipped,
    LostAnswer,
    Request,
    Reset,
    S3Failure,
    Slow,
    TooLong,
    TooShort,
    Truncated,
    running_faulty_s3,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadDay]:
    """The server and the repositories, made once."""
    folder = tmp_path_factory.mktemp("bad-days")
    with running_faulty_s3() as server, pytest.MonkeyPatch.context() as patch:
        home = folder / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = A Tester\n\temail = tester@example.org\n")
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        day = BadDay(server, folder)
        day.prepare()
        yield day


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, none of which takes any time."""
    made: list[float] = []
    monkeypatch.setattr(Session, "wait", lambda _session, seconds: made.append(seconds))
    return made


@pytest.fixture
def day(prepared: BadDay, home: Path) -> BadDay:
    """The same for one test, with a home in which its remote is trusted and nothing is known of it."""
    shutil.copytree(prepared.folder / "home/.config", home / ".config")
    return prepared


def usually(count: int, *lists: Iterable[str]) -> list[ParameterSet]:
    """Return all combinations, of which the usual run makes so many, with other values in each."""
    columns = [list(values) for values in lists]
    usual = {tuple(values[turn % len(values)] for values in columns) for turn in range(count)}
    return [pytest.param(*each, marks=[] if each in usual else pytest.mark.slow) for each in product(*columns)]


# Those that read content.
LOOKING = ["pull", "fsck", "fetch", "checkout"]
# Where listings are not true, nobody must clean.
NOT_CLEANING = [name for name in COMMANDS if name != "clean"]
PASSING: dict[str, Fault] = {
    "slow-down": S3Failure(503, "SlowDown"),
    "too-many": S3Failure(429, "TooManyRequests"),
    "internal": S3Failure(500, "InternalError"),
    "bad-gateway": S3Failure(502, body=b"<html>"),
    "time-out": S3Failure(400, "RequestTimeout"),
    "cut-off": Truncated(),
    "too-short": TooShort(),
    "lost-answer": LostAnswer(),
    "reset": Reset(),
}


@pytest.mark.parametrize(("command", "fault"), usually(7, COMMANDS, PASSING))
def test_what_passes_is_waited_for_and_told(day: BadDay, waits: list[float], command: str, fault: str) -> None:
    clone = day.begin(COMMANDS[command])
    # What comes whole and is wrong is read twice; where that is what it is both times, it is called damaged.
    times = 1 if fault == "too-short" else 2
    # An answer to HEAD has no body, which would tell a time-out from what is for good.
    day.server.decide = FirstTimes(PASSING[fault], times, where=lambda one: (one.method, fault) != ("HEAD", "time-out"))
    before = day.server.injected
    result = day.run(COMMANDS[command], clone)
    assert result.code == 0, result
    assert day.server.injected > before
    assert ("trying again in" in result.err) == bool(waits)
    assert waits or fault in {"reset", "lost-answer", "too-short"}
    day.require_completion(COMMANDS[command], clone)


STAYING = {
    "denied": (S3Failure(403, "AccessDenied"), "ask for permission"),
    "expired": (S3Failure(400, "ExpiredToken"), "log in again"),
    "skewed": (S3Failure(403, "RequestTimeTooSkewed"), "set this machine's clock"),
    "unknown-key": (S3Failure(403, "InvalidAccessKeyId"), "check the access key"),
    "no-bucket": (S3Failure(404, "NoSuchBucket"), "create the bucket"),
    "not-s3": (S3Failure(405, body=b"<html>"), "endpoint_url"),
}


@pytest.mark.parametrize(("command", "fault"), usually(2, COMMANDS, STAYING))
def test_what_stays_is_told_at_once_with_what_helps(day: BadDay, waits: list[float], command: str, fault: str) -> None:
    clone = day.begin(COMMANDS[command])
    failure, words = STAYING[fault]
    day.server.decide = lambda _request: failure
    result = day.run(COMMANDS[command], clone)
    assert result.code == 3, result
    assert waits == []
    assert result.err.count("dver: error:") == 1, result
    assert words in result.err, result
    assert len(day.server.requests) <= 4
    day.require_completion(COMMANDS[command], clone)


def is_get(request: Request) -> bool:
    """Whether content is asked for."""
    return request.method == "GET" and not request.is_list


ALTERED: dict[str, Fault] = {"flipped": Flipped(), "too-long": TooLong()}


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(("command", "fault"), usually(2, [*LOOKING, "verify", "clean", "repair"], ALTERED))
def test_what_was_damaged_on_its_way_is_read_again(day: BadDay, command: str, fault: str) -> None:
    clone = day.begin(COMMANDS[command])
    day.server.decide = FirstTimes(ALTERED[fault], 1, where=lambda request: is_get(request) and "/" in request.key)
    result = day.run(COMMANDS[command], clone)
    assert result.code == 0, result
    day.require_completion(COMMANDS[command], clone)


@pytest.mark.parametrize(("command", "prefix"), usually(2, LOOKING, ["packs/", "index/"]))
def test_what_is_damaged_each_time_is_named_and_never_taken(day: BadDay, command: str, prefix: str) -> None:
    clone = day.begin(COMMANDS[command])
    day.server.decide = lambda request: Flipped() if is_get(request) and request.key.startswith(prefix) else None
    result = day.run(COMMANDS[command], clone)
    if prefix == "packs/":
        assert result.code == (1 if command == "fsck" else 3), result
        assert "dver fsck" in result.out + result.err
        assert "s3://bucket/folder/packs/" in result.err or "pack damaged: packs/" in result.out
    day.require_completion(COMMANDS[command], clone)


FOLDERS = ["packs/", "index/", "versions/"]


@pytest.mark.parametrize(("command", "prefix"), usually(2, NOT_CLEANING, FOLDERS))
def test_a_listing_that_lags_behind_does_no_harm(day: BadDay, command: str, prefix: str) -> None:
    clone = day.begin(COMMANDS[command])
    there = [key for key in day.server.blobs if key.startswith(f"folder/{prefix}")]
    day.server.unlisted.update(there)
    day.run(COMMANDS[command], clone)
    day.require_completion(COMMANDS[command], clone)


@pytest.mark.parametrize(("command", "prefix"), usually(1, reversed(NOT_CLEANING), FOLDERS))
def test_what_is_listed_and_gone_is_not_counted_on(day: BadDay, command: str, prefix: str) -> None:
    clone = day.begin(COMMANDS[command])
    gone = {key: len(body) for key, body in day.server.blobs.items() if key.startswith(f"folder/{prefix}")}
    bodies = {key: day.server.blobs.pop(key) for key in gone}
    day.server.ghosts.update(gone)
    cached = {*(clone.root / ".dver/cache/versions").glob("*")}
    result = day.run(COMMANDS[command], clone)
    if (command, prefix) == ("gc", "packs/"):
        assert {*(clone.root / ".dver/cache/versions").glob("*")} == cached, result
    day.server.blobs.update(bodies)
    day.require_completion(COMMANDS[command], clone)


@pytest.mark.parametrize("command", usually(2, COMMANDS))
def test_credentials_that_may_only_read(day: BadDay, waits: list[float], command: str) -> None:
    clone = day.begin(COMMANDS[command])
    denied = S3Failure(403, "AccessDenied")
    day.server.decide = lambda request: denied if request.method in {"PUT", "DELETE"} else None
    result = day.run(COMMANDS[command], clone)
    assert result.code == (3 if COMMANDS[command].writes_remote else 0), result
    assert ("ask for permission" in result.err) == COMMANDS[command].writes_remote
    assert waits == []
    day.require_completion(COMMANDS[command], clone)


@pytest.mark.parametrize("command", usually(1, COMMANDS))
def test_a_server_that_stays_busy_is_given_up_in_about_a_minute(day: BadDay, waits: list[float], command: str) -> None:
    clone = day.begin(COMMANDS[command])
    day.server.decide = lambda _request: S3Failure(503, "SlowDown")
    result = day.run(COMMANDS[command], clone)
    assert result.code == 3, result
    assert "tried 8 times" in result.err
    assert "run the command again" in result.err
    assert sum(waits) < 60
    assert len(day.server.requests) <= 16
    day.require_completion(COMMANDS[command], clone)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_ends_a_wait(day: BadDay, number: signal.Signals) -> None:
    clone = day.begin(COMMANDS["fetch"])
    day.server.decide = lambda request: S3Failure(503, "SlowDown") if request.key.startswith("packs/") else None
    command = [sys.executable, "-m", "dver", "-C", str(clone.root), "fetch"]
    environment = {**os.environ, "PYTHONPATH": str(Path(dver.__file__).parents[1])}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "(4 of 8)" not in process.stderr.readline():
            assert process.poll() is None
        asked = len(day.server.requests)
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 128 + number
    assert said == "interrupted; run the same command again to continue\n"
    assert len(day.server.requests) == asked
    day.require_completion(COMMANDS["fetch"], clone)


@pytest.mark.slow
def test_an_answer_that_does_not_come_in_time_is_asked_for_again(
    day: BadDay, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.storage.schemes.READ_SECONDS", 0.5)
    clone = day.begin(COMMANDS["pull"])
    day.server.decide = FirstTimes(Slow(1.5), 1, where=is_get)
    result = day.run(COMMANDS["pull"], clone)
    assert result.code == 0, result
    assert "did not answer in time; trying again" in result.err
    day.require_completion(COMMANDS["pull"], clone)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_thousands_of_faults_lose_nothing(day: BadDay, waits: list[float]) -> None:
    """Run each command on days on which anything may happen to any request, until enough has happened."""
    seed = int(os.environ.get("DVER_TEST_SEED") or random.randrange(1 << 32))
    wanted = int(os.environ.get("DVER_TEST_FAULTS", "3000"))
    chance = random.Random(seed)
    before = day.server.injected
    runs = completed = 0
    while day.server.injected < before + wanted:
        command = COMMANDS[chance.choice([*COMMANDS])]
        clone = day.begin(command)
        day.server.decide = AnyTime(chance.random(), [*PASSING.values(), *ALTERED.values()], rate=chance.random() * 0.7)
        completed += day.run(command, clone).code == 0
        runs += 1
        day.require_completion(command, clone)
    injected = day.server.injected - before
    sys.stdout.write(f"seed {seed}: {injected:,} faults, {runs:,} commands, {completed:,} done at once\n")
