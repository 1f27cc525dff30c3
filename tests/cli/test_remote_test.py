"""`dver remote test`."""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.objects.ids import Bytes
from dver.repo import Repo
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.open import as_encrypted
from dver.storage.selftest_trials import Scratch
from tests.cli.runner import Cli
from tests.faults.backends.faulty_s3 import Request, S3Failure, running_faulty_s3
from tests.servers.s3 import S3Server
from tests.unit.storage.test_selftest import Odd

TRIALS = (
    *("connect", "write", "empty", "names", "ranges", "missing", "overwrite", "list", "whole", "together", "large"),
    *("pages", "delete", "clock"),
)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_good_remote_does_all_and_is_left_as_it_was(shared: Cli, tmp_path: Path) -> None:
    before = files(tmp_path / "store")
    lines = shared.ok("remote", "test").splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [[name, "ok"] for name in TRIALS]
    assert lines[-1] == f"origin ({tmp_path / 'store'}) does all that dver needs"
    assert files(tmp_path / "store") == before


def test_quick_leaves_out_what_takes_long(cli: Cli) -> None:
    cli.ok("remote", "add", "m", "memory://quick/x")
    document = cli("remote", "test", "m", "--quick", "--json").json
    assert [trial["name"] for trial in document["trials"]] == [one for one in TRIALS if one not in {"large", "pages"}]
    assert (document["good"], document["left"]) == (True, [])


