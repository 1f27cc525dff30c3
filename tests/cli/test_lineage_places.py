"""What the commands about lineage take for a version or a run, and what they say where there is none."""

import io
import json
import sys
from contextlib import redirect_stdout

import pytest

from dver.cli.main import main
from dver.records.record import Artifact, State
from tests.cli.recording import current, data, record, short
from tests.cli.runner import Cli
from tests.commands import GitCommand

pytestmark = pytest.mark.usefixtures("in_utc")


@pytest.mark.parametrize("command", [("lineage",), ("show",), ("lineage", "verify")])
def test_a_part_that_is_not_in_the_version_is_refused(two_versions: Cli, command: tuple[str, ...]) -> None:
    record(two_versions, "make", outputs=[current(two_versions)])

    err = two_versions.fails(3, *command, "data/nothere.csv")
    assert "data/nothere.csv: is not in the version of data" in err
    assert "hint: dver ls data lists what is in it" in err
    assert "dver ls first:data lists" in two_versions.fails(3, *command, "first:data/new.txt")
    assert two_versions(*command, "data/new.txt").code == 0


def test_where_a_version_cannot_be_read_its_parts_are_not_looked_for(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])
    for pack in (dataset.folder / ".dver" / "cache").rglob("*"):
        if pack.is_file():
            pack.unlink()

    assert dataset("lineage", "data/nothere.csv").code == 0


def test_a_run_is_named_with_its_prefix_everywhere(dataset: Cli) -> None:
    made = record(dataset, "make", [data("raw")], [current(dataset)])
    name = f"run:{short(made)}"

    assert dataset.ok("show", name) == dataset.ok("show", made.id)
    assert dataset.ok("lineage", name) == dataset.ok("lineage", "data")
    assert dataset.ok("lineage", made.id) == dataset.ok("lineage", "data")
    assert "1 run" in dataset("lineage", "verify", name).out
    assert "no run has an id that begins with ffffff" in dataset.fails(1, "show", "run:ffffff")
    for command in (("lineage",), ("lineage", "verify")):
        assert "no run has an id that begins with ffffff" in dataset.fails(3, *command, "run:ffffff")
        assert "'x' is no id of a run" in dataset.fails(2, *command, "run:x")


def test_a_run_of_several_outputs_has_no_one_lineage(dataset: Cli) -> None:
    made = record(dataset, "make", [], [data("one"), data("two")])
    none = record(dataset, "upload", [data("one")])

    err = dataset.fails(2, "lineage", f"run:{short(made)}")
    assert f"run {short(made)} made several: one, two" in err
    assert f"dver lineage verify {short(made)}" in err
    assert "made nothing" in dataset.fails(2, "lineage", f"run:{short(none)}")


@pytest.mark.parametrize("command", [("lineage",), ("show",), ("lineage", "verify"), ("diff",)])
def test_an_id_that_is_too_short_is_told_so(dataset: Cli, command: tuple[str, ...]) -> None:
    record(dataset, "make", outputs=[current(dataset)])

    assert "an id of a run has six hexadecimal digits or more" in dataset.fails(3, *command, "fade1")


def test_what_a_file_of_git_went_into_is_shown(dataset: Cli, git: GitCommand) -> None:
    dataset.write("train.py", "1")
    git("add", "train.py")
    git("commit", "--quiet", "-m", "Add code")
    blob = git("hash-object", "train.py").strip()
    code = Artifact("train.py", f"git:{blob}", kind="code")
    made = record(dataset, "train", [code], [data("model")])

    shown = (
        f"train.py  git:{blob[:12]}…  (code)\n└─ used by train: python train.py  [{short(made)}, 2026-11-23 13:00]\n"
    )
    assert dataset.ok("lineage", "--down", "train.py").startswith(shown)
    assert dataset.ok("lineage", "--down", "HEAD:train.py").startswith(shown)
    assert "git log -- train.py" in dataset("lineage", "train.py").err
    dataset.write("train.py", "2")
    result = dataset("lineage", "--down", "train.py")
    assert (result.code, result.out.count("\n")) == (0, 1)
    assert "dver runs --path train.py lists those that used it at all" in result.err
    assert "no dataset is there" in dataset.fails(3, "lineage", "nothing.py")
    assert "no dataset is there" in dataset.fails(3, "show", "train.py")


