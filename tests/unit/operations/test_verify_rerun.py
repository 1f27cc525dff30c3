"""Running a recorded command again in a scratch tree, and comparing what it makes."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dver.operations.loose_files import FILE, FOLDER, loose_version
from dver.operations.run_params import ParamSource
from dver.operations.run_plan import RunRequest
from dver.operations.verify_rerun import Outcome, Rerun, rerun, to_rerun
from dver.operations.verify_tree import Approximation, Kind
from dver.progress import NO_PROGRESS
from dver.records.record import Artifact, Record, State
from tests.clones import Clone, everything_but_dvers_own, snapshot
from tests.unit.operations.running import records, request, run

STARTED = "2026-01-01T00:00:00Z"


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with data, code and a file of parameters, committed."""
    clone.write("raw/a", b"one\n")
    clone.write("raw/deep/b", b"two\n", executable=True)
    (clone.root / "raw" / "link").symlink_to("a")
    clone.write("single", b"single\n")
    clone.write("code.sh", b"cat raw/a raw/deep/b single\n", executable=True)
    clone.write("params.json", b'{"lr": 0.1, "other": 1}')
    clone.save("raw", "single")
    return clone


def again(
    clone: Clone, record: Record | None = None, *, keep: bool = False, env: Mapping[str, str] = os.environ
) -> Rerun:
    """Run the last record again, and require that nothing but dver's own files was touched."""
    before, lineage = everything_but_dvers_own(clone), (clone.root / ".dver" / "lineage.jsonl").read_bytes()
    with clone.open() as repo:
        result = rerun(repo, record or repo.lineage.records()[-1], env, keep=keep)
    assert everything_but_dvers_own(clone) == before
    assert (clone.root / ".dver" / "lineage.jsonl").read_bytes() == lineage
    return result


def test_the_same_command_makes_the_same(ready: Clone) -> None:
    wanted = request("./code.sh > out", inputs=("raw", "single"), code=("code.sh",), outputs=("out",))
    run(ready, wanted)
    # Now everything is different, and counts for nothing.
    ready.write("code.sh", b"false\n")
    ready.write("raw/a", b"changed\n")
    ready.add("raw")
    ready.write("single", b"not even added\n")

    result = again(ready)

    assert (result.outcome, result.exit_code, result.approximations) == (Outcome.SAME, 0, ())
    assert [(output.path, output.is_same) for output in result.outputs] == [("out", True)]
    assert [path for path in (ready.root / ".dver" / "tmp").rglob("*") if path.name == "code.sh"] == []


def test_links_modes_and_empty_folders_are_as_they_were(ready: Clone) -> None:
    (ready.root / "raw" / "empty").mkdir()
    ready.save("raw")
    run(ready, request("cp -a raw out", inputs=("raw",), outputs=("out",)))

    assert again(ready).outcome is Outcome.SAME


def test_a_result_of_chance_differs(ready: Clone) -> None:
    line = "mkdir -p out/deep && echo same > out/a && head -c 16 /dev/urandom | od -x > out/deep/b"
    run(ready, request(f"{line}; cat /proc/sys/kernel/random/uuid > single2", outputs=("out", "single2")))

    result = again(ready)

    assert result.outcome is Outcome.DIFFERS
    assert [(one.path, one.files, one.first) for one in result.outputs] == [("out", 1, "deep/b"), ("single2", 1, "")]
    assert all(one.found not in (None, one.recorded) for one in result.outputs)


def test_how_far_it_differs_is_left_out_where_the_recorded_version_is_gone(ready: Clone) -> None:
    run(ready, request("cat /proc/sys/kernel/random/uuid > out", outputs=("out",)))
    ready.delete_cache()

    [output] = again(ready).outputs

    assert (output.is_same, output.files, output.first) == (False, None, "")


def test_what_the_record_does_not_name_is_not_there(ready: Clone) -> None:
    run(ready, request("cat single > out", outputs=("out",)))

    result = again(ready)

    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 1)


def test_an_output_that_is_not_made_is_a_failure(ready: Clone) -> None:
    run(
        ready,
        request("test -e .dver/lineage.jsonl && cp single out; true", inputs=("single",), outputs=("out",)),
        force=True,
    )
    made = records(ready)
    assert made[-1].state is State.FAILED
    odd = replace(made[-1], state=State.COMPLETE, outputs=(Artifact("out", "b3:" + "1" * 64),))

    result = again(ready, odd)

    assert result.outcome is Outcome.FAILED
    assert [(one.path, one.found) for one in result.outputs] == [("out", None)]


