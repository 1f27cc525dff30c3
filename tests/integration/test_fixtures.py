"""The ground the other tests stand on: a clean environment, a home of its own, real git, dver warm, and an S3 API."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pygit2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.cli.main import COMMANDS
from tests.commands import DverCommand, GitCommand, installed_dver
from tests.servers.s3 import S3Server
from tests.warm import warm_dver


def test_environment_holds_nothing_of_the_developers_own(home: Path) -> None:
    assert Path.home() == home
    assert not [name for name in os.environ if name.startswith("DVER_") and not name.startswith("DVER_TEST_")]
    assert {name for name in os.environ if name.startswith("AWS_")} == {"AWS_EC2_METADATA_DISABLED"}


@given(st.binary(max_size=8))
def test_clean_environment_holds_under_hypothesis_too(data: bytes) -> None:
    assert len(data) <= 8
    assert Path.home().name.startswith("home")


def test_git_commits_with_the_fixed_identity_on_main(git_repo: Path, run_git: GitCommand) -> None:
    git = run_git.at(git_repo)

    git("commit", "--quiet", "--allow-empty", "-m", "first")

    assert git("log", "--format=%an <%ae>").strip() == "A Tester <tester@example.org>"
    assert git("branch", "--show-current").strip() == "main"


def test_libgit2_reads_the_same_configuration_as_git(git_repo: Path) -> None:
    config = pygit2.Repository(str(git_repo)).config

    assert config["user.email"] == "tester@example.org"


def test_dver_command_reports_its_version(run_dver: DverCommand) -> None:
    assert "dver" in run_dver.ok("--version")


@pytest.mark.parametrize("name", [name for section in COMMANDS.values() for name in section])
def test_each_command_starts_in_a_process_of_its_own(run_dver: DverCommand, name: str) -> None:
    assert run_dver.ok(name, "--help").startswith(f"Usage: dver {name} ")


@pytest.fixture
def warm(git_repo: Path) -> DverCommand:
    """dver that may be warm, in a repository where it is set up."""
    warm = installed_dver(git_repo, warm=True)
    warm.ok("init")
    return warm


@pytest.fixture
def other_umask() -> Iterator[None]:
    """A umask that is not the usual one."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("other_umask")
@pytest.mark.parametrize(
    "arguments",
    [
        ["ls", "--json"],
        ["nonsense"],
        ["add", "nowhere"],
        ["run", "--shell", "--", "cat; pwd; umask; echo $MARK; printf '\\377\\r\\n'; echo said >&2; exit 7"],
        ["run", "--shell", "--", "trap"],
    ],
)
def test_warm_dver_ends_and_says_what_a_started_one_does(
    warm: DverCommand, run_dver: DverCommand, git_repo: Path, arguments: list[str]
) -> None:
    (git_repo / "below").mkdir()
    both = [
        dver(*arguments, cwd=git_repo / "below", env={"MARK": "\udcff"}, stdin="given\udcff" * 50_000)
        for dver in (warm, run_dver)
    ]

    (forked, started) = [(done.returncode, done.stdout, done.stderr.rpartition("run ")[0]) for done in both]

    assert forked == started


def test_warm_dver_has_no_variable_but_its_own(warm: DverCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    first = warm.ok("run", "--shell", "--", "env", env={"TWO": "2"}).splitlines()
    monkeypatch.delenv("ONE")
    second = warm.ok("run", "--shell", "--", "env", env={"THREE": "3"}).splitlines()

    assert {"ONE=1", "TWO=2"} <= set(first)
    assert {line for line in second if line.startswith(("ONE=", "TWO=", "THREE="))} == {"THREE=3"}


def test_warm_dver_honours_the_git_configuration_of_its_home(warm: DverCommand, tmp_path: Path, git_repo: Path) -> None:
    (git_repo / "data").write_text("data\n")
    (tmp_path / ".gitconfig").write_text("[core]\n    excludesFile = ~/ignored\n")
    (tmp_path / "ignored").write_text("*.dver\n")

    said = warm("add", "data", env={"HOME": str(tmp_path)})

    assert (said.returncode, "data.dver would be ignored" in said.stderr) == (3, True)
    warm.ok("add", "data")


def test_a_signal_that_ends_warm_dver_is_reported_and_the_next_command_runs(warm: DverCommand) -> None:
    assert warm("run", "--shell", "--", "kill -KILL $PPID").returncode == -signal.SIGKILL
    assert warm("run", "--shell", "--", "kill -TERM $PPID; exec sleep 5").returncode == 128 + signal.SIGTERM
    warm.ok("status")


def test_two_warm_commands_run_at_once(warm: DverCommand) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(warm.ok, "run", "--shell", "--", "mkfifo fifo; cat fifo")
        pool.submit(warm.ok, "run", "--shell", "--", "until [ -p fifo ]; do sleep 0.01; done; echo met >fifo").result()

        assert waiting.result() == "met\n"


def test_what_only_a_new_interpreter_honours_starts_one(warm: DverCommand) -> None:
    assert "import 'dver.cli.main'" in warm("--version", env={"PYTHONVERBOSE": "1"}).stderr


def test_a_warm_command_that_takes_too_long_is_killed(warm: DverCommand) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        warm_dver().run(["run", "--shell", "--", "sleep 2; touch late"], warm.cwd, os.environ, b"", 0.1)

    assert warm.ok("run", "--shell", "--", "echo next") == "next\n"


def test_s3_bucket_is_fresh_and_usable(s3_server: S3Server, s3_bucket: str) -> None:
    filesystem = s3_server.filesystem()
    assert filesystem.ls(s3_bucket) == []

    filesystem.pipe_file(f"{s3_bucket}/a/b", b"0123456789")

    assert filesystem.find(s3_bucket) == [f"{s3_bucket}/a/b"]
    assert filesystem.cat_file(f"{s3_bucket}/a/b", start=2, end=5) == b"234"
    filesystem.rm_file(f"{s3_bucket}/a/b")
    assert filesystem.find(s3_bucket) == []


def test_s3_bucket_is_removed_with_unfinished_uploads_and_objects(s3_bucket: str, s3_client: Any) -> None:
    s3_client.put_object(Bucket=s3_bucket, Key="whole", Body=b"1")
    upload = s3_client.create_multipart_upload(Bucket=s3_bucket, Key="torn")
    s3_client.upload_part(Bucket=s3_bucket, Key="torn", UploadId=upload["UploadId"], PartNumber=1, Body=b"2")

    assert s3_client.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]
