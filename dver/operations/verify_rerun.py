"""Rerun: runs a recorded command again in a scratch tree, and compares what it makes with what is on record.

The tree is one below `.dver/tmp` that holds what the run saw (see `verify_tree`); it shares the cache and is removed
afterwards. Data, pointers and lineage of the real working tree are not touched, and nothing is recorded. A command that
does not make the same again differs, be it for chance, for the time of day, or for something that its record does not
name.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from dver.errors import DverError, PathError, unwritable_path
from dver.objects.builder import ManifestBuilder
from dver.objects.diff import diff_manifests
from dver.objects.ids import format_version, parse_version
from dver.objects.manifest import Manifest
from dver.operations.changes import check_storable
from dver.operations.datasets import decode_path
from dver.operations.reading import open_manifest
from dver.operations.run_cache import relocated
from dver.operations.run_command import SHELL, SIGNAL_BASE
from dver.operations.staleness import declared_outputs, lacks_secret
from dver.operations.verify_tree import Approximation, Kind, lay_out
from dver.operations.working import NodesOnly, in_memory_manifest
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Record, RecordId, State, short_id
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingester
from dver.workspace.walk import WalkItem, walk_dataset

KEPT_FOLDER = "tmp/reruns"

_STANDARD_ERROR = 2
_PATIENCE = 5.0
# These would lead git, where the command runs it, to the real repository.
_GIT_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


class Outcome(StrEnum):
    """What came of running a command again."""

    SAME = "same"
    DIFFERS = "differs"
    FAILED = "failed"
    IMPOSSIBLE = "cannot be rerun"
    PASSED_OVER = "not rerun"


@dataclass(frozen=True, slots=True)
class ComparedOutput:
    """An output on record, next to what was made again.

    Attributes:
        found: the version that was made; None where nothing was.
        files: in how many files the two differ; None where that cannot be told.
        first: the first of them, relative to the output; "" for the output itself.
    """

    path: str
    recorded: str
    found: str | None
    files: int | None = None
    first: str = ""

    @property
    def is_same(self) -> bool:
        """Whether the same version was made."""
        return self.found == self.recorded


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of running a recorded command again.

    Attributes:
        exit_code: of the command, where it ran.
        approximations: what was not surely as it had been.
        problem: why it could not be run, or what it made not be read.
        folder: the scratch tree, where it was kept.
    """

    record: Record
    outcome: Outcome
    outputs: tuple[ComparedOutput, ...] = ()
    exit_code: int | None = None
    seconds: float = 0.0
    approximations: tuple[Approximation, ...] = ()
    problem: DverError | None = None
    folder: Path | None = None

    @property
    def is_finding(self) -> bool:
        """Whether something is to be said about it."""
        return self.outcome not in (Outcome.SAME, Outcome.PASSED_OVER)


def to_rerun(repo: Repo, records: Iterable[Record]) -> list[Record]:
    """Return the runs to run again for records: for one that was served from the cache, the run that served."""
    found: dict[RecordId, Record] = {}
    for record in records:
        original = repo.lineage.record(record.reuses) if record.state is State.CACHED and record.reuses else None
        one = record if original is None or original.state is not State.COMPLETE else original
        found[one.id] = one
    return list(found.values())


def has_result(record: Record) -> bool:
    """Whether a run made something that can be made again; what failed or was imported did not."""
    return record.state in (State.COMPLETE, State.CACHED) and bool(declared_outputs(record))


def rerun(
    repo: Repo,
    record: Record,
    env: Mapping[str, str],
    *,
    keep: bool = False,
    on_start: Callable[[], None] = lambda: None,
    progress: Progress = NO_PROGRESS,
) -> Rerun:
    """Run a recorded command again and compare; it gets the environment `env`, and writes to standard error.

    What has no result is passed over. With `keep` the scratch tree stays. `on_start` is called before the command is
    started, and not where it cannot be run.
    """
    if not has_result(record):
        return Rerun(record, Outcome.PASSED_OVER)
    result = Rerun(record, Outcome.IMPOSSIBLE)
    problem = _obstacle(record)
    if problem is not None:
        return replace(result, problem=problem)
    with repo.scratch() as scratch, _tree(repo, record, scratch, keep=keep) as tree:
        if keep:
            result = replace(result, folder=tree)
        try:
            approximations = lay_out(repo, record, tree, scratch, progress)
            words, more = _words(repo, record, tree)
            result = replace(result, approximations=(*approximations, *more))
            folder = tree / record.folder
            environment = _environment(repo, env, folder)
            _check_startable(words[0], folder, environment)
            on_start()
            code, seconds = _run(words, folder, environment)
            result = replace(result, outcome=Outcome.FAILED, exit_code=code, seconds=seconds)
            if code:
                return result
            outputs = tuple(_compare(repo, tree, one, progress) for one in declared_outputs(record))
        except DverError as exc:
            return replace(result, problem=exc)
    return replace(result, outputs=outputs, outcome=_outcome(outputs))


