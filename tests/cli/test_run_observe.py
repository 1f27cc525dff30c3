"""`dver run --observe`."""

import sys

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand
from tests.programs import required_program

SCRIPT = """\
import helper
rows = open("data/a.csv").read() + open("note it").read()
open("out", "w").write(rows)
open("log", "w").write("x")
"""
STEP = ("run", "--observe", "-o", "out", "--", sys.executable, "step.py")


@pytest.fixture
def ready(dataset: Cli, git: GitCommand) -> Cli:
    """A repository with a dataset, and a script that reads it, a helper, and a file that nobody has."""
    dataset.write("step.py", SCRIPT)
    dataset.write("helper.py", "")
    dataset.write("note it", "x")
    git("add", "step.py", "helper.py")
    return dataset


def warnings(cli: Cli, *arguments: str) -> list[str]:
    """Run dver, and return what it says after it has recorded the run."""
    lines = cli(*arguments).err.splitlines()
    at = next(number for number, line in enumerate(lines) if "recorded as run" in line)
    return lines[at + 1 :]


def test_names_what_was_not_declared_with_options_to_copy(ready: Cli) -> None:
    assert warnings(ready, *STEP) == [
        "dver: it read what was not declared: -d data/a.csv --code helper.py --code step.py",
        "dver: it read what is neither added nor in git: -d 'note it'",
        "dver: it wrote what was not declared: -o log",
    ]


def test_paths_are_those_from_where_the_user_is(ready: Cli) -> None:
    (ready.folder / "sub").mkdir()
    inside = ready.at("sub")
    line = warnings(inside, "run", "--observe", "--", sys.executable, "-c", "open('../data/a.csv')")
    assert line == ["dver: it read what was not declared: -d ../data/a.csv"]


def test_says_nothing_where_all_was_declared(ready: Cli, git: GitCommand) -> None:
    ready.write("step.py", "open('data/a.csv'); open('out', 'w')")
    git("commit", "--quiet", "-m", "step", "step.py")
    assert warnings(ready, *STEP[:2], "-d", "data", "--code", "step.py", *STEP[2:]) == []


def test_says_which_thing_that_it_read_has_changed(ready: Cli) -> None:
    ready(*STEP)
    ready.write("note it", "y")
    assert ready("run", "--dry-run", *STEP[1:]).out == "would run: input note it, which it was seen to read, changed\n"
    assert "made from note it b3:" in ready("status").out
    (ready.folder / "note it").unlink()
    assert ready("run", "--dry-run", *STEP[1:]).out == "would run: input note it, which it was seen to read, is gone\n"


def test_says_that_the_last_run_was_not_observed(ready: Cli) -> None:
    ready("run", *STEP[2:])
    out = ready("run", "--dry-run", *STEP[1:]).out
    assert out.startswith("would run: the last one, run ")
    assert out.endswith(", was not observed\n")


def test_says_what_it_changed_and_removed(ready: Cli) -> None:
    ready.write("late.py", "import os; open('note it', 'r+').write(open('note it').read() + 'z'); os.remove('step.py')")
    lines = warnings(ready, "run", "--observe", "--", sys.executable, "late.py")
    assert lines[1:] == [
        "dver: it wrote what was not declared: -o 'note it'",
        "dver: it removed what was not declared: step.py",
        "dver: it may have read this before it changed it, so the run is not reused: 'note it'",
    ]


def test_many_are_cut(ready: Cli, git: GitCommand) -> None:
    for number in range(14):
        ready.write(f"f{number:02}", "")
    git("add", "--all")
    line = "import glob; [open(path).read() for path in glob.glob('f??')]"
    (said,) = warnings(ready, "run", "--observe", "--", sys.executable, "-c", line)
    assert said.endswith("--code f09 … and 4 more")


def test_a_file_of_git_that_was_written_is_no_output_to_declare(ready: Cli) -> None:
    (said,) = warnings(ready, "run", "--observe", "--", sys.executable, "-c", "open('step.py', 'w')")
    assert said == "dver: it wrote what git tracks: step.py"


def test_without_strace_it_says_how_to_get_it(ready: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(ready.folder))
    result = ready("run", "--observe", "-o", "out", "--shell", "--", "echo > out")
    assert result.code == 3
    assert result.err == (
        "dver: error: strace, which it takes to observe a line for the shell, is not on PATH\n"
        "  hint: apt-get install strace, or that of another system, brings it\n"
    )


def test_a_command_that_is_not_there_is_said_as_ever(ready: Cli) -> None:
    required_program("strace")
    result = ready("run", "--observe", "--", "no-such-command")
    assert result.code == 127
    assert "no-such-command: command not found" in result.err


def test_show_and_lineage_mark_what_was_observed(ready: Cli) -> None:
    ready(*STEP)
    shown = ready("show", "out").out
    assert "(code, observed)" in shown
    assert "observed     yes" in shown
    lineage = ready("lineage", "out").out
    assert "(observed)" in lineage
    assert "(file, observed, source)" in lineage
