"""What no checkout may ask of a file system: more than it has room for, or two names that it takes for one.

Both are looked at before anything is touched. A file system that can hold what a plan says is asked nothing else.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from dver.errors import BackendError, BackendProblem, PathError
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.datasets import decode_path, encode_path
from dver.repo import Repo
from dver.workspace.clashes import NameProbe, find_clash
from dver.workspace.reflink import content_of

_HINT = "dver mv gives one of them another name, where both can be: on a file system that tells them apart"


def check_limits(repo: Repo, plans: Sequence[DatasetPlan], scratch: Path) -> None:
    """Check that the work tree can hold what plans write; `scratch` is a folder to try things in.

    Raises:
        BackendError: the whole disk is too small; a manifest of a few nodes can claim exabytes.
        PathError: two paths are one on this file system; both are named.
    """
    _check_room(repo.root, plans)
    _check_names(repo.root, [plan for plan in plans if plan.writes], scratch)


def _check_room(root: Path, plans: Sequence[DatasetPlan]) -> None:
    disk = os.statvfs(root)
    capacity = disk.f_blocks * disk.f_frsize
    if not capacity or sum(plan.write_bytes for plan in plans) <= capacity:
        return
    # Files of the same content may share their blocks.
    wanted = sum({content_of(entry): entry.size for plan in plans for entry in plan.writes.file_entries()}.values())
    if wanted > capacity:
        raise BackendError(
            str(root),
            BackendProblem.NO_SPACE,
            f"the checkout has {wanted:,} bytes, and the whole disk {capacity:,}; nothing was changed",
            hint="dver ls -R lists the files; dver checkout PATH brings some of them",
        )


def _check_names(root: Path, plans: Sequence[DatasetPlan], scratch: Path) -> None:
    merges = cache(lambda folder: NameProbe(folder, scratch).merges_names())
    if len(plans) > 1 and merges(root):
        names = [encode_path(plan.dataset) for plan in plans]
        _refuse_clash("", find_clash(names, NameProbe(root, scratch).are_one))
    for plan in plans:
        folder = root / plan.dataset
        place = next(one for one in (folder, *folder.parents) if one.is_dir() or one == root)
        if merges(place):
            _refuse_clash(f"{plan.dataset}/", find_clash(_paths_afterwards(plan), NameProbe(place, scratch).are_one))


def _paths_afterwards(plan: DatasetPlan) -> Iterator[bytes]:
    for entry in plan.manifest.entries():
        if entry.path and (plan.choice is None or plan.choice.covers(entry.path)):
            yield entry.path


def _refuse_clash(above: str, clash: tuple[bytes, bytes] | None) -> None:
    if clash is not None:
        first, second = (f"{above}{decode_path(path)}" for path in clash)
        raise PathError(first, f"and {second} are one name on this file system; nothing was changed", hint=_HINT)
