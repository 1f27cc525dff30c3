"""`dver lineage`."""

import json

import pytest

from dver.cli import graphs
from dver.records.record import Artifact, State
from tests.cli.recording import code, current, data, record, short
from tests.cli.runner import Cli
from tests.commands import GitCommand

pytestmark = pytest.mark.usefixtures("in_utc")


def shown(artifact_version: str) -> str:
    prefix, _, digits = artifact_version.partition(":")
    return f"{prefix}:{digits[:12]}…"


def v(path: str) -> str:
    return shown(data(path).version)


def test_shows_what_led_to_a_version_as_a_tree(dataset: Cli) -> None:
    train = data("split/train", dataset="split", dataset_version=data("split").version)
    split = record(dataset, "split", [data("raw"), code("split.py")], [data("split")])
    first = record(dataset, "train", [train, data("labels", observed=True)], [current(dataset, kind="model")])
    second = record(dataset, "", [train], [current(dataset)], state=State.CACHED)
    record(dataset, "not asked for", [current(dataset)], [data("later")])

    assert dataset.ok("lineage", "data") == (
        f"data  {shown(current(dataset).version)}  (model)\n"
        f"├─ made by train: python train.py  [{short(first)}, 2026-11-23 13:00]\n"
        f"│  ├─ split/train  {v('split/train')}\n"
        f"│  │  └─ part of split  {v('split')}\n"
        f"│  │     └─ made by split: python split.py  [{short(split)}, 2026-11-23 13:00]\n"
        f"│  │        ├─ raw  {v('raw')}  (source)\n"
        f"│  │        └─ split.py  git:cccccccccccc…  (code)\n"
        f"│  └─ labels  {v('labels')}  (observed, source)\n"
        f"└─ made by python .py  [{short(second)}, cached, 2026-11-23 13:00]\n"
        f"   └─ split/train  {v('split/train')}  (seen above)\n"
    )


def test_shows_what_came_of_a_version(dataset: Cli) -> None:
    part = data("data/a.csv", dataset="data", dataset_version=current(dataset).version)
    use = record(dataset, "use", [part], [data("end")], command=("a | b",), shell=True)
    failed = record(dataset, "fail", [current(dataset)], state=State.FAILED, exit_code=2)

    assert dataset.ok("lineage", "--down", "data") == (
        f"data  {shown(current(dataset).version)}\n"
        f"├─ its part data/a.csv  {v('data/a.csv')}\n"
        f"│  └─ used by use: a | b  [{short(use)}, 2026-11-23 13:00]\n"
        f"│     └─ end  {v('end')}\n"
        f"└─ used by fail: python fail.py  [{short(failed)}, failed with exit code 2, 2026-11-23 13:00]\n"
    )


def test_shows_both_ways(dataset: Cli) -> None:
    record(dataset, "make", [data("raw")], [current(dataset)])
    record(dataset, "use", [current(dataset)], [data("end")])

    up, down = (dataset.ok("lineage", way, "data") for way in ("--up", "--down"))

    assert dataset.ok("lineage", "--both", "data") == f"{up}\n{down}"
    assert dataset.ok("lineage", "data") == up


def test_marks_a_cycle(dataset: Cli) -> None:
    record(dataset, "there", [data("other")], [current(dataset)])
    record(dataset, "back", [current(dataset)], [data("other")])

    last = dataset.ok("lineage", "data").splitlines()[-1]

    assert last == f"         └─ data  {shown(current(dataset).version)}  (seen above)"


def test_shows_where_a_moved_version_was_made(dataset: Cli) -> None:
    made = record(dataset, "make", outputs=[current(dataset)])
    dataset.ok("mv", "data", "moved")

    version = shown(current(dataset, "moved").version)
    assert dataset.ok("lineage", "moved") == (
        f"moved  {version}\n"
        f"└─ same as data  {version}  (by content)\n"
        f"   └─ made by make: python make.py  [{short(made)}, 2026-11-23 13:00]\n"
    )


