"""Run commands one after another and write what they took, as JSON.

A script of its own, started as `python -I -S launch.py`: Linux counts the memory of the process that starts a command
into the command's peak, so the starter has to be smaller than anything measured. For the same reason it imports little.
Stops at the first command that fails.

Memory is that of a command and all its descendants together, looked at while they run; what a process that is gone
before a look had at most is known for the largest one only. Pages that processes share count once for each.

Arguments: the file for the answer, the file for the commands' stderr, the folder to run in, and the commands as JSON.
"""

import _thread
import json
import os
import sys
import time

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Between two looks at the memory: a look takes a fraction of a millisecond for each process of the tree.
_LOOK = 0.03
# user, nice, system, irq, softirq; steal is time that the machine did not have.
_BUSY_FIELDS = (1, 2, 3, 6, 7)


def machine_busy() -> float | None:
    """Return the CPU seconds that the machine has spent since it started, None where that cannot be read."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            fields = file.readline().split()
    except OSError:
        return None
    return sum(int(fields[index]) for index in _BUSY_FIELDS) / _TICKS


def tree_memory(process: int) -> int:
    """Return the bytes that a process and its descendants have in memory now; 0 where that cannot be read."""
    total, waiting = 0, [process]
    while waiting:
        folder = f"/proc/{waiting.pop()}"
        try:
            with open(f"{folder}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * _PAGE
            for thread in os.listdir(f"{folder}/task"):
                with open(f"{folder}/task/{thread}/children", encoding="ascii") as file:
                    waiting += [int(child) for child in file.read().split()]
        except (OSError, IndexError):
            # It has ended since, or this is no Linux.
            continue
    return total


class Watch:
    """Looks at the memory of the commands of this process, in a thread, until it is stopped."""

    def __init__(self) -> None:
        self.process = 0
        self.peak = 0
        self.done = _thread.allocate_lock()
        self.done.acquire()
        _thread.start_new_thread(self._look, ())

    def _look(self) -> None:
        while not self.done.acquire(timeout=_LOOK):
            if self.process:
                self.peak = max(self.peak, tree_memory(self.process))


def run(commands: list[list[str]], stderr: str) -> dict[str, float | int | None]:
    """Run `commands` in order; return their wall and CPU seconds together, and the largest peak memory."""
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    cpu, peak, code = 0.0, 0, 0
    watch = Watch()
    busy_before = machine_busy()
    started = time.perf_counter()
    for command in commands:
        watch.process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(watch.process, 0)
        watch.process = 0
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
        code = os.waitstatus_to_exitcode(status)
        if code:
            break
    wall = time.perf_counter() - started
    busy_after = machine_busy()
    watch.done.release()
    others = None if busy_before is None or busy_after is None else max(0.0, busy_after - busy_before - cpu)
    # The unit of ru_maxrss is the kilobyte, on macOS the byte.
    rss = peak if sys.platform == "darwin" else peak * 1024
    return {"wall": wall, "cpu": cpu, "rss": max(rss, watch.peak), "others": others, "code": code}


def main(answer: str, stderr: str, folder: str, commands: str) -> None:
    """Run the commands in `folder` and leave the answer."""
    os.chdir(folder)
    usage = run(json.loads(commands), stderr)
    with open(answer, "w", encoding="ascii") as file:
        json.dump(usage, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
