"""Work in Python that is recorded as a run, as `dver run` records commands.

import dver

with dver.record(inputs=["data/raw.csv"], outputs=["data/clean.csv"], params={"limit": 10}) as run:
    ...

print(run.id)
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import dver
from dver.api.arguments import PathLike, check_mappings, check_paths, check_tags, check_texts, paths_of
from dver.api.reading import find_repo
from dver.errors import DverError, PathError, UsageError, first_of
from dver.operations.descriptions import Description, check_kind, mask_descriptions
from dver.operations.observe_artifacts import Observed
from dver.operations.recording import BegunWork, begin_recording, end_recording, failure, restoring_hint
from dver.operations.run_params import given_params
from dver.operations.run_plan import RunRequest
from dver.operations.run_publish import RunResult
from dver.records.record import RecordId, State
from dver.repo import Repo

# What `sys.argv` begins with where a program is typed in or piped in, which nobody can start again.
_NO_PROGRAM = ("", "-")


# So many paths are named in a warning.
_SHOWN = 10


class Recording:
    """A run that is being recorded; once its block has ended, it knows what became of it."""

    def __init__(self, locate: Callable[[PathLike], str], outputs: Sequence[str]) -> None:
        self._result: RunResult | None = None
        self._locate = locate
        self._descriptions = {path: Description() for path in outputs}

    def describe(self, path: PathLike, *, kind: str = "", props: Mapping[str, object] | None = None) -> None:
        """Say within the block what one of its outputs is; what was said before stays unless it is said anew.

        Args:
            path: the output, as it is named in `outputs`.
            kind: a word such as `"model"` or `"metrics"`.
            props: texts, numbers, truth values and None; a value within a mapping gets a dotted name.

        Raises:
            UsageError: it is no output of this run, the run has ended, or the arguments make no sense.
        """
        if self._result is not None:
            raise UsageError("the run is recorded already", hint="its outputs are described within its block")
        check_paths(path=path)
        check_texts(kind=kind)
        check_mappings(props=props)
        place = self._locate(path)
        before = self._descriptions.get(place)
        if before is None:
            outputs = ", ".join(self._descriptions) or "there are none"
            raise UsageError(f"{os.fspath(path)} is no output of this run", hint=f"its outputs: {outputs}")
        if kind:
            check_kind(kind, 'a kind is a word, such as "model"')
        values = {source.key: source.value for source in given_params(props or {}, "property")}
        said, masked = mask_descriptions({place: Description(kind or before.kind, {**before.props, **values})})
        if masked:
            warnings.warn(f"masked in the record, for it looks like a secret: {', '.join(masked)}", stacklevel=2)
        self._descriptions.update(said)

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
def record(  # noqa: PLR0913  # each is given by its name
    *,
    inputs: PathLike | Iterable[PathLike] = (),
    code: PathLike | Iterable[PathLike] = (),
    outputs: PathLike | Iterable[PathLike] = (),
    params: Mapping[str, object] | None = None,
    env: PathLike | Iterable[PathLike] = (),
    name: str = "",
    tags: Mapping[str, str] | None = None,
    observe: bool = False,
    repo: PathLike = ".",
) -> Iterator[Recording]:
    """Record a block of code as a run, as `dver run` does with a command.

    At the start the inputs must be there and unchanged since they were added. At the end the outputs become datasets,
    and the record is written. If the block raises or leaves an output out, or an input changes meanwhile, the record
    says that the run failed, and no output is published. The block always runs: nothing is restored from an earlier
    run.

    The command of the record is the one that started this Python, with the folder in which that was. It is empty where
    there is none to start again, as in a notebook, and where it was not started in the repository.

    Args:
        inputs: datasets, paths within some, and files that git tracks.
        code: files that git tracks, as inputs; the record says that they are code.
        outputs: files and folders that the block makes.
        params: texts, numbers, truth values and None; a value within a mapping gets a dotted name.
        env: files that git tracks and that say what the block runs on, such as lock files.
        name: what to call this step.
        tags: names and values, both text.
        observe: record as well which other files this process reads and writes in the block, and warn of them. What
            other processes do is not seen, nor what libraries do without Python.

    Raises:
        PathError: an input is missing, not added or was changed; or a path cannot be an output.
        UsageError: the arguments make no sense, as where an output lies within an input.
        DverError: the block left an output out, or an input changed meanwhile; or the outputs could not be stored.
    """
    check_texts(name=name)
    check_mappings(params=params)
    check_tags(tags)
    paths = _Paths(paths_of(inputs=inputs), paths_of(outputs=outputs), code=paths_of(code=code), env=paths_of(env=env))
    with find_repo(repo) as opened:
        start = Path(repo).absolute()
        request = _request(opened, start, paths)
        request = replace(request, name=name, params=given_params(params or {}), tags=dict(tags or {}), observe=observe)
        begun = begin_recording(opened, request)
        root = opened.root
    _warn_of_masked(begun)
    run = Recording(lambda path: opened.relative(os.fspath(path), start), request.outputs)
    try:
        yield run
    except BaseException as exc:
        if isinstance(exc, SystemExit) and exc.code in (None, 0):
            _end(run, root, begun)
        else:
            _end_failed(run, root, begun, exc)
        raise
    _end(run, root, begun)


@dataclass(frozen=True, slots=True)
class _Paths:
    """What goes into a block and comes out of it, as its author names it."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    code: Sequence[str]
    env: Sequence[str]


