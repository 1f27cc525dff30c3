"""`dver repro`."""

import pytest

from tests.cli.recording import data, record
from tests.cli.runner import Cli
from tests.commands import GitCommand

CLEAN = (
    "run",
    "-n",
    "clean",
    "-d",
    "raw.csv",
    "--code",
    "code",
    "-o",
    "clean",
    "--shell",
    "--",
    "sort raw.csv > clean",
)
COUNT = ("run", "-d", "clean", "-p", "params.json:lr", "-o", "sub/count", "--", "cp", "clean", "sub/count")


@pytest.fixture
def steps(cli: Cli, git: GitCommand) -> Cli:
    """dver where two steps were run, the second of which has no name."""
    cli.write("raw.csv", "b\na\n")
    cli.write("code", "1\n")
    cli.write("params.json", '{"lr": 0.1}')
    cli.write("sub/x", "x")
    cli.ok("add", "raw.csv")
    git("add", "--all")
    git("commit", "--quiet", "-m", "Start")
    for step in (CLEAN, COUNT):
        assert cli(*step).code == 0
    return cli


def change(cli: Cli, content: str) -> None:
    """Make another version of the raw data."""
    cli.write("raw.csv", content)
    cli.ok("add", "raw.csv")


def said(cli: Cli, *arguments: str) -> list[str]:
    """Run repro, and return what it says of steps, shortened."""
    result = cli("repro", *arguments)
    assert (result.code, result.out) == (0, "")
    return [line for line in result.err.splitlines() if "recorded" not in line]


def test_passes_over_what_is_up_to_date(steps: Cli) -> None:
    assert said(steps) == [
        "dver: up to date: clean: sort raw.csv > clean",
        "dver: up to date: cp clean sub/count",
    ]
    assert steps.ok("-q", "repro") == ""


def test_runs_what_is_stale_and_says_why(steps: Cli) -> None:
    change(steps, "c\n")
    lines = said(steps)
    assert lines[0] == "dver: clean: sort raw.csv > clean"
    assert lines[1].startswith("dver: running: input raw.csv changed: b3:")
    assert lines[2:4] == ["dver: updated clean: 2 bytes", "dver: cp clean sub/count"]
    assert lines[4].startswith("dver: running: input clean changed: b3:")
    assert (steps.folder / "sub/count").read_text() == "c\n"


def test_says_when_an_earlier_run_serves(steps: Cli) -> None:
    change(steps, "c\n")
    said(steps)
    change(steps, "b\na\n")
    result = steps("repro")
    assert result.err.count("dver: reused run ") == 2
    assert (steps.folder / "sub/count").read_text() == "a\nb\n"


def test_a_dry_run_says_what_would_run_and_changes_nothing(steps: Cli) -> None:
    change(steps, "c\n")
    steps.write("code", "2\n")
    before = (steps.folder / ".dver/lineage.jsonl").read_bytes()
    lines = steps.ok("repro", "--dry-run").splitlines()
    assert lines[0] == "would run: clean: sort raw.csv > clean"
    assert lines[1].startswith("    made from raw.csv b3:")
    assert lines[1].endswith("… now")
    assert lines[2:] == [
        "    made with code, which has changed",
        "would run: cp clean sub/count",
        "    its input clean would be made anew",
    ]
    assert (steps.folder / "clean").read_text() == "a\nb\n"
    assert (steps.folder / ".dver/lineage.jsonl").read_bytes() == before


def test_a_dry_run_says_what_would_be_reused_and_what_is_up_to_date(steps: Cli) -> None:
    (steps.folder / "sub/count").unlink()
    first, second, third = steps.at("sub").ok("repro", "--dry-run", "count").splitlines()
    assert first == "up to date: clean: sort raw.csv > clean"
    assert second.startswith("would reuse run ")
    assert second.endswith(": cp clean sub/count")
    assert third == "    its output count is not here as it was made"


def test_downstream_runs_what_uses_a_dataset(steps: Cli) -> None:
    change(steps, "c\n")
    assert "raw.csv: was made by no run" in steps.fails(3, "repro", "raw.csv")
    assert "cp clean sub/count" in "\n".join(said(steps, "--downstream", "raw.csv"))
    assert (steps.folder / "sub/count").read_text() == "c\n"


def test_ends_with_the_exit_code_of_the_command_that_failed(steps: Cli) -> None:
    assert steps("run", "-d", "clean", "-o", "out", "--shell", "--", "grep a clean > out || exit 7").code == 0
    assert steps("run", "-d", "out", "-o", "last", "--", "cp", "out", "last").code == 0
    change(steps, "c\n")
    err = steps.fails(7, "repro", "last")
    assert "dver: error: the command failed with exit code 7" in err
    assert "cp out last" not in err


def test_a_command_that_leaves_an_output_out_is_an_error(steps: Cli) -> None:
    line = "rm -f out; test -s clean && cp clean out || true"
    assert steps("run", "-d", "clean", "-o", "out", "--shell", "--", line).code == 0
    change(steps, "")
    assert "did not make its output out" in steps.fails(3, "repro", "out")


