"""What `dver run` makes of the words that it is given: secrets, parameters, and the program."""

import json
from typing import Any

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand


def last_record(cli: Cli) -> dict[str, Any]:
    found = json.loads((cli.folder / ".dver/lineage.jsonl").read_text().splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("--", "true", "PGPASSWORD=hunter2"),
        ("--", "env", "PGPASSWORD=hunter2", "true"),
        ("--shell", "--", "PGPASSWORD=hunter2 true"),
        ("--", "true", "-H", "X-Api-Key: hunter2"),
        ("--", "true", "-u", "me:hunter2"),
        ("--", "true", "--auth", "hunter2"),
        ("--", "true", "https://hunter2@host/x"),
        ("-p", "text=password=hunter2", "--", "true"),
    ],
)
def test_a_secret_is_neither_recorded_nor_said(dataset: Cli, words: tuple[str, ...]) -> None:
    result = dataset("run", *words)
    assert result.code == 0, result
    assert "masked in the record" in result.err
    assert "hunter2" not in result.err
    assert "hunter2" not in (dataset.folder / ".dver/lineage.jsonl").read_text()


@pytest.mark.parametrize(("value", "text"), [("[1, 2]", '"[1, 2]"'), (".inf", '"inf"'), ("2026-01-02", '"2026-01-02"')])
def test_a_value_and_its_text_are_not_the_same(dataset: Cli, value: str, text: str) -> None:
    step = ("run", "-n", "x", "-p", "p.yaml:a", "-o", "out", "--", "touch", "out")
    dataset.write("p.yaml", f"a: {value}\n")
    assert dataset(*step).code == 0
    dataset.write("p.yaml", f"a: {text}\n")
    result = dataset(*step)
    assert result.err.startswith("dver: running: parameter p.yaml:a: !")
    assert result.err.splitlines()[0].endswith(f" → {text}")


def test_a_folder_is_no_file_of_parameters(dataset: Cli) -> None:
    dataset.write("sub/x", "")
    for folder in (dataset, dataset.at("sub")):
        for file in (".", str(dataset.folder)):
            err = folder.fails(3, "run", "-p", f"{file}:a", "--", "true")
            assert "is no file that parameters can be read from" in err
    assert "is no file that" in dataset.at("sub").fails(3, "run", "-p", "..:a", "--", "true")
    assert "is outside the repository" in dataset.fails(3, "run", "-p", "..:a", "--", "true")
    assert not (dataset.folder / ".dver/lineage.jsonl").exists()


def test_wrong_parameters_get_a_hint(dataset: Cli) -> None:
    dataset.write("params.yaml", "a: 1\n")
    assert "hint: there is params.yaml" in dataset.fails(3, "run", "-p", "param.yaml:a", "--", "true")
    assert "hint: FILE of -p FILE:KEY is looked for" in dataset.fails(3, "run", "-p", "nope.yaml:a", "--", "true")
    assert "hint: leave one of them out" in dataset.fails(2, "run", "-p", "x=1", "-p", "x=2", "--", "true")


def test_outputs_are_described_by_their_paths_from_here(dataset: Cli, git: GitCommand) -> None:
    sub = dataset.at("sub")
    dataset.write("sub/lock", "a==1")
    git("add", "sub/lock")
    step = ("run", "-n", "x", "-o", "m", "-o", "../n", "--env", "lock", "--shell", "--", "touch m ../n")
    said = ("--kind", "m=model", "--kind", "../n=metrics", "--prop", "m:rows=3", "--prop", "../n:final=true")
    result = sub("run", *said, *step[1:])
    assert result.code == 0, result
    record = last_record(dataset)
    assert [(one["path"], one["kind"], one["props"]) for one in record["outputs"]] == [
        ("sub/m", "model", {"rows": 3}),
        ("n", "metrics", {"final": True}),
    ]
    assert [(one["path"], one["kind"]) for one in record["inputs"]] == [("sub/lock", "env")]
    listed = dataset.ok("artifacts", "--kind", "model", "--prop", "rows=3")
    assert " sub/m " in listed
    assert listed.rstrip().endswith("rows=3")
    dataset.write("sub/lock", "a==2")
    result = sub("run", "--dry-run", *step[1:])
    assert result.out == "would run: environment file lock changed\n"
    assert "made with sub/lock, which has changed" in dataset.ok("status")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "model"), "--kind model: there is no output\n  hint: -o PATH names one"),
        (("--kind", "data=model", "-o", "x"), "--kind data=model: data is no output\n  hint: what it may be is x"),
        (("--prop", "a=1", "-o", "x", "-o", "y"), "--prop OUT:a=1, where OUT is one of x, y"),
    ],
)
def test_what_cannot_be_described_is_refused_before_anything_runs(
    dataset: Cli, words: tuple[str, ...], said: str
) -> None:
    assert said in dataset.fails(2, "run", *words, "--", "touch", "ran")
    assert not (dataset.folder / "ran").exists()


def test_python_is_recorded_only_where_it_ran(dataset: Cli) -> None:
    assert dataset("run", "--", "true").code == 0
    assert set(last_record(dataset)["environment"]) == {"platform"}
