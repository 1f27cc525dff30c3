"""Tests of work that scripts and notebooks record themselves."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import dver
from dver.errors import DverError, NotARepositoryError, PathError, UsageError
from dver.objects.ids import format_version
from dver.objects.pointer import decode_pointer
from dver.records.record import Artifact
from tests.clones import Clone


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone with a committed dataset and a file of code; the current folder is its top."""
    clone = Clone.make(tmp_path / "repo")
    monkeypatch.chdir(clone.root)
    monkeypatch.setattr(dver, "_first_folder", str(clone.root))
    clone.write("data/a", b"one\n")
    clone.write("code.py", b"print(1)\n")
    clone.save()
    return clone


def version(clone: Clone, dataset: str) -> str:
    return format_version(decode_pointer(clone.pointer_text(dataset).encode(), dataset).version)


def work(clone: Clone, files: Mapping[str, bytes], end: BaseException | None = None) -> None:
    """Write files and, where that is given, raise."""
    for path, data in files.items():
        clone.write(path, data)
    if end is not None:
        raise end


def test_a_block_that_ends_makes_its_outputs_datasets_and_is_recorded(ready: Clone) -> None:
    params = {"lr": 0.1, "model": {"depth": 3, "sizes": (1, 2)}}
    with dver.record(
        inputs="data", code="code.py", outputs=["out"], params=params, name="copy", tags={"experiment": "a"}
    ) as run:
        ready.write("out/b", (ready.root / "data/a").read_bytes())
    assert run.state == "complete"
    record = dver.lineage.find_run(run.id)
    assert (record.id, record.state, record.name) == (run.id, "complete", "copy")
    blob = ready.git("hash-object", "code.py").strip()
    assert record.inputs == (Artifact("data", version(ready, "data")), Artifact("code.py", f"git:{blob}", kind="code"))
    assert record.outputs == (Artifact("out", version(ready, "out")),)
    assert record.params == {"lr": 0.1, "model.depth": 3, "model.sizes": "!list [1, 2]"}
    assert record.tags == {"experiment": "a"}
    assert record.commit == ready.git("rev-parse", "HEAD").strip()
    assert not record.dirty
    assert record.seconds > 0
    assert record.exit_code is None
    assert record.environment.python.startswith("3.")
    assert record.environment.packages
    assert dver.read("out/b") == b"one\n"
    assert {"out.dver", ".dver/lineage.jsonl"} <= set(ready.git("diff", "--cached", "--name-only").split())


def test_one_path_may_stand_for_a_list_of_one(ready: Clone) -> None:
    with dver.record(inputs="data", outputs=Path("out")) as run:
        ready.write("out", b"1")
    record = dver.lineage.find_run(run.id)
    assert [one.path for one in (*record.inputs, *record.outputs)] == ["data", "out"]


def test_a_block_without_inputs_and_outputs_is_recorded_too(ready: Clone) -> None:
    with dver.record() as run:
        pass
    assert dver.lineage.find_run(run.id).state == "complete"


