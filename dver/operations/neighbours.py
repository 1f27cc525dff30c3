"""The other repositories that use the same cache, asked one after the other.

What they name lives in that cache too, so a garbage collection must know it, and a check of the cache says whom damage
touches. One that cannot be asked is told of with the reason, and never passed over in silence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dver.errors import DverError
from dver.repo import Repo
from dver.storage.clones import KnownClone


@dataclass(frozen=True, slots=True)
class Absent:
    """A repository that uses the cache, or pushes to it, and of which nobody knows what it needs.

    Attributes:
        path: its place, or the key of what it said in the cache.
        name: what it is called, of one that pushes to the cache.
        is_remote: whether it is one that pushes to the cache.
    """

    path: str
    host: str
    reason: str
    name: str = ""
    is_remote: bool = False


def ask_neighbours(repo: Repo, clones: Sequence[KnownClone], ask: Callable[[Repo], None]) -> list[Absent]:
    """Open each repository that uses the cache, but for this one, and return those that cannot be asked.

    Args:
        ask: asks one; a `DverError` from it says that this cannot be done.
    """
    absent = []
    for clone in clones:
        if clone.place is None:
            absent.append(Absent(clone.key, clone.host, "cannot be read, or was written by a newer dver"))
        elif not clone.is_there:
            absent.append(Absent(str(clone.place.root), clone.host, _why_gone(clone, clones)))
        elif clone.place.git_dir != repo.git.common_dir:
            try:
                with repo.beside(clone.place.root) as other:
                    ask(other)
            except DverError as exc:
                absent.append(Absent(str(clone.place.root), clone.host, exc.message))
    return list(dict.fromkeys(absent))


def shown_path(clone: KnownClone) -> str:
    """Return what a repository is called: its folder or, where that cannot be known, the key of its file."""
    return clone.key if clone.place is None else str(clone.place.root)


def _why_gone(gone: KnownClone, clones: Sequence[KnownClone]) -> str:
    there = [one for one in clones if one.place is not None and one.is_there]
    if any(shown_path(one) == shown_path(gone) for one in there):
        return "is not there any more, but another one in its place"
    alike = next((one for one in there if one.identity == gone.identity), None)
    if alike is not None:
        return f"is not there any more; it was moved to {shown_path(alike)}, or that is a copy of it"
    return "is not there any more"
