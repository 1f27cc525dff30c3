"""Datasets that git left in the middle of a merge: what conflicts in them, or why that cannot be said.

Status loads this only where a pointer cannot be read, or git has pointers unmerged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dver.errors import DverError
from dver.objects.merge import PathConflict
from dver.objects.pointer import Pointer
from dver.operations.merge import deleted_on_one_side, find_conflicts, read_conflict, torn_datasets
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Torn:
    """What is known of a dataset in the middle of a merge.

    Attributes:
        conflicts: the paths that the sides changed differently; None where that is not known.
        problem: why the sides cannot be compared, if they cannot.
        is_broken: whether the sides cannot even be told apart.
    """

    conflicts: tuple[PathConflict, ...] | None = ()
    problem: DverError | None = None
    is_broken: bool = False


def find_torn(repo: Repo, pointers: Mapping[str, Pointer | DverError]) -> dict[str, Torn]:
    """Return those of the datasets that are in conflict; `pointers` are theirs, or why these cannot be read."""
    deleted, torn = deleted_on_one_side(repo), torn_datasets(repo, pointers)
    found = {dataset: Torn(problem=deleted[dataset]) for dataset in pointers.keys() & deleted.keys()}
    return {**found, **{dataset: _look_at(repo, dataset) for dataset in torn - found.keys()}}


def _look_at(repo: Repo, dataset: str) -> Torn:
    try:
        conflict = read_conflict(repo, dataset)
        # It has marks, or git holds its sides.
        assert conflict is not None
        sides = conflict.sides
    except DverError as exc:
        return Torn(problem=exc, is_broken=True)
    try:
        return Torn(find_conflicts(repo, dataset, sides, conflict.rulings))
    except DverError as exc:
        # Without it the conflict can still be decided; whatever is wrong must not keep the status of others back.
        return Torn(None, exc)
