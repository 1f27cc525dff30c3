"""`dver add`."""

import os
from pathlib import Path

import pytest

from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_says_what_was_added_and_what_it_takes(cli: Cli) -> None:
    cli.write("data/a", b"x" * 2048)
    cli.write("data/b", b"y")
    out = cli.ok("add", "data")
    assert out.startswith("added data: 2 files, 2.0 KiB; ")
    assert out.endswith(" new in the store\n")


def test_names_a_single_file_by_its_size(cli: Cli) -> None:
    cli.write("t.csv", "abc")
    assert cli.ok("add", "t.csv").startswith("added t.csv: 3 bytes; ")


def test_tells_updated_from_unchanged(dataset: Cli) -> None:
    assert dataset.ok("add", "data").startswith("unchanged data: 3 files")
    dataset.write("data/d", "more")
    assert dataset.ok("add", "data").startswith("updated data: 4 files")


def test_sums_up_several_datasets(cli: Cli) -> None:
    cli.write("a/x", "1")
    cli.write("b/x", "2")
    lines = cli.ok("add", "a", "b").splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["added a", "added b"]
    assert lines[2].endswith("new in the store")


def test_stages_pointer_and_gitignore(cli: Cli, git: GitCommand) -> None:
    cli.write("in/data/x", "1")
    cli.ok("add", "in/data")
    staged = git("diff", "--cached", "--name-only").splitlines()
    assert {"in/data.dver", "in/.gitignore"} <= set(staged)


def test_leaves_staging_to_the_user_if_told(cli: Cli, git: GitCommand) -> None:
    cli.write("x", "1")
    cli.ok("add", "--no-stage", "x")
    assert "x.dver" not in git("diff", "--cached", "--name-only").splitlines()


def test_follows_the_setting_for_staging_unless_told(cli: Cli, git: GitCommand) -> None:
    cli.ok("config", "set", "add.stage", "false")
    cli.write("x", "1")
    cli.write("y", "2")
    cli.ok("add", "x")
    cli.ok("add", "--stage", "y")
    staged = git("diff", "--cached", "--name-only").splitlines()
    assert "x.dver" not in staged
    assert "y.dver" in staged


def test_takes_paths_from_a_subfolder_and_shows_them_so(cli: Cli) -> None:
    cli.write("sub/data/x", "1")
    assert cli.at("sub").ok("add", "data").startswith("added data:")
    assert cli.at("sub", "data").ok("add", ".").startswith("unchanged .:")
    assert (cli.folder / "sub/data.dver").is_file()


def test_tells_a_person_what_to_commit(cli: Cli) -> None:
    cli.write("data/x", "1")
    _, _, err = on_terminals(cli.folder, "add", "data")
    assert 'next: git commit -m "Add data"' in err
    cli.write("data/x", "2")
    _, _, err = on_terminals(cli.folder, "add", "--no-stage", "data")
    assert 'next: git add data.dver .gitignore && git commit -m "Update data"' in err


def test_is_silent_with_q(cli: Cli) -> None:
    cli.write("data/x", "1")
    assert cli.ok("add", "-q", "data") == ""
    assert on_terminals(cli.folder, "-q", "add", "data") == (0, "", "")


def test_shows_odd_names_on_one_line(cli: Cli) -> None:
    cli.write(b"w\xffx", "1")
    assert cli.ok("add", os.fsdecode(b"w\xffx")).startswith('added "w\\xffx": 1 byte;')


def test_needs_a_path(cli: Cli) -> None:
    err = cli.fails(2, "add")
    assert "missing argument" in err
    assert "dver add --help" in err


@pytest.mark.parametrize(
    ("path", "reason", "help_with"),
    [
        ("nothing", "there is no such file or directory", ""),
        (".", "the whole repository", "dver add FOLDER"),
        ("../elsewhere", "is outside the repository", "move or copy data"),
        ("code.py", "already tracked by git", "git rm -r --cached code.py"),
        ("data.dver", "is a pointer file", "dver add data"),
        ("data/nothing", "no such file or directory", "dver ls data lists"),
        (".dver", "belongs to git or dver", ""),
        (".git/config", "belongs to git or dver", ""),
        ("around", "holds the dataset around/inner", "dver rm --keep around/inner"),
        ("fifo", "named pipe", ""),
        ("link", "is a symbolic link", "add what it points to"),
    ],
)
def test_refuses_with_what_helps(dataset: Cli, git: GitCommand, path: str, reason: str, help_with: str) -> None:
    dataset.write("code.py", "pass\n")
    git("add", "code.py")
    dataset.write("around/inner/x", "1")
    dataset.ok("add", "around/inner")
    os.mkfifo(dataset.folder / "fifo")
    (dataset.folder / "link").symlink_to("data")
    err = dataset.fails(3, "add", path)
    assert reason in err
    assert help_with in err


def test_refuses_a_named_pipe_within_a_folder_by_name(cli: Cli) -> None:
    cli.write("data/x", "1")
    os.mkfifo(cli.folder / "data/pipe")
    assert "pipe: is a socket, device or named pipe" in cli.fails(3, "add", "data")
    assert not (cli.folder / "data.dver").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_names_a_file_that_cannot_be_read(cli: Cli) -> None:
    cli.write("secret", "1").chmod(0)
    err = cli.fails(3, "add", "secret")
    assert "cannot be read" in err
    assert "chmod u+r secret" in err


def test_says_where_paths_start_when_it_fails_in_a_subfolder(cli: Cli) -> None:
    (cli.folder / "sub").mkdir()
    err = cli.at("sub").fails(3, "add", "nothing")
    assert "sub/nothing: there is no such file" in err
    assert f"paths are from the top of the repository, {cli.folder}" in err


def test_does_not_undo_what_git_brought_unless_forced(dataset: Cli, git: GitCommand) -> None:
    pointer = dataset.folder / "data.dver"
    old = pointer.read_bytes()
    dataset.write("data/a.csv", "other")
    dataset.ok("add", "data")
    pointer.write_bytes(old)
    dataset.write("data/a.csv", "yet another")
    assert "dver checkout data" in dataset.fails(3, "add", "data")
    assert dataset.ok("add", "--force", "data").startswith("updated data")


def test_says_what_becomes_of_a_merge_conflict(dataset: Cli) -> None:
    pointer = dataset.folder / "data.dver"
    text = pointer.read_text()
    pointer.write_text(f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n")
    result = dataset.at("data")("add", ".")
    assert result.code == 0
    assert "the merge conflict in ../data.dver is settled with the data as it is here" in result.err
    assert "dver checkout --force REV -- . brings" in result.err
    assert pointer.read_text() == text
    dataset.ok("add", "data")


def test_needs_dver_to_be_set_up(git_repo: Path) -> None:
    err = Cli(git_repo).fails(3, "add", "x")
    assert "dver is not set up here yet" in err
    assert "hint: dver init" in err
