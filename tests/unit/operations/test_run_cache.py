"""When two runs are the same, and what is said to be new about one that is not."""

from dataclasses import replace

import pytest

from dver.operations.descriptions import Description
from dver.operations.run_cache import Step, cache_key
from dver.operations.run_params import ParamSource
from dver.operations.run_plan import RunRequest
from dver.records.record import Artifact, Record, State
from tests.clones import Clone
from tests.unit.operations.running import plan, reasons, records, request, run, with_line

STEP = Step(
    name="s",
    command=("python", "x.py"),
    shell=False,
    folder="",
    inputs=(Artifact("data", "b3:" + "1" * 64), Artifact("x.py", "git:" + "2" * 40, kind="code")),
    params={"lr": 0.1},
    outputs=("a", "b"),
    is_repeatable=True,
)
BASE = request(
    "cat data/* > out",
    name="copy",
    inputs=("data",),
    code=("code.py",),
    outputs=("out",),
    params=(ParamSource("lr", value=0.1), ParamSource("seed", value=1)),
)


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone in which the step was run once."""
    clone.write("data/a", b"one\n")
    clone.write("code.py", b"print(1)\n")
    clone.save()
    run(clone, BASE)
    return clone


def test_the_key_is_the_same_for_the_same_step_in_any_order_and_under_any_name() -> None:
    other = replace(STEP, name="t", inputs=STEP.inputs[::-1], outputs=("b", "a"))
    assert cache_key(other, "/r") == cache_key(STEP, "/r")


@pytest.mark.parametrize(
    "other",
    [
        replace(STEP, command=("python", "x.py", "")),
        replace(STEP, command=("python x.py",)),
        replace(STEP, shell=True),
        replace(STEP, folder="sub"),
        replace(STEP, inputs=STEP.inputs[:1]),
        replace(STEP, inputs=(replace(STEP.inputs[0], version="b3:" + "3" * 64), STEP.inputs[1])),
        replace(STEP, inputs=(replace(STEP.inputs[0], path="other"), STEP.inputs[1])),
        replace(STEP, params={"lr": 0.2}),
        replace(STEP, params={"lr": "0.1"}),
        replace(STEP, params={}),
        replace(STEP, outputs=("a",)),
    ],
)
def test_the_key_is_another_when_anything_that_decides_the_result_is(other: Step) -> None:
    assert cache_key(other, "/r") != cache_key(STEP, "/r")


def test_the_key_does_not_depend_on_where_the_repository_is() -> None:
    keys = {cache_key(replace(STEP, command=("run", f"--in={root}/data")), root) for root in ("/home/a/r", "/mnt/r")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (BASE, []),
        (with_line(BASE, "cat data/a > out"), [("command", "")]),
        (replace(BASE, folder="data"), [("folder", "")]),
        (replace(BASE, inputs=("data/a",)), [("input", "data"), ("input", "data/a")]),
        (replace(BASE, code=()), [("code", "code.py")]),
        (replace(BASE, params=(ParamSource("lr", value=0.2), ParamSource("new"))), [("param", "lr"), ("param", "seed"),
                                                                                 ("param", "new")]),
        (replace(BASE, outputs=("out", "more")), [("output", "more")]),
        (replace(BASE, name="", params=()), [("param", "lr"), ("param", "seed")]),
        (replace(BASE, name="another", params=()), [("param", "lr"), ("param", "seed")]),
        (replace(BASE, name="another", outputs=("more",)), [("first", "")]),
        (replace(BASE, outputs=()), [("no outputs", "")]),
    ],
)  # fmt: skip
def test_what_is_new_is_named_against_the_last_run_of_that_name_or_those_outputs(
    ready: Clone, wanted: RunRequest, expected: list[tuple[str, str]]
) -> None:
    assert reasons(ready, wanted) == expected


def test_changed_data_and_code_are_told_apart(ready: Clone) -> None:
    ready.write("data/a", b"two\n")
    ready.add()
    ready.write("code.py", b"print(2)\n")
    assert reasons(ready, BASE) == [("input", "data"), ("code", "code.py")]


def test_a_changed_file_of_the_environment_is_told_apart(ready: Clone) -> None:
    ready.write("lock", b"a==1\n")
    ready.git("add", "lock")
    wanted = replace(BASE, env_files=("lock",))
    assert reasons(ready, wanted) == [("env", "lock")]
    run(ready, wanted)
    assert reasons(ready, wanted) == []
    ready.write("lock", b"a==2\n")
    assert reasons(ready, wanted) == [("env", "lock")]
    ready.write("lock", b"a==1\n")
    assert reasons(ready, wanted) == []


def test_what_is_said_of_outputs_decides_nothing_and_stays_unless_it_is_said_anew(ready: Clone) -> None:
    said = replace(BASE, descriptions={"out": Description("model", {"a": 1, "b": 2})})
    run(ready, said, force=True)
    assert reasons(ready, BASE) == []
    run(ready, BASE)
    run(ready, replace(BASE, descriptions={"out": Description("metrics", {"b": "x"})}))
    made = [(record.state, record.outputs[0].kind, record.outputs[0].props) for record in records(ready)]
    assert made == [
        ("complete", "dataset", {}),
        ("complete", "model", {"a": 1, "b": 2}),
        ("cached", "model", {"a": 1, "b": 2}),
        ("cached", "metrics", {"a": 1, "b": "x"}),
    ]


def test_a_secret_in_a_property_is_masked_and_the_run_serves_all_the_same(ready: Clone) -> None:
    said = replace(BASE, descriptions={"out": Description(props={"token": "hunter2"})})
    assert plan(ready, said, force=True).masked == ("property token",)
    run(ready, said, force=True)
    assert records(ready)[-1].outputs[0].props == {"token": "***"}
    assert reasons(ready, said) == []


def test_a_run_that_failed_last_time_says_so(ready: Clone) -> None:
    wanted = with_line(BASE, "exit 1")
    failed = run(ready, wanted)
    assert reasons(ready, wanted) == [("command", ""), ("failed", failed.record)]
    assert reasons(ready, with_line(BASE, "exit 2")) == [("command", "")]
    assert reasons(ready, BASE) == []


def test_a_run_that_was_kept_from_the_cache_is_named(clone: Clone) -> None:
    wanted = request("echo > out", outputs=("out",))
    first = run(clone, wanted, no_cache=True)
    assert reasons(clone, wanted) == [("not serving", first.record)]


def test_a_record_that_would_write_elsewhere_is_no_hit(ready: Clone) -> None:
    with ready.open() as repo, repo.lock():
        good = repo.lineage.records()[0]
        bad = Artifact("code.py", good.outputs[0].version)
        later = Record(State.COMPLETE, "9999-01-01T00:00:00.000Z", command=("x",), key=good.key, outputs=(bad,))
        repo.lineage.journal.append(later)
    assert reasons(ready, BASE) == []
    run(ready, BASE)
    assert (ready.root / "code.py").read_bytes() == b"print(1)\n"


def test_imported_outputs_are_no_earlier_run(clone: Clone) -> None:
    with clone.open() as repo, repo.lock():
        made = Artifact("out", "b3:" + "1" * 64)
        repo.lineage.journal.append(Record(State.IMPORTED, "2026-01-01T00:00:00.000Z", outputs=(made,)))
    assert reasons(clone, request("echo > out", outputs=("out",))) == [("first", "")]
