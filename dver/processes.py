"""Tells processes of this machine apart from each other, and the dead from the living.

A number is not enough: another machine, another container and the time after the next start have the same ones. So what
names a process has all of these in it, and when it was started. Only who sees the same processes by the same numbers
can say that one is dead; whoever cannot tell says that it may be alive. Linux tells these things, other systems do not.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# In what follows the name of the program in /proc/PID/stat.
_STATE, _THREADS, _STARTED = 0, 17, 19
_ENDED = frozenset({"Z", "X", "x"})


@dataclass(frozen=True, slots=True)
class ProcessName:
    """What one process is called and no other.

    Attributes:
        boot: what the system calls the time from its start to its end.
        host: the name of the machine, so that copies of one that was running are told apart where they have got names.
        namespaces: of process numbers, and of times; 0 where the system has but one.
        started: when, in the ticks of that system.
    """

    boot: str
    host: str
    namespaces: tuple[int, int]
    pid: int
    started: int


def is_running(pid: int) -> bool:
    """Whether there is a process of that number here, be it somebody else's."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def this_process() -> ProcessName | None:
    """Return what this process is called; None where the system does not tell."""
    pid = os.getpid()
    try:
        # Else /proc is that of other processes than those that this one can see.
        if os.readlink("/proc/self") != str(pid):
            return None
        boot = _BOOT_ID.read_text("ascii").strip()
        namespaces = (_namespace("pid"), _namespace("time"))
        started = int(_stat(pid)[_STARTED])
    except (OSError, ValueError, IndexError):
        return None
    return ProcessName(boot, socket.gethostname(), namespaces, pid, started) if boot else None


def is_surely_dead(name: ProcessName) -> bool:
    """Whether a process was one of those that this one can see, and has ended."""
    own = this_process()
    if own is None or (own.boot, own.host, own.namespaces) != (name.boot, name.host, name.namespaces):
        return False
    if name.pid <= 0:
        return False
    if not is_running(name.pid):
        return True
    try:
        fields = _stat(name.pid)
        # Of one that nobody has waited for the number stays; as long as it has other threads, these may be at work.
        has_ended = fields[_STATE] in _ENDED and int(fields[_THREADS]) <= 1
        return has_ended or int(fields[_STARTED]) != name.started
    except (OSError, ValueError, IndexError):
        return False


def _namespace(kind: str) -> int:
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino
    except FileNotFoundError:
        return 0


def _stat(pid: int) -> list[str]:
    # The name of the program may have any characters in it, and is in parentheses.
    text = Path(f"/proc/{pid}/stat").read_text("utf-8", "surrogateescape")
    return text.rpartition(")")[2].split()
