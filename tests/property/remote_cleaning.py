"""Cleaning the remote of some clones, and a model of what must stay there: what a repository surely said it names."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from dver.errors import UsageError
from dver.operations.gc_remote import RemoteGcOptions, RemoteGcResult, gc_remote
from dver.operations.registering import registrant
from dver.storage.condemned import RESCUE_SECONDS
from dver.storage.registrations import registrations
from tests.clones import Clone
from tests.encryption import stored_path

AT_ONCE = RemoteGcOptions(grace_days=0)


@dataclass(slots=True)
class Said:
    """The commits of which repositories surely left word that they name them, by the ids of these."""

    by: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def commits(self) -> frozenset[str]:
        """All that somebody named."""
        return frozenset[str]().union(*self.by.values())

    def note(self, clone: Clone) -> None:
        """A repository has left word of all that it names now."""
        self.by[id_of(clone)] = named(clone)

    def doubt(self, clone: Clone) -> None:
        """A repository was killed: it has left word of what it names now, or what it said before counts."""
        self.by[id_of(clone)] = self.by.get(id_of(clone), frozenset()) & named(clone)

    def forget_but(self, clones: Collection[Clone]) -> None:
        """Nothing counts any more but what these said."""
        known = {id_of(clone) for clone in clones}
        self.by = {one: commits for one, commits in self.by.items() if one in known}


def id_of(clone: Clone) -> str:
    """Return what a repository is called on remotes."""
    with clone.open() as repo:
        return registrant(repo).id


def named(clone: Clone, *, by_refs: bool = False) -> frozenset[str]:
    """Return the commits that anything in a repository leads to; with `by_refs`, those that a push is about."""
    return frozenset(clone.git("rev-list", "--all", *([] if by_refs else ["--reflog"])).split())


def clean_remote(clone: Clone) -> RemoteGcResult:
    """Sweep what was found before, and find what is garbage now."""
    with clone.open() as repo:
        result = gc_remote(repo, None, AT_ONCE)
    assert not result.in_the_way
    return result


def forget_others(clone: Clone, living: Collection[Clone]) -> None:
    """Clean with a word of those that count; what others said does not any more."""
    known = {id_of(one) for one in living}
    with clone.open() as repo:
        others = {one.by.id for one in registrations(repo.remote().backend)} - known
        gc_remote(repo, None, RemoteGcOptions(0, forget=tuple(sorted(others))))


def undelete(clone: Clone) -> None:
    """Take back what was found, unless a sweep that was killed has begun with it."""
    with clone.open() as repo, suppress(UsageError):
        gc_remote(repo, None, RemoteGcOptions(undelete=True))


def let_time_pass(clone: Clone) -> None:
    """Let leases and rescues of those that were killed run out, in a remote that is a folder."""
    with clone.open() as repo:
        backend = repo.remote().backend
        left = [info.key for info in backend.list("gc/") if info.key.endswith((".lease.json", ".rescue.json"))]
        paths = [stored_path(backend, key) for key in left if backend.is_local]
    for path in paths:
        os.utime(path, (0, path.stat().st_mtime - RESCUE_SECONDS - 1))
