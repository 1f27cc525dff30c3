"""Lineage from Python: the questions that the commands answer, and `record`, which records work as a run.

    import dver

    for run in dver.lineage.runs(name="train", state="complete"):
        print(run.id, run.params)

Answers pass over lines of the lineage file that are no records, and warn of them.
"""

import os
import warnings
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

from dver.api.arguments import (
    PathLike,
    check_counts,
    check_mappings,
    check_paths,
    check_tags,
    check_texts,
    moment,
)
from dver.api.reading import find_repo
from dver.api.recording import Recording, record
from dver.errors import NotFoundError, PathError, UsageError
from dver.operations import artifacts as listing
from dver.operations import runs as history
from dver.operations import verify as checking
from dver.operations.artifacts import Listed as ListedArtifact
from dver.operations.lineage import ArtifactId, Direction, Walk, find_git_file, find_start, walk
from dver.operations.lineage_diff import Difference, RunDiff, diff_runs
from dver.operations.run_params import given_params
from dver.operations.verify import Verification
from dver.operations.verify_rerun import Rerun, to_rerun
from dver.operations.verify_rerun import rerun as rerun_one
from dver.records.record import Artifact, Record, State
from dver.repo import LINEAGE_FILE, Repo

__all__ = [
    "Artifact",
    "ArtifactId",
    "Difference",
    "ListedArtifact",
    "Record",
    "Recording",
    "Rerun",
    "RunDiff",
    "Verification",
    "Walk",
    "artifacts",
    "compare_runs",
    "find_run",
    "lineage_of",
    "record",
    "rerun",
    "runs",
    "runs_that_made",
    "verify",
]


def runs(  # noqa: PLR0913  # each is given by its name
    *,
    name: str | None = None,
    state: str | None = None,
    tags: Mapping[str, str] | None = None,
    since: datetime | date | str | None = None,
    path: PathLike | None = None,
    where: str | None = None,
    limit: int | None = None,
    repo: PathLike = ".",
) -> list[Record]:
    """Return the records of the runs that fit all that is given, the newest last.

    Args:
        state: `"complete"`, `"failed"`, `"cached"` or `"imported"`.
        tags: names and values that they have.
        since: when they started at the earliest, also as a date or a text in ISO 8601; without a time zone, in that of
            this machine.
        path: what they used or made, or a folder that it is in.
        where: a condition in SQL that is true of them, as `dver runs --where` takes it.
        limit: how many at most, the newest of all that fit.

    Raises:
        UsageError: there is no such state, the condition is none, the limit is less than 1, or an argument is of
            another type.
    """
    check_texts(name=name, state=state, where=where)
    check_tags(tags)
    check_paths(path=path)
    check_counts(limit=limit)
    earliest = moment(since)
    with history.run_condition(where) as condition, find_repo(repo) as opened:
        wanted = history.Wanted(
            name=name,
            state=None if state is None else _state(state),
            tags=tags or {},
            since=earliest,
            path=None if path is None else opened.relative(os.fspath(path), Path(repo).absolute()),
            where=condition,
            limit=limit,
        )
        found = history.runs(opened, wanted)
        _warn_of_damage(opened)
    return found


def find_run(run_id: str, *, repo: PathLike = ".") -> Record:
    """Return the record with this id, of which six digits or more are enough.

    Raises:
        NotFoundError: there is none.
        UsageError: it is no id, or several begin so.
    """
    with find_repo(repo) as opened:
        found = _existing_run(opened, run_id)
        _warn_of_damage(opened)
    return found


def compare_runs(old: str, new: str, *, repo: PathLike = ".") -> RunDiff:
    """Return what differs between two runs, by their ids; raises what `find_run` does."""
    with find_repo(repo) as opened:
        found = diff_runs(opened, _existing_run(opened, old), _existing_run(opened, new))
        _warn_of_damage(opened)
    return found


def runs_that_made(path: PathLike, *, rev: str | None = None, repo: PathLike = ".") -> list[Record]:
    """Return the records of the runs that made the version that the pointer of `path` names, the newest last.

    For a path within a dataset these are the runs that made the dataset. Raises what `lineage_of` does.
    """
    check_paths(path=path)
    check_texts(rev=rev)
    with find_repo(repo) as opened:
        start = find_start(opened, rev, opened.relative(os.fspath(path), Path(repo).absolute()))
        found = history.runs_that_made(opened, start.artifact)
        _warn_of_damage(opened)
    return found