def test_refuses_a_run_whose_secret_was_masked(steps: Cli) -> None:
    line = "cat raw.csv > got; true --token=abcdefgh"
    assert steps("run", "-d", "raw.csv", "-o", "got", "--shell", "--", line).code == 0
    change(steps, "c\n")
    err = steps.fails(3, "repro", "got")
    assert "a secret in it was masked when it was recorded" in err
    assert "hint: dver run it anew" in err
    assert "abcdefgh" not in err


def test_side_by_side_each_line_names_its_step(steps: Cli) -> None:
    line = "echo 'half done'; echo careful >&2; cp raw.csv other"
    assert steps("run", "-d", "raw.csv", "-o", "other", "--shell", "--", line).code == 0
    change(steps, "c\n")
    result = steps("repro", "-j", "2")
    assert result.code == 0
    assert result.out == "other     | half done\n"
    assert "other     | careful\n" in result.err
    lines = result.err.splitlines()
    assert any(line.startswith("dver: clean: running: input raw.csv changed: b3:") for line in lines)
    assert "dver: clean: updated clean: 2 bytes" in lines
    assert "dver: sub/count: updated sub/count: 2 bytes" in lines
    assert sorted(steps("repro", "-j2").err.splitlines()) == [
        "dver: clean: up to date",
        "dver: other: up to date",
        "dver: sub/count: up to date",
    ]


def test_steps_of_one_name_are_told_apart_and_names_are_safe_to_print(steps: Cli) -> None:
    for path in ("one", "two"):
        command = ("--shell", "--", f"echo hello; cp raw.csv {path}")
        assert steps("run", "-n", "same\x1b[2J", "-d", "raw.csv", "-o", path, *command).code == 0
    change(steps, "c\n")
    out = steps("repro", "-j", "2", "one", "two").out
    assert sorted(line.rpartition("|")[0].rstrip() for line in out.splitlines()) == [
        "same\\x1b[2J",
        "same\\x1b[2J two",
    ]


def test_side_by_side_it_ends_with_the_exit_code_of_the_first_failure(steps: Cli) -> None:
    for path, code, wait in (("one", 7, 0), ("two", 8, 0.5)):
        line = f"sleep {wait}; cp raw.csv {path}; grep -q c raw.csv && exit {code}; true"
        assert steps("run", "-d", "raw.csv", "-o", path, "--shell", "--", line).code == 0
    change(steps, "c\n")
    err = steps.fails(7, "repro", "-j", "2", "one", "two")
    assert "dver: error: one: the command failed with exit code 7; no output was published" in err
    assert "dver: error: two: the command failed with exit code 8; no output was published" in err


@pytest.mark.parametrize("word", ["0", "-1", "x", "1.5"])
def test_jobs_are_a_number_from_one(steps: Cli, word: str) -> None:
    assert f"-j takes a whole number from 1, not '{word}'" in steps.fails(2, "repro", "-j", word)


def test_recovering_says_when_there_is_nothing_to_do_and_goes_with_nothing_else(steps: Cli) -> None:
    assert steps("repro", "--recover").err == "dver: no run was killed; there is nothing to put back\n"
    assert "--recover runs nothing" in steps.fails(2, "repro", "--recover", "--dry-run")


def test_names_a_circle(steps: Cli) -> None:
    record(steps, "back", [data("sub/count")], [data("raw.csv")])
    err = steps.fails(3, "repro")
    assert "in a circle: raw.csv made clean made sub/count made raw.csv" in err


def test_says_what_is_replaced_and_what_comes_back_beside_what_was_moved(steps: Cli, git: GitCommand) -> None:
    steps.write("clean", "by hand\n")
    steps.ok("add", "clean")
    git("commit", "--quiet", "--all", "-m", "By hand")
    steps.ok("mv", "sub/count", "moved")
    lines = [line for line in steps.ok("repro", "--dry-run", "clean").splitlines() if "replaces" in line]
    assert [line.partition(" b3:")[0] for line in lines] == ["    replaces clean"]
    assert lines[0].endswith("…, which no run made")
    assert "dver: replaces clean b3:" in steps("repro", "clean").err
    comes = "sub/count, which is moved now, comes back beside it: that is where recorded commands have it"
    assert f"    {comes}\n" in steps.ok("repro", "--dry-run", "sub/count")
    assert f"dver: {comes}\n" in steps("repro", "sub/count").err


def test_what_was_edited_and_not_added_is_refused_without_options_that_there_are_not(steps: Cli) -> None:
    steps.write("clean", "edited\n")
    err = steps.fails(3, "repro")
    assert "clean: was changed since it was added" in err
    assert "hint: dver checkout --force clean puts back what the run made; dver add clean keeps the change" in err


def test_says_when_there_is_nothing_to_repeat(cli: Cli) -> None:
    result = cli("repro")
    assert (result.code, result.out, result.err) == (0, "", "dver: no runs are recorded here yet\n")
    record(cli, "one", [], [data("elsewhere")])
    result = cli("repro", "--dry-run")
    assert (result.code, result.out, result.err) == (0, "", "dver: nothing here was made by a run\n")


def test_warns_of_damaged_lines(steps: Cli) -> None:
    with (steps.folder / ".dver/lineage.jsonl").open("a") as file:
        file.write("{}\n")
    assert "line 3: " in steps("repro").err
