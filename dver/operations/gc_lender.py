"""The remote from which a garbage collection of the cache lets go of what can be had there again.

It is told first what is needed of it, by this repository and by all others that use the cache. A remote that is the
cache itself lends nothing.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from dver.errors import BackendError
from dver.objects.ids import VersionId
from dver.operations.as_remote import check_apart, counting_on
from dver.operations.proof import proven_versions
from dver.operations.registering import NOT_PERMITTED
from dver.operations.relying import leave_word
from dver.progress import Progress, Task
from dver.repo import Repo
from dver.storage.store import Store

# Two that clean each other's remotes would wait for one another.
_PATIENCE = 60.0


class Lender:
    """The remote from which what goes here can be had again."""

    def __init__(
        self, repo: Repo, others: Sequence[Path], remote: str | None, progress: Progress, *, dry_run: bool
    ) -> None:
        self._repo = repo
        self._others = others
        self._remote = remote
        self._progress = progress
        self._dry_run = dry_run

    def proven(self, versions: Collection[VersionId], task: Task) -> set[VersionId]:
        """Return those of some versions that it surely has, and keeps for all who use this cache.

        Raises:
            ConfigError: it is the cache itself.
            LockedError: it is a folder that somebody on this machine is cleaning.
        """
        repo = self._repo
        if self._remote is None and not repo.has_remote:
            return set()
        store = repo.remote(self._remote)
        if store.read_params() is None:
            return set()
        check_apart(repo, self._remote)
        with counting_on(store, self._progress.note, _PATIENCE):
            return self._proven(store, versions, task)

    def _proven(self, store: Store, versions: Collection[VersionId], task: Task) -> set[VersionId]:
        repo = self._repo
        try:
            leaving = leave_word(repo, store, versions, dry_run=self._dry_run)
            for root in self._others:
                with repo.beside(root) as other:
                    leaving |= leave_word(other, store, (), dry_run=self._dry_run)
        except BackendError as exc:
            if exc.problem not in NOT_PERMITTED:
                raise
            hint = f"; {exc.hint}" if exc.hint else ""
            self._progress.note(f"{store.name} cannot be told what is needed of it: {exc.message}{hint}")
            return set()
        return proven_versions(store, repo.cache, [one for one in versions if one not in leaving], task)
