"""Recover: after dver was killed in the middle of a run, lets things be as they were before it.

What the run had set aside is put back, and what its command left goes to a folder in `.dver/tmp/failed`, which dver
never removes: nobody knows what was done there since. An output that is a whole version again, be it that the run had
just published it, or that somebody checked it out, is left alone. Nothing is touched while the command may still be at
work.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dver.errors import DverError
from dver.operations.addable import check_parents
from dver.operations.datasets import is_dataset
from dver.operations.run_aside import FAILED_FOLDER, KILLED_PREFIX, put_back
from dver.operations.run_guard import check_apart
from dver.operations.run_register import (
    FoundRun,
    Life,
    aside_place,
    ended_places,
    found_runs,
    overlapping,
    remove_entry,
)
from dver.operations.status import State, status
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Recovered:
    """A killed run that was cleared away.

    Attributes:
        restored: the outputs that were put back.
        moved: those that had been left behind half-made, or as somebody made them since; they are in `leftovers`.
    """

    run: FoundRun
    restored: tuple[str, ...]
    moved: tuple[str, ...]
    leftovers: Path


def unfinished_runs(repo: Repo) -> list[FoundRun]:
    """Return the runs of which dver was killed, or may have been; none of those that are at work."""
    return [run for run in found_runs(repo.dver_dir) if run.life is not Life.AT_WORK]


def recover(
    repo: Repo, paths: Sequence[str] = (), *, progress: Progress = NO_PROGRESS
) -> tuple[list[Recovered], list[FoundRun]]:
    """Clear away killed runs, those of other machines too; return what was done, and the runs whose commands still run.

    With `paths`, only runs with outputs at, in or around these are meant.
    """
    done, alive = [], []
    with repo.lock():
        for run in unfinished_runs(repo):
            if paths and overlapping(run, paths) is None:
                continue
            if run.life is Life.COMMAND_ONLY:
                alive.append(run)
            else:
                done.append(_recover(repo, run, progress))
        for place in ended_places(repo.dver_dir):
            shutil.rmtree(place, ignore_errors=True)
    return done, alive


def recover_for_run(
    repo: Repo, paths: Sequence[str], command: tuple[str, ...] = (), *, progress: Progress = NO_PROGRESS
) -> tuple[Recovered, ...]:
    """Clear away the killed runs that were at these paths, and those of the same command if they made nothing.

    Raises:
        LockedError: a run or command is still at one of the paths, or may be.
    """
    if not found_runs(repo.dver_dir):
        return ()
    done = []
    with repo.lock():
        for run in found_runs(repo.dver_dir):
            if run.life is not Life.KILLED:
                check_apart(run, paths)
            elif overlapping(run, paths) is not None or (not run.note.outputs and run.note.command == command):
                done.append(_recover(repo, run, progress))
    return tuple(done)


def check_recovered(repo: Repo, paths: Sequence[str]) -> None:
    """Raise DverError if `recover_for_run` would have something to do, or would raise."""
    for run in found_runs(repo.dver_dir):
        if run.life is not Life.KILLED:
            check_apart(run, paths)
            continue
        path = overlapping(run, paths)
        if path is not None:
            raise DverError(
                f"{path}: a run that was killed was making it, so nothing can be foretold",
                hint="dver repro --recover puts back what was there before; a run without --dry-run does so too",
            )


def _recover(repo: Repo, run: FoundRun, progress: Progress) -> Recovered:
    leftovers = repo.dver_dir / FAILED_FOLDER / f"{KILLED_PREFIX}{run.place.name}"
    restored, moved = [], []
    for path in _unsettled(repo, run, progress):
        has_version = os.path.lexists(aside_place(run.place, path))
        if put_back(repo, path, run.place, leftovers):
            moved.append(path)
        if has_version:
            restored.append(path)
    remove_entry(run.place)
    return Recovered(run, tuple(restored), tuple(moved), leftovers)


def _unsettled(repo: Repo, run: FoundRun, progress: Progress) -> Iterator[str]:
    """Yield the outputs that are not, as they are, a whole version."""
    for path in run.note.outputs:
        # A note is a file that anybody may have written.
        check_parents(repo.root, path)
        one = status(repo, [path], progress=progress)[0] if is_dataset(repo, path) else None
        is_whole = one is not None and one.state in (State.UNCHANGED, State.POINTER_CHANGED) and not one.changes
        if not is_whole:
            yield path
