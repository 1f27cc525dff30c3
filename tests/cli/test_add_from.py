"""`dver add --from` and `--note`."""

import subprocess
import sys

import pytest

from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_records_where_the_data_came_from(cli: Cli, git: GitCommand) -> None:
    cli.write("raw/x", "1")

    lines = cli.ok("add", "raw", "--from", "https://example.org/raw.zip", "--note", "of May").splitlines()

    assert lines[0].startswith("added raw: 1 file")
    run = lines[1].removeprefix("recorded where it came from: run ")
    [shown] = cli("show", run, "--json").json["runs"]
    assert (shown["state"], shown["source"], shown["note"]) == ("imported", "https://example.org/raw.zip", "of May")
    assert "import from https://example.org/raw.zip" in cli.ok("lineage", "raw")
    assert ".dver/lineage.jsonl" in git("diff", "--cached", "--name-only").splitlines()


def test_records_what_the_data_is(cli: Cli) -> None:
    cli.write("sub/best", "1")
    cli.write("sub/rows", "2")
    sub = cli.at("sub")
    said = ("--kind", "best=model", "--prop", "best:of=May", "--prop", "rows:count=2")
    sub.ok("add", "--note", "by hand", *said, "best", "rows")
    assert " sub/best " in cli.ok("artifacts", "--kind", "model", "--prop", "of=May")
    assert " sub/rows " in cli.ok("artifacts", "--kind", "dataset", "--prop", "count=2")
    cli.ok("add", "--note", "a schema after all", "--kind", "schema", "sub/best")
    assert " sub/best " in cli.ok("artifacts", "--kind", "schema", "--prop", "of=May")


def test_what_the_data_is_needs_a_record(cli: Cli) -> None:
    cli.write("raw", "1")
    cli.write("more", "1")
    err = cli.fails(2, "add", "--kind", "model", "raw")
    assert "hint: give --note TEXT as well" in err
    err = cli.fails(2, "add", "--note", "x", "--kind", "model", "raw", "more")
    assert "does not say which of the 2 paths is meant" in err
    assert "--kind OUT=model" not in err
    assert "--kind PATH=model, where PATH is one of raw, more" in err
    assert not (cli.folder / "raw.dver").exists()


def test_a_note_alone_stands_for_what_ran(cli: Cli) -> None:
    cli.write("raw", "1")
    cli.ok("add", "raw", "--note", "from Ann\n")
    assert "made by import: from Ann  [" in cli.ok("lineage", "raw")
    assert cli.ok("runs").endswith("  from Ann\n")


def test_says_what_was_masked(cli: Cli) -> None:
    cli.write("raw", "1")
    result = cli("add", "raw", "--from", "https://me:hunter2@example.org/raw")
    assert result.code == 0
    assert "masked in the record, for it looks like a secret: https://me:***" in result.err
    assert b"hunter2" not in (cli.folder / ".dver" / "lineage.jsonl").read_bytes()


def test_what_to_do_next_names_the_lineage_file(cli: Cli) -> None:
    cli.write("raw", "1")
    _, _, err = on_terminals(cli.folder, "add", "--no-stage", "--note", "by hand", "raw")
    assert 'next: git add raw.dver .gitignore .dver/lineage.jsonl && git commit -m "Add raw"' in err
    _, _, err = on_terminals(cli.folder, "add", "--note", "by hand, in May", "raw")
    assert 'next: git commit -m "Say where raw came from"' in err


@pytest.mark.parametrize("option", ["--from", "--note"])
def test_refuses_an_empty_text(cli: Cli, option: str) -> None:
    cli.write("raw", "1")
    assert "nothing is said of where the data came from" in cli.fails(2, "add", "raw", option, "")
    assert not (cli.folder / "raw.dver").exists()


def test_an_add_without_an_origin_loads_no_records(cli: Cli) -> None:
    cli.write("raw", "1")
    code = f"""
import sys
from dver.cli.main import main
main(["-C", {str(cli.folder)!r}, "-q", "add", "raw"])
print([name for name in sys.modules if name.startswith("dver.records")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert not (cli.folder / ".dver" / "lineage.jsonl").exists()