@pytest.mark.parametrize("form", ["dot", "mermaid", "html", "prov", "openlineage"])
def test_without_runs_each_format_is_a_document_of_its_kind(dataset: Cli, form: str) -> None:
    result = dataset("lineage", "--format", form, "data")

    assert result.code == 1
    assert "no runs are recorded here yet" in result.err
    if form == "prov":
        json.loads(result.out)
    starts = {"dot": "digraph", "mermaid": "flowchart", "html": "<!DOCTYPE html>", "prov": "{", "openlineage": ""}
    assert result.out.lower().startswith(starts[form].lower())


def test_damaged_lines_are_not_taken_for_none(dataset: Cli) -> None:
    dataset.write(".dver/lineage.jsonl", "{}\n")

    for command in (("lineage", "data"), ("show", "data"), ("runs",), ("artifacts",)):
        err = dataset(*command).err
        assert ".dver/lineage.jsonl has no line that is a record" in err
        assert "no runs are recorded" not in err


def test_a_run_that_is_not_found_may_be_on_a_damaged_line(dataset: Cli) -> None:
    made = record(dataset, "make", outputs=[current(dataset)])
    path = dataset.folder / ".dver" / "lineage.jsonl"
    path.write_text(path.read_text().replace("make", "fake"))

    for old in (short(made), f"run:{short(made)}"):
        assert "1 line is no record, and passed over" in dataset.fails(3, "diff", old, "run:ffffff")


def test_packages_of_an_import_are_not_missed(dataset: Cli) -> None:
    made = record(dataset, "", [], [data("raw")], command=(), state=State.IMPORTED, source="https://example.org/raw")

    assert "the data was imported, and no command ran" in dataset.fails(1, "show", "--packages", made.id)


def test_directives_of_mermaid_are_text(dataset: Cli) -> None:
    record(dataset, "%%{init: {'theme': 'dark'}}%%", outputs=[current(dataset)])

    out = dataset.ok("lineage", "--format", "mermaid", "data")

    assert "%%" not in out
    assert "#37;#37;#123;init" in out


def test_a_tree_is_drawn_in_ascii_where_there_is_nothing_else(dataset: Cli) -> None:
    made = record(dataset, "make", [data("raw"), data("labels")], [current(dataset)])
    record(dataset, "collect", [], [data("raw")])
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace", write_through=True)

    with redirect_stdout(stream):
        assert main(["-C", str(dataset.folder), "lineage", "data"]) == 0

    assert isinstance(stream.buffer, io.BytesIO)
    lines = stream.buffer.getvalue().decode("ascii").splitlines()
    assert lines[1] == f"`- made by make: python make.py  [{short(made)}, 2026-11-23 13:00]"
    assert lines[2].startswith("   |- raw  b3:726177000000...")
    assert lines[3].startswith("   |  `- made by collect")
    assert "\\u" not in "".join(lines)
    assert sys.stdout is not stream


def test_both_ways_the_start_is_told_with_its_kind(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset, kind="model")])

    up, down = dataset.ok("lineage", "--both", "data").split("\n\n")
    assert up.splitlines()[0] == down.splitlines()[0]
    assert up.splitlines()[0].endswith("(model)")


def test_a_revision_before_the_first_commit_is_explained(cli: Cli) -> None:
    assert "there is no commit yet" in cli.fails(3, "diff", "HEAD")


def test_both_meanings_of_a_word_are_told_with_all_that_was_typed(two_versions: Cli, git: GitCommand) -> None:
    git("branch", "data")

    err = two_versions.fails(2, "diff", "first", "data", "data/a.csv")

    assert "dver diff first data -- data/a.csv for the revision, dver diff first -- data data/a.csv" in err


@pytest.mark.parametrize("command", ["runs", "artifacts"])
def test_a_limit_that_is_no_number_is_told_as_a_depth_is(cli: Cli, command: str) -> None:
    assert "--limit takes a whole number from 1, not 'x'" in cli.fails(2, command, "--limit", "x")