def test_an_encrypted_remote_is_tried_out_with_its_encryption(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("remote", "add", "safe", str(tmp_path / "safe"), "--encrypt", "--new-key-file", str(tmp_path / "key"))
    before = files(tmp_path / "safe")
    seen: set[str] = set()
    write = LocalBackend.write

    def watched(self: LocalBackend, key: str, pieces: Sequence[Bytes]) -> None:
        seen.add(key)
        write(self, key, pieces)

    monkeypatch.setattr(LocalBackend, "write", watched)
    assert cli("remote", "test", "safe", "--quick").code == 0
    assert not any(key.endswith(("/write", ".pack")) for key in seen)
    assert files(tmp_path / "safe") == before


@pytest.mark.s3
def test_a_bucket_and_one_that_does_not_exist(
    cli: Cli, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    cli.ok("remote", "add", "there", f"s3://{s3_bucket}/data")
    cli.ok("remote", "add", "nowhere", "s3://dver-test-no-such-bucket/data")
    # Asked for a part that begins within a blob and ends beyond it, moto gives what there is.
    assert cli("remote", "test", "there", "--quick").code == 0
    assert s3_server.filesystem().find(s3_bucket) == []
    result = cli("remote", "test", "nowhere")
    assert result.code == 1
    assert "the bucket does not exist; create the bucket" in result.out
    assert result.out.endswith("nowhere (s3://dver-test-no-such-bucket/data) cannot be used\n")


def test_credentials_that_may_only_read(cli: Cli) -> None:
    with running_faulty_s3() as server:
        cli.ok("remote", "add", "r", server.url)
        for name, value in server.options.items():
            cli.ok("remote", "set", "r", name, value, "--local")

        def refuse(request: Request) -> S3Failure | None:
            return S3Failure(403, "AccessDenied") if request.method in {"PUT", "DELETE"} else None

        server.decide = refuse
        result = cli("remote", "test", "r")
    assert result.code == 1
    rows = {line.split()[0]: line for line in result.out.splitlines()[:-1]}
    assert rows["connect"].split()[1] == "ok"
    assert "access is denied" in rows["write"]
    assert "(needed for push)" in rows["write"]
    assert all("not tried" in rows[name] for name in TRIALS[2:])
    assert "cannot be written to: what is there can be fetched, and nothing can be pushed" in result.out


@pytest.mark.parametrize("command", [["check"], ["test", "--quick"]], ids=["check", "test"])
@pytest.mark.parametrize("methods", [{"PUT"}, {"GET", "HEAD", "PUT", "DELETE"}], ids=["write", "all"])
def test_that_something_is_tried_again_is_told_once(
    cli: Cli, command: list[str], methods: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.cli.session.Session.wait", lambda _session, _seconds: False)
    with running_faulty_s3() as server:
        cli.ok("remote", "add", "r", server.url)
        for name, value in server.options.items():
            cli.ok("remote", "set", "r", name, value, "--local")
        server.decide = lambda request: S3Failure(503, "SlowDown") if request.method in methods else None
        result = cli("remote", *command)
    assert result.code == 1
    told = [line.rpartition("(")[2] for line in result.err.splitlines() if "trying again" in line]
    assert told == [f"{number} of 8)" for number in range(2, 9)]


def test_what_could_not_be_deleted_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("remote", "add", "m", "memory://keeping/x")

    class Keeping(Odd):
        def delete(self, key: str) -> None:
            """Keep it."""

    monkeypatch.setattr("dver.storage.open.open_backend", lambda _url, _options, **_keywords: Keeping())
    result = cli("remote", "test", "m", "--quick")
    assert result.code == 1
    assert "could not be deleted: dver-test/" in result.out
    assert "do not count on it for: everything; fsck --repair" in result.out


def test_an_interrupt_leaves_nothing_behind(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    cli.ok("remote", "add", "disk", str(tmp_path / "store"))
    write = LocalBackend.write
    is_sent = threading.Event()

    def interrupting(self: LocalBackend, key: str, pieces: Sequence[Bytes]) -> None:
        write(self, key, pieces)
        if "/pages/00100" in key and not is_sent.is_set():
            is_sent.set()
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LocalBackend, "write", interrupting)
    result = cli("remote", "test", "disk")
    assert result.code == 130
    assert "interrupted" in result.err
    assert files(tmp_path / "store") == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_a_test_that_was_killed_left_goes_when_it_is_a_day_old(
    cli: Cli, tmp_path: Path, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ["--encrypt", "--new-key-file", str(tmp_path / "key")] if encrypted else []
    cli.ok("remote", "add", "disk", str(tmp_path / "store"), *key)
    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "clean", lambda _scratch: ())
        for _ in range(2):
            assert cli("remote", "test", "--quick").code == 0
    left = files(tmp_path / "store/dver-test")
    assert left

    young = cli("remote", "test", "--quick", "--json").json
    assert (young["good"], young["removed"], len(young["other_tests"])) == (True, [], 2)
    assert files(tmp_path / "store/dver-test") == left
    old, new = young["other_tests"]
    assert f"{new} is of another test: if that was killed, delete it there" in cli.ok("remote", "test", "--quick")

    with Repo.find(cli.folder, env=os.environ) as repo:
        backends = (repo.remote().backend, repo.remote_backend())
        names = {stored for backend in backends for stored in stored_names(backend, tmp_path / "store", old)}
    assert names
    for name in names:
        os.utime(name, (0, name.stat().st_mtime - 25 * 3600))
    lines = cli.ok("remote", "test", "--quick").splitlines()
    assert f"removed {old}, which a test that was killed had left" in lines
    assert not any(name.exists() for name in names)
    assert cli("remote", "test", "--quick", "--json").json["other_tests"] == [new]


def stored_names(backend: Backend, store: Path, folder: str) -> list[Path]:
    """Return the files that blobs in a folder are stored in."""
    if isinstance(backend, LocalBackend):
        return [store / info.key for info in backend.list(folder)]
    crypt = as_encrypted(backend)
    assert crypt is not None
    master = crypt.keyring.masters.keys[0]
    inner = crypt.inner.list("dver-test/")
    return [store / info.key for info in inner if (master.plain_key(info.key) or "").startswith(folder)]


def test_help_tells_it_from_check(cli: Cli) -> None:
    assert "dver remote check is the short question" in " ".join(cli.ok("remote", "test", "--help").split())
    assert "dver remote test tries out all" in " ".join(cli.ok("remote", "check", "--help").split())