def lineage_of(
    path: PathLike,
    *,
    rev: str | None = None,
    direction: str = "up",
    depth: int | None = None,
    repo: PathLike = ".",
) -> Walk:
    """Return all that led to the version that the pointer of `path` names, or all that came of it.

    For a path within a dataset it is the lineage of the dataset. A file that git tracks may be named as well.

    Args:
        direction: `"up"` for what led to it, `"down"` for what came of it.
        depth: through how many runs, one after the other, to go at most; None for all.

    Raises:
        PathError: there is no such dataset, or `path` is a folder of several.
        GitError: there is no such revision.
        UsageError: there is no such direction, or no such depth.
    """
    check_paths(path=path)
    check_texts(rev=rev)
    check_counts(depth=depth)
    if direction not in list(Direction):
        raise UsageError(f"{direction!r} is no direction", hint='"up" and "down" are')
    with find_repo(repo) as opened:
        place = opened.relative(os.fspath(path), Path(repo).absolute())
        try:
            start = find_start(opened, rev, place)
        except PathError:
            file = find_git_file(opened, rev, place)
            if file is None:
                raise
            start = file
        found = walk(opened, start.artifact, Direction(direction), depth=depth)
        _warn_of_damage(opened)
    return found


def verify(
    path: PathLike | None = None,
    *,
    rev: str | None = None,
    run_id: str | None = None,
    depth: int | None = None,
    repo: PathLike = ".",
) -> Verification:
    """Check that what is recorded holds, and that what it names can still be had.

    Args:
        path: check the runs that made the version that its pointer names, and all that led to it.
        run_id: check this run, and all that led to it; without either, everything.
        depth: through how many runs, one after the other, to go at most; None for all.

    Raises:
        UsageError: the arguments make no sense together.
        NotFoundError: there is no such run; and what `lineage_of` raises.
    """
    check_paths(path=path)
    check_texts(rev=rev, run_id=run_id)
    check_counts(depth=depth)
    if path is not None and run_id is not None:
        raise UsageError("a path and a run cannot go together", hint="each is checked with all that led to it")
    if path is None and (rev is not None or (run_id is None and depth is not None)):
        raise UsageError("a revision goes with a path, and a depth with a path or a run")
    with find_repo(repo) as opened:
        target: Record | ArtifactId | None = None
        if path is not None:
            target = find_start(opened, rev, opened.relative(os.fspath(path), Path(repo).absolute())).artifact
        elif run_id is not None:
            target = _existing_run(opened, run_id)
        found = checking.verify(opened, target, depth=depth)
        _warn_of_damage(opened)
    return found


def rerun(run_id: str, *, keep: bool = False, repo: PathLike = ".") -> Rerun:
    """Run the command of a run again in a scratch tree, and compare what it makes with what is on record.

    The command gets the variables of this process, and writes to standard error. For a run that was served from the
    cache, it is that of the run that served.

    Args:
        keep: keep the scratch tree.

    Raises:
        NotFoundError: there is no such run.
        UsageError: it is no id, or several begin so.
    """
    with find_repo(repo) as opened:
        (record_again,) = to_rerun(opened, [_existing_run(opened, run_id)])
        _warn_of_damage(opened)
        return rerun_one(opened, record_again, os.environ, keep=keep)


def artifacts(
    path: PathLike | None = None,
    *,
    kind: str | None = None,
    props: Mapping[str, object] | None = None,
    where: str | None = None,
    limit: int | None = None,
    repo: PathLike = ".",
) -> list[ListedArtifact]:
    """Return the versions that runs used or made, each with these runs, in the order in which they came up.

    Args:
        path: where they were, or a folder that they were in.
        kind: what they are: `"dataset"`, `"code"` or another word.
        props: properties that they have, by their values; a text finds the number that it is as well.
        where: a condition in SQL that is true of them, as `dver artifacts --where` takes it.
        limit: how many at most, the newest of all that fit.

    Raises:
        UsageError: the condition is none, the limit is less than 1, or an argument is of another type.
    """
    check_paths(path=path)
    check_texts(kind=kind, where=where)
    check_mappings(props=props)
    check_counts(limit=limit)
    values = {source.key: source.value for source in given_params(props or {}, "property")}
    with listing.artifact_condition(where) as condition, find_repo(repo) as opened:
        below = None if path is None else opened.relative(os.fspath(path), Path(repo).absolute())
        wanted = listing.Wanted(path=below, kind=kind, props=values, where=condition, limit=limit)
        found = listing.artifacts(opened, wanted)
        _warn_of_damage(opened)
    return found


def _existing_run(repo: Repo, run_id: str) -> Record:
    if not isinstance(run_id, str) or not history.is_run_id(run_id):
        raise UsageError(f"{run_id!r} is no id of a run", hint="an id has six hexadecimal digits or more")
    found = history.find_run(repo, run_id)
    if found is None:
        raise NotFoundError(f"no run has an id that begins with {run_id}", hint="dver runs lists them")
    return found


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise UsageError(f"{text!r} is no state of a run", hint=f"{', '.join(State)} are") from None


def _warn_of_damage(repo: Repo) -> None:
    """Warn of lines that are no records, so that nobody takes an answer for whole."""
    numbers = [str(line.number) for line in repo.lineage.problems()]
    if numbers:
        noun = "line" if len(numbers) == 1 else "lines"
        # The caller's line is behind this one and that of the function.
        warnings.warn(f"passed over in {LINEAGE_FILE}, for no records: {noun} {', '.join(numbers)}", stacklevel=3)
