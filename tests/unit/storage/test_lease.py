"""Of all who clean a store one goes on, by the times that the store gives, and stops before another may go on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dver.errors import LockedError
from dver.objects.ids import Bytes
from dver.processes import this_process
from dver.storage.backend import BlobInfo
from dver.storage.condemned import Holder, gc_key, read_folder, read_lease, write_lease
from dver.storage.lease import LEASE_SECONDS, Lease
from dver.storage.local import LocalBackend


class Clock:
    """A clock that goes as it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timeless(LocalBackend):
    """Tells no times."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        return (replace(info, modified=None) for info in super().list(prefix))


def lease(backend: LocalBackend, clock: Clock | None = None) -> Lease:
    return Lease(backend, "a test", clock=clock or Clock(), sleep=lambda _: None)


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path)


def age(folder: Path, seconds: float) -> None:
    for path in (folder / "gc").iterdir():
        os.utime(path, (0, path.stat().st_mtime - seconds))


def test_a_lease_keeps_others_out_until_it_is_given_back(backend: LocalBackend) -> None:
    with lease(backend) as held:
        assert read_folder(backend).leases == (held.name,)
        with pytest.raises(LockedError, match="being cleaned by a test"):
            lease(backend).__enter__()
    assert read_folder(backend).leases == ()
    with lease(backend):
        pass


def test_one_that_was_not_renewed_counts_no_more(backend: LocalBackend, tmp_path: Path) -> None:
    first = lease(backend)
    first.__enter__()
    age(tmp_path, LEASE_SECONDS + 1)
    with lease(backend) as second:
        assert read_folder(backend).leases == (second.name,)


def test_a_holder_renews_in_time_and_stops_when_it_is_late(backend: LocalBackend, tmp_path: Path) -> None:
    clock = Clock()
    with lease(backend, clock) as held:
        age(tmp_path, 900)
        clock.now += LEASE_SECONDS / 3
        held.keep()
        with pytest.raises(LockedError):
            lease(backend).__enter__()
        age(tmp_path, LEASE_SECONDS - 100)
        clock.now += LEASE_SECONDS * 0.6
        with pytest.raises(LockedError, match="was lost"):
            held.keep()


def test_a_holder_whose_place_was_taken_stops(backend: LocalBackend, tmp_path: Path) -> None:
    clock = Clock()
    first = lease(backend, clock)
    first.__enter__()
    age(tmp_path, LEASE_SECONDS + 1)
    with lease(backend):
        clock.now += LEASE_SECONDS / 3
        with pytest.raises(LockedError, match="was lost"):
            first.keep()


def test_of_two_that_begin_at_once_at_most_one_goes_on(backend: LocalBackend) -> None:
    # Each writes before either has looked.
    first, second = sorted([lease(backend), lease(backend)], key=lambda one: one.name)
    first._write()
    with pytest.raises(LockedError):
        second.__enter__()
    with first:
        assert read_folder(backend).leases == (first.name,)


def test_a_holder_stops_if_renewing_took_too_long(tmp_path: Path) -> None:
    clock = Clock()

    class Slow(LocalBackend):
        def write(self, key: str, pieces: Sequence[Bytes]) -> None:
            super().write(key, pieces)
            clock.now += LEASE_SECONDS / 3

    with lease(Slow(tmp_path), clock) as held, pytest.raises(LockedError, match="was lost"):
        held.keep()


def test_where_times_are_not_told_a_dead_lease_has_to_be_deleted(tmp_path: Path) -> None:
    backend = Timeless(tmp_path)
    first = lease(backend)
    first.__enter__()
    with pytest.raises(LockedError) as caught:
        lease(backend).__enter__()
    assert f"delete gc/{first.name}.lease.json there" in str(caught.value.hint)


KILLED = """
import os, pathlib, signal, sys
from dver.storage.lease import Lease
from dver.storage.local import LocalBackend
Lease(LocalBackend(pathlib.Path(sys.argv[1])), "a process").__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
TELLS = pytest.mark.skipif(this_process() is None, reason="the system does not tell what processes are called")


def leave_lease(folder: Path) -> tuple[str, Holder]:
    """Let a process take the lease and be killed; return its name and what it says."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False).returncode == -9
    backend = LocalBackend(folder)
    (name,) = read_folder(backend).leases
    return name, read_lease(backend, name)


@TELLS
@pytest.mark.parametrize("kind", [LocalBackend, Timeless])
def test_the_lease_of_a_process_that_was_killed_here_is_taken_over_at_once(
    tmp_path: Path, kind: type[LocalBackend]
) -> None:
    leave_lease(tmp_path)
    backend = kind(tmp_path)
    with lease(backend) as held:
        assert read_folder(backend).leases == (held.name,)
    assert read_folder(backend).leases == ()


@TELLS
def test_what_was_asked_of_a_distant_store_by_one_that_was_killed_is_waited_for(tmp_path: Path) -> None:
    class Distant(LocalBackend):
        @property
        def is_local(self) -> bool:
            return False

    leave_lease(tmp_path)
    waited: list[float] = []
    with Lease(Distant(tmp_path), "a test", clock=Clock(), sleep=waited.append):
        assert waited == [10.0]
    with Lease(Distant(tmp_path), "a test", clock=Clock(), sleep=waited.append):
        assert waited == [10.0]


@TELLS
def test_the_lease_of_one_that_may_live_elsewhere_is_not_taken_over(backend: LocalBackend, tmp_path: Path) -> None:
    name, holder = leave_lease(tmp_path)
    assert holder.process is not None
    for process in (replace(holder.process, boot="another"), replace(holder.process, host="another"), None):
        backend.delete(gc_key(name, "lease"))
        write_lease(backend, name, replace(holder, process=process))
        with pytest.raises(LockedError, match="being cleaned by a process"):
            lease(backend).__enter__()
        assert read_folder(backend).leases == (name,)


@pytest.mark.parametrize("process", [None, 7, {"pid": 1}, {"boot": "", "host": "", "namespaces": [], "pid": "1"}])
def test_a_lease_that_does_not_say_which_process_it_is_of_counts(
    backend: LocalBackend, tmp_path: Path, process: object
) -> None:
    with lease(backend) as held:
        path = tmp_path / gc_key(held.name, "lease")
        path.unlink()
        path.write_text(json.dumps({"by": "an older dver", "format": 1, "process": process}))
        assert read_lease(backend, held.name) == Holder("an older dver")
        with pytest.raises(LockedError, match="an older dver"):
            lease(backend).__enter__()
