"""`dver diff` of two runs, and what it says of the runs that made two versions."""

import json
from dataclasses import replace
from typing import Any

import pytest

from dver.records.journal import Journal
from dver.records.record import Artifact, Environment, Record
from tests.cli.recording import code, current, data, record, short
from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand

pytestmark = pytest.mark.usefixtures("in_utc")


def changed(cli: Cli, before: Record, **fields: Any) -> Record:
    """Append a record that is another one but for some fields."""
    made = replace(before, **{"started": "2026-11-24T13:00:00.000Z", **fields})
    Journal(cli.folder / ".dver" / "lineage.jsonl").append(made)
    return made


def two_runs(cli: Cli) -> tuple[Record, Record]:
    old = record(cli, "train", [data("raw"), code("train.py")], [data("model")], params={"lr": 0.1}, commit="a" * 40)
    new = changed(
        cli,
        old,
        command=("python", "train.py", "a b"),
        inputs=(Artifact("raw", "b3:" + "1" * 64), code("train.py"), data("more\n")),
        params={"lr": 0.5, "n": 1},
        commit="b" * 40,
        environment=Environment(python="3.12.1", image="docker.io/x@sha256:" + "5" * 64),
    )
    return old, new


def test_shows_what_differs_between_two_runs(cli: Cli) -> None:
    old, new = two_runs(cli)

    assert cli.ok("diff", short(old), new.id).splitlines() == [
        f"run {short(old)} (train, 2026-11-23 13:00) → {short(new)} (train, 2026-11-24 13:00)",
        "  command    python train.py → python train.py 'a b'",
        "  parameter  lr: 0.1 → 0.5",
        "             n: new, 1",
        '  input      "more\\n": new, b3:6d6f72650a00…',
        "             raw: b3:726177000000… → b3:111111111111…",
        "  commit     aaaaaaaaaaaa → bbbbbbbbbbbb",
        "  python     new, 3.12.1",
        "  image      new, docker.io/x@sha256:555555555555…",
    ]
    assert "lr: gone" not in cli.ok("diff", short(new), short(old))
    assert "n: gone, was 1" in cli.ok("diff", short(new), short(old))


def test_paths_are_from_the_current_folder(cli: Cli) -> None:
    old, new = two_runs(cli)
    (cli.folder / "sub").mkdir()

    assert " ../raw: b3:" in cli.at("sub").ok("diff", short(old), short(new))


def test_says_nothing_where_nothing_differs(cli: Cli) -> None:
    old, _ = two_runs(cli)
    later = changed(cli, old, seconds=9.0)

    assert cli.ok("diff", short(old), short(later)) == ""
    assert "no differences" in on_terminals(cli.folder, "diff", short(old), short(later))[2]
    assert cli("diff", "--exit-code", short(old), short(later)).code == 0


def test_exit_code_says_that_something_differs(cli: Cli) -> None:
    old, new = two_runs(cli)

    assert cli("diff", "--exit-code", short(old), short(new)).code == 1
    assert cli("diff", "--exit-code", "--json", short(old), short(new)).code == 1


def test_json_has_values_as_they_are(cli: Cli) -> None:
    old, new = two_runs(cli)

    found = cli("diff", "--json", f"run:{short(old)}", f"run:{short(new)}").json

    assert (found["old"], found["new"], found["packages_problem"]) == (old.id, new.id, None)
    by_name = {(one["aspect"], one["name"]): one for one in found["differences"]}
    assert by_name["command", None]["new"] == ["python", "train.py", "a b"]
    assert by_name["parameter", "n"] == {
        "aspect": "parameter",
        "name": "n",
        "change": "added",
        "old": None,
        "new": 1,
    }
    assert by_name["input", "raw"]["old"] == data("raw").version


def test_packages_that_are_nowhere_are_told_of(cli: Cli) -> None:
    old, new = (
        record(cli, name, environment=Environment(packages="b3:" + digit * 64))
        for name, digit in (("a", "1"), ("b", "2"))
    )

    result = cli("diff", short(old), short(new))

    assert (result.code, "name" in result.out) == (0, True)
    assert "dver: packages were not compared: version b3:111111111111…" in result.err
    assert "is not in" in cli("diff", "--json", short(old), short(new)).json["packages_problem"]


def test_a_run_is_compared_with_one_run(cli: Cli) -> None:
    old, new = map(short, two_runs(cli))
    cli.write("d/x", "1")
    cli.ok("add", "d")

    for words in ([old], [old, new, old]):
        assert f"two runs can be compared, not {len(words)}" in cli.fails(2, "diff", *words)
    assert f"{old} is a run, and HEAD is none" in cli.fails(2, "diff", old, "HEAD")
    assert f"{old} is a run, and d is none" in cli.fails(2, "diff", "d", old)
    assert "are compared as a whole" in cli.fails(2, "diff", f"run:{old}", f"run:{new}", "--", "d")
    assert "two runs can be compared, not 1" in cli.fails(2, "diff", f"run:{old}", "--")


def test_an_unknown_run_is_named(cli: Cli) -> None:
    assert "no run has an id that begins with ffffffff" in cli.fails(3, "diff", "run:ffffffff", "run:ffffffff")
    old, _ = map(short, two_runs(cli))

    assert "no run has an id that begins with ffffffff" in cli.fails(3, "diff", old, "run:ffffffff")
    assert "no run has an id that begins with b3:ffffffff" in cli.fails(3, "diff", old, "b3:ffffffff")
    assert "ffffffff: is neither a revision nor a dataset" not in cli.fails(2, "diff", old, "ffffffff")
    assert "'xyz' is no id of a run" in cli.fails(2, "diff", old, "run:xyz")
    assert "'' is no id of a run" in cli.fails(2, "diff", "run:")


