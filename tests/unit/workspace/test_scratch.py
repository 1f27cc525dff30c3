"""The scratch folder and the lock of the working tree."""

import fcntl
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from dver.errors import BackendError
from dver.workspace.scratch import LOCK_NAME, has_runs, scratch_folder, workspace_lock


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def leave_behind(directory: Path, name: str) -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    (folder / "half a file").touch()
    return folder


def test_the_folder_is_empty_and_goes_away(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "tmp") as folder:
        assert not list(folder.iterdir())
        (folder / "x").touch()

    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_folder_goes_away_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), scratch_folder(tmp_path / "tmp"):
        raise RuntimeError

    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    host = socket.gethostname()
    dead = leave_behind(tmp_path, f"{host}-{dead_process()}")
    alive = leave_behind(tmp_path, f"{host}-{os.getppid()}")
    elsewhere = leave_behind(tmp_path, f"another-host-{dead_process()}")
    foreign = leave_behind(tmp_path, f"{host}-not-a-number")

    with scratch_folder(tmp_path):
        pass

    assert [path.exists() for path in (dead, alive, elsewhere, foreign)] == [False, True, True, True]


def test_the_lock_waits_for_another_command_and_says_so_once(tmp_path: Path) -> None:
    tmp_path.joinpath(LOCK_NAME).touch()
    notes: list[str] = []
    noted, entered = threading.Event(), threading.Event()

    def note(message: str) -> None:
        notes.append(message)
        noted.set()

    def command() -> None:
        with workspace_lock(tmp_path, note):
            entered.set()

    with (tmp_path / LOCK_NAME).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=command)
        thread.start()
        assert noted.wait(10)
        assert not entered.wait(0.3)
    thread.join(10)

    assert entered.is_set()
    assert len(notes) == 1


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    notes: list[str] = []

    with workspace_lock(tmp_path / "new", notes.append):
        pass

    assert notes == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BackendError, match="cannot be written"), scratch_folder(tmp_path / "file" / "tmp"):
        pass
    with pytest.raises(BackendError, match="cannot be written"), workspace_lock(tmp_path / "file" / "tmp", print):
        pass


def test_the_folders_of_runs_are_seen_and_not_taken_for_scratch(tmp_path: Path) -> None:
    assert not has_runs(tmp_path)
    (tmp_path / "runs").mkdir()
    assert not has_runs(tmp_path)
    run = tmp_path / "runs" / f"{socket.gethostname()}-999999999"
    run.mkdir()
    with scratch_folder(tmp_path):
        assert has_runs(tmp_path)
    assert run.is_dir()


@pytest.mark.parametrize("link", ["own", "own/tmp"])
def test_a_link_in_the_place_of_dvers_own_folders_is_refused(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(outside)

    with pytest.raises(BackendError, match="symbolic link"), scratch_folder(tmp_path / "own" / "tmp"):
        pass
    with pytest.raises(BackendError, match="symbolic link"), workspace_lock(tmp_path / "own" / "tmp", print):
        pass
    assert not [path for path in outside.rglob("*") if path.is_file()]
