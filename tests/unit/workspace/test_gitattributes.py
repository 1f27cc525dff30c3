"""The block in `.gitattributes`: git heeds it, the user's lines stay, and it goes without a trace."""

import os
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.workspace.gitattributes import add_attributes, check_attributes, remove_attributes
from tests.commands import GitCommand


@pytest.fixture
def path(git_repo: Path) -> Path:
    return git_repo / ".gitattributes"


def _attributes(run_git: GitCommand, root: Path, path: str) -> list[str]:
    return [
        line.rpartition(": ")[2] for line in run_git("check-attr", "merge", "diff", "--", path, cwd=root).splitlines()
    ]


def test_git_heeds_the_lines(git_repo: Path, run_git: GitCommand) -> None:
    assert add_attributes(git_repo)
    assert _attributes(run_git, git_repo, "deep/data.dver") == ["dver", "dver"]
    assert _attributes(run_git, git_repo, "data.csv") == ["unspecified", "unspecified"]


@pytest.mark.parametrize(
    "text", [b"*.png binary\n", b"no end", b"a\r\nb\r\n", b"\xef\xbb\xbf*.txt text\n", b"\n\n", b"# caf\xe9\n"]
)
def test_all_else_stays_byte_for_byte(git_repo: Path, path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o640)

    assert add_attributes(git_repo)
    assert path.read_bytes().endswith(text.removeprefix(b"\xef\xbb\xbf"))
    assert remove_attributes(git_repo)

    assert path.read_bytes() == text
    assert path.stat().st_mode & 0o777 == 0o640


def test_lines_of_the_user_count_more(git_repo: Path, path: Path, run_git: GitCommand) -> None:
    path.write_text("*.dver -diff\n")
    add_attributes(git_repo)
    assert _attributes(run_git, git_repo, "data.dver") == ["dver", "unset"]


def test_a_byte_order_mark_stays_at_the_start(git_repo: Path, path: Path, run_git: GitCommand) -> None:
    path.write_bytes(b"\xef\xbb\xbf*.dver merge=union\n")
    add_attributes(git_repo)
    assert _attributes(run_git, git_repo, "data.dver") == ["union", "dver"]


@pytest.mark.parametrize("text", [b"*.dver merge=dver diff=dver\n", b"*.dver  diff=dver text merge=dver # ours"])
def test_lines_to_the_same_end_are_enough(git_repo: Path, path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert not add_attributes(git_repo)
    assert not remove_attributes(git_repo)
    assert path.read_bytes() == text


@pytest.mark.parametrize(
    "text", [b"#*.dver merge=dver diff=dver\n", b"*.dver merge=dver\n", b"a*.dver merge=dver diff=dver\n"]
)
def test_other_lines_are_not_enough(git_repo: Path, path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert add_attributes(git_repo)


def test_a_file_that_holds_nothing_else_comes_and_goes(git_repo: Path, path: Path) -> None:
    assert add_attributes(git_repo)
    assert not add_attributes(git_repo)
    assert remove_attributes(git_repo)
    assert not path.exists()
    assert not remove_attributes(git_repo)


def test_what_is_no_file_is_refused(git_repo: Path, path: Path) -> None:
    path.symlink_to("elsewhere")
    with pytest.raises(PathError, match="is not a file"):
        check_attributes(git_repo)
    path.unlink()
    path.mkdir()
    with pytest.raises(PathError, match="is not a file"):
        check_attributes(git_repo)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(git_repo: Path) -> None:
    git_repo.chmod(0o500)
    try:
        with pytest.raises(PathError, match="cannot be written to"):
            check_attributes(git_repo)
    finally:
        git_repo.chmod(0o700)
