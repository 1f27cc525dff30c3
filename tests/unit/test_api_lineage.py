"""Tests of the questions about lineage that scripts ask."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import dver
from dver.errors import GitError, NotFoundError, PathError, UsageError
from tests.clones import Clone


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone in which `clean` was made from `raw`, and `model/best` from `clean`; the current folder is its top."""
    clone = Clone.make(tmp_path / "repo")
    monkeypatch.chdir(clone.root)
    monkeypatch.setattr(dver, "_first_folder", str(clone.root))
    clone.write("raw", b"raw\n")
    clone.save("raw")
    with dver.record(inputs=["raw"], outputs=["clean"], name="clean"):
        clone.write("clean", b"clean\n")
    with dver.record(inputs=["clean"], outputs=["model/best"], name="train", tags={"experiment": "a"}):
        clone.write("model/best/weights", b"1")
    with pytest.raises(ZeroDivisionError), dver.record(name="train"):
        raise ZeroDivisionError
    clone.commit()
    return clone


def test_runs_are_listed_by_time_and_by_what_is_asked_for(chain: Clone) -> None:
    assert [(run.name, run.state.value) for run in dver.lineage.runs()] == [
        ("clean", "complete"),
        ("train", "complete"),
        ("train", "failed"),
    ]
    assert [run.state.value for run in dver.lineage.runs(name="train")] == ["complete", "failed"]
    assert [run.name for run in dver.lineage.runs(state="complete")] == ["clean", "train"]
    assert [run.name for run in dver.lineage.runs(tags={"experiment": "a"})] == ["train"]
    assert [run.name for run in dver.lineage.runs(path="clean")] == ["clean", "train"]
    assert [run.name for run in dver.lineage.runs(path=chain.root / "model")] == ["train"]
    assert len(dver.lineage.runs(path=".")) == 3


def test_runs_and_artifacts_are_chosen_by_a_condition_and_a_limit(chain: Clone) -> None:
    assert [run.state.value for run in dver.lineage.runs(where="name = 'train'", limit=1)] == ["failed"]
    assert [run.name for run in dver.lineage.runs(where="tag('experiment') = 'a'")] == ["train"]
    assert [one.artifact.path for one in dver.lineage.artifacts(where="used")] == ["raw", "clean"]
    assert [one.artifact.path for one in dver.lineage.artifacts(limit=1)] == ["model/best"]
    for function in (dver.lineage.runs, dver.lineage.artifacts):
        with pytest.raises(UsageError, match="a limit of 0"):
            function(limit=0)
        with pytest.raises(UsageError, match="'novel', which is no column"):
            function(where="novel")


def test_two_runs_are_compared(chain: Clone) -> None:
    clean, train, _ = dver.lineage.runs()

    found = dver.lineage.compare_runs(clean.id, train.id[3:13])

    assert (found.old, found.new, found.packages_problem) == (clean, train, "")
    assert ("name", "", "clean", "train") in [(one.aspect, one.name, one.old, one.new) for one in found.differences]
    assert ("tag", "added") in [(one.aspect, one.kind) for one in found.differences]
    with pytest.raises(NotFoundError):
        dver.lineage.compare_runs(clean.id, "f" * 64)
    with pytest.raises(UsageError):
        dver.lineage.compare_runs("clean", train.id)


def test_runs_since_a_moment_take_times_with_and_without_a_zone(chain: Clone) -> None:
    hour = timedelta(hours=1)
    assert len(dver.lineage.runs(since=datetime.now() - hour)) == 3
    assert len(dver.lineage.runs(since=datetime.now(UTC) - hour)) == 3
    assert dver.lineage.runs(since=datetime.now() + hour) == []


def test_without_any_record_there_are_no_runs(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path / "repo")
    clone.write("raw", b"raw\n")
    clone.save("raw")
    assert dver.lineage.runs(repo=clone.root) == []
    assert dver.lineage.artifacts(repo=clone.root) == []
    assert dver.lineage.runs_that_made("raw", repo=clone.root) == []
    assert dver.lineage.lineage_of("raw", repo=clone.root).records == {}


def test_a_run_is_found_by_its_id_or_the_beginning_of_it(chain: Clone) -> None:
    run = dver.lineage.runs()[0]
    assert dver.lineage.find_run(run.id) == run
    assert dver.lineage.find_run(run.id.removeprefix("b3:")[:10]) == run


def test_ids_that_no_run_has_are_refused(chain: Clone) -> None:
    with pytest.raises(NotFoundError, match="no run has an id that begins with 000000"):
        dver.lineage.find_run("000000")
    with pytest.raises(UsageError, match="no id of a run"):
        dver.lineage.find_run("clean")


def test_the_runs_that_made_a_version_are_found_by_path_and_revision(chain: Clone) -> None:
    with dver.record(inputs=["raw"], outputs=["clean"], name="again"):
        chain.write("clean", b"cleaner\n")
    assert [run.name for run in dver.lineage.runs_that_made("clean")] == ["again"]
    assert [run.name for run in dver.lineage.runs_that_made("clean", rev="HEAD")] == ["clean"]
    assert [run.name for run in dver.lineage.runs_that_made("best/weights", repo=chain.root / "model")] == ["train"]


def test_lineage_goes_up_to_the_sources(chain: Clone) -> None:
    walk = dver.lineage.lineage_of("model/best")
    assert walk.start.path == "model/best"
    assert sorted(run.name for run in walk.records.values()) == ["clean", "train"]
    assert [name.path for name in walk.artifacts if walk.is_source(name)] == ["raw"]


