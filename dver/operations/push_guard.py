"""What keeps a push from counting on what another process is about to delete from the remote.

Before it counts on anything there, a push leaves word of the versions that this repository names, then looks which
sweeps have begun. Whoever sweeps says so first, and then reads what repositories said: so either the sweep knows the
versions of this push, or the push knows of the sweep, and takes what that may delete for absent. The next look, when
all is sent and before anybody can see the nodes, finds the sweeps that began in between: what they may have taken is
sent anew. A sweep that begins later finds the nodes in the packs that are there, and keeps what they need. Only a pack
that this push wrote under the name of one that was condemned can still go, so there is a last look before versions are
marked.

Where lists of garbage wait for their time, a push also says that it counts on what is in them, so that a sweep which
begins meanwhile leaves these alone. That holds for a day, and is said again every few hours.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from dver.errors import BackendError, DverError, LockedError
from dver.objects.chunker import ChunkerParams
from dver.objects.ids import VersionId
from dver.operations.registering import NOT_PERMITTED, is_registered, register_and_look, registrant
from dver.progress import NO_PROGRESS
from dver.repo import Repo
from dver.storage.condemned import (
    RESCUE_SECONDS,
    Condemned,
    GcFolder,
    Phase,
    gc_key,
    new_name,
    packs_of,
    read_folder,
    read_sweep,
    versions_of,
    write_rescue,
)
from dver.storage.lease import boot_clock
from dver.storage.store import Store

_RENEW_SECONDS = RESCUE_SECONDS / 6
# As long as this it surely counts.
_SAFE_SECONDS = RESCUE_SECONDS / 2
_PATIENCE = 60.0
_POLL_SECONDS = 1.0


class PushGuard:
    """Guards one push to one remote, the `store`. Use as a context manager.

    `register` comes before versions are counted on that are there, `enter` before objects are, `keep` while others are
    sent, and `may_go_on` before anybody can see the nodes and before versions are marked.
    """

    def __init__(
        self,
        repo: Repo,
        store: Store,
        versions: Sequence[VersionId],
        *,
        note: Callable[[str], None] = NO_PROGRESS.note,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Guard a push of some versions."""
        self._repo = repo
        self.store = store
        self.versions = versions
        self._note = note
        self._sleep = sleep
        self._is_registered = False
        self._refusal: BackendError | None = None
        self._folder: GcFolder | None = None
        self._sweeps: dict[str, dict[str, Condemned]] = {}
        # The sweeps of which all is known to be absent that they may take.
        self._accounted: set[str] = set()
        self._rescue: str | None = None
        self._rescued: frozenset[str] = frozenset()
        self._rescued_at = 0.0

    def __enter__(self) -> "PushGuard":
        return self

    def __exit__(self, *_about: object) -> None:
        if self._rescue is not None:
            with suppress(DverError):
                self.store.backend.delete(gc_key(self._rescue, "rescue"))

    def register(self, params: ChunkerParams) -> bool:
        """Leave word of what this repository names, and return whether that was news to the remote.

        Raises:
            ConfigError: the remote holds chunks of other sizes than `params`.
        """
        if self._is_registered:
            return False
        self._is_registered = True
        if is_registered(self._repo, self.store, self.versions):
            return False
        try:
            # Before anything is written there: it may be somebody else's, or encrypted.
            self.store.prepare(params)
            return register_and_look(self._repo, self.store, self.versions, self._look) is not None
        except BackendError as exc:
            # Who may only read there can see that all is there, and promise nothing for later.
            if exc.problem not in NOT_PERMITTED:
                raise
            self._refusal = exc
        self._look()
        return True

    def leaving(self) -> set[VersionId]:
        """Return the versions that sweeps which have not ended may delete: their markers say nothing any more."""
        return versions_of(self._running())

    def enter(self, params: ChunkerParams) -> None:
        """Look what is going on, before anything is sent.

        Raises:
            BackendError: no word can be left there, so what is sent would be garbage to whoever cleans the remote.
            ConfigError: the remote holds chunks of other sizes than `params`.
        """
        self.register(params)
        if self._refusal is not None:
            raise self._refusal
        folder = self._folder or self._look()
        waiting = frozenset(folder.lists) - self._swept_lists()
        if waiting:
            self._rescue = new_name(time.time())
            self._write_rescue(self._rescue, waiting)
            # A sweep that began before this was there may not have seen it.
            self._look()
            self._rescued = waiting - self._swept_lists()
        self._accounted = set(self._sweeps)
        if self._sweeps:
            # What is known of the index may be older than what they did.
            self.store.index.expire()
        self.store.index.give_up(packs_of(self._running()))

    def keep(self) -> None:
        """Say again, if it is time, which lists this push counts on; to be called now and then."""
        elapsed = boot_clock() - self._rescued_at
        # Too late, it may not have counted for a while.
        if self._rescue is not None and self._rescued and _RENEW_SECONDS <= elapsed < _SAFE_SECONDS:
            self._write_rescue(self._rescue, self._rescued)

    def _write_rescue(self, name: str, lists: Collection[str]) -> None:
        # Before the request: from when it is answered on, some of the time is over.
        began = boot_clock()
        write_rescue(self.store.backend, name, lists, registrant(self._repo).host)
        self._rescued_at = began

    def _swept_lists(self) -> set[str]:
        return {name for lists in self._running() for name in lists}

    def may_go_on(self, versions: Collection[VersionId]) -> bool:
        """Whether all that was counted on is surely there; else what may be gone counts as absent from now on.

        Raises:
            LockedError: another process is just deleting the markers of some of `versions`.
        """
        self._wait_for_markers(versions)
        self._look()
        new = [one for name in self._sweeps.keys() - self._accounted for one in self._condemned(name)]
        self._accounted |= self._sweeps.keys()
        if not new:
            return True
        self._note(f"{self.store.name} was cleaned meanwhile: sending anew what may be gone")
        self.store.index.give_up({pack for one in new for pack in one.packs})
        return False

    def _wait_for_markers(self, versions: Collection[VersionId]) -> None:
        waited = 0.0
        while self._are_leaving(versions):
            if waited >= _PATIENCE:
                raise LockedError(
                    f"{self.store.name} is being cleaned, and versions of this push are just being deleted",
                    hint="run dver push again when that has ended; if it was killed,"
                    f" dver gc --remote {self.store.remote} ends it",
                )
            if not waited:
                self._note(f"{self.store.name} is being cleaned by another dver: waiting")
            self._sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            self._look()

    def _are_leaving(self, versions: Collection[VersionId]) -> bool:
        phases = {} if self._folder is None else self._folder.sweeps
        begun = [name for name, phase in phases.items() if phase is Phase.BEGUN]
        return any(not one.versions.isdisjoint(versions) for name in begun for one in self._condemned(name))

    def _look(self) -> GcFolder:
        is_first = self._folder is None
        folder = self._folder = read_folder(self.store.backend)
        for name, phase in folder.sweeps.items():
            if name not in self._sweeps:
                # One that had ended before this push began is no matter to it.
                is_past = is_first and phase is Phase.SWEPT
                self._sweeps[name] = {} if is_past else read_sweep(self.store.backend, name)
        return folder

    def _running(self) -> list[dict[str, Condemned]]:
        return [] if self._folder is None else [self._sweeps[name] for name in self._folder.running]

    def _condemned(self, name: str) -> list[Condemned]:
        """Return what a sweep may take in spite of this push's rescue."""
        # As long as that surely counts, whoever began a sweep after it was written heeds it.
        heeded = self._rescued if boot_clock() - self._rescued_at < _SAFE_SECONDS else frozenset()
        return [one for listed, one in self._sweeps[name].items() if listed not in heeded]
