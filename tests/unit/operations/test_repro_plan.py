"""Which recorded steps a repro is about, and in which order."""

from collections.abc import Sequence
from typing import Any

import pytest

from dver.errors import DverError, PathError
from dver.operations.repro_plan import plan_repro
from dver.records.record import Artifact, Record, State
from tests.clones import Clone

RAW = "b3:" + "1" * 64


@pytest.fixture
def history(clone: Clone) -> Clone:
    """A clone with the datasets a to f, and no records."""
    for name in "abcdef":
        clone.write(f"{name}/x", name.encode())
    clone.add(*"abcdef")
    return clone


def record(clone: Clone, name: str, inputs: Sequence[str | Artifact], outputs: str, **fields: Any) -> Record:
    """Append a record; a text names the datasets of its letters."""
    used = [Artifact(path, RAW) if isinstance(path, str) else path for path in inputs]
    facts = {"state": State.COMPLETE, "started": "2026-01-01T00:00:00Z", "command": ("true",), **fields}
    made = Record(name=name, inputs=tuple(used), outputs=tuple(Artifact(path, RAW) for path in outputs), **facts)
    with clone.open() as repo:
        repo.lineage.journal.append(made)
    return made


def names(clone: Clone, *targets: str, downstream: bool = False) -> str:
    """Return the names of the steps in order."""
    with clone.open() as repo:
        return "".join(step.name for step in plan_repro(repo, targets, downstream=downstream).steps)


@pytest.fixture
def diamond(history: Clone) -> Clone:
    """b and c are made from a, and d from both; e from c; nothing is known of f."""
    record(history, "4", "cb", "d")
    record(history, "5", "c", "e")
    record(history, "3", "a", "c")
    record(history, "2", "a", "b")
    return history


def test_steps_come_after_what_makes_their_inputs(diamond: Clone) -> None:
    assert names(diamond, "d") == "324"
    assert names(diamond) == "2345"
    assert names(diamond, "") == "2345"


def test_targets_may_be_pointers_paths_in_datasets_and_folders(diamond: Clone) -> None:
    assert names(diamond, "b.dver", "c/x") == "23"
    diamond.write("out/g/x", b"g")
    diamond.add("out/g")
    record(diamond, "6", ["a"], "")
    with diamond.open() as repo:
        made = Record(State.COMPLETE, "2026-01-01T00:00:00Z", "7", ("true",), outputs=(Artifact("out/g", RAW),))
        repo.lineage.journal.append(made)
    assert names(diamond, "out") == "7"


def test_a_dataset_whose_pointer_is_gone_is_found_by_its_name(diamond: Clone) -> None:
    (diamond.root / "b.dver").unlink()
    assert names(diamond, "b") == "2"
    assert "2" in names(diamond, "d")
    assert names(diamond) == "3245"


@pytest.mark.parametrize(("target", "expected"), [("b", "234"), ("a", "2345"), ("c", "2345"), ("e", "35")])
def test_downstream_takes_all_users_with_what_they_need(diamond: Clone, target: str, expected: str) -> None:
    assert sorted(names(diamond, target, downstream=True)) == sorted(expected)
    assert names(diamond, downstream=True) == "2345"


@pytest.mark.parametrize(
    ("target", "downstream", "reason"),
    [
        ("f", False, "f: was made by no run"),
        ("a/x", False, "was made by no run"),
        ("f", True, "f: was made by no run, and no run used it"),
        ("nothing", False, "no dataset is there"),
    ],
)
def test_refuses_what_no_run_made(diamond: Clone, target: str, downstream: bool, reason: str) -> None:
    with pytest.raises(PathError, match=reason):
        names(diamond, target, downstream=downstream)


def test_without_records_there_is_nothing_to_do(history: Clone) -> None:
    assert names(history) == ""


def test_the_latest_run_that_did_not_fail_counts(history: Clone) -> None:
    record(history, "2", "a", "b", started="2026-01-02T00:00:00Z", state=State.CACHED)
    record(history, "1", "a", "b")
    record(history, "3", "a", "b", started="2026-01-03T00:00:00Z", state=State.FAILED)
    assert names(history, "b") == "2"
    record(history, "4", "", "b", started="2026-01-04T00:00:00Z", state=State.IMPORTED, command=())
    assert names(history) == ""


