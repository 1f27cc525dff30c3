"""What is run again, what is passed over, and what is said of it."""

import os
from dataclasses import replace
from typing import Any

import pytest

from dver.errors import DataLossError, DverError, PathError
from dver.objects.ids import format_version
from dver.operations.descriptions import Description
from dver.operations.mv import mv
from dver.operations.origin import Origin, add_from
from dver.operations.repro import Begun, Beside, Ended, Fresh, Progression, Stale, preview_repro, repro
from dver.operations.repro_outputs import MovedAway, Replaced
from dver.operations.repro_plan import plan_repro
from dver.operations.run_params import ParamSource
from dver.records.record import Artifact, Record, State
from dver.workspace.pointers import read_pointer
from tests.clones import Clone
from tests.unit.operations.running import records, request, run

# Each command says in a file that it ran.
FIRST = request("echo 1 >> log; cat raw/a > one", name="first", inputs=("raw", "code"), outputs=("one",))
SECOND = request(
    "echo 2 >> log; cat one params.yaml > two",
    name="second",
    inputs=("one",),
    outputs=("two",),
    params=(ParamSource("lr", "params.yaml"), ParamSource("seed", value=1)),
    tags={"kind": "test"},
)
THIRD = request("echo 3 >> log; wc two > three", name="third", inputs=("two",), outputs=("three",))


@pytest.fixture
def chain(clone: Clone) -> Clone:
    """Three steps that were run."""
    clone.write("raw/a", b"one\n")
    clone.write("code", b"code\n")
    clone.write("params.yaml", b"lr: 0.1\n")
    clone.write(".gitignore", b"log\n")
    clone.save("raw")
    for wanted in (FIRST, SECOND, THIRD):
        run(clone, wanted)
    forget(clone)
    return clone


def forget(clone: Clone) -> None:
    """Forget what ran."""
    (clone.root / "log").unlink(missing_ok=True)


def ran(clone: Clone) -> str:
    """Return which commands ran since it was last asked."""
    path = clone.root / "log"
    text = path.read_text() if path.exists() else ""
    forget(clone)
    return text.replace("\n", "")


def again(clone: Clone, *targets: str, **options: bool) -> list[tuple[str, str]]:
    """Run repro, and return the names of the steps with what was done about them."""
    with clone.open() as repo:
        found = []
        for one in repro(repo, plan_repro(repo, targets, **options), os.environ):
            if isinstance(one, Fresh):
                found.append((one.step.name, "fresh"))
            elif isinstance(one, Ended):
                found.append((one.step.name, one.result.state.value))
        return found


def preview(clone: Clone, *targets: str, **options: bool) -> list[Fresh | Stale]:
    """Only look."""
    with clone.open() as repo:
        return list(preview_repro(repo, plan_repro(repo, targets, **options), os.environ))


def stale(clone: Clone, *targets: str) -> list[tuple[str, list[tuple[str, str]], tuple[str, ...], tuple[str, ...]]]:
    """Return the stale steps, and why."""
    return [
        (
            one.step.name,
            [(reason.kind.value, reason.name) for reason in one.why.reasons],
            one.why.remade,
            one.why.outputs,
        )
        for one in preview(clone, *targets)
        if isinstance(one, Stale)
    ]


def append(clone: Clone, record: Record) -> None:
    """Append a record."""
    with clone.open() as repo:
        repo.lineage.journal.append(record)


def test_what_is_as_recorded_is_passed_over(chain: Clone) -> None:
    before = len(records(chain))
    assert again(chain) == [("first", "fresh"), ("second", "fresh"), ("third", "fresh")]
    assert (ran(chain), len(records(chain))) == ("", before)
    assert all(isinstance(one, Fresh) for one in preview(chain))


def test_a_changed_input_runs_all_that_comes_of_it(chain: Clone) -> None:
    chain.write("raw/a", b"other\n")
    chain.add("raw")
    assert stale(chain) == [
        ("first", [("input", "raw")], (), ()),
        ("second", [], ("one",), ()),
        ("third", [], ("two",), ()),
    ]
    assert ran(chain) == ""
    assert again(chain) == [("first", "complete"), ("second", "complete"), ("third", "complete")]
    assert ran(chain) == "123"
    assert (chain.root / "two").read_bytes() == b"other\nlr: 0.1\n"


def test_files_of_the_environment_and_the_kinds_of_outputs_are_kept(chain: Clone) -> None:
    chain.write("lock", b"1")
    chain.git("add", "lock")
    said = {"four": Description("metrics", {"fold": 3})}
    run(chain, request("cat lock > four", name="fourth", env_files=("lock",), outputs=("four",), descriptions=said))
    chain.write("lock", b"2")
    assert stale(chain, "four") == [("fourth", [("env", "lock")], (), ())]
    assert again(chain, "four") == [("fourth", "complete")]
    record = records(chain)[-1]
    assert [(one.path, one.kind) for one in record.inputs] == [("lock", "env")]
    assert [(one.path, one.kind, one.props) for one in record.outputs] == [("four", "metrics", {})]
    assert again(chain, "four") == [("fourth", "fresh")]
    chain.write("lock", b"1")
    assert again(chain, "four") == [("fourth", "cached")]
    assert [(one.kind, one.props) for one in records(chain)[-1].outputs] == [("metrics", {"fold": 3})]