def _request(repo: Repo, start: Path, paths: _Paths) -> RunRequest:
    """Return the run that a block is, with its paths relative to the repository and not to `start`."""
    folder, command = _place_and_command(repo)

    def located(named: Sequence[str]) -> tuple[str, ...]:
        return tuple(repo.relative(path, start) for path in named)

    return RunRequest(
        command,
        folder,
        os.environ,
        inputs=located(paths.inputs),
        code=located(paths.code),
        env_files=located(paths.env),
        outputs=located(paths.outputs),
    )


def _place_and_command(repo: Repo) -> tuple[str, tuple[str, ...]]:
    """Return the folder within the repository in which this Python was started, and the command that did it.

    Where there is no such command, or it was not given in the repository, the folder is the current one.
    """
    # A prompt sets ps1, IPython's and those of notebooks too.
    is_typed = hasattr(sys, "ps1") or not sys.argv or sys.argv[0] in _NO_PROGRAM
    current = _within(repo, os.path.realpath("."))
    if is_typed:
        return current or "", ()
    started = _within(repo, _started_in())
    if started is not None:
        return started, tuple(sys.orig_argv)
    if current is not None:
        warnings.warn(
            "the command is left out of the record: it was not started in the repository, so nobody could start it"
            " again from there",
            # The caller's line is behind this one, that of the request, that of record, and one of contextlib.
            stacklevel=5,
        )
    return current or "", ()


def _within(repo: Repo, folder: str) -> str | None:
    try:
        return repo.relative(folder, Path(folder)) if folder else None
    except PathError:
        return None


def _started_in() -> str:
    """Return the folder in which this Python was started, as far as is known; the program may have left it since."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(file, str) and os.path.isabs(file):
        for word in sys.orig_argv[1:]:
            # Python has put that folder in front of a relative path of the program.
            end = os.sep + os.path.normpath(word)
            if not os.path.isabs(word) and os.path.normpath(file).endswith(end):
                return os.path.realpath(os.path.normpath(file)[: -len(end)] or os.sep)
    return os.path.realpath(dver._first_folder) if dver._first_folder else ""


def _end(run: Recording, root: Path, begun: BegunWork, *, failed: bool = False) -> None:
    """Publish and record; raise what went wrong beside the block itself."""
    plan = replace(begun.plan, descriptions=run._descriptions)
    with find_repo(root) as opened:
        run._result = end_recording(opened, replace(begun, plan=plan), failed=failed)
    _warn_of_observed(run._result.observed)
    problem = None if failed else failure(run._result)
    if problem is not None:
        raise problem


def _end_failed(run: Recording, root: Path, begun: BegunWork, exc: BaseException) -> None:
    """Record that the block raised. What it raised goes on to the caller, with what else there is to say."""
    try:
        _end(run, root, begun, failed=True)
    except DverError as problem:
        exc.add_note(f"dver could not record the run: {problem.message}")
    except OSError as problem:
        exc.add_note(f"dver could not record the run: {problem}")
    else:
        hint = restoring_hint(run._ended)
        if hint is not None:
            exc.add_note(f"dver: no output was published; {hint}")


def _warn_of_masked(begun: BegunWork) -> None:
    if begun.plan.masked:
        found = ", ".join(begun.plan.masked)
        # The caller's line is behind this one, that of record, and one of contextlib.
        warnings.warn(f"masked in the record, for it looks like a secret: {found}", stacklevel=4)


def _warn_of_observed(observed: Observed | None) -> None:
    """Warn of what the block used beside what was declared."""
    if observed is None:
        return
    read = [*(artifact.path for artifact in observed.inputs), *observed.changed]
    written = [*(artifact.path for artifact in observed.outputs), *observed.removed]
    for what, paths in (("read", read), ("wrote or removed", written)):
        if paths:
            # The caller's line is behind this one, that of the end of the block, and two of contextlib.
            warnings.warn(f"the run {what} what was not declared: {first_of(paths, _SHOWN)}", stacklevel=5)