@pytest.mark.parametrize("state", [State.FAILED, State.IMPORTED])
def test_what_has_no_result_is_passed_over(ready: Clone, state: State) -> None:
    outputs = (Artifact("out", "b3:" + "1" * 64),)
    run(ready, request("true"))
    touch = ready.root / "touched"

    for record in (
        Record(state, STARTED, command=("touch", str(touch)), outputs=outputs),
        Record(State.COMPLETE, STARTED, command=("touch", str(touch))),
    ):
        assert again(ready, record).outcome is Outcome.PASSED_OVER
    assert not touch.exists()


def test_what_was_reused_is_run_again_instead_of_what_reused_it(ready: Clone) -> None:
    wanted = request("cp single out", inputs=("single",), outputs=("out",))
    run(ready, wanted)
    run(ready, wanted)
    first, second = records(ready)
    assert second.state is State.CACHED

    with ready.open() as repo:
        assert [one.id for one in to_rerun(repo, [first, second])] == [first.id]
        assert [one.id for one in to_rerun(repo, [second])] == [first.id]
        lost = replace(second, reuses="b3:" + "1" * 64)
        assert [one.id for one in to_rerun(repo, [lost])] == [lost.id]
    assert again(ready, lost).outcome is Outcome.SAME


def test_a_masked_secret_stands_in_the_way(ready: Clone) -> None:
    marks = ready.root.parent / "marks"
    line = f"echo ran >> {shlex.quote(str(marks))}; cp single out; : --token=abc123"
    run(ready, request(line, inputs=("single",), outputs=("out",)))
    assert "abc123" not in (ready.root / ".dver" / "lineage.jsonl").read_text()

    result = again(ready)

    assert (result.outcome, str(result.problem)) == (
        Outcome.IMPOSSIBLE,
        "a secret in it was masked when it was recorded",
    )
    assert marks.read_text() == "ran\n"


def test_a_masked_parameter_of_a_file_is_taken_from_the_file(ready: Clone) -> None:
    ready.write("params.json", b'{"password": "hunter2"}')
    ready.commit()
    source = (ParamSource("password", "params.json"),)
    run(ready, request("cp params.json out", outputs=("out",), params=source))
    assert "hunter2" not in (ready.root / ".dver" / "lineage.jsonl").read_text()

    assert again(ready).outcome is Outcome.SAME


def test_without_a_command_nothing_can_be_run(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))

    result = again(ready, replace(records(ready)[-1], command=()))

    assert result.outcome is Outcome.IMPOSSIBLE
    assert "no command is on record" in str(result.problem)


def test_inputs_that_are_nowhere_stand_in_the_way(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), code=("code.sh",), outputs=("out",)))
    [made] = records(ready)
    lost = replace(made.inputs[1], version="git:" + "1" * 40)
    assert again(ready, replace(made, inputs=(lost,))).outcome is Outcome.IMPOSSIBLE
    ready.delete_cache()

    result = again(ready)

    assert result.outcome is Outcome.IMPOSSIBLE
    assert "single" in str(result.problem)


def test_inputs_come_from_the_remote_as_well(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "store")
    clone.write("data/a", b"a")
    clone.save("data")
    run(clone, request("cp data/a out", inputs=("data",), outputs=("out",)))
    clone.commit()
    clone.push(all_refs=True)
    clone.delete_cache()

    assert again(clone).outcome is Outcome.SAME


def test_only_the_part_that_was_named_is_there(ready: Clone) -> None:
    line = "cp raw/deep/b out && ls raw > list; test -e raw/a && echo all >> list; true"
    run(ready, request(line, inputs=("raw/deep",), outputs=("out", "list")))

    result = again(ready)

    assert [(one.path, one.is_same) for one in result.outputs] == [("out", True), ("list", False)]


def test_files_that_differed_from_the_commit_are_as_recorded_where_they_are_named(ready: Clone) -> None:
    ready.write("code.sh", b"cat single; echo not committed\n", executable=True)
    run(ready, request("./code.sh > out", inputs=("single",), code=("code.sh",), outputs=("out",)))
    ready.git("checkout", "--quiet", "code.sh")
    [made] = records(ready)

    result = again(ready)

    assert (result.outcome, result.approximations) == (Outcome.SAME, (Approximation(Kind.DIRTY, made.commit),))


