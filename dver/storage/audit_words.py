"""Looking at what repositories and garbage collections left word of in a store.

Nothing of it is needed to read data, but as long as it is damaged, nothing is cleaned.
"""

from collections.abc import Callable, Iterator

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.storage.audit_findings import Finding, Problem, Thing
from dver.storage.backend import Backend
from dver.storage.condemned import gc_key, read_folder, read_lease, read_list, read_rescue, read_sweep
from dver.storage.registrations import UNREADABLE, registrations


def word_findings(backend: Backend) -> Iterator[Finding]:
    """Yield the files in `roots/` and `gc/` that say nothing."""
    for one in registrations(backend):
        if one.problem == UNREADABLE:
            yield Finding(Thing.REPOSITORY, Problem.DAMAGED, one.key, "what a repository needs cannot be read from it")
    folder = read_folder(backend)
    kinds: list[tuple[str, Callable[[Backend, str], object], tuple[str, ...]]] = [
        ("list", read_list, folder.lists),
        ("sweep", read_sweep, tuple(folder.sweeps)),
        ("rescue", read_rescue, folder.rescues),
        ("lease", read_lease, folder.leases),
    ]
    for kind, read, names in kinds:
        for name in names:
            reason = _problem(backend, read, name)
            if reason is not None:
                yield Finding(Thing.GARBAGE, Problem.DAMAGED, gc_key(name, kind), reason)


def _problem(backend: Backend, read: Callable[[Backend, str], object], name: str) -> str | None:
    try:
        read(backend, name)
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError) as exc:
        return exc.reason
    except BackendError as exc:
        # Whoever cleans the store deletes these.
        if exc.problem is not BackendProblem.NOT_FOUND:
            raise
    return None
