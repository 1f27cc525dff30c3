"""The lock between those who store and the one who deletes; processes of their own hold the other side."""

import fcntl
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dver.errors import BackendError, LockedError
from dver.storage.cachelock import WAITING_FOR_GC, WAITING_FOR_WRITERS, collecting, writing, writing_to
from dver.storage.local import LocalBackend
from dver.storage.markers import VersionMarkers
from tests.stores import memory_place

_HOLD = """
import sys, fcntl, time
file = open(sys.argv[1], "a+b")
fcntl.flock(file, int(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> VersionMarkers:
    return VersionMarkers(LocalBackend(tmp_path / "store"))


@contextmanager
def held_elsewhere(store: VersionMarkers, how: str) -> Iterator[subprocess.Popen[str]]:
    path = Path(store.backend.location) / "lock"
    path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _HOLD, str(path), str(getattr(fcntl, how))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_writers_do_not_keep_each_other_out(store: VersionMarkers) -> None:
    with held_elsewhere(store, "LOCK_SH"), writing(store), writing(store):
        pass


def test_a_collector_gives_up_while_another_process_writes(store: VersionMarkers) -> None:
    with (
        held_elsewhere(store, "LOCK_SH"),
        pytest.raises(LockedError, match="storing data"),
        collecting(store, patience=0.0),
    ):
        pass


def test_a_writer_waits_for_a_collector_and_says_so_once(store: VersionMarkers) -> None:
    notes: list[str] = []
    with held_elsewhere(store, "LOCK_EX") as other:
        threading.Timer(0.5, other.send_signal, [signal.SIGKILL]).start()
        before = time.monotonic()
        with writing(store, notes.append):
            assert time.monotonic() - before > 0.3
    assert notes == [WAITING_FOR_GC]


def test_a_killed_writer_leaves_no_lock(store: VersionMarkers) -> None:
    notes: list[str] = []
    with held_elsewhere(store, "LOCK_SH") as other:
        threading.Timer(0.3, other.send_signal, [signal.SIGKILL]).start()
        with collecting(store, notes.append):
            pass
    assert notes == [WAITING_FOR_WRITERS]


def test_a_collector_may_write(store: VersionMarkers) -> None:
    with collecting(store), writing(store):
        pass
    with writing(store):
        pass


def test_a_store_elsewhere_has_no_lock(tmp_path: Path) -> None:
    store = memory_place(tmp_path).open()
    with writing(store), writing(store):
        pass
    with pytest.raises(BackendError, match="cannot be locked"), collecting(store):
        pass


def test_a_store_that_is_not_there_is_not_begun_by_who_only_looks(tmp_path: Path) -> None:
    with writing_to(LocalBackend(tmp_path / "gone"), begins=False):
        pass
    assert not (tmp_path / "gone").exists()
