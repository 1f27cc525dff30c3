"""Runs: what is recorded, what is published, and what is not."""

from dataclasses import replace

import pytest

from dver.errors import CommandNotStartedError, DataLossError, DverError, LockedError, UsageError
from dver.objects.ids import format_version
from dver.objects.pointer import decode_pointer
from dver.operations.run_aside import claimed
from dver.operations.run_params import ParamSource
from dver.operations.run_plan import RunRequest
from dver.records.record import Artifact, State
from tests.clones import Clone
from tests.unit.operations.running import plan, reasons, records, request, run, with_line

COPY = request("cat data/* > out", inputs=("data",), outputs=("out",))


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with a committed dataset and a file of code."""
    clone.write("data/a", b"one\n")
    clone.write("code.py", b"print(1)\n")
    clone.save()
    return clone


def version(clone: Clone, dataset: str) -> str:
    return format_version(decode_pointer(clone.pointer_text(dataset).encode(), dataset).version)


def test_a_record_says_what_ran_on_what_and_what_it_made(ready: Clone) -> None:
    wanted = request(
        "cat data/a > out",
        name="copy",
        inputs=("data", "data/a"),
        code=("code.py",),
        outputs=("out",),
        params=(ParamSource("lr", value=0.1),),
        tags={"experiment": "a"},
    )
    result = run(ready, wanted)
    (record,) = records(ready)
    blob = ready.git("hash-object", "code.py").strip()
    assert record.id == result.record
    assert (record.state, record.exit_code, record.name) == (State.COMPLETE, 0, "copy")
    assert (record.command, record.shell, record.folder) == (("cat data/a > out",), True, "")
    whole, part, code = record.inputs
    assert whole == Artifact("data", version(ready, "data"))
    assert (part.path, part.dataset, part.dataset_version) == ("data/a", "data", whole.version)
    assert code == Artifact("code.py", f"git:{blob}", kind="code")
    assert record.outputs == (Artifact("out", version(ready, "out")),)
    assert part.version == record.outputs[0].version
    assert record.params == {"lr": 0.1}
    assert record.tags == {"experiment": "a"}
    assert record.commit == ready.git("rev-parse", "HEAD").strip()
    assert not record.dirty
    assert record.key
    assert record.environment.platform
    assert record.started.endswith("Z")
    assert record.seconds > 0


def test_outputs_pointers_and_the_lineage_file_are_staged(ready: Clone) -> None:
    run(ready, COPY)
    staged = ready.git("diff", "--cached", "--name-only").split()
    assert {"out.dver", ".gitignore", ".dver/lineage.jsonl"} <= set(staged)
    assert ready.status("out").state.value == "unchanged"


def test_nothing_is_staged_where_the_user_stages_by_hand(ready: Clone) -> None:
    with (ready.root / ".dver" / "config.toml").open("a") as file:
        file.write("[add]\nstage = false\n")
    run(ready, COPY)
    assert ready.git("diff", "--cached", "--name-only") == ""


def test_a_commit_with_changes_beside_the_lineage_file_is_dirty(ready: Clone) -> None:
    run(ready, request("true"))
    run(ready, request("true"))
    ready.write("code.py", b"print(2)\n")
    run(ready, request("true"))
    assert [record.dirty for record in records(ready)] == [False, False, True]


def test_the_same_run_again_restores_its_outputs_without_running(ready: Clone) -> None:
    first = run(ready, with_line(COPY, "cat data/* > out; echo ran >> ../log"))
    (ready.root / "out").unlink()
    second = run(ready, with_line(COPY, "cat data/* > out; echo ran >> ../log"))
    assert (ready.root / "out").read_bytes() == b"one\n"
    assert (ready.root.parent / "log").read_text() == "ran\n"
    assert second.state is State.CACHED
    last = records(ready)[-1]
    assert (last.state, last.reuses, last.exit_code) == (State.CACHED, first.record, None)
    assert last.outputs == records(ready)[0].outputs


def test_going_back_restores_pointers_and_data_of_then(ready: Clone) -> None:
    run(ready, COPY)
    old = version(ready, "out")
    ready.write("data/a", b"two\n")
    ready.add()
    run(ready, COPY)
    assert (ready.root / "out").read_bytes() == b"two\n"
    ready.write("data/a", b"one\n")
    ready.add()
    assert run(ready, COPY).state is State.CACHED
    assert (ready.root / "out").read_bytes() == b"one\n"
    assert version(ready, "out") == old
    assert ready.status("out").state.value == "unchanged"


def test_folders_are_restored_too_with_their_pointer(ready: Clone) -> None:
    make = request("mkdir -p out/empty out/sub; cp data/a out/sub/b", inputs=("data",), outputs=("out",))
    run(ready, make)
    before = ready.data("out")
    ready.git("rm", "--cached", "--quiet", "out.dver")
    (ready.root / "out.dver").unlink()
    (ready.root / "out" / "sub" / "b").unlink()
    assert run(ready, make).state is State.CACHED
    assert ready.data("out") == before


def test_outputs_come_from_the_remote_when_the_cache_lost_them(team: Clone) -> None:
    wanted = request("cat data/a.bin > out", inputs=("data",), outputs=("out",))
    run(team, wanted)
    team.push()
    team.delete_cache()
    (team.root / "out").unlink()
    assert run(team, wanted).state is State.CACHED
    assert (team.root / "out").read_bytes() == (team.root / "data/a.bin").read_bytes()


def test_outputs_that_are_nowhere_are_made_again(ready: Clone) -> None:
    first = run(ready, COPY)
    ready.delete_cache()
    with pytest.raises(DataLossError):
        run(ready, COPY)
    (ready.root / "out").unlink()
    assert reasons(ready, COPY) == [("unreachable", first.record)]
    assert run(ready, COPY).state is State.COMPLETE


def test_restoring_never_overwrites_data_that_is_stored_nowhere(ready: Clone) -> None:
    run(ready, COPY)
    ready.write("out", b"precious")
    with pytest.raises(DataLossError) as caught:
        run(ready, COPY)
    assert caught.value.paths == ("out",)
    assert "dver add out keeps what is there" in (caught.value.hint or "")
    assert (ready.root / "out").read_bytes() == b"precious"
    assert len(records(ready)) == 1


@pytest.mark.parametrize("name", ["out", "out/ignored", "out/new"])
def test_running_never_overwrites_data_that_is_stored_nowhere(ready: Clone, name: str) -> None:
    if name != "out":
        ready.write(".dverignore", b"ignored\n")
        ready.write("out/stored", b"1")
        ready.add("out")
    ready.write(name, b"precious")
    with pytest.raises(DataLossError) as caught:
        run(ready, request("rm -rf out; echo 1 > out", outputs=("out",)), force=True)
    assert caught.value.paths == (name,)
    assert "dver add out keeps it" in (caught.value.hint or "")
    assert (ready.root / name).read_bytes() == b"precious"
    assert records(ready) == []


def test_what_was_there_before_is_not_taken_for_what_the_command_made(ready: Clone) -> None:
    run(ready, request("mkdir out; echo a > out/a", outputs=("out",)))
    run(ready, request("mkdir out; echo b > out/b", outputs=("out",)))
    assert sorted(path.name for path in (ready.root / "out").iterdir()) == ["b"]
    result = run(ready, request("true", outputs=("out",)))
    assert (result.state, result.missing_outputs) == (State.FAILED, ("out",))
    assert sorted(path.name for path in (ready.root / "out").iterdir()) == ["b"]


def test_two_runs_do_not_make_one_output_at_once(ready: Clone) -> None:
    with (
        ready.open() as repo,
        claimed(repo, ["other", "out"]),
        pytest.raises(LockedError, match="another dver run"),
    ):
        run(ready, COPY)
    assert run(ready, COPY).state is State.COMPLETE


def test_force_runs_what_was_run_before_and_may_serve_again(ready: Clone) -> None:
    run(ready, COPY)
    assert run(ready, COPY, force=True).state is State.COMPLETE
    assert run(ready, COPY).state is State.CACHED


def test_no_cache_runs_and_never_serves_again(ready: Clone) -> None:
    run(ready, COPY, no_cache=True)
    assert records(ready)[0].key == ""
    assert run(ready, COPY).state is State.COMPLETE
    assert run(ready, COPY, no_cache=True).state is State.COMPLETE


def test_a_command_without_outputs_always_runs_and_is_recorded(ready: Clone) -> None:
    check = request("test -s data/a", inputs=("data",))
    assert [run(ready, check).state for _ in range(2)] == [State.COMPLETE, State.COMPLETE]
    assert len(records(ready)) == 2


def test_a_failed_run_publishes_nothing_and_is_recorded(ready: Clone) -> None:
    run(ready, COPY)
    pointer = ready.pointer_text("out")
    result = run(ready, with_line(COPY, "echo half > out; exit 7"))
    assert (result.state, result.exit_code, result.left_behind) == (State.FAILED, 7, ())
    assert ready.pointer_text("out") == pointer
    assert (ready.root / "out").read_bytes() == b"one\n"
    assert result.leftovers is not None
    assert (result.leftovers / "out").read_bytes() == b"half\n"
    assert ready.status("out").state == "unchanged"
    last = records(ready)[-1]
    assert (last.state, last.exit_code, last.outputs, last.key) == (State.FAILED, 7, (), "")


def test_an_output_that_was_not_made_is_a_failure(ready: Clone) -> None:
    result = run(ready, request("echo 1 > a", outputs=("a", "b")))
    assert (result.state, result.exit_code, result.missing_outputs) == (State.FAILED, 0, ("b",))
    assert not (ready.root / "a.dver").exists()


def test_an_output_that_cannot_be_stored_is_a_failure(ready: Clone) -> None:
    result = run(ready, request("ln -s data out", outputs=("out",)))
    assert result.state is State.FAILED
    assert "symbolic link" in str(result.problem)
    assert records(ready)[-1].state is State.FAILED


def test_a_parameter_of_a_file_that_changes_meanwhile_is_a_failure_and_nothing_is_served_from_it(ready: Clone) -> None:
    ready.write("p.yaml", b"a: {lr: 1, depth: 2}\nb: 3\n")
    for text in ("a: {lr: 5, depth: 2}", "a: {lr: 1}", "a: {lr: 1, depth: 2, more: 0}", "{"):
        names = {"p.yaml:a.lr"} if "5" in text else {"p.yaml:a.more"} if "more" in text else {"p.yaml:a.depth"}
        names = {"p.yaml:a.lr", "p.yaml:a.depth"} if text == "{" else names
        ready.write("p.yaml", b"a: {lr: 1, depth: 2}\nb: 3\n")
        given = (ParamSource("a", "p.yaml"), ParamSource("by hand", value=1))
        wanted = request(f"echo '{text}' > p.yaml; echo 1 > out", outputs=("out",), params=given)
        result = run(ready, wanted)
        assert (result.state, set(result.changed_params), result.exit_code) == (State.FAILED, names, 0)
        assert "changed while it ran" in records(ready)[-1].note
        assert records(ready)[-1].key == ""
        assert not (ready.root / "out.dver").exists()


def test_other_lines_of_a_file_of_parameters_may_change_meanwhile(ready: Clone) -> None:
    ready.write("p.yaml", b"a: [1, 2]\nb: 3\n")
    wanted = request("printf 'b: 4\na: [1, 2]\n' > p.yaml; echo > out", outputs=("out",))
    assert run(ready, replace(wanted, params=(ParamSource("a", "p.yaml"),))).state is State.COMPLETE


def test_what_was_made_while_an_input_changed_is_kept_for_good(ready: Clone) -> None:
    result = run(ready, with_line(COPY, "echo hours > out; echo x > data/a"))
    assert result.leftovers is not None
    assert (result.leftovers / "out").read_bytes() == b"hours\n"
    left = result.leftovers.rename(result.leftovers.with_name("kept-20260101000000-999999999-1"))
    ready.checkout(None, "data", force=True)
    run(ready, with_line(COPY, "echo worse > out; exit 1"))
    assert (left / "out").read_bytes() == b"hours\n"


@pytest.mark.parametrize("before", ["nothing", "a version", "an empty folder"])
def test_a_command_starts_with_nothing_at_its_output_and_the_folder_above_it(ready: Clone, before: str) -> None:
    wanted = request("mkdir new/deep/dd; cp data/a new/deep/dd", inputs=("data",), outputs=("new/deep/dd",))
    if before == "a version":
        run(ready, wanted)
    elif before == "an empty folder":
        (ready.root / "new/deep/dd").mkdir(parents=True)
    assert run(ready, wanted, force=True).state is State.COMPLETE
    assert ready.status("new/deep/dd").state == "unchanged"


@pytest.mark.parametrize("line", ["exit 1", "mkdir new/dd; exit 1"])
def test_folders_that_were_made_for_a_command_that_failed_are_gone_and_an_empty_one_is_back(
    ready: Clone, line: str
) -> None:
    (ready.root / "empty").mkdir()
    result = run(ready, request(line, outputs=("new/dd", "empty")))
    assert result.leftovers is None
    assert not (ready.root / "new").exists()
    assert (ready.root / "empty").is_dir()


def test_a_command_that_removes_dver_is_not_recorded_and_what_it_made_stays(ready: Clone) -> None:
    with pytest.raises(DverError, match=r"the command removed \.dver, and") as caught:
        run(ready, with_line(COPY, "cat data/* > out; rm -r .dver"))
    assert "git checkout HEAD -- .dver" in (caught.value.hint or "")
    assert (ready.root / "out").read_bytes() == b"one\n"
    assert not (ready.root / ".dver").exists()


def test_files_that_no_commit_has_as_they_are_used_are_named(ready: Clone) -> None:
    wanted = request("echo > out", inputs=("data",), code=("code.py",), outputs=("out",))
    assert plan(ready, wanted).uncommitted == ()
    ready.write("code.py", b"print(2)\n")
    ready.write("new.py", b"")
    ready.git("add", "new.py", "code.py")
    assert plan(ready, replace(wanted, env_files=("new.py",))).uncommitted == ("code.py", "new.py")
    ready.commit()
    assert plan(ready, replace(wanted, env_files=("new.py",))).uncommitted == ()


def test_after_a_failure_what_is_new_since_the_last_good_run_is_said_still(ready: Clone) -> None:
    def step(rate: int) -> RunRequest:
        given = (ParamSource("lr", value=rate),)
        return replace(with_line(COPY, "test ! -e fail && cat data/* > out"), name="step", params=given)

    run(ready, step(4))
    ready.write("fail", b"")
    failed = run(ready, step(3))
    assert reasons(ready, step(3)) == [("param", "lr"), ("failed", failed.record)]
    assert reasons(ready, step(2)) == [("param", "lr")]


@pytest.mark.parametrize("line", ["echo x > data/a", "rm -r data", "rm code.py", "echo x > code.py", "touch data/new"])
def test_a_command_that_changes_its_inputs_publishes_nothing(ready: Clone, line: str) -> None:
    wanted = request(f"{line}; echo 1 > out", inputs=("data", "code.py"), outputs=("out",))
    result = run(ready, wanted)
    assert result.state is State.FAILED
    assert result.changed_inputs == (("code.py",) if "code.py" in line else ("data",))
    assert not (ready.root / "out.dver").exists()
    assert records(ready)[-1].inputs[0].version == version(ready, "data")


def test_a_command_that_touches_or_rewrites_its_inputs_alike_changes_nothing(ready: Clone) -> None:
    wanted = with_line(COPY, "touch data/a; printf 'one\\n' > data/a; cat data/a > out")
    assert run(ready, wanted).state is State.COMPLETE


def test_the_rest_of_a_dataset_may_change_when_only_a_part_is_an_input(ready: Clone) -> None:
    ready.write("data/b", b"b")
    ready.save()
    wanted = request("cp data/a out; echo more >> data/b", inputs=("data/a",), outputs=("out",))
    assert run(ready, wanted).state is State.COMPLETE
    assert run(ready, wanted).state is State.CACHED


def test_a_command_that_cannot_start_leaves_no_record(ready: Clone) -> None:
    with pytest.raises(CommandNotStartedError):
        run(ready, replace(COPY, command=("nosuch",), shell=False))
    assert records(ready) == []


def test_an_output_is_whole_after_a_run_even_if_only_part_of_it_was_here(team: Clone) -> None:
    copy = team.clone(team.root.parent / "second")
    copy.fetch()
    copy.checkout(None, "data/sub")
    result = run(copy, request("mkdir data; echo new > data/only", outputs=("data",)))
    assert result.added[0].pointer.files == len(copy.data())


def test_an_output_follows_the_run_where_git_moved_its_pointer_on(ready: Clone) -> None:
    run(ready, COPY)
    ready.commit()
    old = ready.pointer_text("out")
    ready.write("data/a", b"two\n")
    ready.add()
    run(ready, COPY)
    (ready.root / "out.dver").write_text(old)
    assert run(ready, COPY, force=True).state is State.COMPLETE
    assert ready.pointer_text("out") != old


def test_what_looks_like_a_secret_is_not_recorded_and_the_run_not_reused(ready: Clone) -> None:
    wanted = request("echo --password=hunter2 > out", outputs=("out",), params=(ParamSource("api_key", value="k3y"),))
    assert plan(ready, wanted).masked == ("echo --password=***…", "parameter api_key")
    run(ready, wanted)
    assert reasons(ready, wanted) == [("secret", "")]
    text = (ready.root / ".dver" / "lineage.jsonl").read_text()
    assert "hunter2" not in text
    assert "k3y" not in text
    assert (ready.root / "out").read_text() == "--password=hunter2\n"


def test_requests_that_make_no_sense_are_refused(ready: Clone) -> None:
    for wanted in (replace(COPY, command=()), replace(COPY, command=("",)), replace(COPY, command=("a", "b"))):
        with pytest.raises(UsageError):
            plan(ready, wanted)


def test_a_dry_run_changes_nothing(ready: Clone) -> None:
    ready.write("data/a", b"changed")
    ready.write("new", b"new")
    before = ready.git("status", "--porcelain"), ready.pointer_text()
    found = plan(ready, request("x", inputs=("data", "new"), outputs=("out",)), dry_run=True, add_inputs=True)
    assert found.to_add == ("data", "new")
    assert (ready.git("status", "--porcelain"), ready.pointer_text()) == before
    real = plan(ready, request("x", inputs=("data", "new"), outputs=("out",)), add_inputs=True)
    assert [one.dataset for one in real.added] == ["data", "new"]
    assert real.step.inputs == found.step.inputs
    assert real.key == found.key
