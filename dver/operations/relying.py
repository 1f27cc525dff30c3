"""Relying on a remote: before what is there makes a copy here dispensable, the remote is told that it is needed.

A version that this repository names may be garbage to all who ever pushed there, and on its way out. So word is left as
by a push, and what sweeps that are at work may delete all the same counts as absent.
"""

from collections.abc import Collection

from dver.objects.ids import VersionId
from dver.operations.registering import is_registered, register_and_look
from dver.repo import Repo
from dver.storage.condemned import GcFolder, read_folder, read_sweep, versions_of
from dver.storage.store import Store


def leave_word(repo: Repo, store: Store, versions: Collection[VersionId], *, dry_run: bool = False) -> set[VersionId]:
    """Tell a remote of all that a repository names, and of some versions besides, unless it knows.

    To be called before the remote is asked what it has. A dry run tells it nothing.

    Returns:
        the versions that may go in spite of it.

    Raises:
        BackendError: the remote cannot be told, so nothing there can be relied on.
    """
    if is_registered(repo, store, versions):
        return set()

    def look() -> GcFolder:
        return read_folder(store.backend)

    folder = look() if dry_run else register_and_look(repo, store, versions, look)
    running = () if folder is None else folder.running
    return versions_of(read_sweep(store.backend, name) for name in running)
