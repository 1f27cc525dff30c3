"""Adding a path within a dataset: when that can be done, and what it is relative to.

Only what changed at that path goes into the new version. All else stays as it is there, be it changed here, absent by
choice, or never brought.
"""

from collections.abc import Sequence

from dver.errors import PathError
from dver.objects.pointer import DatasetKind
from dver.operations.datasets import decode_path, typed
from dver.operations.rewrite import pointer_of
from dver.repo import Repo
from dver.workspace.choice import Choice
from dver.workspace.statcache import Base


def check_parts(repo: Repo, dataset: str, parts: Sequence[bytes], *, torn: bool) -> None:
    """Raise PathError with the command that helps if paths of a dataset cannot be added by themselves."""
    shown = typed(dataset)
    if torn:
        raise PathError(
            f"{dataset}/{decode_path(parts[0])}",
            "lies in a dataset with a merge conflict",
            hint=f"dver checkout {shown} brings what does not conflict, then dver add {shown} settles it",
        )
    pointer = pointer_of(repo, dataset)
    if pointer.kind is DatasetKind.FILE:
        raise PathError(dataset, "is a single file and has no parts", hint=f"dver add {shown}")
    if repo.stat_cache.is_unfinished(dataset):
        hint = f"dver checkout {shown} goes on with it"
        raise PathError(dataset, "its last checkout was interrupted", hint=hint)
    base = repo.stat_cache.base(dataset)
    if base is not None and base.version != pointer.version:
        raise PathError(
            dataset,
            "its pointer was changed since the data was checked out, so a part of the data has no version to go into",
            hint=f"dver checkout {shown} brings the data up to date",
        )


def part_base(repo: Repo, dataset: str, parts: Sequence[bytes]) -> Base:
    """Return what parts of a dataset are relative to; where nothing of it was ever here, only they are wanted here."""
    base = repo.stat_cache.base(dataset)
    return base or Base(pointer_of(repo, dataset).version, Choice.of_paths(parts))
