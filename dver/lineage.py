"""Lineage from Python: work that is recorded as a run, and the questions that the commands answer.

    import dver

    with dver.record(inputs=["data/raw.csv"], outputs=["data/clean.csv"], params={"limit": 10}) as run:
        ...

    print(run.id)

Answers pass over lines of the lineage file that are no records, and warn of them.
"""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from dver.api.reading import find_repo
from dver.errors import DverError, NotFoundError, PathError, UsageError
from dver.operations import artifacts as listing
from dver.operations import runs as history
from dver.operations.artifacts import Listed as ListedArtifact
from dver.operations.lineage import ArtifactId, Direction, Walk, find_start, walk
from dver.operations.recording import Begun, begin_recording, end_recording, failure, restoring_hint
from dver.operations.run import RunRequest, RunResult
from dver.operations.run_params import given_params
from dver.records.record import Artifact, Record, RecordId, State
from dver.repo import LINEAGE_FILE, Repo

__all__ = [
    "Artifact",
    "ArtifactId",
    "ListedArtifact",
    "Record",
    "Recording",
    "Walk",
    "artifacts",
    "find_run",
    "lineage_of",
    "record",
    "runs",
    "runs_that_made",
]

PathLike: TypeAlias = str | os.PathLike[str]

# What `sys.argv` begins with where a program is typed in or piped in, which nobody can start again.
_NO_PROGRAM = ("", "-")


class Recording:
    """A run that is being recorded; once its block has ended, it knows what became of it."""

    def __init__(self) -> None:
        self._result: RunResult | None = None

    @property
    def id(self) -> RecordId:
        """The id of the record, which `find_run` takes."""
        return self._ended.record

    @property
    def state(self) -> State:
        """How it ended: `"complete"` or `"failed"`."""
        return self._ended.state

    @property
    def _ended(self) -> RunResult:
        if self._result is None:
            raise UsageError("the run is not recorded", hint="it is when its block has ended")
        return self._result


@contextmanager
def record(
    *,
    inputs: PathLike | Iterable[PathLike] = (),
    outputs: PathLike | Iterable[PathLike] = (),
    params: Mapping[str, object] | None = None,
    name: str = "",
    tags: Mapping[str, str] | None = None,
    repo: PathLike = ".",
) -> Iterator[Recording]:
    """Record a block of code as a run, as `dver run` does with a command.

    At the start the inputs must be there and unchanged since they were added. At the end the outputs become datasets,
    and the record is written. If the block raises, leaves an output out or changes an input, the record says that the
    run failed, and no output is published. The block always runs: nothing is restored from an earlier run.

    The command of the record is the one that started this Python. It is empty where there is none to start again, as
    in a notebook, and where the current folder is not in the repository.

    Args:
        inputs: datasets, paths within some, and files that git tracks.
        outputs: files and folders that the block makes.
        params: texts, numbers, truth values and None; a value within a mapping gets a dotted name.
        name: what to call this step.
        tags: names and values, both text.

    Raises:
        PathError: an input is missing, not added or was changed; or a path cannot be an output.
        UsageError: the arguments make no sense, as where an output lies within an input.
        DverError: the block left an output out, or changed an input; or the outputs could not be stored.
    """
    with find_repo(repo) as opened:
        folder, command = _place_and_command(opened)
        start = Path(repo).absolute()
        request = RunRequest(
            command,
            folder,
            os.environ,
            name=name,
            inputs=_paths(opened, inputs, start),
            outputs=_paths(opened, outputs, start),
            params=given_params(params or {}),
            tags=dict(tags or {}),
        )
        _check_words(request)
        begun = begin_recording(opened, request)
        root = opened.root
    if begun.plan.masked:
        found = ", ".join(begun.plan.masked)
        # The caller's line is behind this one and one of contextlib.
        warnings.warn(f"masked in the record, for it looks like a secret: {found}", stacklevel=3)
    run = Recording()
    try:
        yield run
    except BaseException as exc:
        if isinstance(exc, SystemExit) and exc.code in (None, 0):
            _end(run, root, begun)
        else:
            _end_failed(run, root, begun, exc)
        raise
    _end(run, root, begun)


