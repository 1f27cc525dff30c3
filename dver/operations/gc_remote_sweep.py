"""What others are told of a sweep of a remote: that it begins, what it may take, how far it is, and what it did.

Whoever pushes meanwhile reads it, and counts on nothing that the sweep may take. The other way round, pushes that count
on what is in a list say so in a rescue, and the sweep leaves that list alone.
"""

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import VersionId
from dver.operations.gc_remote_plan import SweepPlan
from dver.storage.condemned import (
    RESCUE_SECONDS,
    Condemned,
    Phase,
    gc_key,
    note_phase,
    read_folder,
    read_rescue,
    write_sweep,
)
from dver.storage.lease import Lease
from dver.storage.store import Store
from dver.storage.sweep import Swept


class AnnouncedSweep:
    """One sweep, as others see it.

    Attributes:
        lease: what is in hand as long as it goes on.
        condemned: what it may take, by the lists that have it.
        unmarked: the versions whose markers it deleted.
    """

    def __init__(self, lease: Lease, store: Store, name: str, condemned: dict[str, Condemned]) -> None:
        """Make ready for a sweep of what some lists have, by their names."""
        self.lease = lease
        self.condemned = condemned
        self.unmarked: set[VersionId] = set()
        self._store = store
        self._name = name

    def begin(self) -> None:
        """Say that it begins, and what it may take."""
        self.lease.keep()
        write_sweep(self._store.backend, self._name, self.condemned)

    def heed_rescues(self) -> set[str]:
        """Leave out the lists that pushes at work count on, and return their names."""
        backend = self._store.backend
        folder = read_folder(backend)
        now = folder.modified.get(gc_key(self._name, "sweep"))
        rescued: set[str] = set()
        for name in folder.rescues:
            written = folder.modified.get(gc_key(name, "rescue"))
            if now is not None and written is not None and now - written > RESCUE_SECONDS:
                backend.delete(gc_key(name, "rescue"))
                continue
            try:
                rescued |= read_rescue(backend, name)
            except BackendError as exc:
                # Its push has ended since. What merely cannot be read may count.
                if exc.problem is not BackendProblem.NOT_FOUND:
                    raise
        rescued &= self.condemned.keys()
        self.condemned = {name: one for name, one in self.condemned.items() if name not in rescued}
        return rescued

    def note(self, phase: Phase) -> None:
        """Say how far it is."""
        self.lease.keep()
        note_phase(self._store.backend, self._name, phase)

    def end(self, plan: SweepPlan | None = None, swept: Swept | None = None) -> None:
        """Say that it is over, and what it did."""
        did: dict[str, object] = {}
        if plan is not None and swept is not None:
            did = {
                "deleted_bytes": swept.deleted_bytes,
                "packs": sorted(pack.hex() for pack in plan.packs),
                "versions": [version.hex() for version in plan.unmarked],
                "written_bytes": swept.written_bytes,
            }
        self.lease.keep()
        note_phase(self._store.backend, self._name, Phase.SWEPT, **did)