def test_shows_where_to_a_version_was_moved_on_the_way_down(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset, kind="model")])
    old = current(dataset).version
    dataset.ok("mv", "data", "moved")
    use = record(dataset, "use", [current(dataset, "moved")], started="2026-11-24T13:00:00.000Z")

    assert dataset.ok("lineage", "--down", "HEAD:data") == (
        f"data  {shown(old)}  (model)\n"
        f"└─ same as moved  {shown(old)}  (by content)\n"
        f"   └─ used by use: python use.py  [{short(use)}, 2026-11-24 13:00]\n"
    )
    edges = dataset("lineage", "--both", "--json", "HEAD:data").json["edges"]
    assert {"from": f"data@{old}", "to": f"moved@{old}", "kind": "same"} in edges


def test_says_who_made_the_same_content_where_it_may_be_a_copy(dataset: Cli) -> None:
    made = record(dataset, "make", outputs=[current(dataset)])
    for name in ("a.csv", "b.txt", "deep/c.txt"):
        dataset.write(f"copy/{name}", (dataset.folder / "data" / name).read_bytes())
    dataset.ok("add", "copy")
    copy = current(dataset, "copy")
    said = f"same content as data, which run {short(made)} made"

    assert dataset.ok("lineage", "copy") == f"copy  {shown(copy.version)}  (source, {said})\n"
    (artifact,) = dataset("lineage", "--json", "copy").json["artifacts"]
    assert (artifact["source"], artifact["same_content"]) == (True, [{"path": "data", "run": made.id}])
    assert said in dataset.ok("lineage", "--format", "dot", "copy")
    assert said in dataset.ok("lineage", "--format", "html", "copy")
    assert f"it has the {said}" in dataset.fails(1, "show", "copy")
    record(dataset, "use", [copy], started="2026-11-24T13:00:00.000Z")
    assert f"source, {said}" in dataset.ok("artifacts", "copy")
    assert dataset("artifacts", "copy", "--json").json["artifacts"][0]["same_content"][0]["path"] == "data"


def test_a_version_that_no_run_made_is_a_source(dataset: Cli) -> None:
    record(dataset, "use", [current(dataset)])

    assert dataset.ok("lineage", "data") == f"data  {shown(current(dataset).version)}  (source)\n"


def test_says_what_depth_leaves_out(dataset: Cli) -> None:
    record(dataset, "one", [data("raw")], [data("a")])
    record(dataset, "two", [data("rawer")], [data("a")])
    record(dataset, "last", [data("a")], [current(dataset)])

    assert dataset.ok("lineage", "--depth", "1", "data").splitlines()[2:] == [
        f"   └─ a  {v('a')}",
        "      └─ … 2 more runs, and what led to them",
    ]
    record(dataset, "after", [data("late")], [data("later")])
    record(dataset, "use", [current(dataset)], [data("late")])
    down = dataset.ok("lineage", "--down", "--depth", "1", "data").splitlines()
    assert down[-1] == "      └─ … 1 more run, and what came of it"
    dataset.fails(2, "lineage", "--depth", "0", "data")


def test_a_very_deep_tree_goes_on_in_sections(dataset: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_LEVELS", 2)
    record(dataset, "one", [data("raw")], [data("a")])
    record(dataset, "two", [data("a")], [data("b")])
    record(dataset, "three", [data("a"), data("b"), data("a")], [current(dataset)])

    lines = dataset.ok("lineage", "data").splitlines()

    assert lines[2:5] == [
        f"   ├─ a  {v('a')}  (goes on below at [1])",
        f"   └─ b  {v('b')}  (goes on below at [2])",
        "",
    ]
    assert lines[5] == f"[1] a  {v('a')}"
    assert lines[7:10] == [f"   └─ raw  {v('raw')}  (source)", "", f"[2] b  {v('b')}"]
    assert lines[11:] == [f"   └─ a  {v('a')}  (seen above)"]


def test_a_long_chain_is_shown_whole(dataset: Cli) -> None:
    for number in range(200):
        record(dataset, f"step{number}", [data(f"{number}")], [data(f"{number + 1}")])
    record(dataset, "last", [data("200")], [current(dataset)])

    lines = dataset.ok("lineage", "data").splitlines()

    assert sum("made by" in line for line in lines) == 201
    assert max(map(len, lines)) < 200
    assert lines[-1].endswith("(source)")


def test_takes_the_version_of_a_revision(two_versions: Cli) -> None:
    record(two_versions, "make", outputs=[current(two_versions)])

    assert "made by make" in two_versions.ok("lineage", "HEAD:data")
    assert "(source)" in two_versions.ok("lineage", "first:data")
    err = two_versions.fails(3, "lineage", "first")
    assert "dver ls first:" in err
    assert "no dataset is there" in two_versions.fails(3, "lineage", "HEAD:nothing")


def test_a_path_within_a_dataset_has_the_lineage_of_the_whole(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])

    result = dataset("lineage", "data/deep")

    assert result.err == "dver: data/deep is part of data, whose lineage this is\n"
    assert result.out == dataset.ok("lineage", "data")
    assert dataset("lineage", "--format", "dot", "data/deep").err == result.err
    assert dataset("lineage", "--json", "data/deep").err == ""


