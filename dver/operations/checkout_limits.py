"""What no checkout may ask of a file system: more room than it has, links if it has none, two names that it merges.

All that is looked at before anything is touched. A file system that can hold what a plan says is asked nothing else.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from dver.errors import BackendError, BackendProblem, PathError
from dver.fileio import temporary_name
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.datasets import decode_path, encode_path, typed
from dver.repo import Repo
from dver.workspace.clashes import NameProbe, find_clash
from dver.workspace.reflink import content_of

_MV = "dver mv, where both can be, gives one of them another name"
# What file systems answer that have no symbolic links: vfat and exFAT of Linux, those of FUSE, others.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def check_limits(repo: Repo, plans: Sequence[DatasetPlan], scratch: Path) -> None:
    """Check that the work tree can hold what plans write; `scratch` is a folder to try things in.

    Raises:
        BackendError: the whole disk is too small; a manifest of a few nodes can claim exabytes.
        PathError: two paths are one on this file system, and both are named; or it has no symbolic links.
    """
    _check_room(repo.root, plans)
    _check_links(plans, scratch)
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


def _check_links(plans: Sequence[DatasetPlan], scratch: Path) -> None:
    plan = next((plan for plan in plans if plan.writes.links), None)
    if plan is None or _has_links(scratch):
        return
    path = decode_path(plan.writes.first_link)
    others = f", one of {plan.writes.links:,}" if plan.writes.links > 1 else ""
    raise PathError(
        f"{plan.dataset}/{path}",
        f"is a symbolic link{others}, and this file system has none; nothing was changed",
        hint=f"dver checkout --exclude {typed('/' + path)} {typed(plan.dataset)} leaves it out;"
        f" dver ls -R {typed(plan.dataset)} lists all links",
    )


def _has_links(scratch: Path) -> bool:
    trial = scratch / temporary_name()
    try:
        trial.symlink_to("trial")
    except OSError as exc:
        # What else is wrong will show when it is written.
        return exc.errno not in _NO_LINKS
    trial.unlink()
    return True


def _check_names(root: Path, plans: Sequence[DatasetPlan], scratch: Path) -> None:
    merges = cache(lambda folder: NameProbe(folder, scratch).merges_names())
    if len(plans) > 1 and merges(root):
        names = [encode_path(plan.dataset) for plan in plans]
        _refuse_clash(None, find_clash(names, NameProbe(root, scratch).are_one))
    for plan in plans:
        folder = root / plan.dataset
        place = next(one for one in (folder, *folder.parents) if one.is_dir() or one == root)
        if merges(place):
            _refuse_clash(plan.dataset, find_clash(_paths_afterwards(plan), NameProbe(place, scratch).are_one))


def _paths_afterwards(plan: DatasetPlan) -> Iterator[bytes]:
    for entry in plan.manifest.entries():
        if entry.path and (plan.choice is None or plan.choice.covers(entry.path)):
            yield entry.path


def _refuse_clash(dataset: str | None, clash: tuple[bytes, bytes] | None) -> None:
    """Raise PathError for two paths of a dataset, or for two datasets."""
    if clash is None:
        return
    names = [decode_path(path) for path in clash]
    if dataset is None:
        hint = f"dver checkout {typed(names[1])} brings one of them; {_MV}"
    else:
        hint = f"dver checkout --exclude {typed('/' + names[0])} {typed(dataset)} leaves one out; {_MV}"
        names = [f"{dataset}/{name}" for name in names]
    reason = f"this file system takes it and {names[1]} for one name; nothing was changed"
    raise PathError(names[0], reason, hint=hint)
