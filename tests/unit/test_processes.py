"""Processes that have ended are told from those that live, and from those of which nothing is known."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dver.processes import ProcessName, is_running, is_surely_dead, this_process

_SAY = "import os, sys, time; from dver.processes import this_process as one; own = one(); "
_TELL = "print(own.pid, own.started, flush=True); "

pytestmark = pytest.mark.skipif(this_process() is None, reason="the system does not tell what processes are called")


def own() -> ProcessName:
    name = this_process()
    assert name is not None
    return name


@contextmanager
def process(end: str) -> Iterator[tuple[ProcessName, "subprocess.Popen[str]"]]:
    """Start a process that says what it is called, then does what `end` says."""
    with subprocess.Popen(
        [sys.executable, "-c", _SAY + _TELL + end], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    ) as child:
        assert child.stdout is not None
        pid, started = map(int, child.stdout.readline().split())
        try:
            yield replace(own(), pid=pid, started=started), child
        finally:
            child.kill()


def await_state(pid: int, state: str) -> None:
    while True:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            if file.read().rpartition(")")[2].split()[0] == state:
                return


def test_one_that_was_killed_is_dead_whether_or_not_anybody_waited_for_it() -> None:
    with process("time.sleep(60)") as (name, child):
        assert not is_surely_dead(name)
        child.kill()
        await_state(child.pid, "Z")
        assert is_surely_dead(name)
        child.wait()
        assert is_surely_dead(name)


def test_one_whose_first_thread_has_ended_lives_as_long_as_another_does() -> None:
    end = (
        "import ctypes, threading; threading.Thread(target=time.sleep, args=(60,)).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with process(end) as (name, child):
        await_state(child.pid, "Z")
        assert not is_surely_dead(name)


def test_another_process_with_the_number_of_one_that_ended_is_not_taken_for_it() -> None:
    assert not is_surely_dead(own())
    assert is_surely_dead(replace(own(), started=own().started - 1))


def test_nothing_is_known_of_processes_elsewhere() -> None:
    with process("pass") as (name, child):
        child.wait()
        pids, times = name.namespaces
        elsewhere = [
            replace(name, boot="another"),
            replace(name, host="another"),
            replace(name, namespaces=(pids + 1, times)),
            replace(name, namespaces=(pids, times + 1)),
            replace(name, pid=0),
            replace(name, pid=-1),
        ]
        assert is_surely_dead(name)
        assert [is_surely_dead(one) for one in elsewhere] == [False] * len(elsewhere)


def test_a_number_that_nobody_can_have_is_nobody() -> None:
    assert is_running(os.getpid())
    assert not is_running(1 << 70)
