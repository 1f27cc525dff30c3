"""`dver artifacts`."""

import pytest

from dver.records.record import State
from tests.cli.recording import code, data, record, short
from tests.cli.runner import Cli

pytestmark = pytest.mark.usefixtures("in_utc")


def test_lists_versions_with_the_run_that_made_each_and_how_many_used_it(cli: Cli) -> None:
    part = data("raw/a", dataset="raw", dataset_version=data("raw").version)
    model = data("model", kind="model", props={"accuracy": 0.5, "for": "me\n"})
    got = record(cli, "", outputs=[data("raw")], state=State.IMPORTED, command=(), started="2026-11-23T12:00:00Z")
    made = record(cli, "train", [part, code("train.py"), data("given")], [model])
    record(cli, "again", [part, model], started="2026-11-23T14:00:00Z")

    assert cli.ok("artifacts").splitlines() == [
        f"2026-11-23 12:00  raw       b3:726177000000…   dataset  run {short(got)}          used by 2 runs",
        "2026-11-23 13:00  raw/a     b3:7261772f6100…   dataset  part of raw             used by 2 runs",
        "2026-11-23 13:00  train.py  git:cccccccccccc…  code     in git                  used by 1 run",
        "2026-11-23 13:00  given     b3:676976656e00…   dataset  source                  used by 1 run",
        f"2026-11-23 13:00  model     b3:6d6f64656c00…   model    run {short(made)} (train)  used by 1 run"
        "   accuracy=0.5 for=me\\n",
    ]


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        (["raw"], ["raw"]),
        (["--path", "raw"], ["raw"]),
        (["."], ["raw", "clean", "model"]),
        (["--kind", "model"], ["model"]),
        (["--prop", "final=true"], ["model"]),
        (["--tag", "a=1"], ["clean"]),
        (["--name", "train"], ["model"]),
        (["--state", "complete"], ["clean", "model"]),
        (["--since", "2026-11-22T12:00"], ["model"]),
        (["--where", "made IS NULL"], ["raw"]),
        (["--where", "used = 1 AND kind = 'dataset'"], ["raw", "clean"]),
        (["--where", "prop('final')"], ["model"]),
        (["--where", "name = 'clean' AND made < '2026-11-22'"], ["clean"]),
        (["--where", "used", "--limit", "1"], ["clean"]),
        (["--limit", "2"], ["clean", "model"]),
        (["--since", "2026-11-21", "--state", "complete", "--tag", "a=1"], ["clean"]),
    ],
)
def test_lists_only_those_that_fit(cli: Cli, options: list[str], paths: list[str]) -> None:
    record(cli, "clean", [data("raw")], [data("clean")], started="2026-11-21T12:00:00Z", tags={"a": "1"})
    record(cli, "train", [data("clean")], [data("model", kind="model", props={"final": True})])

    assert [one["path"] for one in cli("artifacts", "--json", *options).json["artifacts"]] == paths
    assert len(cli.ok("artifacts", *options).splitlines()) == len(paths)


def test_names_the_runs_in_json(cli: Cli) -> None:
    part = data("raw/a", dataset="raw", dataset_version=data("raw").version)
    made = record(cli, "make", outputs=[data("raw")])
    used = record(cli, "use", [part])

    whole, inner = cli("artifacts", "--json").json["artifacts"]

    assert (whole["path"], whole["dataset"]) == ("raw", None)
    assert (whole["made_by"], whole["used_by"]) == ([made.id], [used.id])
    assert (inner["dataset"], inner["dataset_version"]) == ("raw", data("raw").version)
    assert (inner["made_by"], inner["used_by"]) == ([], [used.id])


def test_paths_are_from_the_current_folder(cli: Cli) -> None:
    record(cli, "one", [data("sub/raw")])
    (cli.folder / "sub").mkdir()

    assert "  raw  " in cli.at("sub").ok("artifacts", "raw")
    assert "is outside the repository" in cli.fails(3, "artifacts", "..")


def test_says_when_there_are_none(cli: Cli) -> None:
    result = cli("artifacts")
    assert (result.code, result.out, result.err) == (0, "", "dver: no runs are recorded here yet\n")
    assert cli("artifacts", "--json").json == {"artifacts": [], "damaged_lines": []}
    record(cli, "one", [data("raw")])
    result = cli("artifacts", "--kind", "model")
    assert (result.code, result.out, result.err) == (0, "", "dver: no artifact fits; there is 1 run\n")


def test_warns_of_damaged_lines(cli: Cli) -> None:
    record(cli, "one", [data("raw")])
    with (cli.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("{}\n")

    result = cli("artifacts")

    assert "raw" in result.out
    assert "line 2: " in result.err
    assert cli("artifacts", "--json").json["damaged_lines"] == [2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--since", "yesterday"], "'yesterday' is no date"),
        (["--tag", "a"], "'a' is no tag"),
        (["--prop", "=a"], "'=a' is no property"),
        (["--tag", "a=1", "--tag", "a=2"], "a tag has one value, and --tag"),
        (["--prop", "a=1", "--prop", "a=2"], "a property has one value, and --prop"),
        (["--state", "failed"], "'failed' is not one of"),
        (["raw", "--path", "raw"], "say the same"),
        ([""], "the path is empty"),
        (["--path", ""], "the path is empty"),
        (["--name", ""], "the name of --name is empty"),
        (["--kind", ""], "the kind of --kind is empty"),
        (["--where", ""], "the condition of --where is empty"),
        (["--where", "started > 1"], "names 'started', which is no column"),
        (["--limit", "-1"], "--limit takes a whole number from 1, not '-1'"),
    ],
)
def test_refuses_what_makes_no_sense(cli: Cli, options: list[str], reason: str) -> None:
    assert reason in cli.fails(2, "artifacts", *options)