def test_lineage_goes_down_to_all_that_came_of_a_version(chain: Clone) -> None:
    walk = dver.lineage.lineage_of("raw", rev="HEAD", direction="down")
    assert [name.path for name in walk.artifacts] == ["raw", "clean", "model/best"]


def test_a_depth_cuts_the_lineage_and_says_so(chain: Clone) -> None:
    walk = dver.lineage.lineage_of("model/best", depth=1)
    assert [run.name for run in walk.records.values()] == ["train"]
    assert {name.path: count for name, count in walk.hidden.items()} == {"clean": 1}


def test_artifacts_are_listed_with_the_runs_that_made_and_used_them(chain: Clone) -> None:
    listed = {one.artifact.path: one for one in dver.lineage.artifacts()}
    assert set(listed) == {"raw", "clean", "model/best"}
    assert [run.name for run in listed["clean"].makers] == ["clean"]
    assert [run.name for run in listed["clean"].users] == ["train"]
    assert [one.artifact.path for one in dver.lineage.artifacts("model")] == ["model/best"]
    assert dver.lineage.artifacts(kind="model") == []
    assert dver.lineage.artifacts(props={"rows": "3"}) == []


@pytest.mark.parametrize(
    ("recorded", "wanted"),
    [
        (0.93, 0.93),
        (0.93, "0.93"),
        (0.9, "0.90"),
        ("0.90", 0.9),
        (3, 3.0),
        (True, True),
        (True, "true"),
        (None, None),
        ([1, 2], [1, 2]),
        ("x", "x"),
    ],
)
def test_properties_are_found_by_their_values(chain: Clone, recorded: object, wanted: object) -> None:
    with dver.record(outputs="model/other") as run:
        chain.write("model/other", b"m")
        run.describe("model/other", props={"p": recorded})
    assert [one.artifact.path for one in dver.lineage.artifacts(props={"p": wanted})] == ["model/other"]
    for other in (0.5, "other", False, 1 if recorded is True else 7):
        assert dver.lineage.artifacts(props={"p": other}) == []


def test_a_source_is_known_by_its_artifact_as_well(chain: Clone) -> None:
    walk = dver.lineage.lineage_of("model/best")
    assert [one.path for one in walk.artifacts.values() if walk.is_source(one)] == ["raw"]


def test_runs_since_a_day_are_found_by_a_date_or_a_text(chain: Clone) -> None:
    today = datetime.now().date()
    for since in (today, today.isoformat(), f"{today.isoformat()}T00:00Z", today - timedelta(days=1), "0001-01-01"):
        assert len(dver.lineage.runs(since=since)) == 3
    assert dver.lineage.runs(since=today + timedelta(days=2)) == []


@pytest.mark.parametrize(
    ("function", "words", "named", "reason"),
    [
        ("runs", [], {"since": "soon"}, "since is not what it should be: 'soon'"),
        ("runs", [], {"since": 3}, "since .*3, of type int"),
        ("runs", [], {"tags": {"a": 1}}, "tags are texts"),
        ("runs", [], {"tags": ["a"]}, "tags is not what it should be"),
        ("runs", [], {"limit": "3"}, "limit is not what it should be: '3'"),
        ("runs", [], {"limit": True}, "limit"),
        ("runs", [], {"limit": 0}, "a limit of 0 is not possible"),
        ("runs", [], {"path": 3}, "path"),
        ("runs", [], {"where": 3}, "where"),
        ("runs", [], {"name": 3}, "name"),
        ("find_run", [None], {}, "None is no id of a run"),
        ("compare_runs", [1, 2], {}, "1 is no id of a run"),
        ("artifacts", [], {"props": {1: 2}}, "props: a name is a text, not 1, of type int"),
        ("artifacts", [], {"props": [1]}, "props is not what it should be"),
        ("artifacts", [], {"kind": 1}, "kind"),
        ("lineage_of", [3], {}, "path"),
        ("lineage_of", ["raw"], {"depth": 1.5}, "depth"),
        ("runs_that_made", ["raw"], {"rev": 3}, "rev"),
        ("verify", [], {"depth": "a"}, "depth"),
    ],
)
def test_arguments_of_another_type_are_refused(
    chain: Clone, function: str, words: Sequence[object], named: Mapping[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        getattr(dver.lineage, function)(*words, **named)
    assert caught.value.hint


def test_questions_that_make_no_sense_are_refused(chain: Clone) -> None:
    with pytest.raises(UsageError, match="'done' is no state"):
        dver.lineage.runs(state="done")
    with pytest.raises(UsageError, match="'left' is no direction"):
        dver.lineage.lineage_of("raw", direction="left")
    with pytest.raises(UsageError, match="depth of 0"):
        dver.lineage.lineage_of("raw", depth=0)
    with pytest.raises(PathError):
        dver.lineage.lineage_of("missing")
    with pytest.raises(PathError, match="outside"):
        dver.lineage.runs(path=os.pardir)
    with pytest.raises(GitError, match="no-such-branch"):
        dver.lineage.runs_that_made("raw", rev="no-such-branch")


def test_damaged_lines_are_passed_over_with_a_warning(chain: Clone) -> None:
    with (chain.root / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.warns(UserWarning, match="line 4") as told:
        assert len(dver.lineage.runs()) == 3
    assert told[0].filename == __file__