def test_a_changed_parameter_runs_only_what_depends_on_it(chain: Clone) -> None:
    chain.write("params.yaml", b"lr: 0.2\n")
    assert stale(chain) == [("second", [("param", "params.yaml:lr")], (), ()), ("third", [], ("two",), ())]
    assert again(chain) == [("first", "fresh"), ("second", "complete"), ("third", "complete")]
    assert ran(chain) == "23"
    found = records(chain)[-2]
    assert (found.name, found.tags, found.params) == ("second", {"kind": "test"}, {"params.yaml:lr": 0.2, "seed": 1})


def test_going_back_restores_and_runs_nothing(chain: Clone) -> None:
    before = (chain.root / "three").read_bytes(), (chain.root / "two").read_bytes()
    chain.write("params.yaml", b"lr: 0.25\n")
    again(chain)
    chain.write("params.yaml", b"lr: 0.1\n")
    forget(chain)
    (_, second, third) = preview(chain)
    assert isinstance(second, Stale)
    assert second.hit is not None
    # What the step before would restore is known, and so is what was made of it.
    assert isinstance(third, Stale)
    assert third.hit is not None
    assert [reason.name for reason in third.why.reasons] == ["two"]
    assert again(chain) == [("first", "fresh"), ("second", "cached"), ("third", "cached")]
    assert ran(chain) == ""
    assert ((chain.root / "three").read_bytes(), (chain.root / "two").read_bytes()) == before


def test_code_that_makes_the_same_output_ends_it_there(chain: Clone) -> None:
    chain.write("code", b"better code\n")
    assert stale(chain, "one") == [("first", [("input", "code")], (), ())]
    assert again(chain) == [("first", "complete"), ("second", "fresh"), ("third", "fresh")]


def test_a_dry_run_knows_that_what_an_earlier_run_made_is_here_already(chain: Clone) -> None:
    chain.write("code", b"better code\n")
    again(chain)
    chain.write("code", b"code\n")
    first, second, third = preview(chain)
    assert isinstance(first, Stale)
    assert first.hit is not None
    assert isinstance(second, Fresh)
    assert isinstance(third, Fresh)


def test_only_what_leads_to_a_target_is_run(chain: Clone) -> None:
    chain.write("params.yaml", b"lr: 0.2\n")
    assert again(chain, "one") == [("first", "fresh")]
    assert again(chain, "two") == [("first", "fresh"), ("second", "complete")]
    chain.write("params.yaml", b"lr: 0.3\n")
    assert again(chain, "one", downstream=True)[1:] == [("second", "complete"), ("third", "complete")]


@pytest.mark.parametrize("how", ["pointer gone", "pointer changed", "data gone"])
def test_an_output_that_is_not_as_it_was_made_comes_back(chain: Clone, how: str) -> None:
    if how == "pointer changed":
        by_hand(chain)
        chain.commit()
    else:
        (chain.root / ("two.dver" if how == "pointer gone" else "two")).unlink()
    found = stale(chain, "two")
    assert found == [("second", [], (), ("two",))]
    assert again(chain, "two") == [("first", "fresh"), ("second", "cached")]
    assert (chain.root / "two").read_bytes() == b"one\nlr: 0.1\n"
    assert ran(chain) == ""
    assert chain.status("two").state.name == "UNCHANGED"


def by_hand(chain: Clone) -> None:
    """Change an output by hand, and add it."""
    chain.write("two", b"by hand")
    chain.add("two")


def test_an_output_that_was_changed_by_hand_and_added_is_not_replaced(chain: Clone) -> None:
    by_hand(chain)
    for tried in (again, preview):
        with pytest.raises(PathError, match="two: was changed by hand and added since run") as caught:
            tried(chain)
        assert caught.value.hint == "commit it first; dver add --note TEXT two lets it count as data of your own"
    assert (ran(chain), (chain.root / "two").read_bytes()) == ("", b"by hand")
    assert again(chain, "one") == [("first", "fresh")]


def test_the_way_back_to_the_committed_output_is_named(chain: Clone) -> None:
    chain.commit()
    by_hand(chain)
    with pytest.raises(PathError) as caught:
        again(chain)
    assert str(caught.value.hint).startswith("commit it first, or dver checkout HEAD -- two; ")
    chain.checkout("HEAD", "two")
    assert again(chain) == [("first", "fresh"), ("second", "fresh"), ("third", "fresh")]