@pytest.mark.parametrize("commit", ["1" * 40, "not a commit", ""])
def test_without_the_commit_the_present_one_must_do(ready: Clone, commit: str) -> None:
    run(ready, request("cat code.sh > out", outputs=("out",)))
    head = ready.git("rev-parse", "HEAD").strip()

    result = again(ready, replace(records(ready)[-1], commit=commit, dirty=True))

    assert (result.outcome, result.approximations) == (Outcome.SAME, (Approximation(Kind.COMMIT, head),))


def test_before_the_first_commit_there_is_what_the_record_names(clone: Clone) -> None:
    clone.write("data", b"data")
    clone.write("code.sh", b"cat data", executable=True)
    clone.add("data")
    clone.git("add", "code.sh")
    run(clone, request("./code.sh > out", inputs=("data",), code=("code.sh",), outputs=("out",)))

    result = again(clone)

    assert (result.outcome, result.approximations) == (Outcome.SAME, (Approximation(Kind.COMMIT, ""),))


def test_parameters_have_the_recorded_values(ready: Clone) -> None:
    wanted = request("cat params.json > out", outputs=("out",), params=(ParamSource("lr", "params.json"),))
    run(ready, wanted)
    assert again(ready).approximations == ()
    # A value that was not committed yet: the file here has it.
    ready.write("params.json", b'{"lr": 0.2}')
    run(ready, wanted)
    result = again(ready)
    assert (result.outcome, result.approximations[1:]) == (Outcome.SAME, (Approximation(Kind.PARAMS, "params.json"),))
    # It was committed with the results, and changed since.
    commit = ready.commit()
    ready.write("params.json", b'{"lr": 0.3}')
    result = again(ready)
    assert (result.outcome, result.approximations[1:]) == (
        Outcome.SAME,
        (Approximation(Kind.PARAMS, "params.json", commit),),
    )


def test_parameters_that_no_file_at_hand_has_stand_in_the_way(ready: Clone) -> None:
    ready.write("params.json", b'{"lr": 0.2}')
    run(ready, request("cp params.json out", outputs=("out",), params=(ParamSource("lr", "params.json"),)))
    ready.git("checkout", "--quiet", "params.json")

    result = again(ready)

    assert result.outcome is Outcome.IMPOSSIBLE
    assert str(result.problem) == "params.json: no version of it at hand has lr = 0.2"


def test_a_program_that_cannot_be_started_stands_in_the_way(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))

    result = again(ready, replace(records(ready)[-1], command=("no-such-program",), shell=False))

    assert result.outcome is Outcome.IMPOSSIBLE
    assert "no-such-program: cannot be started" in str(result.problem)


def test_only_what_can_be_started_is_announced(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))
    record = records(ready)[-1]
    broken = replace(record, command=("no-such-program",), shell=False)
    told: list[str] = []
    with ready.open() as repo:
        rerun(repo, broken, os.environ, on_start=lambda: told.append("broken"))
        rerun(repo, replace(record, params={"params.json:lr": 7}), os.environ, on_start=lambda: told.append("broken"))
        rerun(repo, record, os.environ, on_start=lambda: told.append("sound"))

    assert told == ["sound"]


def test_a_program_that_git_does_not_have_is_the_one_here(ready: Clone) -> None:
    tool = ready.write("tools/copy", b'#!/bin/sh\ncp "$1" "$2"\n', executable=True)
    (ready.root / ".git" / "info" / "exclude").write_text("/tools/\n")
    for program in ("tools/copy", str(tool)):
        wanted = RunRequest((program, "single", "out"), "", os.environ, inputs=("single",), outputs=("out",))
        run(ready, wanted, force=True)

        result = again(ready)

        assert (result.outcome, result.approximations[-1]) == (Outcome.SAME, Approximation(Kind.PROGRAM, program))


def test_paths_of_the_repository_lead_into_the_scratch_tree(ready: Clone) -> None:
    line = f"cp {shlex.quote(str(ready.root / 'single'))} {shlex.quote(str(ready.root))}/out; echo $PWD > $PWD/place"
    run(ready, request(line, inputs=("single",), outputs=("out", "place")))

    result = again(ready, keep=True)

    assert [(one.path, one.is_same) for one in result.outputs] == [("out", True), ("place", False)]
    assert result.folder is not None
    assert (result.folder / "place").read_text() == f"{result.folder}\n"


