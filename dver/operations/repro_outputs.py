"""What a repro may do to the outputs of its steps, and what is to be said of it.

A version that a run made can be made again, or restored, and one that a commit names can be checked out again. What
was changed by hand and only added would be named by nothing any more, so it is not replaced. Data that was moved with
`dver mv` stays where it is, and that it is made at its old place once more is told.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dver.errors import DataLossError, FormatError, PathError
from dver.objects.ids import format_version
from dver.objects.pointer import Pointer, decode_pointer, pointer_path
from dver.operations.datasets import is_dataset, lies_in, read_pointer_or_problem, typed
from dver.operations.lineage_source import ArtifactId, LineageSource
from dver.operations.moves import Moves
from dver.operations.repro_plan import ReproPlan
from dver.operations.repro_stale import own_outputs
from dver.operations.staleness import declared_outputs
from dver.records.record import Record, State, short_id
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Replaced:
    """An output is another version now, which no run made and a commit names."""

    path: str
    version: str


@dataclass(frozen=True, slots=True)
class MovedAway:
    """An output is not where it was made, and `now` is a dataset of the same version."""

    path: str
    now: str


def check_kept(repo: Repo, plan: ReproPlan) -> None:
    """Refuse to replace an output that was changed by hand and added, unless a commit names that version.

    Raises:
        PathError: there is one.
    """
    for step in plan.steps:
        for path, version in _changed_by_hand(repo, plan, step):
            if not _is_in_history(repo, path, version):
                run = short_id(step.id)
                reason = f"was changed by hand and added since run {run} made it, and no commit here has that version"
                raise PathError(path, reason, hint=_ways_out(repo, path))


def find_remarks(repo: Repo, plan: ReproPlan, step: Record) -> tuple[Replaced | MovedAway, ...]:
    """Return what is to be said of the outputs of a step that is about to be made anew."""
    replaced = [Replaced(path, version) for path, version in _changed_by_hand(repo, plan, step)]
    gone = [ArtifactId(one.path, one.version) for one in own_outputs(plan, step) if not is_dataset(repo, one.path)]
    return (*replaced, *_moved_away(repo, gone))


@contextmanager
def hints_for_repro(repo: Repo, step: Record) -> Iterator[None]:
    """Let an error about data in the way of a step name what gets back what the run made."""
    try:
        yield
    except DataLossError as exc:
        outputs = [artifact.path for artifact in declared_outputs(step)]
        inside = [path for path in outputs if any(lies_in(found, path) for found in exc.paths)]
        if not inside or not all(is_dataset(repo, path) for path in inside):
            raise
        names = " ".join(map(typed, inside))
        hint = f"dver checkout --force {names} puts back what the run made; dver add {names} keeps the edit"
        raise DataLossError(exc.message, exc.paths, hint=hint) from exc


def _changed_by_hand(repo: Repo, plan: ReproPlan, step: Record) -> Iterator[tuple[str, str]]:
    """Yield the outputs of a step whose pointer names a version that no run made, and that version."""
    for artifact in own_outputs(plan, step):
        pointer = read_pointer_or_problem(repo, artifact.path)
        if not isinstance(pointer, Pointer):
            continue
        version = format_version(pointer.version)
        if version != artifact.version and not _was_made(repo, artifact.path, version):
            yield artifact.path, version


def _was_made(repo: Repo, path: str, version: str) -> bool:
    made = (State.COMPLETE, State.CACHED)
    return any(record.state in made for record in repo.lineage.producers(path, version))


def _is_in_history(repo: Repo, path: str, version: str) -> bool:
    head = repo.git.head_commit()
    if head is None:
        return False
    blobs = (item.blob for item in repo.git.history(pointer_path(path), start=head))
    return any(blob is not None and _names(blob, version) for blob in blobs)


def _names(blob: bytes, version: str) -> bool:
    try:
        return format_version(decode_pointer(blob, "").version) == version
    except FormatError:
        return False


def _ways_out(repo: Repo, path: str) -> str:
    name = typed(path)
    head = repo.git.head_commit()
    is_committed = head is not None and repo.git.has_path(head, pointer_path(path))
    back = f", or dver checkout HEAD -- {name}" if is_committed else ""
    return f"commit it first{back}; dver add --note TEXT {name} lets it count as data of your own"


def _moved_away(repo: Repo, gone: Sequence[ArtifactId]) -> Iterator[MovedAway]:
    moves = Moves(repo, LineageSource(repo.lineage))
    for name in gone:
        yield from (MovedAway(name.path, other.path) for other in moves.destinations(name) if _is_still(repo, other))


def _is_still(repo: Repo, name: ArtifactId) -> bool:
    pointer = read_pointer_or_problem(repo, name.path)
    return isinstance(pointer, Pointer) and format_version(pointer.version) == name.version