def test_what_was_changed_by_hand_and_noted_is_data_of_the_users_own(chain: Clone) -> None:
    by_hand(chain)
    with chain.open() as repo:
        add_from(repo, ["two"], Origin(note="by hand"))
    assert sorted(again(chain)) == [("first", "fresh"), ("third", "complete")]
    assert (chain.root / "two").read_bytes() == b"by hand"


def test_that_a_version_is_replaced_which_a_commit_has_and_no_run_made_is_said(chain: Clone) -> None:
    by_hand(chain)
    version = format_version(read_pointer(chain.root, "two").version)  # type: ignore[union-attr]
    chain.commit()
    (_, second, _) = preview(chain)
    assert isinstance(second, Stale)
    assert second.remarks == (Replaced("two", version),)
    with chain.open() as repo:
        begun = [one for one in repro(repo, plan_repro(repo), os.environ) if isinstance(one, Begun)]
    assert [(one.step.name, one.remarks) for one in begun] == [("second", second.remarks)]


def test_data_in_the_way_that_was_not_added_is_refused_with_both_ways_on(chain: Clone) -> None:
    chain.write("one", b"edited")
    chain.write("code", b"better code\n")
    for tried in (again, preview):
        with pytest.raises(DataLossError) as caught:
            tried(chain, "one")
        assert caught.value.hint == "dver checkout --force one puts back what the run made; dver add one keeps the edit"
    chain.write("code", b"code\n")
    with pytest.raises(PathError, match="one: was changed since it was added") as changed:
        again(chain)
    assert changed.value.hint == "dver checkout --force one puts back what the run made; dver add one keeps the change"


def test_an_output_that_was_moved_and_comes_back_where_it_was_is_told(chain: Clone) -> None:
    chain.commit()
    with chain.open() as repo:
        mv(repo, "two", "moved")
    (_, second, third) = preview(chain)
    assert isinstance(second, Stale)
    assert second.remarks == (MovedAway("two", "moved"),)
    assert isinstance(third, Fresh)
    run_id = records(chain)[1].id[3:13]
    with pytest.raises(PathError, match=f"moved: was made as two, by run {run_id}, and moved") as caught:
        again(chain, "moved")
    assert "dver mv moved two moves it back" in str(caught.value.hint)


def test_what_would_be_restored_decides_what_comes_after_it(chain: Clone) -> None:
    chain.write("params.yaml", b"lr: 0.2\n")
    again(chain)
    chain.write("params.yaml", b"lr: 0.1\n")
    run(chain, replace(THIRD, command=("echo 3 >> log; wc two > three; true",)))
    forget(chain)
    # The third step was never run in this way with what the second would restore.
    _, second, third = preview(chain)
    assert isinstance(second, Stale)
    assert second.hit is not None
    assert isinstance(third, Stale)
    assert (third.hit, third.why.remade) == (None, ())
    assert again(chain) == [("first", "fresh"), ("second", "cached"), ("third", "complete")]


def test_what_would_be_restored_may_be_what_the_next_step_used(chain: Clone) -> None:
    chain.write("raw/a", b"two\n")
    chain.add("raw")
    again(chain, "one")
    chain.write("raw/a", b"one\n")
    chain.add("raw")
    first, second, third = preview(chain)
    assert isinstance(first, Stale)
    assert first.hit is not None
    assert isinstance(second, Fresh)
    assert isinstance(third, Fresh)


