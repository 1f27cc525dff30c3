"""The guard: keeps everybody else away from what a run is making.

Whoever would change a path asks here first, while it holds the lock of the working tree, under which runs are
registered. A path that was named is refused; a sweep over everything leaves alone what a run has in hand.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dver.errors import LockedError
from dver.operations.datasets import Target
from dver.operations.run_register import FoundRun, Life, found_runs, overlapping, this_host


def check_apart(run: FoundRun, paths: Sequence[str]) -> None:
    """Raise LockedError if one of these paths is in the hands of a run that is not known to have ended."""
    path = overlapping(run, paths)
    if path is not None and run.life is not Life.KILLED:
        raise _in_hand(run, path)


def check_not_made(dver_dir: Path, paths: Sequence[str]) -> None:
    """Raise LockedError if a run has one of these paths in hand, or something in or around one."""
    for run in found_runs(dver_dir):
        check_apart(run, paths)


def check_free(dver_dir: Path, paths: Sequence[str]) -> None:
    """Raise LockedError if a run of another process has one of these paths in hand, or may have left it half-made.

    A run of this process may do with its own outputs what it wants, which is to publish them.
    """
    for run in found_runs(dver_dir):
        path = overlapping(run, paths)
        if path is None or (run.life is Life.AT_WORK and (run.note.host, run.note.pid) == (this_host(), os.getpid())):
            continue
        raise _left_behind(path) if run.life is Life.KILLED else _in_hand(run, path)


def what_is_in_hand(dver_dir: Path, paths: Iterable[str]) -> dict[str, LockedError]:
    """Return those of these paths that a run makes, or something in or around them, and how to say so."""
    runs = [run for run in found_runs(dver_dir) if run.life is not Life.KILLED]
    if not runs:
        return {}
    found = {path: next((run for run in runs if overlapping(run, [path])), None) for path in paths}
    return {path: _in_hand(run, path) for path, run in found.items() if run is not None}


def spare(
    dver_dir: Path, targets: Sequence[Target], paths: Sequence[str]
) -> tuple[list[Target], tuple[LockedError, ...]]:
    """Return the targets of a sweep over everything that no run has in hand, and why the others are left alone.

    Raises:
        LockedError: a run has one in hand, and `paths` name it or its folder.
    """
    held = what_is_in_hand(dver_dir, (target.dataset for target in targets))
    if held and paths and "" not in paths:
        raise next(iter(held.values()))
    return [target for target in targets if target.dataset not in held], tuple(held.values())


def recovery_hint(dver_dir: Path, paths: Sequence[str]) -> str | None:
    """Return what helps where changed data at one of these paths may be what a killed run left; None where not."""
    runs = [run for run in found_runs(dver_dir) if run.life is Life.KILLED]
    return _left_behind("").hint if any(overlapping(run, paths) for run in runs) else None


def _in_hand(run: FoundRun, path: str) -> LockedError:
    name = run.note.name
    if run.life is Life.AT_WORK:
        what = f"run {name}" if name else "another dver run"
        return LockedError(f"{path}: {what} is making it", hint="wait until that one ends; dver status shows it")
    if run.life is Life.COMMAND_ONLY:
        process = "" if run.command_pid is None else f" (process {run.command_pid})"
        return LockedError(
            f"{path}: a command{process} still writes it, whose dver was killed",
            hint="wait until it ends, or end it; dver status names it",
        )
    return LockedError(
        f"{path}: a run on {run.note.host} was making it, and has not ended in good order",
        hint="dver repro --recover, if nothing of it runs there any more",
    )


def _left_behind(path: str) -> LockedError:
    return LockedError(
        f"{path}: a run that was killed was making it, so it may be half-written",
        hint="dver repro --recover puts back what was there before",
    )
