"""`dver runs`."""

import time
from collections.abc import Iterator

import pytest

from dver.records.record import State
from tests.cli.recording import data, record, short
from tests.cli.runner import Cli


@pytest.fixture(autouse=True)
def _time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-02")
        time.tzset()
        yield
    time.tzset()


def test_lists_runs_with_the_newest_last_in_the_readers_time(cli: Cli) -> None:
    later = record(cli, "train", started="2026-11-23T23:00:00.000Z", seconds=7500, command=("a > b",), shell=True)
    earlier = record(cli, "get", started="2026-11-23T22:59:00.000Z", seconds=0.04, state=State.CACHED)
    quick = record(cli, "", started="2026-11-23T22:58:00.000Z", seconds=75, command=("echo", "a b"))
    odd = record(cli, "odd\n", started="0001-01-01T00:00:00Z", seconds=12.3, state=State.FAILED)
    last = record(cli, "end", started="9999-12-31T23:59:59Z")

    assert cli.ok("runs").splitlines() == [
        f"{short(odd)}  0001-01-01 02:00      failed          12 s  odd\\n  python 'odd\\n.py'",
        f"{short(quick)}  2026-11-24 00:58      complete  1 min 15 s         echo 'a b'",
        f"{short(earlier)}  2026-11-24 00:59      cached         0.0 s  get    python get.py",
        f"{short(later)}  2026-11-24 01:00      complete   2 h 5 min  train  a > b",
        f"{short(last)}  9999-12-31T23:59:59Z  complete       0.0 s  end    python end.py",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--name", "two"], ["two"]),
        (["--state", "failed"], ["three"]),
        (["--tag", "a=1"], ["one", "two"]),
        (["--tag", "a=1", "--tag", "b=x=y"], ["two"]),
        (["--since", "2026-11-22"], ["two", "three"]),
        (["--since", "2026-11-22T02:00"], ["three"]),
        (["--since", "2026-11-22T00:00:00Z"], ["three"]),
        (["--since", "2026-11-21", "--state", "complete"], ["one", "two"]),
        (["--since", "0001-01-01"], ["one", "two", "three"]),
        (["--since", "0001-01-01T00:00+05:00"], ["one", "two", "three"]),
        (["--path", "raw"], ["one"]),
        (["--path", "."], ["one", "two", "three"]),
        (["--where", "tag('b') = 'x=y'"], ["two"]),
        (["--where", "name LIKE 't%' AND started < '2026-11-22'"], ["two"]),
        (["--where", "param('lr') > 0.1", "--state", "complete"], ["two"]),
        (["--where", "param('seed') IS NULL"], ["three"]),
        (["--where", "state = 'failed' OR command = 'python one.py'"], ["one", "three"]),
        (["--limit", "2"], ["two", "three"]),
        (["--limit", "1", "--tag", "a=1"], ["two"]),
        (["--limit", "1", "--where", "seconds = 0", "--state", "complete"], ["two"]),
        (["--limit", "9"], ["one", "two", "three"]),
    ],
)
def test_lists_only_those_that_fit(cli: Cli, options: list[str], names: list[str]) -> None:
    record(cli, "one", [data("raw/a")], started="2026-11-21T12:00:00.000Z", tags={"a": "1"}, params={"p.toml:seed": 1})
    params = {"p.toml:train.lr": 0.5, "seed": 2}
    record(cli, "two", started="2026-11-21T23:00:00.000Z", tags={"a": "1", "b": "x=y"}, params=params)
    record(cli, "three", started="2026-11-22T12:00:00.000Z", state=State.FAILED)

    assert [run["name"] for run in cli("runs", "--json", *options).json["runs"]] == names
    assert len(cli.ok("runs", *options).splitlines()) == len(names)


def test_paths_are_from_the_current_folder(cli: Cli) -> None:
    record(cli, "one", [data("sub/raw")])
    (cli.folder / "sub").mkdir()

    assert "one" in cli.at("sub").ok("runs", "--path", "raw")
    assert "is outside the repository" in cli.fails(3, "runs", "--path", "..")


def test_says_when_there_are_none(cli: Cli) -> None:
    result = cli("runs")
    assert (result.code, result.out, result.err) == (0, "", "dver: no runs are recorded here yet\n")
    assert cli("runs", "--json").json == {"runs": [], "damaged_lines": []}
    record(cli, "one")
    for option in ("--name=two", "--where=name = 'two'", "--since=9999-12-31T23:59", "--since=9999-12-31T23:59-05:00"):
        result = cli("runs", option)
        assert (result.code, result.out, result.err) == (0, "", "dver: no run fits; there is 1\n")


def test_warns_of_damaged_lines(cli: Cli) -> None:
    record(cli, "one")
    with (cli.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("{}\n")

    result = cli("runs")

    assert "one" in result.out
    assert "line 2: " in result.err
    assert cli("-q", "runs").err == ""
    assert cli("runs", "--json").json["damaged_lines"] == [2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--since", "yesterday"], "'yesterday' is no date"),
        (["--tag", "a"], "'a' is no tag"),
        (["--tag", "=a"], "'=a' is no tag"),
        (["--tag", "a=1", "--tag", "a=2"], "a tag has one value"),
        (["--name", ""], "the name of --name is empty"),
        (["--path", ""], "the path of --path is empty"),
        (["--state", "done"], "'done' is not one of"),
        (["--where", ""], "the condition of --where is empty"),
        (["--where", "nme = 'x'"], "names 'nme', which is no column\n  hint: the columns are id, name, "),
        (["--where", "name = 'x' AND"], "the condition cannot be used: it ends too early"),
        (["--limit", "0"], "--limit takes a whole number from 1, not '0'"),
        (["--limit", "few"], "--limit takes a whole number from 1, not 'few'"),
    ],
)
def test_refuses_what_makes_no_sense(cli: Cli, options: list[str], reason: str) -> None:
    assert reason in cli.fails(2, "runs", *options)