def test_a_word_that_is_a_run_and_another_thing_is_asked_about(dataset: Cli, git: GitCommand) -> None:
    old, new = map(short, two_runs(dataset))
    git("branch", old)
    assert f"{old} is both a run and a revision" in (said := dataset.fails(2, "diff", old, new))
    assert f"hint: dver diff run:{old} {new} for the run, dver diff {old} {new} -- for the revision" in said
    assert "parameter" in dataset.ok("diff", f"run:{old}", new)
    assert dataset.ok("diff", old, "--") == ""

    git("branch", "-D", old)
    dataset.write(old, "1")
    dataset.ok("add", old)
    assert f"{old} is both a run and a dataset" in dataset.fails(2, "diff", old, new)
    assert f"{old}: new, " in dataset.ok("diff", f"./{old}")


def test_revisions_that_look_like_runs_are_revisions(two_versions: Cli, git: GitCommand) -> None:
    first, second = git("rev-parse", "first").strip(), git("rev-parse", "HEAD").strip()
    without = two_versions.ok("diff", first, second[:10])
    two_runs(two_versions)

    assert two_versions.ok("diff", first, second[:10]) == without
    assert "new.txt" in without


def test_warns_of_damaged_lines(cli: Cli) -> None:
    old, new = map(short, two_runs(cli))
    with (cli.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("{}\n")

    assert "line 3: " in cli("diff", old, new).err
    assert cli("diff", "--json", old, new).json["damaged_lines"] == [3]


def made(cli: Cli, git: GitCommand, revision: str, **fields: Any) -> Record:
    """Record that a run made the version of `data` in a revision."""
    git("checkout", "--quiet", revision, "--", "data.dver")
    run = record(cli, "make", outputs=[current(cli)], **fields)
    git("checkout", "--quiet", "main", "--", "data.dver")
    return run


def test_versions_that_runs_made_are_told_apart_by_these(two_versions: Cli, git: GitCommand) -> None:
    old = made(two_versions, git, "first", params={"lr": 0.1}, tags={"a": "1"})
    new = made(two_versions, git, "main", params={"lr": 0.5})

    *files, by, why = two_versions.ok("diff", "first", "HEAD").splitlines()

    assert len(files) == 4
    assert by == f"  made by    make ({short(old)}) → make ({short(new)})"
    assert why == "  parameter  lr: 0.1 → 0.5"
    [found] = two_versions("diff", "--json", "first", "HEAD", "--", "data").json["datasets"]
    assert found["lineage"] == {
        "old_run": old.id,
        "new_run": new.id,
        "differences": [{"aspect": "parameter", "name": "lr", "change": "modified", "old": 0.1, "new": 0.5}],
        "packages_differ": False,
    }


def test_runs_that_were_the_same_and_made_other_versions_are_named(two_versions: Cli, git: GitCommand) -> None:
    old, new = made(two_versions, git, "first"), made(two_versions, git, "main")

    last = two_versions.ok("diff", "first", "HEAD").splitlines()[-1]

    same = ", with the same command, inputs and parameters"
    assert last == f"  made by    make ({short(old)}) → make ({short(new)}){same}"


def test_a_version_that_no_run_made_is_told_of(two_versions: Cli, git: GitCommand) -> None:
    assert two_versions("diff", "--json", "first", "HEAD").json["datasets"][0]["lineage"] is None
    new = made(two_versions, git, "main")

    assert two_versions.ok("diff", "first", "HEAD").splitlines()[-1] == (
        f"  made by    no run that is recorded → make ({short(new)})"
    )
    found = two_versions("diff", "--json", "first", "HEAD").json["datasets"][0]["lineage"]
    assert found == {"old_run": None, "new_run": new.id, "differences": [], "packages_differ": False}


def test_other_packages_are_told_with_the_command_that_compares_them(two_versions: Cli, git: GitCommand) -> None:
    lists = [Environment(packages=f"b3:{digit * 64}") for digit in "12"]
    old, new = (
        made(two_versions, git, rev, environment=one) for rev, one in zip(("first", "main"), lists, strict=True)
    )

    last = two_versions.ok("diff", "first", "HEAD").splitlines()[-1]

    compare = f"dver diff run:{short(old)} run:{short(new)}"
    assert last == f"  package    others were installed: {compare} compares them"
    assert json.loads(two_versions.ok("diff", "--json", "first", "HEAD"))["datasets"][0]["lineage"]["packages_differ"]


def test_a_lineage_file_that_is_a_link_changes_nothing(two_versions: Cli) -> None:
    before = two_versions.ok("diff", "first", "HEAD")
    lineage = two_versions.folder / ".dver" / "lineage.jsonl"
    lineage.unlink(missing_ok=True)
    lineage.symlink_to("/dev/zero")

    assert two_versions.ok("diff", "first", "HEAD") == before


def test_output_without_lineage_is_one_document(two_versions: Cli) -> None:
    assert list(json.loads(two_versions.ok("diff", "--json", "first", "HEAD"))) == ["old", "new", "datasets"]
