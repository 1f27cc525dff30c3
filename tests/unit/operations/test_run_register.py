"""The register of runs that are at work."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dver.operations.run_register import (
    FoundRun,
    Life,
    RegisteredRun,
    RunNote,
    aside_place,
    ended_places,
    found_runs,
    overlapping,
    register,
    this_host,
)

NOTE = RunNote("step", ("sort", "a\udcff"), False, "sub", ("out", "dir/x"), "2026-11-23T14:48:01.123Z", this_host(), 42)


def leave(registered: RegisteredRun) -> None:
    """Let go of the locks, as the end of the process does."""
    registered._owner.close()
    registered._note.close()


def only(folder: Path) -> FoundRun:
    (found,) = found_runs(folder)
    return found


def test_a_run_is_at_work_until_it_is_removed(tmp_path: Path) -> None:
    assert found_runs(tmp_path) == []
    entry = register(tmp_path, NOTE)
    assert (only(tmp_path).note, only(tmp_path).life, only(tmp_path).command_pid) == (NOTE, Life.AT_WORK, None)
    entry.started(77)
    assert only(tmp_path).command_pid == 77
    entry.remove()
    assert found_runs(tmp_path) == []
    assert list((tmp_path / "tmp/runs").iterdir()) == []


def test_runs_of_one_moment_have_a_folder_each(tmp_path: Path) -> None:
    entries = [register(tmp_path, NOTE) for _ in range(3)]
    names = [found.place.name for found in found_runs(tmp_path)]
    assert names == ["20261123144801-42-1", "20261123144801-42-2", "20261123144801-42-3"]
    for entry in entries:
        entry.remove()


def test_a_run_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    leave(register(tmp_path, NOTE))
    assert only(tmp_path).life is Life.KILLED


def test_one_of_another_machine_may_still_be_at_work_there(tmp_path: Path) -> None:
    leave(register(tmp_path, replace(NOTE, host="elsewhere")))
    assert only(tmp_path).life is Life.ELSEWHERE


def test_a_command_that_outlives_dver_holds_the_note(tmp_path: Path) -> None:
    entry = register(tmp_path, NOTE)
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(entry.held,)) as process:
        entry.started(process.pid)
        leave(entry)
        assert (only(tmp_path).life, only(tmp_path).command_pid) == (Life.COMMAND_ONLY, process.pid)
        process.communicate()
    assert only(tmp_path).life is Life.KILLED


def test_looking_does_not_take_the_locks(tmp_path: Path) -> None:
    entry = register(tmp_path, NOTE)
    for _ in range(2):
        assert only(tmp_path).life is Life.AT_WORK
    leave(entry)
    with (entry.place / "owner").open() as file:
        only(tmp_path)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"format": 2}),
        *(
            json.dumps(fields)
            for fields in (
                {"outputs": ["../x"]},
                {"outputs": ["/etc/passwd"]},
                {"outputs": [".git/config"]},
                {"outputs": [".dver/config.toml"]},
                {"outputs": [""]},
                {"outputs": [1]},
                {"command": "rm"},
                {"pid": "1"},
                {"name": None},
            )
        ),
    ],
)
def test_a_note_that_nobody_here_wrote_is_no_run(tmp_path: Path, text: str) -> None:
    entry = register(tmp_path, NOTE)
    leave(entry)
    good = json.loads((entry.place / "run.json").read_text().splitlines()[0])
    given = json.loads(text) if text.startswith('{"') and "format" not in text else None
    (entry.place / "run.json").write_text(text if given is None else json.dumps({**good, **given}) + "\n")
    assert found_runs(tmp_path) == []


def test_a_torn_line_about_the_command_does_not_hide_the_run(tmp_path: Path) -> None:
    entry = register(tmp_path, NOTE)
    leave(entry)
    with (entry.place / "run.json").open("ab") as file:
        file.write(b'{"comm')
    assert (only(tmp_path).life, only(tmp_path).command_pid) == (Life.KILLED, None)


def test_folders_without_a_note_are_left_from_runs_that_ended(tmp_path: Path) -> None:
    assert list(ended_places(tmp_path)) == []
    entry = register(tmp_path, NOTE)
    assert list(ended_places(tmp_path)) == []
    (entry.place / "run.json").unlink()
    assert list(ended_places(tmp_path)) == [entry.place]
    leave(entry)


def test_a_run_is_about_all_that_is_in_or_around_its_outputs(tmp_path: Path) -> None:
    entry = register(tmp_path, NOTE)
    found = only(tmp_path)
    assert [overlapping(found, [path]) for path in ("out", "out/a", "dir", "outer", "dir/xy")] == [
        "out",
        "out/a",
        "dir",
        None,
        None,
    ]
    assert len({aside_place(found.place, path) for path in ("out", "dir/x", os.fsdecode(b"\xff"))}) == 3
    entry.remove()
