"""The scratch folder of one command, and the lock that lets one command at a time change the working tree.

Both live in `.dver/tmp`. A scratch folder is named by host and process, so one left behind by a killed process is
recognised and removed by the next command on the same host. Beside them is a folder for each run of a command, which
outlives a killed process, for what the run set aside is in it.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dver.errors import BackendError, BackendProblem, unwritable_place
from dver.processes import is_running

LOCK_NAME = "lock"
RUNS_FOLDER = "runs"
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def scratch_folder(directory: Path) -> Iterator[Path]:
    """Make an empty folder below `directory` for this process, and remove it in the end."""
    host = socket.gethostname().replace("/", "_")
    mine = directory / f"{host}-{os.getpid()}"
    try:
        _make(directory)
        _remove_stale(directory, host)
        mine.mkdir(exist_ok=True)
    except OSError as exc:
        raise unwritable_place(directory, exc) from exc
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)


@contextlib.contextmanager
def workspace_lock(directory: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the working tree's lock; while another process holds it, say so once and wait."""
    try:
        _make(directory)
        file = (directory / LOCK_NAME).open("a+b")
    except OSError as exc:
        raise unwritable_place(directory, exc) from exc
    with file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    note("waiting for another dver command in this repository to end")
                    waiting = True
                time.sleep(_POLL_SECONDS)
        yield


def _make(directory: Path) -> None:
    """Make the folder, which is `.dver/tmp`, unless it is there; a clone may bring a link in its place."""
    directory.mkdir(parents=True, exist_ok=True)
    for folder in (directory.parent, directory):
        if folder.is_symlink():
            raise BackendError(str(folder), BackendProblem.OTHER, "is a symbolic link", hint=f"rm {folder}")


def has_runs(directory: Path) -> bool:
    """Whether there is a folder of a run below `directory`: one that is at work, or was killed."""
    try:
        with os.scandir(directory / RUNS_FOLDER) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _remove_stale(directory: Path, host: str) -> None:
    for folder in directory.glob(f"{host}-*"):
        process = folder.name.removeprefix(f"{host}-")
        if process.isdigit() and int(process) != os.getpid() and not is_running(int(process)):
            shutil.rmtree(folder, ignore_errors=True)
