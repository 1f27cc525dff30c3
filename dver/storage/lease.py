"""A lease on a store in a place without locks: of all who clean it, one goes on and the others give way.

Whoever takes a lease writes a file of its own into `gc/` and looks who else has one. All times are those that the store
gives its files, so clocks that differ do no harm; a lease counts for half an hour from when it was last renewed. The
holder measures on its own clock, one that goes on while the machine sleeps, how long ago it renewed, and stops long
before anybody may take its place. Where a store gives no times, a lease counts until it is deleted. The file says which
process wrote it, so that of one that was killed on this machine nobody here waits for the end.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from dver.errors import BackendError, DverError, LockedError
from dver.processes import is_surely_dead, this_process
from dver.storage.backend import Backend, check_keys
from dver.storage.condemned import GcFolder, Holder, gc_key, new_name, read_folder, read_lease, write_lease

LEASE_SECONDS = 1800.0
_RENEW_SECONDS = LEASE_SECONDS / 6
# What is asked for within this time is over before the lease is.
_SAFE_SECONDS = LEASE_SECONDS / 2
_LOOKS = 5
_POLL_SECONDS = 0.5
# What a process asked of a distant store just before it was killed may be carried out so much later.
_ECHO_SECONDS = 10.0


def boot_clock() -> float:
    """Return seconds that pass evenly, also while the machine sleeps where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """The right to clean a store. Use as a context manager.

    Attributes:
        name: what it is called, which no other is.
        now: when it was taken, by the clock of the store or, where that tells no times, of this machine.
    """

    def __init__(
        self,
        backend: Backend,
        by: str,
        *,
        clock: Callable[[], float] = boot_clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a lease; `by` says for people who has it."""
        self._backend = backend
        self._by = by
        self._clock = clock
        self._sleep = sleep
        self._renewed = 0.0
        # Leases of processes of this machine that have ended.
        self._dead: set[str] = set()
        self.name = new_name(time.time())
        self.now = 0.0

    def __enter__(self) -> "Lease":
        """Take the lease.

        Raises:
            ConfigError: the store is encrypted, and has had other keys since it was opened.
            LockedError: somebody else has one.
        """
        self._write()
        try:
            self.now = self._take()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def keep(self) -> None:
        """Renew the lease if it is time; to be called before each deletion.

        Raises:
            ConfigError: the store is encrypted, and has had other keys since it was opened.
            LockedError: it could not be renewed in time, or somebody else has taken it over.
        """
        check_keys(self._backend)
        before = self._renewed
        if self._clock() - before < _RENEW_SECONDS:
            return
        if self._is_safe(before) and self.name in read_folder(self._backend).leases:
            self._write()
            # That may have taken so long that somebody else had it in between.
            if self._is_safe(before):
                return
        raise LockedError(
            f"the right to clean {self._backend.location} was lost, for it could not be renewed in time",
            hint="run the same command again: it goes on from there",
        )

    def _is_safe(self, renewed: float) -> bool:
        return self._clock() - renewed < _SAFE_SECONDS

    def _take(self) -> float:
        for look in range(_LOOKS):
            folder = read_folder(self._backend)
            now = folder.modified.get(gc_key(self.name, "lease"))
            others = [name for name in folder.leases if name != self.name and not self._is_over(folder, name, now)]
            others = [name for name in others if not self._is_dead(name)]
            if not others:
                for name in folder.leases:
                    if name != self.name:
                        self._backend.delete(gc_key(name, "lease"))
                self._outlast_echoes()
                return time.time() if now is None else now
            # Of two that begin at once each sees the other: the first in order waits for the other to give way.
            if min(others) < self.name or look == _LOOKS - 1:
                raise self._taken(others[0], has_times=now is not None)
            self._sleep(_POLL_SECONDS)
        raise AssertionError("unreachable")

    def _is_over(self, folder: GcFolder, name: str, now: float | None) -> bool:
        written = folder.modified.get(gc_key(name, "lease"))
        return now is not None and written is not None and now - written > LEASE_SECONDS

    def _is_dead(self, name: str) -> bool:
        """Whether whoever has a lease was a process of this machine that has ended."""
        if name in self._dead:
            return True
        process = None
        with suppress(DverError):
            process = read_lease(self._backend, name).process
        if process is None or not is_surely_dead(process):
            return False
        self._dead.add(name)
        return True

    def _outlast_echoes(self) -> None:
        if self._dead and not self._backend.is_local:
            self._sleep(_ECHO_SECONDS)

    def _taken(self, name: str, *, has_times: bool) -> LockedError:
        by = ""
        with suppress(DverError):
            by = read_lease(self._backend, name).by
        later = "half an hour later" if has_times else f"delete {gc_key(name, 'lease')} there first"
        return LockedError(
            f"{self._backend.location} is being cleaned by {by or 'another dver'}",
            hint=f"run the same command again when that has ended; if it was killed, {later}",
        )

    def _write(self) -> None:
        # Before the request: from when it is answered on, some of the time is over.
        began = self._clock()
        write_lease(self._backend, self.name, Holder(self._by, this_process()))
        self._renewed = began

    def _release(self) -> None:
        with suppress(BackendError):
            self._backend.delete(gc_key(self.name, "lease"))
