"""Drift: where a commit made now would name other data than what is here.

Data may differ from its pointer, and the pointer here from the one that is staged. Data that was left out on purpose is
no drift, nor is what a rebase has not come to yet: data follows when it ends.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from dver.errors import FormatError, LockedError
from dver.objects.pointer import SUFFIX, Pointer, decode_pointer, pointer_path
from dver.operations.ignoring import is_out_of_git
from dver.operations.run_guard import what_is_in_hand
from dver.operations.status import DatasetStatus, State, status
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo

_SETTLED = (State.UNCHANGED, State.NOT_CHECKED_OUT)


class Staging(Enum):
    """How the pointer here stands to the one that is about to be committed."""

    SAME = auto()
    DIFFERENT = auto()
    ABSENT = auto()


@dataclass(frozen=True, slots=True)
class Drift:
    """A dataset of which a commit would name other data than what is here, or git might take the data in.

    Attributes:
        exposed: whether git does not ignore the data, as after `git mv` of its pointer.
        in_hand: says which run is making the data, so that what is here now says nothing; None for none.
    """

    status: DatasetStatus
    staging: Staging
    exposed: bool = False
    in_hand: LockedError | None = None

    @property
    def of_data(self) -> bool:
        """Whether data and pointer here differ, and not only the pointer and what is staged."""
        return self.status.state not in _SETTLED

    @property
    def can_be_mended(self) -> bool:
        """Whether adding the data, staging the pointer, or a line in .gitignore is all that is missing."""
        return not self.of_data or self.status.state is State.MODIFIED


def find_drift(repo: Repo, *, progress: Progress = NO_PROGRESS) -> list[Drift]:
    """Return the datasets that drifted, in order."""
    lasting = repo.git.lasting_index_files(SUFFIX) if repo.git.is_partial_commit else {}
    statuses = status(repo, progress=progress)
    in_hand = what_is_in_hand(repo.dver_dir, (one.dataset for one in statuses))
    found = [
        Drift(one, _staging(repo, one, lasting), _is_exposed(repo, one), in_hand.get(one.dataset)) for one in statuses
    ]
    return [
        one
        for one in found
        if one.staging is not Staging.SAME or one.exposed or (one.of_data and not _waits_for_git(repo, one.status))
    ]


def _waits_for_git(repo: Repo, one: DatasetStatus) -> bool:
    return one.state is State.POINTER_CHANGED and not one.changes and repo.git.is_rebasing


def _is_exposed(repo: Repo, one: DatasetStatus) -> bool:
    if one.pointer is None or not os.path.lexists(repo.root / one.dataset):
        return False
    return not is_out_of_git(repo, one.dataset, one.pointer.kind)


def _staging(repo: Repo, one: DatasetStatus, lasting: Mapping[str, str]) -> Staging:
    """Compare a pointer with the staged one, and in a partial commit also with that which was left out of it."""
    if one.pointer is None:
        return Staging.SAME
    path = pointer_path(one.dataset)
    staged = repo.git.staged_file(path)
    blobs = [blob for blob in (staged.blob_id if staged else None, lasting.get(path)) if blob is not None]
    if not blobs:
        return Staging.ABSENT
    return Staging.SAME if any(_says(repo, blob, one.pointer) for blob in blobs) else Staging.DIFFERENT


def _says(repo: Repo, blob_id: str, pointer: Pointer) -> bool:
    try:
        return decode_pointer(repo.git.read_blob(blob_id), blob_id) == pointer
    except FormatError:
        return False