def runs(
    *,
    name: str | None = None,
    state: str | None = None,
    tags: Mapping[str, str] | None = None,
    since: datetime | None = None,
    path: PathLike | None = None,
    repo: PathLike = ".",
) -> list[Record]:
    """Return the records of the runs that fit all that is given, the newest last.

    Args:
        state: `"complete"`, `"failed"`, `"cached"` or `"imported"`.
        tags: names and values that they have.
        since: when they started at the earliest; without a time zone, in that of this machine.
        path: what they used or made, or a folder that it is in.

    Raises:
        UsageError: there is no such state.
    """
    with find_repo(repo) as opened:
        wanted = history.Wanted(
            name=name,
            state=None if state is None else _state(state),
            tags=tags or {},
            since=None if since is None else since.astimezone(),
            path=None if path is None else opened.relative(os.fspath(path), Path(repo).absolute()),
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
    if not history.is_run_id(run_id):
        raise UsageError(f"{run_id!r} is no id of a run", hint="an id has six hexadecimal digits or more")
    with find_repo(repo) as opened:
        found = history.find_run(opened, run_id)
        _warn_of_damage(opened)
    if found is None:
        raise NotFoundError(f"no run has an id that begins with {run_id}", hint="dver runs lists them")
    return found


def runs_that_made(path: PathLike, *, rev: str | None = None, repo: PathLike = ".") -> list[Record]:
    """Return the records of the runs that made the version that the pointer of `path` names, the newest last.

    For a path within a dataset these are the runs that made the dataset. Raises what `lineage_of` does.
    """
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

    For a path within a dataset it is the lineage of the dataset.

    Args:
        direction: `"up"` for what led to it, `"down"` for what came of it.
        depth: through how many runs, one after the other, to go at most; None for all.

    Raises:
        PathError: there is no such dataset, or `path` is a folder of several.
        GitError: there is no such revision.
        UsageError: there is no such direction, or no such depth.
    """
    if direction not in list(Direction):
        raise UsageError(f"{direction!r} is no direction", hint='"up" and "down" are')
    if depth is not None and depth < 1:
        raise UsageError(f"a depth of {depth} is not possible", hint="1 or more is, and None for all")
    with find_repo(repo) as opened:
        start = find_start(opened, rev, opened.relative(os.fspath(path), Path(repo).absolute()))
        found = walk(opened, start.artifact, Direction(direction), depth=depth)
        _warn_of_damage(opened)
    return found


def artifacts(
    path: PathLike | None = None,
    *,
    kind: str | None = None,
    props: Mapping[str, str] | None = None,
    repo: PathLike = ".",
) -> list[ListedArtifact]:
    """Return the versions that runs used or made, each with these runs, in the order in which they came up.

    Args:
        path: where they were, or a folder that they were in.
        kind: what they are: `"dataset"`, `"code"` or another word.
        props: properties that they have, as text.
    """
    with find_repo(repo) as opened:
        below = None if path is None else opened.relative(os.fspath(path), Path(repo).absolute())
        found = listing.artifacts(opened, listing.Wanted(path=below, kind=kind, props=props or {}))
        _warn_of_damage(opened)
    return found


def _place_and_command(repo: Repo) -> tuple[str, tuple[str, ...]]:
    """Return the current folder within the repository, and the command that started this Python in it."""
    current = os.path.realpath(".")
    try:
        folder = repo.relative(current, Path(current))
    except PathError:
        return "", ()
    # A prompt sets ps1, IPython's and those of notebooks too.
    is_typed = hasattr(sys, "ps1") or not sys.argv or sys.argv[0] in _NO_PROGRAM
    return folder, () if is_typed else tuple(sys.orig_argv)


def _paths(repo: Repo, given: PathLike | Iterable[PathLike], start: Path) -> tuple[str, ...]:
    several = [given] if isinstance(given, str | os.PathLike) else given
    return tuple(repo.relative(os.fspath(path), start) for path in several)


def _check_words(request: RunRequest) -> None:
    # What is of another type would be found out when the record is written, and that is after the work.
    words = [request.name, *request.tags, *request.tags.values()]
    if not all(isinstance(word, str) for word in words) or not all(request.tags):
        raise UsageError(
            "the name of a run, and the names and values of its tags, are texts", hint='tags={"fold": "3"}'
        )


def _end(run: Recording, root: Path, begun: Begun, *, failed: bool = False) -> None:
    """Publish and record; raise what went wrong beside the block itself."""
    with find_repo(root) as opened:
        run._result = end_recording(opened, begun, failed=failed)
    problem = None if failed else failure(run._result)
    if problem is not None:
        raise problem


def _end_failed(run: Recording, root: Path, begun: Begun, exc: BaseException) -> None:
    """Record that the block raised. What it raised goes on to the caller, with what else there is to say."""
    try:
        _end(run, root, begun, failed=True)
    except DverError as problem:
        exc.add_note(f"dver could not record the run: {problem.message}")
    else:
        hint = restoring_hint(run._ended)
        if hint is not None:
            exc.add_note(f"dver: no output was published; {hint}")


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