def test_a_part_of_what_is_as_recorded_needs_no_manifest(clone: Clone) -> None:
    clone.write("raw/a", b"one\n")
    clone.save("raw")
    run(clone, request("cat raw/a > one", inputs=("raw/a",), outputs=("one",)))
    clone.delete_cache()
    assert again(clone) == [("", "fresh")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_circle_leaves_the_others_to_run(chain: Clone, jobs: int) -> None:
    for name in ("p", "q"):
        chain.write(name, name.encode())
    chain.add("p", "q")
    for name, other in ("pq", "qp"):
        run(chain, request(f"cat raw/a > {other}", name=name, inputs=("raw",), outputs=(other,)))
    made = {record.name: record for record in records(chain)}
    for name, other in ("pq", "qp"):
        inputs = (Artifact(name, made[other].outputs[0].version),)
        append(chain, replace(made[name], inputs=inputs, started="2030-01-01T00:00:00Z"))
    run(chain, request("cat p > last", name="last", inputs=("p",), outputs=("last",)))
    chain.write("params.yaml", b"lr: 0.2\n")
    assert [one.step.name for one in preview(chain, "three")] == ["first", "second", "third"]
    beside = Beside(jobs, lambda _step: lambda _line, _is_error: None) if jobs > 1 else None
    done: list[Progression] = []
    with chain.open() as repo, pytest.raises(DverError, match=r"in a circle: [pq] made [pq] made [pq]"):
        done.extend(repro(repo, plan_repro(repo), os.environ, beside=beside))
    assert [one.step.name for one in done if isinstance(one, Ended)] == ["second", "third"]
    with chain.open() as repo, pytest.raises(DverError, match="in a circle"):
        plan_repro(repo, ["last"])


def test_what_comes_back_as_it_was_leaves_later_steps_alone(chain: Clone) -> None:
    by_hand(chain)
    chain.commit()
    assert [one[0] for one in stale(chain)] == ["second"]
    again(chain)
    assert again(chain) == [("first", "fresh"), ("second", "fresh"), ("third", "fresh")]


def test_the_first_failure_ends_it_and_what_was_done_stays(chain: Clone) -> None:
    failing = replace(SECOND, command=("echo 2 >> log; cat one > two; ! grep -q bad one || exit 7",), params=())
    run(chain, failing)
    run(chain, THIRD)
    forget(chain)
    chain.write("raw/a", b"bad\n")
    chain.add("raw")
    with chain.open() as repo:
        *_, last = repro(repo, plan_repro(repo), os.environ)
    assert isinstance(last, Ended)
    assert (last.step.name, last.result.exit_code, last.result.state) == ("second", 7, State.FAILED)
    assert ran(chain) == "12"
    assert chain.status("one").state.name == "UNCHANGED"
    assert (chain.root / "one").read_bytes() == b"bad\n"
    assert again(chain, "three") == [("first", "fresh"), ("second", "failed")]


def test_inputs_that_were_not_added_are_refused(chain: Clone) -> None:
    chain.write("raw/a", b"not added")
    for tried in (again, preview):
        with pytest.raises(PathError, match="raw: was changed since it was added"):
            tried(chain)
    assert ran(chain) == ""


def test_a_parameter_that_is_gone_is_refused(chain: Clone) -> None:
    chain.write("params.yaml", b"rate: 1\n")
    with pytest.raises(PathError, match=r"params.yaml: has no value lr"):
        again(chain)


def masked(chain: Clone, **given: Any) -> None:
    run(chain, request("cat raw/a > new; true --password=hunter2", inputs=("raw",), outputs=("new",), **given))


def test_a_run_with_a_masked_secret_is_only_refused_when_it_is_stale(chain: Clone) -> None:
    masked(chain)
    assert again(chain, "new") == [("", "fresh")]
    chain.write("raw/a", b"two\n")
    chain.add("raw")
    for tried in (again, preview):
        with pytest.raises(DverError, match="a secret in it was masked") as caught:
            tried(chain, "new")
        assert "environment" in str(caught.value.hint)


def test_a_parameter_with_a_secret_given_by_hand_is_refused(chain: Clone) -> None:
    wanted = request("cat raw/a > new", inputs=("raw",), outputs=("new",))
    run(chain, replace(wanted, params=(ParamSource("token", value="hunter2"),)))
    (chain.root / "new").unlink()
    with pytest.raises(DverError, match="a secret in it was masked"):
        again(chain, "new")


def test_a_secret_that_is_read_from_a_file_is_read_again(chain: Clone) -> None:
    chain.write("keys.json", b'{"token": "hunter2"}')
    wanted = request("cat raw/a keys.json > new", inputs=("raw",), outputs=("new",))
    run(chain, replace(wanted, params=(ParamSource("token", "keys.json"),)))
    (chain.root / "new").unlink()
    assert again(chain, "new") == [("", "complete")]


def test_a_stale_run_whose_output_came_from_elsewhere_since_is_refused(chain: Clone) -> None:
    run(chain, request("echo >> log; cat raw/a | tee p > q", inputs=("raw",), outputs=("p", "q")))
    run(chain, request("cat raw/a > p", inputs=("raw",), outputs=("p",)))
    assert [what for _, what in again(chain, "p", "q")] == ["fresh", "fresh"]
    chain.write("raw/a", b"two\n")
    chain.add("raw")
    with pytest.raises(DverError, match="would overwrite p, which came from elsewhere since") as caught:
        again(chain, "q")
    assert "dver run -o q -- COMMAND" in str(caught.value.hint)


def test_a_step_without_inputs_is_passed_over_while_its_output_is_here(clone: Clone) -> None:
    clone.commit()
    run(clone, request("echo hello > out", outputs=("out",)))
    assert again(clone) == [("", "fresh")]


def test_a_record_cannot_name_parameters_outside_the_repository(chain: Clone) -> None:
    (chain.root.parent / "other.json").write_text('{"a": 1}')
    latest = records(chain)[0]
    params: dict[str, Any] = {"../other.json:a": 1}
    append(chain, replace(latest, started="2030-01-01T00:00:00Z", params=params))
    with pytest.raises(PathError, match="is outside the repository"):
        again(chain, "one")
