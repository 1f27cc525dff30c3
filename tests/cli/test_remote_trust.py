"""A remote that came with the repository gets no credentials before the user has agreed to it."""

import io
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.runner import Cli, Terminal, on_terminals
from tests.commands import GitCommand
from tests.servers.s3 import S3Server


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """Listen as a server would; yield the address, and what callers say to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        said: list[bytes] = []

        def answer() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    said.append(caller.recv(4096))

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", said
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def commit_remote(cli: Cli, git: GitCommand, *lines: str) -> None:
    """Commit a remote as somebody else would, by the file alone."""
    config = cli.folder / ".dver/config.toml"
    config.write_text('[core]\nremote = "origin"\n[remotes.origin]\n' + "\n".join(lines) + "\n")
    git("commit", "--quiet", "-a", "-m", "Name a remote")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def server(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An S3 server, and the credentials for it in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, s3_server.environment()[name])
    return s3_server


def test_nothing_is_sent_to_a_remote_that_nobody_agreed_to(dataset: Cli, git: GitCommand) -> None:
    with listening() as (address, said):
        commit_remote(dataset, git, 'url = "s3://evil/data"', f'endpoint_url = "{address}"')
        (dataset.folder / "data/a.csv").unlink()
        for path in (dataset.folder / ".dver/cache/packs").rglob("*.pack"):
            path.unlink()
        for command in (
            ["push"],
            ["fetch"],
            ["pull"],
            ["checkout"],
            ["remote", "check"],
            ["status", "--remote"],
            ["cat", "data/a.csv"],
            ["hook", "pre-push"],
        ):
            result = dataset(*command)
            assert result.code in (0, 1, 2, 3), result
            assert "Traceback" not in result.err
        said_by_push = dataset.fails(3, "push")
    assert said == []
    assert f"s3://evil, endpoint_url {address}" in said_by_push
    assert "dver remote trust origin" in said_by_push


def test_a_cache_that_came_with_the_repository_is_no_different(dataset: Cli) -> None:
    with listening() as (address, said):
        (dataset.folder / ".dver/config.toml").write_text(
            f'[cache]\ndir = "s3://evil/cache"\nendpoint_url = "{address}"\n'
        )
        dataset.write("data/new.txt", "new")
        complaint = dataset.fails(3, "add", "data")
    assert said == []
    assert "dver remote trust --cache" in complaint
    assert "trusted from this machine: s3://evil" in dataset.ok("remote", "trust", "--cache")


def test_after_trusting_it_the_remote_is_used_here_and_elsewhere(
    dataset: Cli, git: GitCommand, server: S3Server, s3_bucket: str, tmp_path: Path, run_git: GitCommand
) -> None:
    commit_remote(dataset, git, f'url = "s3://{s3_bucket}/data"', f'endpoint_url = "{server.endpoint_url}"')
    dataset.fails(3, "push")

    assert "trusted from this machine" in dataset.ok("remote", "trust", "origin")
    assert dataset("push").code == 0

    run_git("clone", "--quiet", str(dataset.folder), "clone")
    clone = Cli(tmp_path / "clone")
    assert clone("pull").code == 0
    # One that was trusted says nothing of another.
    clone.ok("remote", "trust")
    commit_remote(clone, run_git.at(clone.folder), 'url = "s3://other/data"', f'endpoint_url = "{server.endpoint_url}"')
    clone.fails(3, "push")


def test_the_environment_of_a_script_can_name_what_it_trusts(
    dataset: Cli, git: GitCommand, server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_remote(dataset, git, f'url = "s3://{s3_bucket}/data"', f'endpoint_url = "{server.endpoint_url}"')
    monkeypatch.setenv("DVER_TRUST_REMOTES", f"s3://{s3_bucket}")
    dataset.fails(3, "push")
    monkeypatch.setenv("DVER_TRUST_REMOTES", f"s3://{s3_bucket} {server.endpoint_url}")
    assert dataset("push").code == 0


@pytest.mark.parametrize(("answer", "is_trusted"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_somebody_at_a_terminal_is_asked_once(
    dataset: Cli, git: GitCommand, home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_trusted: bool
) -> None:
    commit_remote(dataset, git, 'url = "something-new://evil/data"')
    keyboard = Terminal()
    keyboard.write(answer)
    keyboard.seek(0)
    monkeypatch.setattr(sys, "stdin", keyboard)

    code, _, err = on_terminals(dataset.folder, "push")

    assert code == 3
    assert "something-new://evil" in err
    assert "use your credentials there?" in err
    assert (home / ".config/dver/trusted-remotes.jsonl").exists() is is_trusted
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    # Then what is wrong is that there is no such storage.
    assert ("dver remote trust" in dataset.fails(3, "push")) is not is_trusted


def test_remotes_that_the_user_names_are_trusted(cli: Cli, home: Path) -> None:
    known = home / ".config/dver/trusted-remotes.jsonl"
    cli.ok("remote", "add", "disk", "/mnt/data")
    assert not known.exists()
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    cli.ok("remote", "set", "origin", "endpoint_url", "https://minio.example")
    cli.ok("config", "set", "cache.dir", "s3://bucket/cache", "--local")
    places = known.read_text().splitlines()
    assert places == ['{"url": "s3://bucket"}', '{"endpoint_url": "https://minio.example", "url": "s3://bucket"}']


def test_init_with_a_remote_trusts_it(git_repo: Path, home: Path) -> None:
    Cli(git_repo).ok("init", "--remote", "s3://bucket/data")
    assert (home / ".config/dver/trusted-remotes.jsonl").read_text() == '{"url": "s3://bucket"}\n'


@pytest.mark.parametrize(
    "change",
    [
        ["remote", "set", "origin", "region", "eu-central-1"],
        ["remote", "set", "origin", "key", "AKIA", "--local"],
        ["config", "set", "remotes.origin.profile", "mine"],
        ["remote", "default", "origin"],
    ],
)
def test_setting_something_else_of_a_remote_does_not_trust_it(
    dataset: Cli, git: GitCommand, home: Path, change: list[str]
) -> None:
    commit_remote(dataset, git, 'url = "s3://evil/data"', 'endpoint_url = "https://evil.example"')
    dataset.ok(*change)
    assert not (home / ".config/dver/trusted-remotes.jsonl").exists()
    assert "dver remote trust origin" in dataset.fails(3, "push")


def test_putting_right_what_somebody_broke_does_not_trust_them(dataset: Cli, git: GitCommand) -> None:
    commit_remote(dataset, git, 'url = "s3://evil/data"', 'nonsense = "x"')
    dataset.ok("config", "unset", "remotes.origin.nonsense")
    assert "dver remote trust origin" in dataset.fails(3, "push")


def test_an_address_that_waits_for_a_url_is_not_trusted_with_it(dataset: Cli, git: GitCommand) -> None:
    commit_remote(dataset, git, 'endpoint_url = "https://evil.example"')
    dataset.ok("remote", "add", "origin", "s3://bucket/data")
    assert "endpoint_url https://evil.example" in dataset.fails(3, "push")


def test_what_needs_no_trust_is_said_to(cli: Cli) -> None:
    cli.ok("remote", "add", "disk", "/mnt/data")
    assert "needs no trust" in cli.ok("remote", "trust", "disk")
    assert "needs no trust" in cli.fails(3, "remote", "trust", "--cache")
    cli.fails(2, "remote", "trust", "disk", "--cache")
    cli.fails(3, "remote", "trust", "nothing")
