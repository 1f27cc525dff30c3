"""Pointers that cannot be read, as findings: the dataset, the commits that have them, and a command that mends one.

The command takes the newest whole pointer that leads to the damaged one; it changes nothing but that file.
"""

from dver.errors import FormatError, first_of
from dver.git import CommitId
from dver.git.reach import Tip, TipKind
from dver.objects.pointer import SUFFIX, dataset_path, decode_pointer
from dver.operations.datasets import typed
from dver.operations.fsck_names import BadPointer
from dver.operations.fsck_results import POINTER, SHOWN_DIGITS, Damage, Effect
from dver.repo import Repo
from dver.storage.audit_findings import Problem

_MOST_PLACES = 5
_BRANCH, _REMOTE, _TAG = "branch ", "remote branch ", "tag "


def pointer_damage(repo: Repo, bad: BadPointer) -> Damage:
    """Return what is wrong with a pointer, where, and what puts it right."""
    commits = [commit for _, commit in bad.places if commit is not None]
    places = [place if commit is None else f"{place} at {commit[:SHOWN_DIGITS]}" for place, commit in bad.places]
    effect = Effect(dataset_path(bad.path), None, commits=tuple(dict.fromkeys(commits)), commit_count=len(set(commits)))
    where = first_of(places, _MOST_PLACES)
    remedy = bad.hint or _remedy(repo, bad)
    return Damage(POINTER, Problem.DAMAGED.value, bad.path, where, bad.reason, 0, (effect,), remedy)


def _remedy(repo: Repo, bad: BadPointer) -> str:
    place, commit = next((one for one in bad.places if one[1] is not None), bad.places[0])
    start = commit or repo.git.head_commit()
    path = typed(bad.path)
    whole = None if start is None else _whole_before(repo, start, bad.path)
    mend = f"rm {path}, then dver add {typed(dataset_path(bad.path))}"
    if whole is not None:
        mend = f"git checkout {whole[:SHOWN_DIGITS]} -- {path}"
    return f"{_switch_to(repo, bad, place, commit)}{mend}{'' if commit is None else ', then git commit'}"


def _switch_to(repo: Repo, bad: BadPointer, place: str, commit: CommitId | None) -> str:
    """Return what comes first where the damaged pointer is not in what is checked out."""
    if commit is None or any(one is None for _, one in bad.places) or commit == repo.git.head_commit():
        return ""
    if place.startswith(_BRANCH):
        return f"git switch {typed(place.removeprefix(_BRANCH))}, then "
    if place.startswith(_REMOTE):
        name = place.removeprefix(_REMOTE).partition("/")[2]
        return f"git switch {typed(name)}, then "
    if place.startswith(_TAG):
        tag = typed(place.removeprefix(_TAG))
        return f"git tag -d {tag}, if nobody needs what it names; or git checkout {tag}, then "
    return ""


def _whole_before(repo: Repo, start: CommitId, path: str) -> CommitId | None:
    """Return the newest commit that leads to one and has a pointer there that can be read."""
    reach = repo.git.reach()
    for file in reach.files([Tip(TipKind.HEAD, "", start)], SUFFIX):
        if file.path == path:
            try:
                decode_pointer(reach.read(file.blob), path)
            except FormatError:
                continue
            return file.commit
    return None
