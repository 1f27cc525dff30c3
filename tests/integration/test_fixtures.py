"""The ground the other tests stand on: a clean environment, a home of its own, real git, and an S3 API."""

import os
from pathlib import Path
from typing import Any

import pygit2
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import DverCommand, GitCommand
from tests.servers.s3 import S3Server


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
