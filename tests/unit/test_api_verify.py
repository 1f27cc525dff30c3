"""`dver.lineage.verify` and `dver.lineage.rerun`."""

from pathlib import Path

import pytest

import dver
from dver.errors import NotFoundError, PathError, UsageError
from tests.clones import Clone
from tests.unit.operations.running import records, request, run


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    """A repository with two steps, committed."""
    clone = Clone.make(tmp_path / "repo")
    clone.write("raw", b"raw\n")
    clone.save("raw")
    run(clone, request("cp raw middle", inputs=("raw",), outputs=("middle",), name="first"))
    run(clone, request("cat middle > out; date +%N >> out", inputs=("middle",), outputs=("out",), name="second"))
    clone.commit("results")
    return clone


def test_checks_everything_a_path_or_a_run(made: Clone) -> None:
    def names(**given: str | int) -> list[str]:
        return [one.record.name for one in dver.lineage.verify(repo=made.root, **given).records]  # type: ignore[arg-type]

    assert names() == names(path="out") == names(path="out", rev="HEAD") == ["first", "second"]
    assert names(path="middle") == ["first"]
    assert names(path="out", depth=1) == names(run_id=records(made)[1].id, depth=1) == ["second"]


def test_says_what_is_wrong(made: Clone) -> None:
    assert dver.lineage.verify(repo=made.root).verdict == "ok"
    made.delete_cache()

    found = dver.lineage.verify("out", repo=made.root)

    assert found.verdict == "missing"
    assert {one.artifact.path: [finding.problem for finding in one.findings] for one in found.artifacts} == {
        "raw": ["not stored"],
        "middle": ["not stored"],
        "out": ["not stored"],
    }


def test_damaged_lines_are_warned_of(made: Clone) -> None:
    with (made.root / ".dver" / "lineage.jsonl").open("a") as file:
        file.write("damaged\n")

    with pytest.warns(UserWarning, match="line 3"):
        dver.lineage.verify(repo=made.root)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"path": "out", "run_id": "123456"}, UsageError),
        ({"rev": "HEAD"}, UsageError),
        ({"depth": 2}, UsageError),
        ({"path": "out", "depth": 0}, UsageError),
        ({"run_id": "no id"}, UsageError),
        ({"run_id": "123456"}, NotFoundError),
        ({"path": "nosuch"}, PathError),
    ],
)
def test_refuses_what_makes_no_sense(made: Clone, given: dict[str, str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        dver.lineage.verify(repo=made.root, **given)  # type: ignore[arg-type]


def test_runs_a_run_again(made: Clone) -> None:
    first, second = records(made)

    assert dver.lineage.rerun(first.id, repo=made.root).outcome == "same"
    again = dver.lineage.rerun(second.id[:12], keep=True, repo=made.root)
    assert again.outcome == "differs"
    assert again.folder is not None
    assert (again.folder / "out").is_file()
    with pytest.raises(NotFoundError):
        dver.lineage.rerun("123456", repo=made.root)
