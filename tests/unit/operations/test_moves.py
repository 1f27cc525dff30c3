"""Moves: where what no run made at its path was made, and where to it was moved."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dver.operations.lineage import ArtifactId, Direction, Link, Node, find_start, makers, walk
from dver.operations.mv import mv
from dver.operations.record import now
from dver.operations.rm import rm
from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from tests.clones import Clone


def here(clone: Clone, path: str, rev: str | None = None) -> ArtifactId:
    with clone.open() as repo:
        return find_start(repo, rev, path).artifact


def record(clone: Clone, name: str, inputs: list[ArtifactId], outputs: list[ArtifactId], **fields: Any) -> Record:
    used, made = (tuple(Artifact(*one) for one in some) for some in (inputs, outputs))
    written = Record(**{"state": State.COMPLETE, "started": now(), "name": name, **fields}, inputs=used, outputs=made)
    Journal(clone.root / ".dver" / "lineage.jsonl").append(written)
    return written


def head(clone: Clone) -> str:
    return clone.git("rev-parse", "HEAD").strip()


def made_while_dirty(clone: Clone, path: str = "b") -> Record:
    """Make a dataset as a run does where something was not committed, and record that."""
    clone.write("a.txt", b"of git")
    clone.commit()
    clone.write(path, b"made")
    clone.add(path)
    return record(clone, "make", [], [here(clone, path)], commit=head(clone), dirty=True)


def move(clone: Clone, source: str, destination: str) -> None:
    with clone.open() as repo:
        mv(repo, source, destination)


def made_by(clone: Clone, name: ArtifactId) -> list[str]:
    with clone.open() as repo:
        return [one.name for one in makers(repo, name)]


def steps(clone: Clone, name: ArtifactId, direction: Direction) -> Mapping[str, Mapping[str, Link]]:
    with clone.open() as repo:
        found = walk(repo, name, direction)

    def text(node: Node) -> str:
        return node.path if isinstance(node, ArtifactId) else f"<{found.records[node].name}>"

    return {text(node): {text(other): link for other, link in further.items()} for node, further in found.steps.items()}


def test_what_a_run_made_with_changes_not_committed_is_found_after_a_committed_move(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    move(clone, "b", "b2")
    clone.commit()

    assert made_by(clone, here(clone, "b2")) == ["make"]
    assert steps(clone, here(clone, "b2"), Direction.UP) == {"b2": {"b": Link.SAME}, "b": {"<make>": Link.MADE}}


def test_a_move_is_found_before_it_is_committed(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    move(clone, "b", "b2")

    assert made_by(clone, here(clone, "b2")) == ["make"]
    clone.git("reset", "--quiet")
    assert made_by(clone, here(clone, "b2")) == ["make"]


def test_a_move_is_found_where_git_never_had_the_other_path(clone: Clone) -> None:
    made_while_dirty(clone)
    move(clone, "b", "b2")

    assert made_by(clone, here(clone, "b2")) == ["make"]
    clone.commit()
    assert made_by(clone, here(clone, "b2")) == ["make"]


def test_several_moves_one_after_the_other_are_found(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    for source, destination in (("b", "c"), ("c", "d/c")):
        move(clone, source, destination)
        clone.commit()
    move(clone, "d/c", "e")

    assert made_by(clone, here(clone, "e")) == ["make"]
    assert made_by(clone, here(clone, "c", "HEAD~1")) == ["make"]


def test_a_move_is_found_though_a_later_run_made_something_at_the_old_path(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    move(clone, "b", "b2")
    clone.commit()
    clone.write("b", b"later")
    clone.save("b")

    assert made_by(clone, here(clone, "b2")) == ["make"]


def test_a_move_on_another_branch_is_found(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    clone.git("checkout", "--quiet", "-b", "side")
    move(clone, "b", "b2")
    clone.commit()
    clone.git("checkout", "--quiet", "-")

    assert made_by(clone, here(clone, "b2", "side")) == ["make"]


def test_an_empty_file_is_found_where_git_shows_its_move(clone: Clone) -> None:
    clone.write("b", b"")
    clone.add("b")
    record(clone, "make", [], [here(clone, "b")], dirty=True)
    clone.commit()
    move(clone, "b", "b2")
    clone.commit()

    assert made_by(clone, here(clone, "b2")) == ["make"]


def test_what_came_of_a_moved_version_is_found_from_where_it_was_made(clone: Clone) -> None:
    made_while_dirty(clone)
    b = here(clone, "b")
    clone.commit()
    move(clone, "b", "c")
    clone.commit()
    c = here(clone, "c")
    record(clone, "use", [c], [ArtifactId("end", "b3:" + "e" * 64)], commit=head(clone))
    move(clone, "c", "d")
    clone.commit()

    assert steps(clone, b, Direction.DOWN) == {
        "b": {"d": Link.SAME, "c": Link.SAME},
        "c": {"<use>": Link.USED},
        "<use>": {"end": Link.MADE},
    }
    assert steps(clone, c, Direction.UP)["c"] == {"b": Link.SAME}


def test_of_content_that_may_be_a_copy_it_is_said_who_made_it(clone: Clone) -> None:
    made = made_while_dirty(clone)
    clone.commit()
    clone.write("copy", b"made")
    clone.save("copy")
    copy = here(clone, "copy")

    with clone.open() as repo:
        found = walk(repo, copy, Direction.UP)
        down = walk(repo, here(clone, "b"), Direction.DOWN)

    assert found.is_source(copy)
    assert [(twin.artifact.path, twin.record.id) for twin in found.alike[copy]] == [("b", made.id)]
    assert not found.steps
    assert not down.steps
    assert made_by(clone, copy) == []


def test_what_was_removed_and_is_elsewhere_may_be_a_copy(clone: Clone) -> None:
    made_while_dirty(clone)
    clone.commit()
    with clone.open() as repo:
        rm(repo, ["b"])
    clone.commit()
    clone.write("copy", b"made")
    clone.save("copy")

    with clone.open() as repo:
        assert walk(repo, here(clone, "copy"), Direction.UP).alike


@pytest.mark.parametrize("days", [1, -1])
def test_what_was_committed_before_the_run_began_comes_from_elsewhere(clone: Clone, days: int) -> None:
    clone.write("raw", b"1")
    clone.save("raw")
    raw = here(clone, "raw")
    started = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record(clone, "copy", [], [ArtifactId("copy", raw.version)], dirty=True, started=started)

    with clone.open() as repo:
        found = walk(repo, raw, Direction.UP)

    assert found.is_source(raw) is (days == 1)
    assert not found.alike