def _outcome(outputs: Sequence[ComparedOutput]) -> Outcome:
    if any(output.found is None for output in outputs):
        return Outcome.FAILED
    return Outcome.SAME if all(output.is_same for output in outputs) else Outcome.DIFFERS


def _obstacle(record: Record) -> DverError | None:
    """Return why a command cannot be run again from its record alone."""
    if not record.command:
        return DverError("no command is on record that could be started again, as for a block in a notebook")
    if lacks_secret(record):
        return DverError("a secret in it was masked when it was recorded")
    return None


@contextmanager
def _tree(repo: Repo, record: Record, scratch: Path, *, keep: bool) -> Iterator[Path]:
    """Yield an empty folder: one in `scratch`, or one that stays."""
    above = repo.dver_dir / KEPT_FOLDER if keep else scratch
    name = short_id(record.id)
    try:
        above.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f"{name}-", dir=above)
    except OSError as exc:
        raise unwritable_path(above, exc) from exc
    yield Path(folder)


def _words(repo: Repo, record: Record, tree: Path) -> tuple[list[str], list[Approximation]]:
    """Return the words to start, with the scratch tree wherever they name the real one."""
    words = relocated(record.command, str(repo.root), str(tree))
    if record.shell:
        return [SHELL, "-c", *words], []
    program = repo.root / record.folder / record.command[0]
    if os.sep not in words[0] or os.path.exists(tree / record.folder / words[0]) or not program.exists():
        return words, []
    # Such as the Python of a virtual environment, which is in no version.
    return [str(program), *words[1:]], [Approximation(Kind.PROGRAM, record.command[0])]


def _environment(repo: Repo, env: Mapping[str, str], folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in env.items() if name not in (*_GIT_PLACES, "OLDPWD")}
    shared = {"DVER_CACHE_DIR": repo.cache.backend.location} if repo.cache.backend.is_local else {}
    return {**kept, "PWD": str(folder), **shared}


def _check_startable(program: str, folder: Path, env: Mapping[str, str]) -> None:
    """Raise PathError for a program that is not there; what else may be wrong with it shows when it is started."""
    is_there = os.path.exists(folder / program) if os.sep in program else shutil.which(program, path=env.get("PATH"))
    if not is_there:
        raise PathError(program, "cannot be started: there is no such program")


def _run(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, float]:
    """Run a command without input, and return its exit code and how long it took; it ends when dver does."""
    began = time.monotonic()
    try:
        # In a group of its own, so that what it started ends with it.
        process = subprocess.Popen(
            words, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR, process_group=0
        )
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise PathError(words[0], f"cannot be started: {reason}") from exc
    try:
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    return (code if code >= 0 else SIGNAL_BASE - code), time.monotonic() - began


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and all that it started in its group, if need be by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


def _compare(repo: Repo, tree: Path, artifact: Artifact, progress: Progress) -> ComparedOutput:
    path = tree / artifact.path
    if not os.path.lexists(path) or path.is_symlink():
        return ComparedOutput(artifact.path, artifact.version, None)
    made = _manifest(repo, tree, artifact.path, progress)
    compared = ComparedOutput(artifact.path, artifact.version, format_version(made.version))
    if compared.is_same:
        return compared
    try:
        recorded = open_manifest(repo, parse_version(artifact.version, artifact.path), artifact.path)
        changes = [change.path for change in diff_manifests(recorded, made)]
    except DverError:
        # What was recorded is out of reach.
        return compared
    return replace(compared, files=len(changes), first=decode_path(changes[0]))


def _manifest(repo: Repo, tree: Path, path: str, progress: Progress) -> Manifest:
    """Return the manifest that a file or folder of the scratch tree would have as a dataset; nothing is stored."""
    root = os.fsencode(tree / path)
    sink = NodesOnly()
    builder = ManifestBuilder(sink.put_node)

    def walked() -> Iterator[WalkItem]:
        for item in walk_dataset(root, IgnoreRules.for_dataset(tree, path)):
            check_storable(path, item)
            yield item

    with progress.task(f"comparing {path}", bytes=0, files=0) as task:
        for ingested in Ingester(root, sink, repo.chunker, repo.workers, task).run(walked()):
            builder.add(ingested.entry)
    return in_memory_manifest(repo, builder.finish().version, sink.nodes, path)
