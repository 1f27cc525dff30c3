"""Looking at what opens an encrypted store: its keys, and what says openly that it is encrypted.

That the store could be opened shows that one key is good. The others are as good only if they were made with the newest
master key: one that was not may be an old one that somebody has put back, and who relies on it cannot open the store.
"""

from collections.abc import Iterator

from dver.storage.audit_findings import Finding, Problem, Thing
from dver.storage.backend import Backend
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.open import as_encrypted


def key_findings(backend: Backend) -> Iterator[Finding]:
    """Yield what is wrong with the keys of a store; nothing for one that is not encrypted."""
    crypt = as_encrypted(backend)
    if crypt is None:
        return
    # Deferred: it needs an optional package, which is there where a store is encrypted.
    from dver.storage.keyring import KEYS, read_slots, says_encrypted, vouched  # noqa: PLC0415

    is_said = says_encrypted(crypt.inner)
    if is_said is None:
        yield Finding(Thing.DESCRIPTION, Problem.MISSING, DESCRIPTION_KEY, "that it is encrypted is not said")
    elif not is_said:
        yield Finding(Thing.DESCRIPTION, Problem.DAMAGED, DESCRIPTION_KEY, "that it is encrypted is not said")
    slots = read_slots(crypt.inner)
    for name, problem in slots.bad:
        yield Finding(Thing.KEY, Problem.DAMAGED, KEYS + name, problem.message)
    for name, is_vouched in vouched(slots.good, crypt.keyring.masters).items():
        if not is_vouched:
            yield Finding(Thing.KEY, Problem.DAMAGED, KEYS + name, "was not made with the newest master key")
