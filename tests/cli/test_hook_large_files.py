"""`dver hook large-files`."""

from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand

BIG = "x" * (3 << 19)


@pytest.fixture
def staged(cli: Cli, git: GitCommand) -> Cli:
    """dver in a repository where a large file, a small one and a table are staged."""
    cli.write("sub/big.bin", BIG)
    cli.write("small", "1")
    cli.write("my table.csv", "1")
    git("add", "--all")
    return cli


def test_names_the_files_and_the_commands(staged: Cli) -> None:
    err = staged.fails(1, "hook", "large-files")
    assert err == (
        "dver: error: 1 file must not enter git, being large or data:\n"
        "    sub/big.bin  1.5 MiB  is over 1.0 MiB\n"
        "  hint: git rm --cached sub/big.bin takes one out of git, and dver add sub/big.bin stores it; also the folder"
        " that it is in can be added\n"
        "  hint: what may enter all the same can be listed in the setting hooks.allow\n"
    )
    assert "    big.bin " in staged.at("sub").fails(1, "hook", "large-files")


def test_what_it_says_helps(staged: Cli, git: GitCommand) -> None:
    git("rm", "--quiet", "--cached", "sub/big.bin")
    staged.ok("add", "sub/big.bin")
    assert staged.ok("hook", "large-files") == ""


def test_takes_limits_from_the_settings_and_the_command_line(staged: Cli) -> None:
    assert staged.ok("hook", "large-files", "--max-size", "2MiB") == ""
    assert staged.ok("hook", "large-files", "--allow", "*.bin") == ""
    err = staged.fails(1, "hook", "large-files", "--data", "*.csv")
    assert "    my table.csv   1 byte  is data, by the pattern *.csv\n" in err
    staged.ok("config", "set", "hooks.max_size", "2MiB")
    assert staged.ok("hook", "large-files") == ""
    staged.ok("config", "set", "hooks.data", "*.csv", "small")
    assert "2 files must not" in staged.fails(1, "hook", "large-files")
    staged.ok("config", "set", "hooks.allow", "small")
    assert "1 file must not" in staged.fails(1, "hook", "large-files")
    assert staged.ok("hook", "large-files", "--allow", "my table.csv") == ""


def test_looks_at_named_files_only(staged: Cli) -> None:
    assert staged.ok("hook", "large-files", "small", "my table.csv", "not-there") == ""
    assert "big.bin" in staged.at("sub").fails(1, "hook", "large-files", "big.bin")


def test_says_of_which_dataset_a_file_is_data(dataset: Cli, git: GitCommand) -> None:
    dataset.write("data/big", BIG)
    git("add", "--force", "data/big")
    err = dataset.fails(1, "hook", "large-files")
    assert "    data/big  1.5 MiB  is data of data: git rm --cached takes it out\n" in err
    assert "dver add" not in err


def test_lists_all_files(cli: Cli, git: GitCommand) -> None:
    for number in range(30):
        cli.write(f"{number}.csv", "1")
    git("add", "--all")
    err = cli.fails(1, "hook", "large-files", "--data", "*.csv")
    assert all(f"    {number}.csv " in err for number in range(30))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(["--max-size", "lots"], 2, "is not a size"), (["--data", "!"], 3, "hooks.data")],
)
def test_refuses_mistakes(cli: Cli, arguments: list[str], code: int, message: str) -> None:
    assert message in cli.fails(code, "hook", "large-files", *arguments)


def test_does_nothing_where_dver_is_not_set_up(git_repo: Path) -> None:
    (git_repo / "big").write_text(BIG)
    assert Cli(git_repo).ok("hook", "large-files", "big") == ""
