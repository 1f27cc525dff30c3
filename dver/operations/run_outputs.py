"""The publisher: what comes out of a run.

Outputs are looked at before anything runs, and become datasets only after the command has made all of them.
"""

import os
import stat
from collections.abc import Sequence

from dver.errors import (
    DataLossError,
    FormatError,
    ObjectNotFoundError,
    PathError,
    UnsupportedFormatError,
    UsageError,
    os_hint,
)
from dver.objects.ids import parse_version
from dver.objects.manifest import single_file_entry
from dver.objects.pointer import SUFFIX, DatasetKind, Pointer, has_conflict_markers, may_be_dataset, pointer_path
from dver.operations.add import Added, add
from dver.operations.addable import check_new_dataset, check_own_repository, check_parents
from dver.operations.checkout import CheckoutPlan, Planning, carry_out, plan_targets
from dver.operations.datasets import Target, enclosing_dataset, overlap, typed, working_datasets
from dver.operations.reading import missing_version, open_manifest
from dver.operations.run_guard import check_not_made
from dver.operations.status import State, status
from dver.progress import Progress
from dver.records.record import Artifact, Record
from dver.repo import Repo
from dver.workspace.pointers import read_pointer

_BAD_STATES = (State.MODIFIED, State.NOT_CHECKED_OUT, State.INTERRUPTED)


def check_outputs(repo: Repo, outputs: Sequence[str], inputs: Sequence[str]) -> None:
    """Raise PathError if one of the paths cannot become a dataset, or UsageError if two of a run's paths collide.

    `inputs` are the paths of datasets, parts of them, and files.
    """
    for at, path in enumerate(outputs):
        for other in outputs[at + 1 :]:
            if overlap(path, other):
                raise UsageError(
                    f"the outputs {path} and {other} lie within each other", hint="name only the outer one"
                )
        for taken in inputs:
            if overlap(path, taken):
                raise UsageError(
                    f"the output {path} and the input {taken} lie within each other",
                    hint="let the command write to a path of its own",
                )
    for path in outputs:
        _check_output(repo, path)


def missing_outputs(repo: Repo, outputs: Sequence[str]) -> list[str]:
    """Return those outputs that are not there."""
    return [path for path in outputs if not os.path.lexists(repo.root / path)]


def publish_outputs(repo: Repo, outputs: Sequence[str], progress: Progress) -> tuple[Added, ...]:
    """Make versions of the outputs, as they are and as a whole, and write their pointers."""
    if not outputs:
        return ()
    for path in outputs:
        base = repo.stat_cache.base(path)
        # What was only partly here before the run is what the run made of it, without the rest of the old version.
        if base is not None and base.parts is not None:
            repo.stat_cache.forget(path)
    # The command, and not the data that was here before, says what the output is now.
    return add(repo, outputs, stage=repo.settings.add_stage, force=True, progress=progress).added


def restore_outputs(repo: Repo, record: Record, progress: Progress) -> CheckoutPlan:
    """Make the outputs, pointers and data, what a record says; none of them is touched unless all can be.

    Raises:
        DataLossError: data would be lost that is stored nowhere.
        VersionNotFoundError: a version is neither in the cache nor on the default remote.
        LockedError: a run makes something in or around one of them.
    """
    with repo.lock(), repo.storing():
        check_not_made(repo.dver_dir, [artifact.path for artifact in record.outputs if not artifact.observed])
        plan = _plan_restoring(repo, record, progress)
        carry_out(repo, plan, progress=progress)
    return plan


def check_restorable(repo: Repo, record: Record, progress: Progress) -> None:
    """Raise what `restore_outputs` would, as far as that can be told without reading data, and change nothing."""
    with repo.lock():
        _plan_restoring(repo, record, progress)


def _plan_restoring(repo: Repo, record: Record, progress: Progress) -> CheckoutPlan:
    pointers = {artifact.path: _pointer_of(repo, artifact) for artifact in record.outputs if not artifact.observed}
    targets = [Target(path) for path in pointers]
    plan = CheckoutPlan(plan_targets(repo, targets, pointers, Planning(whole=True), progress), pointers)
    if plan.conflicts:
        raise DataLossError(
            "the run was made before, but restoring its outputs would overwrite or delete data that is stored"
            " nowhere; nothing was changed",
            plan.conflicts,
            hint=f"dver add {' '.join(map(typed, pointers))} keeps what is there; else move it away, or delete it",
        )
    return plan


def changed_outputs(repo: Repo, outputs: Sequence[str], progress: Progress) -> list[str]:
    """Return those outputs whose working files are not what their pointer says, as a failed run may leave them."""
    known = [path for path in working_datasets(repo) if path in outputs]
    found = status(repo, known, progress=progress) if known else []
    return [one.dataset for one in found if one.state in _BAD_STATES]


def _check_output(repo: Repo, path: str) -> None:
    if not path:
        raise PathError(".", "the whole repository cannot be an output", hint="name a file or folder in it")
    outer = enclosing_dataset(repo, path)
    if outer is not None:
        raise PathError(
            path,
            f"lies within the dataset {outer}",
            hint=f"give it a path of its own, or name the whole: -o {typed(outer)}",
        )
    if not may_be_dataset(path):
        raise PathError(
            path, "belongs to git or dver itself and cannot be an output", hint="let the command write elsewhere"
        )
    if path.endswith(SUFFIX):
        raise PathError(
            path,
            "is the name of a pointer, which dver writes beside the data",
            hint=f"-o {typed(path.removesuffix(SUFFIX))}, or another name",
        )
    check_own_repository(repo.root, path)
    check_new_dataset(repo, path)
    check_parents(repo.root, path)
    _check_pointer(repo, path)
    _check_type(repo, path)
    inner = working_datasets(repo, path) if (repo.root / path).is_dir() else []
    if inner:
        raise PathError(path, f"holds the dataset {inner[0]}", hint=f"name that: -o {typed(inner[0])}")
    tracked = repo.git.tracked_under(path)
    if tracked:
        what = "is" if tracked == [path] else f"holds {tracked[0]}, which is"
        raise PathError(
            path,
            f"{what} tracked by git, and dver keeps what a run makes",
            hint=f"git rm -r --cached {typed(path)} takes it out of git and keeps the data",
        )


def _check_pointer(repo: Repo, path: str) -> None:
    """Refuse a pointer that adding the output would overwrite, unless all that is wrong with it is a merge."""
    try:
        read_pointer(repo.root, path)
    except UnsupportedFormatError:
        raise
    except FormatError as exc:
        if not has_conflict_markers((repo.root / pointer_path(path)).read_bytes()):
            raise PathError(pointer_path(path), f"is there already, and is {exc.reason}", hint="move it away") from exc


def _check_type(repo: Repo, path: str) -> None:
    try:
        mode = os.lstat(repo.root / path).st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise PathError(path, f"cannot be looked at: {exc.strerror}", hint=os_hint(exc)) from exc
    if stat.S_ISLNK(mode):
        raise PathError(path, "is a symbolic link", hint="name the file or folder that the command writes")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise PathError(path, "is a socket, device or named pipe", hint="an output is a file or a folder")


def _pointer_of(repo: Repo, artifact: Artifact) -> Pointer:
    """Return the pointer of a version that a record names."""
    version = parse_version(artifact.version, artifact.path)
    manifest = open_manifest(repo, version, artifact.path)
    try:
        files, size = manifest.totals()
        kind = DatasetKind.DIRECTORY if single_file_entry(manifest) is None else DatasetKind.FILE
    except ObjectNotFoundError as exc:
        raise missing_version(repo, version, artifact.path) from exc
    return Pointer(kind, version, size, files)