def test_an_input_that_is_part_of_a_dataset_leads_to_what_made_that(history: Clone) -> None:
    record(history, "1", "a", "b")
    record(history, "2", [Artifact("b/x", RAW, "b", RAW)], "c")
    assert names(history, "c") == "12"
    assert names(history, "b", downstream=True) == "12"


def test_files_lead_nowhere_whether_git_has_them_or_they_were_only_seen(history: Clone) -> None:
    record(history, "1", "a", "b")
    record(history, "2", [Artifact("b", RAW, kind="file", observed=True), Artifact("a", "git:" + "1" * 40)], "c")
    assert names(history, "c") == "2"


def test_data_that_was_seen_to_be_read_leads_to_what_made_it(history: Clone) -> None:
    record(history, "1", "a", "b")
    record(history, "2", [Artifact("b", RAW, observed=True)], "c")
    assert names(history, "c") == "12"
    assert names(history, "b", downstream=True) == "12"


def test_a_run_of_several_outputs_is_one_step(history: Clone) -> None:
    record(history, "1", "a", "bc")
    record(history, "2", "bc", "d")
    assert names(history, "d", "b") == "12"


def test_a_circle_is_named(history: Clone) -> None:
    record(history, "1", "a", "b")
    record(history, "2", "b", "c")
    record(history, "3", "c", "d")
    record(history, "4", "d", "a")
    record(history, "5", "d", "e")
    with pytest.raises(DverError, match=r"in a circle: c made d made a made b made c$") as caught:
        names(history, "e")
    assert "dver lineage" in str(caught.value.hint)


def test_what_is_in_no_circle_and_needs_none_is_left(history: Clone) -> None:
    record(history, "1", "a", "b")
    record(history, "2", "bd", "c")
    record(history, "3", "c", "d")
    record(history, "4", "d", "e")
    record(history, "5", "b", "f")
    with history.open() as repo:
        plan = plan_repro(repo)
    assert [step.name for step in plan.steps] == ["1", "5"]
    assert "in a circle: d made c made d" in str(plan.circle)
    assert names(history, "f") == "15"


def test_files_of_git_lead_to_what_was_made_with_them(history: Clone) -> None:
    code = [Artifact(path, "git:" + "1" * 40, kind="code") for path in ("src/p.py", "src/q.py")]
    record(history, "1", ["a", code[0]], "b")
    record(history, "2", ["b"], "c")
    record(history, "3", ["a", code[1]], "d")
    assert names(history, "src/p.py", downstream=True) == "12"
    assert sorted(names(history, "src", downstream=True)) == ["1", "2", "3"]
    with pytest.raises(PathError, match=r"src/p.py: is no dataset") as caught:
        names(history, "src/p.py")
    assert "dver repro --downstream src/p.py" in str(caught.value.hint)
    with pytest.raises(PathError, match="no dataset is there"):
        names(history, "src/r.py", downstream=True)


def test_a_path_that_a_dataset_does_not_have_is_refused(history: Clone) -> None:
    record(history, "1", "a", "b")
    with pytest.raises(PathError, match="b/nothing: is not in b") as caught:
        names(history, "b/nothing")
    assert caught.value.hint == "dver ls b lists what is in it"
    (history.root / "b/x").unlink()
    assert names(history, "b/x") == "1"


def test_a_long_chain_is_put_in_order(clone: Clone) -> None:
    count = 2000
    with clone.open() as repo:
        for number in range(count):
            source, made = (Artifact(f"d{n}", RAW) for n in (number, number + 1))
            record = Record(
                State.COMPLETE, "2026-01-01T00:00:00Z", str(number), ("true",), inputs=(source,), outputs=(made,)
            )
            repo.lineage.journal.append(record)
        plan = plan_repro(repo, [f"d{count}"])
    assert [step.name for step in plan.steps] == [str(number) for number in range(count)]


def test_says_which_run_is_to_make_each_output(history: Clone) -> None:
    first = record(history, "1", "a", "bcd")
    later = record(history, "2", "a", "b", started="2026-01-02T00:00:00Z")
    record(history, "3", "", "d", started="2026-01-02T00:00:00Z", state=State.IMPORTED, command=())
    with history.open() as repo:
        plan = plan_repro(repo)
    assert [step.name for step in plan.steps] == ["2", "1"]
    assert plan.makers == {"b": later.id, "c": first.id}
