"""Lineage: what led to a version, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import dver.operations.lineage_source
from dver.errors import FormatError, PathError
from dver.operations.lineage import ArtifactId, Direction, Flow, Link, Node, Walk, find_start, flows, walk
from dver.operations.mv import mv
from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from tests.clones import Clone


def version(text: str) -> str:
    return "b3:" + text.encode().hex().rjust(64, "0")


def data(path: str, content: str = "", **fields: Any) -> Artifact:
    return Artifact(path, version(content or path), **fields)


def part(path: str, dataset: str, content: str = "") -> Artifact:
    return data(path, dataset=dataset, dataset_version=version(content or dataset))


def name(artifact: Artifact) -> ArtifactId:
    return ArtifactId(artifact.path, artifact.version)


def run(step: str, inputs: Sequence[Artifact], outputs: Sequence[Artifact], **fields: Any) -> Record:
    fields = {"state": State.COMPLETE, "started": "2026-11-23T13:00:00.000Z", **fields}
    return Record(name=step, inputs=tuple(inputs), outputs=tuple(outputs), **fields)


def follow(
    clone: Clone, records: Sequence[Record], start: Artifact, direction: Direction, depth: int | None = None
) -> Walk:
    journal = Journal(clone.root / ".dver" / "lineage.jsonl")
    for record in records:
        journal.append(record)
    with clone.open() as repo:
        return walk(repo, name(start), direction, depth=depth)


def steps(found: Walk) -> Mapping[str, Mapping[str, Link]]:
    """Return the steps of a walk with runs by name and artifacts by path."""

    def text(node: Node) -> str:
        return node.path if isinstance(node, ArtifactId) else f"<{found.records[node].name}>"

    return {text(node): {text(other): link for other, link in further.items()} for node, further in found.steps.items()}


CHAIN = [
    run("clean", [data("raw")], [data("clean")]),
    run("train", [data("clean"), data("labels")], [data("model", kind="model")]),
    run("evaluate", [data("model")], [data("metrics")]),
]


def test_up_leads_from_a_version_to_its_sources(clone: Clone) -> None:
    found = follow(clone, CHAIN, data("metrics"), Direction.UP)

    assert steps(found) == {
        "metrics": {"<evaluate>": Link.MADE},
        "<evaluate>": {"model": Link.USED},
        "model": {"<train>": Link.MADE},
        "<train>": {"clean": Link.USED, "labels": Link.USED},
        "clean": {"<clean>": Link.MADE},
        "<clean>": {"raw": Link.USED},
    }
    assert [artifact.path for artifact in found.artifacts if found.is_source(artifact)] == ["labels", "raw"]
    assert found.artifacts[name(data("model"))].kind == "model"
    assert not found.hidden


def test_down_leads_from_a_version_to_all_that_came_of_it(clone: Clone) -> None:
    found = follow(clone, CHAIN, data("clean"), Direction.DOWN)

    assert steps(found) == {
        "clean": {"<train>": Link.USED},
        "<train>": {"model": Link.MADE},
        "model": {"<evaluate>": Link.USED},
        "<evaluate>": {"metrics": Link.MADE},
    }
    assert not any(found.is_source(artifact) for artifact in found.artifacts)


def test_another_version_at_the_same_path_is_another_artifact(clone: Clone) -> None:
    found = follow(clone, CHAIN, data("metrics", "other content"), Direction.UP)

    assert not found.records
    assert found.is_source(found.start)


def test_all_runs_that_made_a_version_are_there(clone: Clone) -> None:
    again = run("evaluate again", [data("model")], [data("metrics")], state=State.CACHED)

    found = follow(clone, [*CHAIN, again, again], data("metrics"), Direction.UP)

    assert list(steps(found)["metrics"]) == ["<evaluate>", "<evaluate again>"]
    assert len(found.records) == 4


def test_a_cycle_comes_to_an_end(clone: Clone) -> None:
    back = run("back", [data("metrics")], [data("raw")])

    up = follow(clone, [*CHAIN, back], data("metrics"), Direction.UP)
    down = follow(clone, [], data("metrics"), Direction.DOWN)

    assert steps(up)["raw"] == {"<back>": Link.MADE}
    assert steps(up)["<back>"] == {"metrics": Link.USED}
    assert steps(down)["<evaluate>"] == {"metrics": Link.MADE}
    assert len(up.records) == len(down.records) == 4


def test_a_run_that_changed_nothing_is_its_own_source(clone: Clone) -> None:
    found = follow(clone, [run("tidy", [data("a")], [data("a")])], data("a"), Direction.UP)

    assert steps(found) == {"a": {"<tidy>": Link.MADE}, "<tidy>": {"a": Link.USED}}


def test_a_part_hangs_on_its_dataset(clone: Clone) -> None:
    records = [
        run("split", [data("raw")], [data("split")]),
        run("train", [part("split/train", "split")], [data("model")]),
    ]

    up = follow(clone, records, data("model"), Direction.UP)
    down = follow(clone, [], data("split"), Direction.DOWN)

    assert steps(up)["<train>"] == {"split/train": Link.USED}
    assert steps(up)["split/train"] == {"split": Link.PART}
    assert steps(up)["split"] == {"<split>": Link.MADE}
    assert steps(down) == {
        "split": {"split/train": Link.PART},
        "split/train": {"<train>": Link.USED},
        "<train>": {"model": Link.MADE},
    }


def test_an_equal_part_of_two_versions_hangs_on_both(clone: Clone) -> None:
    records = [
        run("train", [part("data/a", "data", "first")], [data("model")]),
        run("use", [data("model"), part("data/a", "data", "second")], [data("end")]),
    ]

    found = follow(clone, records, data("end"), Direction.UP)

    assert found.steps[name(data("data/a"))] == {
        ArtifactId("data", version("second")): Link.PART,
        ArtifactId("data", version("first")): Link.PART,
    }


def test_what_was_made_at_another_path_and_moved_is_the_same_version_there(clone: Clone) -> None:
    later = run("train", [data("moved", "clean")], [data("model")], started="2026-11-23T14:00:00.000Z")

    found = follow(clone, [CHAIN[0], later], data("model"), Direction.UP)

    assert steps(found)["moved"] == {"clean": Link.SAME}
    assert steps(found)["clean"] == {"<clean>": Link.MADE}
    assert not found.is_source(ArtifactId("moved", version("clean")))


def test_an_input_that_a_run_copied_stays_a_source(clone: Clone) -> None:
    copy = run("copy", [data("raw")], [data("copy", "raw")])
    again = run("copy", [data("raw")], [data("copy", "raw")], started="2026-11-23T14:00:00.000Z")

    found = follow(clone, [copy, again], data("raw"), Direction.UP)

    assert found.is_source(found.start)
    assert not found.records


def _made_of(clone: Clone, path: str, **fields: Any) -> tuple[Artifact, Record]:
    """Return a dataset of the clone, and a run that made the same content at `made`."""
    with clone.open() as repo:
        here = Artifact(*find_start(repo, None, path).artifact)
    return here, run("make", [], [Artifact("made", here.version)], **fields)


def test_content_that_is_still_where_it_was_made_is_not_taken_for_moved(clone: Clone) -> None:
    clone.write("made", b"1")
    clone.write("data", b"1")
    clone.add("made", "data")
    here, made = _made_of(clone, "data")

    assert follow(clone, [made], here, Direction.UP).is_source(name(here))


def test_what_was_committed_before_it_was_made_elsewhere_is_not_taken_for_moved(clone: Clone) -> None:
    clone.write("data", b"1")
    clone.save("data")
    here, made = _made_of(clone, "data", commit=clone.git("rev-parse", "HEAD").strip())
    unknown = run("make", [], made.outputs, commit="1" * 40)
    found = follow(clone, [made, unknown], here, Direction.UP)

    assert found.is_source(name(here))
    assert [twin.record.id for twin in found.alike[name(here)]] == [unknown.id]


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_an_empty_file_is_not_taken_for_another(clone: Clone, mode: int) -> None:
    clone.write("data", b"")
    (clone.root / "data").chmod(mode)
    clone.add("data")
    here, made = _made_of(clone, "data")

    assert follow(clone, [made], here, Direction.UP).is_source(name(here))


def test_of_what_git_has_no_copies_are_looked_for(clone: Clone) -> None:
    code = Artifact("train.py", "git:" + "a" * 40, kind="code")
    records = [run("make", [], [Artifact("copy.py", code.version)]), run("train", [code], [data("model")])]

    found = follow(clone, records, data("model"), Direction.UP)

    assert name(code) not in found.steps


def test_depth_counts_runs_and_says_what_it_leaves_out(clone: Clone) -> None:
    two = run("train too", [data("labels")], [data("model")])

    found = follow(clone, [*CHAIN, two], data("metrics"), Direction.UP, depth=1)

    assert [record.name for record in found.records.values()] == ["evaluate"]
    assert found.hidden == {name(data("model")): 2}
    assert not found.is_source(name(data("model")))


def test_depth_leaves_no_link_between_known_nodes_out(clone: Clone) -> None:
    back = run("back", [data("metrics")], [data("model")])

    found = follow(clone, [CHAIN[2], back], data("metrics"), Direction.UP, depth=2)

    assert steps(found)["<back>"] == {"metrics": Link.USED}
    assert not found.hidden


def test_depth_downwards(clone: Clone) -> None:
    found = follow(clone, CHAIN, data("raw"), Direction.DOWN, depth=1)

    assert [record.name for record in found.records.values()] == ["clean"]
    assert found.hidden == {name(data("clean")): 1}


@pytest.mark.parametrize("most_held", [0, 100_000])
@pytest.mark.parametrize(("end", "direction"), [("node 400", Direction.UP), ("node 0", Direction.DOWN)])
def test_a_long_chain_is_followed_to_its_end(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, end: str, direction: Direction, most_held: int
) -> None:
    monkeypatch.setattr(dver.operations.lineage_source, "_MOST_HELD", most_held)
    wrong = run("none of it", [data("node 7", "x")], [data("node 8", "x"), data("copy", "source")])
    chain = [run(f"step {n}", [data(f"node {n}")], [data(f"node {n + 1}")]) for n in range(400)]
    first = run("first", [part("set/train", "set")], [data("node 0"), data("side")])
    moved = run("use", [data("source"), data("node 400")], [data("last")])

    found = follow(clone, [*chain, wrong, first, moved], data(end), direction)

    assert len(found.records) == 401
    assert len(found.artifacts) == 403 if direction is Direction.UP else 402


def test_flows_are_in_the_direction_of_the_data_and_each_is_there_once(clone: Clone) -> None:
    records = [run("one", [data("a")], [data("b")]), run("two", [part("b/x", "b")], [data("a")])]
    up = follow(clone, records, data("a"), Direction.UP)
    down = follow(clone, [], data("a"), Direction.DOWN)
    one, two = (record.id for record in records)
    a, b, b_x = (name(data(path)) for path in ("a", "b", "b/x"))

    found = list(flows([up, down]))

    assert len(found) == len(set(found))
    assert set(found) == {
        Flow(a, one, Link.USED),
        Flow(one, b, Link.MADE),
        Flow(b, b_x, Link.PART),
        Flow(b_x, two, Link.USED),
        Flow(two, a, Link.MADE),
    }


def test_the_start_is_what_the_pointer_says(clone: Clone) -> None:
    clone.write("data/sub/a", b"1")
    clone.save()
    clone.write("data/sub/a", b"2")
    clone.add()

    with clone.open() as repo:
        here, there = find_start(repo, None, "data"), find_start(repo, "HEAD", "data")
        within = find_start(repo, None, "data/sub/a")

    assert here.artifact.version in clone.pointer_text()
    assert there.artifact.version in clone.git("show", "HEAD:data.dver")
    assert here.artifact.path == there.artifact.path == "data"
    assert (within.artifact, within.part) == (here.artifact, "sub/a")


def test_a_revision_has_the_datasets_of_its_time(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.save()
    with clone.open() as repo:
        mv(repo, "data", "moved")

        assert find_start(repo, "HEAD", "data").artifact.version == find_start(repo, None, "moved").artifact.version
        with pytest.raises(PathError, match="no dataset is there") as caught:
            find_start(repo, None, "data")
        assert "REV:PATH" in (caught.value.hint or "")


@pytest.mark.parametrize("path", ["", "sub"])
def test_a_folder_is_no_start(clone: Clone, path: str) -> None:
    clone.write("sub/a", b"1")
    clone.save("sub/a")

    with clone.open() as repo:
        with pytest.raises(PathError, match="is a folder and not a dataset") as caught:
            find_start(repo, None, path)
        with pytest.raises(PathError, match="no dataset is there"):
            find_start(repo, "HEAD", "missing")

    assert caught.value.hint == "name one of its datasets: sub/a"


def test_a_damaged_pointer_is_an_error(clone: Clone) -> None:
    clone.write("data", b"1")
    clone.save()
    (clone.root / "data.dver").write_text("# dver pointer\n")

    with clone.open() as repo, pytest.raises(FormatError):
        find_start(repo, None, "data")
