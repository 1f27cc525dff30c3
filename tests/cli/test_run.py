"""`dver run`."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand

COPY = ("run", "-d", "data", "-o", "out", "-p", "lr=0.1", "--", "sh", "-c", "cat data/a.csv > out")


def last_record(cli: Cli) -> dict[str, object]:
    found = json.loads((cli.folder / ".dver/lineage.jsonl").read_text().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def said(cli: Cli, *arguments: str, code: int = 0) -> list[str]:
    """Run dver, and return what it says on standard error, where all of its own talk goes."""
    result = cli(*arguments)
    assert (result.code, result.out) == (code, ""), result
    return result.err.splitlines()


def test_says_why_it_runs_what_it_made_and_what_it_recorded(dataset: Cli) -> None:
    why, made, recorded = said(dataset, *COPY)
    assert why == "dver: running: first run"
    assert made == "dver: made out: 21 bytes"
    assert recorded.startswith("dver: recorded as run ")
    assert last_record(dataset)["command"] == ["sh", "-c", "cat data/a.csv > out"]


def test_says_which_run_it_reused(dataset: Cli) -> None:
    said(dataset, *COPY)
    first = str(last_record(dataset)["id"])
    (reused,) = said(dataset, *COPY)
    assert reused.startswith(f"dver: reused run {first[3:13]} of 20")
    assert ": same command, inputs and parameters; recorded as run " in reused


def test_says_what_is_new(dataset: Cli, git: GitCommand) -> None:
    dataset.write("code.py", "1")
    dataset.write("params.yaml", "lr: 0.1\n")
    git("add", "code.py")
    train = ("-o", "model", "-p", "params.yaml:lr", "--code", "code.py", "--", "sh", "-c", "date > model")
    said(dataset, "run", "-n", "train", "-d", "data", *train)
    dataset.write("params.yaml", "lr: 0.2\n")
    dataset.write("code.py", "2")
    dataset.write("data/a.csv", "new")
    dataset.ok("add", "data")
    why = said(dataset, "run", "-n", "train", "-d", "data", *train)[0]
    start, code, param = why.split("; ")
    assert start.startswith("dver: running: input data changed: b3:")
    assert "… → b3:" in start
    assert code == "code code.py changed"
    assert param == "parameter params.yaml:lr: 0.1 → 0.2"
    why = said(dataset, "run", "-n", "train", "-d", "data", "-p", "seed=1", "--force", "--", "true")[0]
    assert why == "dver: running: forced"
    assert said(dataset, "run", "-n", "train", "-d", "data", "-o", "x", "--", "touch", "x")[0] == (
        "dver: running: command changed; parameter seed is gone; output x is new"
    )


def test_a_dry_run_answers_on_standard_output_and_runs_nothing(dataset: Cli) -> None:
    dry = ("run", "--dry-run", *COPY[1:])
    assert dataset.ok(*dry) == "would run: first run\n"
    assert not (dataset.folder / "out").exists()
    said(dataset, *COPY)
    assert dataset.ok(*dry).startswith("would reuse run ")
    dataset.write("data/a.csv", "new")
    out = dataset.ok("run", "--add-inputs", *dry[1:]).splitlines()
    assert out[0] == "would add data"
    assert out[1].startswith("would run: input data changed: ")


def test_inputs_are_added_if_told(dataset: Cli) -> None:
    dataset.write("data/a.csv", "new")
    assert "hint: dver add data, or dver run --add-inputs" in dataset.fails(3, *COPY)
    lines = said(dataset, "run", "--add-inputs", *COPY[1:])
    assert lines[0] == "dver: added the input data"


@pytest.mark.parametrize(
    ("line", "code", "what"),
    [
        ("exit 7", 7, "failed with exit code 7"),
        ("exit 250", 250, "failed with exit code 250"),
        ("kill -TERM $$", 143, "ended by SIGTERM"),
        ("true", 3, "did not make its output out"),
        ("touch out; touch data/new", 3, "input data changed while the command ran"),
        ("mkfifo out", 3, "outputs cannot be stored: out: is a socket"),
    ],
)
def test_a_failure_is_told_and_is_the_exit_code(dataset: Cli, line: str, code: int, what: str) -> None:
    err = dataset.fails(code, "run", "-d", "data", "-o", "out", "--shell", "--", line)
    assert what in err
    assert "no output was published, recorded as run " in err
    assert last_record(dataset)["state"] == "failed"


def test_a_failure_leaves_the_good_outputs_and_says_where_the_others_are(dataset: Cli) -> None:
    said(dataset, *COPY)
    err = dataset.fails(1, "run", "-o", "out", "--shell", "--", "echo half > out; echo >> data/a.csv; exit 1")
    assert "hint: outputs are as they were before; what the command left is in .dver/tmp/failed" in err
    (left,) = (dataset.folder / ".dver/tmp/failed").glob("*/out")
    assert left.read_text() == "half\n"
    assert left.parent.name in err
    assert (dataset.folder / "out").read_text().startswith("id,value")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("echo >> data/a.csv", "dver checkout --force data undoes the change of data, dver add data keeps it; then"),
        ("rm -r data", "dver checkout --force data brings back what is gone; then run it again; "),
        ("echo lr: 2 > p.yaml", "run it again; outputs are as they were before; what the command made is in .dver/tmp"),
        ("echo 2 > code.py", "run it again; "),
    ],
)
def test_what_changed_meanwhile_is_named_with_what_helps(dataset: Cli, git: GitCommand, line: str, hint: str) -> None:
    dataset.write("p.yaml", "lr: 1\n")
    dataset.write("code.py", "1")
    git("add", "code.py")
    step = ("-d", "data", "--code", "code.py", "-p", "p.yaml:lr", "-o", "out", "--shell", "--")
    err = dataset.fails(3, "run", *step, f"touch out; {line}")
    assert " changed while the command ran; no output was published, recorded as run " in err
    assert f"hint: {hint}" in err
    assert "/kept-" in err
    assert err.endswith(", which dver never deletes\n")


def test_a_list_is_shown_as_one(dataset: Cli) -> None:
    dataset.write("p.yaml", "cols: [1, 2]\n")
    step = ("run", "-n", "x", "-p", "p.yaml:cols", "-o", "out", "--", "touch", "out")
    dataset(*step)
    dataset.write("p.yaml", "cols: [1]\n")
    assert said(dataset, *step)[0] == "dver: running: parameter p.yaml:cols: [1, 2] → [1]"
    assert "parameters   p.yaml:cols = [1]\n" in dataset.ok("show", "out")


def test_code_that_no_commit_has_is_named(dataset: Cli, git: GitCommand) -> None:
    dataset.write("code.py", "1")
    git("add", "code.py")
    step = ("run", "--force", "--code", "code.py", "-o", "out", "--", "touch", "out")
    assert said(dataset, *step)[-1].startswith("dver: commit code.py: what the record names of it is in no commit")
    git("commit", "--quiet", "-m", "code", "code.py")
    assert "recorded as run" in said(dataset, *step)[-1]


def test_an_input_that_is_not_there_is_refused_in_every_way(dataset: Cli) -> None:
    for options in ((), ("--add-inputs",), ("--add-inputs", "--dry-run")):
        err = dataset.fails(3, "run", *options, "-d", "nosuch", "--", "true")
        assert err == "dver: error: nosuch: there is no such file or directory\n  hint: dver ls lists the datasets\n"


def test_a_command_that_is_not_there_is_an_error_of_its_own(dataset: Cli) -> None:
    err = dataset.fails(127, "run", "-d", "data", "--", "nosuch", "x")
    assert "dver: error: nosuch: command not found" in err
    assert "cannot be executed" in dataset.fails(126, "run", "-d", "data", "--", "data/a.csv")
    assert not (dataset.folder / ".dver/lineage.jsonl").exists()
    assert list((dataset.folder / ".dver/tmp/runs").iterdir()) == []


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("true", "failed, for it did not make its output out"),
        ("touch out data/new", "failed, for input data changed while it ran"),
        ("mkfifo out", "failed, for its outputs could not be stored: out: is a socket, device or named pipe"),
    ],
)
def test_a_failure_of_which_the_exit_code_says_nothing_is_told_by_the_record(
    dataset: Cli, line: str, note: str
) -> None:
    dataset.fails(3, "run", "-d", "data", "-o", "out", "--shell", "--", line)
    found = last_record(dataset)
    assert (found["exit"], found["note"]) == (0, note)
    assert f"note         {note}\n" in dataset.ok("show", str(found["id"]))
    assert dataset.ok("runs").endswith(f"{line}  ({note})\n")


def test_after_failures_alone_it_is_no_first_run(dataset: Cli) -> None:
    for arguments in (("-n", "step", "-o", "out"), ("-o", "out")):
        dataset.fails(1, "run", *arguments, "--", "false")
        assert "dver: running: the last try, run " in dataset.fails(1, "run", *arguments, "--", "false")
    assert "the last try, run " in dataset.fails(2, "run", "-n", "step", "-o", "out", "--", "sh", "-c", "exit 2")


def test_a_dry_run_says_that_a_restore_would_be_refused(dataset: Cli) -> None:
    said(dataset, *COPY)
    dataset.write("out", "precious")
    err = dataset.fails(3, "run", "--dry-run", *COPY[1:])
    assert "restoring its outputs would overwrite or delete data that is stored nowhere" in err
    assert "hint: dver add out keeps what is there" in err
    assert (dataset.folder / "out").read_text() == "precious"


def test_warns_of_damaged_lines(dataset: Cli) -> None:
    dataset.write(".dver/lineage.jsonl", "{}\n")
    assert "lineage.jsonl: 1 line is no record, and passed over" in dataset("run", "--", "true").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-d", ".git"), ".git: belongs to git or dver itself and is no input"),
        (("-o", ".git/x"), ".git/x: belongs to git or dver itself and cannot be an output"),
        (("-o", "link/x"), "hint: name the real path: data/x"),
        (("-d", "link/new"), "hint: name the real path: data/new"),
        (("-d", "data", "-o", "data/out"), "the output data/out and the input data lie within each other"),
    ],
)
def test_paths_that_can_be_neither_input_nor_output_are_refused(
    dataset: Cli, arguments: tuple[str, ...], message: str
) -> None:
    (dataset.folder / "link").symlink_to("data")
    dataset.write("data/new", "1")
    code = 2 if "within" in message else 3
    assert message in dataset.fails(code, "run", *arguments, "--", "touch", "ran")
    assert not (dataset.folder / "ran").exists()


def test_paths_are_from_the_folder_in_which_it_runs(dataset: Cli) -> None:
    dataset.write("work/params.toml", "[a]\nb = 1\n")
    sub = dataset.at("work")
    lines = said(
        sub, "run", "-d", "../data/deep", "-o", "out", "-p", "params.toml:a.b", "--", "cp", "-r", "../data", "out"
    )
    assert lines[1].startswith("dver: made out: 3 files, ")
    record = last_record(dataset)
    assert record["folder"] == "work"
    assert record["params"] == {"work/params.toml:a.b": 1}
    outputs = record["outputs"]
    assert isinstance(outputs, list)
    assert outputs[0]["path"] == "work/out"


def test_options_of_the_command_are_its_own(dataset: Cli) -> None:
    dataset.write("show.py", "import sys; open('seen', 'w').write(repr(sys.argv[1:]))")
    said(dataset, "run", "-n", "x", sys.executable, "show.py", "-n", "--force", "--", "a b")
    assert (dataset.folder / "seen").read_text() == "['-n', '--force', '--', 'a b']"
    environment = last_record(dataset)["environment"]
    assert isinstance(environment, dict)
    assert environment["packages"].startswith("b3:")


def test_quiet_says_nothing_but_errors(dataset: Cli) -> None:
    assert said(dataset, "run", "-q", *COPY[1:]) == []
    assert len(said(dataset, "run", "-q", "-o", "out", "--", "false", code=1)) == 1


def test_secrets_are_masked_and_the_user_told(dataset: Cli) -> None:
    lines = said(dataset, "run", "--tag", "who=me", "--", "true", "--password=hunter2")
    assert lines[0].startswith("dver: masked in the record, for it looks like a secret: --password=***; ")
    text = (dataset.folder / ".dver/lineage.jsonl").read_text()
    assert "hunter2" not in text
    assert last_record(dataset)["tags"] == {"who": "me"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--tag", "x", "--", "true"),
        ("run", "--tag", "=x", "--", "true"),
        ("run", "--tag", "k=a", "--tag", "k=b", "--", "true"),
        ("run", "-p", "x", "--", "true"),
        ("run", "--shell", "--", "a", "b"),
        ("run", "-o", "x", "-o", "x/y", "--", "true"),
        ("run", "-d", "data", "-o", "data", "--", "true"),
    ],
)
def test_command_lines_that_make_no_sense_are_refused(dataset: Cli, arguments: tuple[str, ...]) -> None:
    dataset.fails(2, *arguments)


def test_paths_outside_the_repository_are_refused(dataset: Cli, tmp_path: Path) -> None:
    (tmp_path / "away").touch()
    assert "is outside the repository" in dataset.fails(3, "run", "-d", "../away", "--", "true")
    assert "is outside the repository" in dataset.fails(3, "run", "-o", str(tmp_path / "x"), "--", "true")