def test_paths_are_from_the_current_folder(dataset: Cli) -> None:
    record(dataset, "make", [data("-odd"), data("new\nline")], [current(dataset)])

    assert "├─ -odd" not in dataset.ok("lineage", "data")
    below = dataset.at("data").ok("lineage", ".")
    assert below.startswith(".  b3:")
    assert "├─ ../-odd" in below
    assert '└─ "../new\\nline"' in below


def test_nothing_of_a_record_reaches_the_terminal_as_it_is(dataset: Cli) -> None:
    record(dataset, "\x1b[31mred", [data("a", kind="\x1b[0m")], [current(dataset)])
    record(
        dataset, "", [], [current(dataset)], command=(), state=State.IMPORTED, source="https://u:secret@example.org/a"
    )
    record(dataset, "", [], [current(dataset)], command=())

    for form in ("tree", "dot", "mermaid"):
        out = dataset.ok("lineage", "--format", form, "data")
        assert "\x1b" not in out
        assert "secret" not in out
        assert "import from https://example.org/a" in out
        assert "a run without a name" in out
    assert "\x1b" not in dataset.ok("lineage", "--json", "data")


def test_warns_of_damaged_lines(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])
    with (dataset.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("<<<<<<< ours\n")

    result = dataset("lineage", "data")

    assert result.code == 0
    assert "made by make" in result.out
    assert ".dver/lineage.jsonl: 1 line is no record" in result.err
    assert "line 2: " in result.err
    assert dataset("lineage", "--json", "data").json["damaged_lines"] == [2]
    with (dataset.folder / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("no record\n" * 12)
    assert "13 lines are no records" in dataset("lineage", "data").err
    assert "and lines 12, 13, 14" in dataset("lineage", "data").err


def test_says_when_no_runs_are_recorded(dataset: Cli) -> None:
    result = dataset("lineage", "data")

    assert (result.code, result.out) == (1, "")
    assert result.err == "dver: no runs are recorded here yet\n"
    assert dataset("lineage", "--json", "data").json["runs"] == []


def test_writes_dot(dataset: Cli) -> None:
    part = data('set/odd"\\path', dataset="set", dataset_version=data("set").version)
    made = record(dataset, "make", [part, data("a")], [current(dataset)])
    record(dataset, "before", outputs=[data("a")])

    assert dataset.ok("lineage", "--format", "dot", "--depth", "1", "data").splitlines() == [
        "digraph lineage {",
        "  rankdir=LR;",
        '  node [fontname="sans-serif", shape=box];',
        f'  a0 [label="data\\n{shown(current(dataset).version)}", penwidth=2];',
        f'  a1 [label="\\"set/odd\\\\\\"\\\\\\\\path\\"\\n{shown(part.version)}"];',
        f'  a2 [label="set\\n{v("set")}  (source)"];',
        f'  a3 [label="a\\n{v("a")}"];',
        f'  r0 [label="make: python make.py\\n{short(made)}, 2026-11-23 13:00", style=rounded];',
        "  r0 -> a0;",
        "  a1 -> r0;",
        "  a3 -> r0;",
        "  a2 -> a1 [label=part, style=dashed];",
        '  h0 [label="… 1 more run, and what led to it", shape=plaintext];',
        "  h0 -> a3 [style=dotted];",
        "}",
    ]


def test_writes_mermaid(dataset: Cli) -> None:
    made = record(dataset, "1. <make>", [current(dataset)], [data("a#b")])
    record(dataset, "after", [data("a#b")])

    out = dataset.ok("lineage", "--format", "mermaid", "--down", "--depth", "1", "data")

    assert out.splitlines() == [
        "flowchart LR",
        f'  a0["data<br>{shown(current(dataset).version)}"]',
        f'  a1["a#35;b<br>{v("a#b")}"]',
        f"""  r0(["1#46; #60;make#62;: python '1. #60;make#62;.py'<br>{short(made)}, 2026-11-23 13:00"])""",
        "  a0 --> r0",
        "  r0 --> a1",
        '  h0["… 1 more run, and what came of it"]',
        "  a1 -.-> h0",
        "  style a0 stroke-width:3px",
    ]


def test_writes_json(dataset: Cli, git: GitCommand) -> None:
    odd = data("odd\udcff", kind="thing")
    made = record(dataset, "make", [odd], [current(dataset)])
    after = record(dataset, "after", [current(dataset)])
    version = current(dataset).version

    document = dataset("lineage", "--format", "json", "--both", "HEAD:data/a.csv").json

    assert (document["path"], document["dataset"], document["revision"]) == ("data/a.csv", "data", "HEAD")
    assert (document["version"], document["direction"], document["damaged_lines"]) == (version, "both", [])
    assert document["artifacts"] == [
        {
            "id": f"data@{version}",
            "path": "data",
            "version": version,
            "kind": "dataset",
            "source": False,
            "hidden_runs": 0,
            "same_content": [],
        },
        {
            "id": f"odd\\xff@{odd.version}",
            "path": "odd\\xff",
            "version": odd.version,
            "kind": "thing",
            "source": True,
            "hidden_runs": 0,
            "same_content": [],
        },
    ]
    assert [run["id"] for run in document["runs"]] == [made.id, after.id]
    assert document["edges"] == [
        {"from": made.id, "to": f"data@{version}", "kind": "made"},
        {"from": f"odd\\xff@{odd.version}", "to": made.id, "kind": "used"},
        {"from": f"data@{version}", "to": after.id, "kind": "used"},
    ]
    assert json.loads(dataset.ok("lineage", "--json", "--down", "data"))["artifacts"][0]["source"] is None


def test_refuses_two_formats_at_once(dataset: Cli) -> None:
    assert "cannot go together" in dataset.fails(2, "lineage", "--json", "--format", "dot", "data")
    assert "is a folder" in dataset.fails(3, "lineage", ".")


@pytest.mark.parametrize("ways", [("--up", "--down"), ("--down", "--up"), ("--both", "--down")])
def test_refuses_two_directions_at_once(dataset: Cli, ways: tuple[str, ...]) -> None:
    err = dataset.fails(2, "lineage", *ways, "data")

    assert "cannot go together" in err
    assert "--both alone shows" in err


@pytest.mark.parametrize("depth", ["0", "-1", "x", "1.5", ""])
def test_refuses_a_depth_that_is_no_number_of_runs(dataset: Cli, depth: str) -> None:
    err = dataset.fails(2, "lineage", f"--depth={depth}", "data")

    assert f"--depth takes a whole number from 1, not {depth!r}" in err


def test_refuses_an_empty_path(dataset: Cli) -> None:
    err = dataset.fails(2, "lineage", "")

    assert "the path is empty" in err
    assert "dver ls" in err


def test_equal_content_alone_links_nothing(dataset: Cli) -> None:
    dataset.write("empty", "")
    dataset.ok("add", "empty")
    record(dataset, "other", outputs=[Artifact("gone", current(dataset, "empty").version)])
    record(dataset, "copy", [current(dataset)], [Artifact("copy", current(dataset).version)])

    for path in ("empty", "data"):
        assert dataset.ok("lineage", path).endswith("(source)\n")
        assert dataset("lineage", "--json", path).json["artifacts"][0]["source"] is True
        assert "no run that is recorded made" in dataset.fails(1, "show", path)