def test_paths_are_relative_to_the_folder_given(ready: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with dver.record(inputs=["a"], outputs=["../out", ready.root / "other"], repo=ready.root / "data") as run:
        ready.write("out", b"1")
        ready.write("other", b"2")
    record = dver.lineage.find_run(run.id, repo=ready.root)
    assert [one.path for one in (*record.inputs, *record.outputs)] == ["data/a", "out", "other"]


def test_the_block_may_go_to_another_folder_and_use_dver(
    ready: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dver.record(inputs=["data"], outputs=["out"]) as run:
        ready.write("out", dver.read("data/a"))
        with dver.record(outputs=["inner"]):
            ready.write("inner", b"1")
        monkeypatch.chdir(tmp_path)
    assert run.state == "complete"
    recorded = dver.lineage.runs(repo=ready.root)
    assert [[one.path for one in record.outputs] for record in recorded] == [["out"], ["inner"]]


def test_files_of_the_environment_are_inputs_of_their_own_kind(ready: Clone) -> None:
    with dver.record(inputs="code.py", code="code.py") as run:
        pass
    assert [(one.path, one.kind) for one in dver.lineage.find_run(run.id).inputs] == [("code.py", "code")]
    with dver.record(inputs="code.py") as run:
        pass
    assert [(one.path, one.kind) for one in dver.lineage.find_run(run.id).inputs] == [("code.py", "file")]
    with dver.record(inputs="code.py", env="code.py", outputs="out") as run:
        ready.write("out", b"1")
    assert [(one.path, one.kind) for one in dver.lineage.find_run(run.id).inputs] == [("code.py", "env")]


def test_outputs_are_described_within_the_block(ready: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with dver.record(outputs=["out", "plain"]) as run:
        ready.write("out", b"1")
        ready.write("plain", b"2")
        run.describe("out", kind="model", props={"accuracy": 0.5, "size": {"rows": 3}})
        monkeypatch.chdir(ready.root / "data")
        run.describe(Path("out"), props={"accuracy": 0.75, "note": "good"})
    [out, plain] = dver.lineage.find_run(run.id, repo=ready.root).outputs
    assert (out.kind, out.props) == ("model", {"accuracy": 0.75, "size.rows": 3, "note": "good"})
    assert (plain.kind, plain.props) == ("dataset", {})
    [listed] = dver.lineage.artifacts(kind="model", props={"accuracy": "0.75"}, repo=ready.root)
    assert listed.artifact.path == "out"


def test_what_looks_like_a_secret_in_a_description_is_masked_with_a_warning(ready: Clone) -> None:
    with dver.record(outputs="out") as run:
        ready.write("out", b"1")
        with pytest.warns(UserWarning, match="property token") as caught:
            run.describe("out", props={"token": "hunter2"})
    assert caught[0].filename == __file__
    assert dver.lineage.find_run(run.id).outputs[0].props == {"token": "***"}


def test_a_description_that_makes_no_sense_is_refused(ready: Clone) -> None:
    with dver.record(outputs="out") as run:
        ready.write("out", b"1")
        with pytest.raises(UsageError, match="data is no output of this run"):
            run.describe("data", kind="model")
        with pytest.raises(UsageError, match="is no kind"):
            run.describe("out", kind="a model")
        with pytest.raises(UsageError, match="the property x cannot be recorded"):
            run.describe("out", props={"x": object()})
        with pytest.raises(UsageError, match="is no name for a property"):
            run.describe("out", props={"": 1})
    assert dver.lineage.find_run(run.id).outputs[0].kind == "dataset"
    with pytest.raises(UsageError, match="is recorded already"):
        run.describe("out", kind="model")


def test_an_exception_is_recorded_as_a_failure_and_goes_on(ready: Clone) -> None:
    with pytest.raises(ZeroDivisionError) as caught, dver.record(inputs=["data"], outputs=["out"]) as run:
        work(ready, {"out": b"half"}, ZeroDivisionError())
    assert run.state == "failed"
    record = dver.lineage.find_run(run.id)
    assert (record.state, record.outputs, record.exit_code) == ("failed", (), None)
    assert not (ready.root / "out.dver").exists()
    assert (ready.root / "out").read_bytes() == b"half"
    assert not hasattr(caught.value, "__notes__")


def test_a_failure_leaves_the_pointer_and_says_what_brings_the_data_back(ready: Clone) -> None:
    with dver.record(outputs=["out"]):
        ready.write("out", b"good")
    pointer = ready.pointer_text("out")
    with pytest.raises(KeyboardInterrupt) as caught, dver.record(outputs=["out"]):
        work(ready, {"out": b"half"}, KeyboardInterrupt())
    assert ready.pointer_text("out") == pointer
    assert "dver checkout --force out" in caught.value.__notes__[0]


def test_an_exception_goes_on_even_if_it_cannot_be_recorded(ready: Clone) -> None:
    with pytest.raises(ZeroDivisionError) as caught, dver.record() as run:
        work(ready, {".dver/lineage.jsonl/x": b""}, ZeroDivisionError())
    assert "dver could not record the run" in caught.value.__notes__[0]
    with pytest.raises(UsageError, match="not recorded"):
        _ = run.id


def test_an_exception_goes_on_even_if_the_system_stands_in_the_way_of_the_record(
    ready: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("dver.api.recording.end_recording", full)
    with pytest.raises(ZeroDivisionError) as caught, dver.record():
        raise ZeroDivisionError
    assert "dver could not record the run: [Errno 5]" in caught.value.__notes__[0]


@pytest.mark.parametrize(("code", "state"), [(None, "complete"), (0, "complete"), (2, "failed"), ("no data", "failed")])
def test_a_program_that_exits_ends_the_run_as_its_exit_code_says(
    ready: Clone, code: str | int | None, state: str
) -> None:
    with pytest.raises(SystemExit), dver.record(outputs=["out"]) as run:
        work(ready, {"out": b"1"}, SystemExit(code))
    assert run.state == state


def test_outputs_that_were_not_made_are_a_failure_and_an_error(ready: Clone) -> None:
    with (
        pytest.raises(DverError, match="did not make its outputs b, c; no"),
        dver.record(outputs=["a", "b", "c"]) as run,
    ):
        work(ready, {"a": b"1"})
    assert run.state == "failed"
    assert dver.lineage.find_run(run.id).state == "failed"
    assert not (ready.root / "a.dver").exists()


def test_a_block_that_changes_its_input_publishes_nothing(ready: Clone) -> None:
    before = version(ready, "data")
    message = re.escape("input data changed while the run was at work; no")
    with pytest.raises(DverError, match=f"^{message}"), dver.record(inputs="data", outputs="out") as run:
        work(ready, {"data/a": b"two\n", "out": b"1"})
    assert dver.lineage.find_run(run.id).inputs == (Artifact("data", before),)
    assert not (ready.root / "out.dver").exists()


def test_an_output_that_cannot_be_stored_is_a_failure_and_an_error(ready: Clone) -> None:
    with pytest.raises(PathError, match="symbolic link"), dver.record(outputs=["out"]) as run:
        (ready.root / "out").symlink_to("data")
    assert run.state == "failed"


def test_inputs_that_are_missing_new_or_changed_are_refused_before_the_block(ready: Clone) -> None:
    ready.write("new", b"1")
    ready.write("data/a", b"two\n")
    for path, reason in (("missing", "no such file"), ("new", "known neither"), ("data", "changed since it was added")):
        with pytest.raises(PathError, match=reason), dver.record(inputs=[path]):
            pytest.fail("the block must not run")
    assert dver.lineage.runs() == []


def test_requests_that_make_no_sense_are_refused_before_the_block(ready: Clone) -> None:
    senseless: list[tuple[str, dict[str, object]]] = [
        ("lie within each other", {"inputs": ["data"], "outputs": ["data/out"]}),
        ("parameter when cannot be recorded", {"params": {"when": object()}}),
        ("is no name for a parameter", {"params": {"params.yaml:lr": 1}}),
        ("is no name for a parameter", {"params": {"": 1}}),
        ("are texts", {"tags": {"fold": 3}}),
        ("are texts", {"tags": {"": "3"}}),
        ("name is not what it should be", {"name": 3}),
    ]
    for reason, given in senseless:
        with pytest.raises(UsageError, match=reason), dver.record(**given):  # type: ignore[arg-type]
            pytest.fail("the block must not run")
    assert dver.lineage.runs() == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"params": [1]}, "params is not what it should be"),
        ({"params": {1: 2}}, "params: a name is a text"),
        ({"inputs": 3}, "inputs is not what it should be"),
        ({"outputs": [3]}, "outputs is not what it should be"),
        ({"outputs": [None]}, "outputs is not what it should be"),
        ({"env": b"lock"}, "env is not what it should be"),
        ({"name": 3}, "name is not what it should be"),
        ({"tags": {"a": 3}}, "tags are texts"),
    ],
)
def test_arguments_of_another_type_are_refused_before_the_block(
    ready: Clone, given: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as caught, dver.record(**given):
        pytest.fail("the block ran")
    assert caught.value.hint
    assert not dver.lineage.runs()


def test_descriptions_of_another_type_are_refused(ready: Clone) -> None:
    with dver.record(outputs="out") as run:
        ready.write("out", b"1")
        for given in ({"props": [1]}, {"kind": 3}, {"props": {1: 2}}):
            with pytest.raises(UsageError, match=r"is not what it should be|a name is a text"):
                run.describe("out", **given)
        with pytest.raises(UsageError, match="path is not what it should be"):
            run.describe(3)  # type: ignore[arg-type]


def test_a_place_without_dver_is_refused_before_the_block(ready: Clone, tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError), dver.record(repo=tmp_path):
        pytest.fail("the block must not run")


def test_the_id_is_known_only_after_the_block(ready: Clone) -> None:
    with dver.record() as run, pytest.raises(UsageError, match="not recorded"):
        _ = run.id
    assert run.id


def test_what_looks_like_a_secret_is_masked_and_told(ready: Clone) -> None:
    with (
        pytest.warns(UserWarning, match="parameter db_password") as told,
        dver.record(params={"db_password": "x"}) as run,
    ):
        pass
    assert told[0].filename == __file__
    assert dver.lineage.find_run(run.id).params == {"db_password": "***"}


def test_earlier_runs_never_stand_in_for_a_block(ready: Clone) -> None:
    made = []
    for _ in range(2):
        with dver.record(inputs=["data"], outputs=["out"]) as run:
            made.append(ready.write("out", b"1"))
        assert dver.lineage.find_run(run.id).key == ""
    assert [record.state for record in dver.lineage.runs()] == ["complete", "complete"]
    assert len(made) == 2


def test_a_script_is_recorded_with_the_command_that_started_it(ready: Clone) -> None:
    ready.write("steps/make.py", b"import dver\nwith dver.record(outputs='out'):\n    open('out', 'w').write('1')\n")
    command = [sys.executable, "make.py", "--fast"]
    subprocess.run(command, cwd=ready.root / "steps", check=True, env={**os.environ, "PYTHONPATH": _package_root()})
    (record,) = dver.lineage.runs()
    assert (record.command, record.folder, record.shell) == (tuple(command), "steps", False)
    assert record.outputs[0].path == "steps/out"


@pytest.mark.parametrize("program", [["make.py"], ["-m", "make"], ["./steps/../steps/make.py"]])
def test_a_script_that_goes_elsewhere_is_recorded_with_the_folder_in_which_it_was_started(
    ready: Clone, program: list[str]
) -> None:
    text = "import os, dver\nos.chdir({!r})\nwith dver.record(): pass\n".format(str(ready.root / "data"))
    ready.write("steps/make.py", text.encode())
    folder = ready.root if "/" in program[0] else ready.root / "steps"
    command = [sys.executable, *program]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": _package_root()})
    (record,) = dver.lineage.runs()
    assert (record.command, record.folder) == (tuple(command), "" if folder == ready.root else "steps")


def test_a_script_that_goes_elsewhere_before_it_loads_dver_is_known_by_its_own_path(ready: Clone) -> None:
    ready.write("steps/make.py", b"import os\nos.chdir('../data')\nimport dver\nwith dver.record(): pass\n")
    command = [sys.executable, "make.py"]
    env = {**os.environ, "PYTHONPATH": _package_root()}
    subprocess.run(command, cwd=ready.root / "steps", check=True, env=env)
    (record,) = dver.lineage.runs()
    assert (record.command, record.folder) == (tuple(command), "steps")


def test_a_program_that_was_started_elsewhere_has_no_command(
    ready: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dver, "_first_folder", str(tmp_path))
    monkeypatch.chdir(ready.root / "data")
    with pytest.warns(UserWarning, match="the command is left out") as warned, dver.record() as run:
        pass
    record = dver.lineage.find_run(run.id)
    assert (record.command, record.folder) == ((), "data")
    assert warned[0].filename == __file__


def test_what_is_typed_or_piped_in_has_no_command(ready: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "ps1", "In : ", raising=False)
        with dver.record(name="cell"):
            pass
    for argv in ([], [""], ["-"]):
        monkeypatch.setattr(sys, "argv", argv)
        with dver.record(name="cell"):
            pass
    assert [record.command for record in dver.lineage.runs(name="cell")] == [(), (), (), ()]


def test_a_program_outside_of_the_repository_has_no_command(
    ready: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dver, "_first_folder", str(tmp_path))
    with dver.record(repo=ready.root) as run:
        pass
    record = dver.lineage.find_run(run.id, repo=ready.root)
    assert (record.command, record.folder) == ((), "")


def _package_root() -> str:
    return str(Path(dver.__file__).parents[1])


def observed_block(clone: Clone) -> dver.lineage.Recording:
    """Record a block that reads and writes more than it says."""
    with dver.record(inputs="data", outputs="out", observe=True) as run:
        read = [(clone.root / name).read_bytes() for name in ("data/a", "code.py", "loose")]
        clone.write("out", b"".join(read))
        clone.write("log", b"x")
    return run


def test_an_observed_block_records_and_names_what_was_not_declared(ready: Clone) -> None:
    ready.write("loose", b"x")
    with pytest.warns(UserWarning, match="not declared") as caught:
        run = observed_block(ready)
    assert [str(one.message) for one in caught] == [
        "the run read what was not declared: code.py, loose",
        "the run wrote or removed what was not declared: log",
    ]
    assert {one.filename for one in caught} == {__file__}
    record = dver.lineage.find_run(run.id)
    assert record.observed
    assert [(one.path, one.kind) for one in record.inputs if one.observed] == [("code.py", "code"), ("loose", "file")]
    assert [one.path for one in record.outputs if one.observed] == ["log"]


def test_an_observed_block_that_raises_is_recorded_with_what_it_read(ready: Clone) -> None:
    with (
        pytest.warns(UserWarning, match="not declared: code.py"),
        pytest.raises(ZeroDivisionError),
        dver.record(observe=True),
    ):
        work(ready, {}, ZeroDivisionError((ready.root / "code.py").read_text()))
    (record,) = dver.lineage.runs(state="failed")
    assert [one.path for one in record.inputs] == ["code.py"]
