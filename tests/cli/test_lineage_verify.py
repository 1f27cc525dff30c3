"""`dver lineage verify`."""

import re
import shutil
from pathlib import Path

import pytest

from dver.records.record import Artifact, State
from tests.cli.recording import code, current, data, record, short
from tests.cli.runner import Cli
from tests.commands import GitCommand

pytestmark = pytest.mark.usefixtures("in_utc")


def shown(artifact: Artifact) -> str:
    prefix, _, digits = artifact.version.partition(":")
    return f"{artifact.path}  {prefix}:{digits[:12]}…"


@pytest.fixture
def made(dataset: Cli, git: GitCommand) -> Cli:
    """The dataset, and an output that a run made of it, committed."""
    dataset.write("copy.sh", "cp data/a.csv out\n")
    git("add", "copy.sh")
    git("commit", "--quiet", "-m", "Code")
    dataset("run", "-n", "copy", "-d", "data", "--code", "copy.sh", "-o", "out", "--", "sh", "copy.sh")
    git("commit", "--quiet", "--all", "-m", "Results")
    return dataset


def test_says_that_all_is_well(made: Cli) -> None:
    assert made.ok("lineage", "verify") == "1 run and 3 versions checked: all is well\n"
    assert made.ok("lineage", "verify", "out") == "1 run and 3 versions checked: all is well\n"
    assert made.ok("lineage", "verify", "HEAD:out") == "1 run and 3 versions checked: all is well\n"


def test_shows_findings_only_with_the_runs_that_they_are_about(made: Cli) -> None:
    lost = record(
        made, "lost", [data("raw"), code("gone.py"), current(made)], [data("model", kind="model")], commit="1" * 40
    )
    nameless = record(made, "", [data("model")], [])

    result = made("lineage", "verify")

    assert (result.code, result.err) == (1, "")
    assert result.out == (
        f"{shown(data('raw'))}  used by run {short(lost)} (lost)\n"
        "    missing: it is in no store within reach, and no commit here names it\n"
        "    (dver push sends what commits name: commit its pointer where it was made, and push from there)\n"
        f"{shown(code('gone.py'))}  (code)  used by run {short(lost)} (lost)\n"
        "    missing: git does not have it; it may never have been committed or pushed\n"
        f"{shown(data('model'))}  (model)  made by run {short(lost)} (lost); used by run {short(nameless)}\n"
        "    missing: it is in no store within reach, and no commit here names it\n"
        f"lost: python lost.py  [{short(lost)}, 2026-11-23 13:00]\n"
        "    missing: commit 111111111111… is not in git here; it may have been rewritten, or never pushed\n"
        "3 runs and 6 versions checked: 4 findings\n"
    )


def test_a_change_here_is_found(made: Cli) -> None:
    made.write("out", "changed")

    result = made("lineage", "verify", "out")

    assert result.code == 1
    assert "    changed here: the pointer names it, but the data is not that: modified\n" in result.out
    assert result.out.endswith("1 run and 3 versions checked: 1 finding\n")


def test_paths_are_shown_from_where_the_user_is(made: Cli) -> None:
    made.write("out", "changed")

    assert made.at("data")("lineage", "verify", "../out").out.startswith("../out  b3:")


def test_damaged_lines_are_findings(made: Cli) -> None:
    with (made.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("damaged\n")

    result = made("lineage", "verify")

    assert (result.code, result.out) == (1, "1 run and 3 versions checked: 1 finding\n")
    assert "1 line is no record, and passed over:" in result.err
    assert made("lineage", "verify", "--json").json["damaged_lines"] == [2]


def test_json_has_what_is_well_too(made: Cli) -> None:
    lost = record(made, "lost", [data("raw")], [data("model")])

    result = made("lineage", "verify", "--json")

    assert result.code == 1
    document = result.json
    assert (document["verdict"], document["cut"], document["reruns"]) == ("missing", False, [])
    verdicts = {one["id"]: one["verdict"] for one in document["records"]}
    assert len(verdicts) == 2
    assert verdicts[lost.id] == "missing"
    places = {one["path"]: (one["verdict"], one["place"]) for one in document["artifacts"]}
    assert places == {
        "data": ("ok", "the cache"),
        "out": ("ok", "the cache"),
        "copy.sh": ("ok", "git"),
        "raw": ("missing", None),
        "model": ("missing", None),
    }
    (raw,) = (one for one in document["artifacts"] if one["path"] == "raw")
    assert raw["findings"] == [
        {
            "verdict": "missing",
            "problem": "not committed",
            "detail": None,
            "hint": "dver push sends what commits name: commit its pointer where it was made, and push from there",
        }
    ]


def test_says_where_it_stopped(made: Cli) -> None:
    record(made, "next", [current(made, "out")], [current(made)])

    result = made("lineage", "verify", "--depth", "1", "out")

    assert (result.code, result.err) == (0, "dver: there are runs further back, which --depth left out\n")
    assert made("lineage", "verify", "--depth", "1", "--json", "out").json["cut"] is True


def test_takes_a_run_by_its_id(made: Cli) -> None:
    lost = record(made, "lost", [data("raw")])

    assert f"used by run {short(lost)} (lost)" in made("lineage", "verify", short(lost)).out
    assert "no run has an id that begins with 123456\n  hint: dver runs" in made.fails(3, "lineage", "verify", "123456")
    assert "no run has an id that begins with b3:1234" in made.fails(3, "lineage", "verify", "b3:123456")


def test_a_version_that_no_run_made_is_checked_by_itself(dataset: Cli, git: GitCommand) -> None:
    result = dataset("lineage", "verify", "data/a.csv")

    assert (result.code, result.out) == (0, "0 runs and 1 version checked: all is well\n")
    assert result.err.startswith(
        "dver: data/a.csv is part of data, which is checked\ndver: no run that is recorded made data"
    )
    shutil.rmtree(dataset.folder / ".dver" / "cache")
    assert dataset("lineage", "verify", "data").code == 1


def test_without_records_there_is_nothing_to_find(dataset: Cli) -> None:
    result = dataset("lineage", "verify")

    assert (result.code, result.out) == (0, "")
    assert result.err == "dver: no runs are recorded here yet\n"


def test_the_word_is_a_command_and_a_path_with_a_dot_before_it(dataset: Cli) -> None:
    dataset.write("verify", "data")
    dataset.ok("add", "verify")
    record(dataset, "make", [], [current(dataset, "verify")])

    assert dataset.ok("lineage", "verify") == "1 run and 1 version checked: all is well\n"
    assert dataset.ok("lineage", "-q", "verify") == "1 run and 1 version checked: all is well\n"
    assert dataset.ok("lineage", "./verify").startswith("verify  b3:")
    assert dataset.ok("lineage", "--", "verify") == dataset.ok("lineage", "./verify")
    assert dataset.ok("lineage", "verify", "verify") == "1 run and 1 version checked: all is well\n"
    assert dataset.ok("lineage", "verify", "--help").startswith("Usage: dver lineage verify [OPTIONS] [RUN|[REV:]PATH]")
    assert all(len(line) <= 80 for line in dataset.ok("lineage", "verify", "--help").splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "the run or path is empty"),
        (["--keep"], "--keep keeps what --rerun makes"),
        (["--depth", "2"], "--depth counts from a run or a path"),
        (["--depth", "0", "data"], "--depth takes a whole number from 1"),
        (["data", "more"], "extra argument"),
        (["--no-such"], "no such option"),
    ],
)
def test_refuses_what_makes_no_sense(made: Cli, arguments: list[str], said: str) -> None:
    assert said in made.fails(2, "lineage", "verify", *arguments).lower()


