"""The whole way that a new user goes, with the installed command, real git and an S3 server."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from tests.clones import Snapshot, snapshot
from tests.commands import DverCommand, GitCommand
from tests.servers.s3 import S3Server


@pytest.fixture
def credentials(s3_server: S3Server) -> Mapping[str, str]:
    """The environment in which AWS's usual credential chain finds the server's key."""
    return {"AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret}


def make_dataset(folder: Path) -> None:
    """Fill a folder with real files: an installed package, tables, and everything a file system allows in names."""
    shutil.copytree(Path(click.__file__).parent, folder / "package", ignore=shutil.ignore_patterns("__pycache__"))
    rows = "".join(f"{number},{number * 7919 % 10007},name {number % 97}\n" for number in range(60_000))
    (folder / "table.csv").write_text("id,value,name\n" + rows)
    (folder / "empty folder").mkdir()
    (folder / "empty.txt").touch()
    (folder / "run.sh").write_text("#!/bin/sh\necho hello\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "latest.csv").symlink_to("table.csv")
    (folder / "dangling").symlink_to("nowhere/at all")
    (folder / "ünï cödé.txt").write_text("unicode")
    (folder / "line\nbreak").write_text("a name with a line break")
    Path(os.fsdecode(os.fsencode(folder) + b"/not-\xff-utf8")).write_bytes(b"bytes")


def edit_first(folder: Path) -> None:
    """Change, add, delete and rename."""
    table = (folder / "table.csv").read_text().splitlines(keepends=True)
    table[30_000:30_010] = ["edited,row,here\n"] * 10
    (folder / "table.csv").write_text("".join(table))
    (folder / "empty.txt").unlink()
    (folder / "package" / "core.py").rename(folder / "package" / "renamed.py")
    (folder / "new").mkdir()
    (folder / "new" / "file.bin").write_bytes(os.urandom(200_000))
    (folder / "run.sh").chmod(0o644)


def edit_second(folder: Path) -> None:
    """Turn things into other kinds of things."""
    shutil.rmtree(folder / "new")
    (folder / "new").write_text("a file where a folder was")
    (folder / "latest.csv").unlink()
    (folder / "latest.csv").write_text("a file where a link was")
    (folder / "empty folder" / "no more").write_text("x")
    with (folder / "table.csv").open("a") as table:
        table.write("appended,1,2\n")


@pytest.mark.s3
def test_three_versions_travel_through_s3_and_come_back_byte_for_byte(
    tmp_path: Path,
    git_repo: Path,
    run_dver: DverCommand,
    s3_server: S3Server,
    s3_bucket: str,
    credentials: Mapping[str, str],
) -> None:
    dver, git = run_dver.at(git_repo, credentials), GitCommand(git_repo)
    data = git_repo / "data" / "set"
    data.mkdir(parents=True)
    dver.ok("init")
    dver.ok("remote", "add", "origin", f"s3://{s3_bucket}/project")
    dver.ok("remote", "set", "origin", "endpoint_url", s3_server.endpoint_url)
    dver.ok("remote", "set", "origin", "region", s3_server.region)
    git("add", ".dver/config.toml")
    dver.ok("remote", "check", "origin")

    wanted: dict[str, Snapshot] = {}
    for change in (make_dataset, edit_first, edit_second):
        change(data)
        dver.ok("add", "data/set")
        git("commit", "-m", change.__name__)
        wanted[git("rev-parse", "HEAD").strip()] = snapshot(data)
    assert git("status", "--porcelain") == ""
    dver.ok("push", "--all")

    clone = tmp_path / "clone"
    git("clone", str(git_repo), str(clone))
    there = run_dver.at(clone, credentials)
    assert there("status", "--exit-code").returncode == 1
    there.ok("pull")
    for commit, expected in [*wanted.items(), *reversed(wanted.items())]:
        there.ok("checkout", commit)
        assert snapshot(clone / "data" / "set") == expected
        assert there("status", "--exit-code").returncode == 0


@pytest.mark.s3
def test_a_cache_on_s3_serves_add_and_checkout(
    git_repo: Path, run_dver: DverCommand, s3_server: S3Server, s3_bucket: str, credentials: Mapping[str, str]
) -> None:
    dver, git = run_dver.at(git_repo, credentials), GitCommand(git_repo)
    data = git_repo / "data"
    data.mkdir()
    dver.ok("init")
    dver.ok("config", "set", "cache.dir", f"s3://{s3_bucket}/cache")
    dver.ok("config", "set", "cache.endpoint_url", s3_server.endpoint_url)
    make_dataset(data)
    dver.ok("add", "data")
    git("commit", "-m", "first")
    first = snapshot(data)
    edit_first(data)
    dver.ok("add", "data")
    git("commit", "-am", "second")
    second = snapshot(data)

    assert not (git_repo / ".dver" / "cache").exists()
    dver.ok("checkout", "HEAD~1")
    assert snapshot(data) == first
    shutil.rmtree(data)
    dver.ok("checkout", "HEAD")
    assert snapshot(data) == second