def test_a_folder_and_variables_are_those_of_the_run(ready: Clone) -> None:
    ready.write("sub/code.py", b"import os; open('../made/out', 'w').write(os.getcwd()[-3:] + os.environ['WORD'])")
    ready.commit()
    wanted = RunRequest(
        (sys.executable, "code.py"), "sub", {**os.environ, "WORD": "x"}, code=("sub/code.py",), outputs=("made/out",)
    )
    (ready.root / "made").mkdir()
    run(ready, wanted)
    misleading = {"GIT_DIR": str(ready.root / ".git"), "GIT_WORK_TREE": str(ready.root)}

    assert again(ready, env={**os.environ, **misleading, "WORD": "x"}).outcome is Outcome.SAME
    assert again(ready, env={**os.environ, "WORD": "y"}).outcome is Outcome.DIFFERS


def test_git_and_dver_see_the_scratch_tree(ready: Clone) -> None:
    root = shlex.quote(str(Path(__file__).parents[3]))
    ask = f"PYTHONPATH={root} {shlex.quote(sys.executable)} -m dver ls HEAD:raw --json"
    run(
        ready,
        request(
            f"git rev-parse --show-toplevel > top; git show HEAD:single.dver > out; {ask} > list",
            outputs=("top", "out", "list"),
        ),
    )

    result = again(ready, keep=True)

    assert [one.path for one in result.outputs if not one.is_same] == ["top"]
    assert result.folder is not None
    assert (result.folder / "top").read_text().strip() == str(result.folder)
    assert json.loads((result.folder / "list").read_text())["entries"]


def test_nothing_is_written_through_a_link_out_of_the_tree(ready: Clone) -> None:
    outside = ready.root.parent / "outside"
    outside.mkdir()
    (ready.root / "way").symlink_to(outside)
    ready.commit()
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))
    made = records(ready)[-1]
    version = made.inputs[0].version

    for odd in (
        replace(made, inputs=(replace(made.inputs[0], path="way/single"),)),
        replace(made, inputs=(replace(made.inputs[0], path="single", dataset="way/x", dataset_version=version),)),
        replace(made, inputs=(replace(made.inputs[0], path="single", dataset="way", dataset_version=version),)),
        replace(made, outputs=(replace(made.outputs[0], path="way/out"),)),
        replace(made, folder="way"),
        replace(made, params={"../secret.json:key": 1}),
    ):
        result = again(ready, odd)
        assert result.outcome is Outcome.IMPOSSIBLE, odd
        assert snapshot(outside) == {}


def test_what_neither_dver_nor_git_had_is_copied_as_long_as_it_is_the_same(ready: Clone) -> None:
    notes = ready.write("notes.txt", b"seen\n")
    ready.write("folder/a", b"in a folder\n")
    run(ready, request("cat notes.txt folder/a > out", outputs=("out",)))
    with ready.open() as repo:
        seen = tuple(
            Artifact(path, loose_version(repo, path, kind, NO_PROGRESS) or "", kind=kind, observed=True)
            for path, kind in (("notes.txt", FILE), ("folder", FOLDER))
        )
    made = replace(records(ready)[-1], inputs=seen)

    assert again(ready, made).outcome is Outcome.SAME
    notes.write_bytes(b"changed\n")
    result = again(ready, made)
    assert (result.outcome, "neither dver nor git" in str(result.problem)) == (Outcome.IMPOSSIBLE, True)


def test_a_tree_is_kept_where_that_is_asked_for(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))

    first, second = again(ready, keep=True), again(ready, keep=True)

    assert first.folder is not None
    assert first.folder != second.folder
    assert first.folder.parent == ready.root / ".dver" / "tmp" / "reruns"
    assert (first.folder / "out").read_bytes() == b"single\n"


def test_a_folder_that_git_does_not_have_is_made(ready: Clone) -> None:
    (ready.root / "work" / "deep").mkdir(parents=True)
    wanted = request("cp ../../single ../out", inputs=("single",), outputs=("work/out",))
    run(ready, replace(wanted, folder="work/deep"))

    assert again(ready).outcome is Outcome.SAME


def test_a_file_of_the_commit_in_the_way_of_data_is_no_crash(ready: Clone) -> None:
    run(ready, request("cp single out", inputs=("single",), outputs=("out",)))
    made = records(ready)[-1]

    result = again(ready, replace(made, inputs=(replace(made.inputs[0], path="code.sh/inside"),)))

    assert (result.outcome, "cannot be written" in str(result.problem)) == (Outcome.IMPOSSIBLE, True)


def test_a_socket_among_what_was_made_is_a_failure(ready: Clone) -> None:
    run(ready, request("mkdir out && cp single out/a", inputs=("single",), outputs=("out",)))

    result = again(ready, replace(records(ready)[-1], command=("mkdir out && mkfifo out/a",)))

    assert result.outcome is Outcome.FAILED
    assert "named pipe" in str(result.problem)