@pytest.mark.parametrize("place", ["nosuch", "HEAD:nosuch", "nosuch:data", "HEAD:"])
def test_refuses_what_is_not_there(made: Cli, place: str) -> None:
    made.fails(3, "lineage", "verify", place)


def test_a_rerun_that_makes_the_same_is_well(made: Cli) -> None:
    result = made("lineage", "verify", "--rerun", "out")

    assert (result.code, result.err) == (0, "dver: running again: copy: sh copy.sh\n")
    assert result.out == "1 run and 3 versions checked: all is well\nrun again: 1 made the same\n"


def test_a_rerun_says_what_differs_and_what_stood_in_the_way(dataset: Cli) -> None:
    line = "mkdir -p out; cat /proc/sys/kernel/random/uuid > out/id; cat /proc/sys/kernel/random/uuid > other"
    dataset("run", "-n", "chance", "-o", "out", "-o", "other", "--shell", "--", line)
    dataset("run", "-n", "secret", "-o", "more", "--", "sh", "-c", "echo x > more", "--token=abc123")
    dataset("run", "-n", "undeclared", "-o", "copied", "--", "cp", "data/b.txt", "copied")
    dataset("run", "-n", "none", "--", "true")

    result = dataset("lineage", "verify", "--rerun")

    assert result.code == 1
    # What cannot be run is not announced.
    again = [line for line in result.err.splitlines() if "running again" in line]
    assert [line.split(": ")[2] for line in again] == ["chance", "undeclared"]
    text = re.sub(r"[0-9a-f]{10,64}", "#", result.out)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text)
    dirty = "    approximately: of the files that git tracks, some were not as in commit #…, which it ran on\n"
    assert text == (
        f"chance: {line}  [#, TIME]\n"
        "    differs: out  b3:#… → b3:#…: 1 file, first out/id\n"
        "    differs: other  b3:#… → b3:#…\n"
        "secret: sh -c 'echo x > more' '--token=***'  [#, TIME]\n"
        "    cannot be rerun: a secret in it was masked when it was recorded\n"
        "undeclared: cp data/b.txt copied  [#, TIME]\n"
        "    failed: exit code 1\n"
        f"{dirty}"
        "4 runs and 4 versions checked: 3 findings\n"
        "run again: 1 made something else, 1 failed, 1 could not be run, 1 with nothing to compare\n"
    )


def test_a_rerun_in_json(made: Cli) -> None:
    result = made("lineage", "verify", "--rerun", "--keep", "--json", "out")

    (one,) = result.json["reruns"]
    assert (one["outcome"], one["exit_code"], one["approximations"], one["problem"]) == ("same", 0, [], None)
    assert one["outputs"][0]["recorded"] == one["outputs"][0]["found"] == current(made, "out").version
    assert (Path(one["folder"]) / "out").read_bytes() == (made.folder / "out").read_bytes()
    assert "the scratch tree of run" in result.err


def test_nothing_of_a_record_can_move_the_cursor(dataset: Cli) -> None:
    evil = Artifact("\x1b[2J", "b3:" + "1" * 64, kind="\x1b[2J")
    record(dataset, "\x1b[2J", [evil], [], commit="\x1b[2J", reuses="\x1b[2J", state=State.CACHED, command=("\x1b[2J",))

    result = dataset("lineage", "verify")

    assert result.code == 1
    assert "\x1b" not in result.out + result.err
