"""Which versions a remote surely has: so surely that the only other copy may be deleted.

A version counts if it is marked there, the remote has index files, and each pack with a part of it is there in its
right size with a sound head, footer and trailer; a pack's name is the hash of its footer, so the footer is that of this
pack. The records between them are not read: this would be a download of everything, and is what `dver fsck` is for.
"""

from collections.abc import Collection

from dver.database import batches
from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, ObjectNotFoundError
from dver.objects.ids import ObjectId, PackId, VersionId
from dver.objects.pack import HEAD_LENGTH, TRAILER_LENGTH, check_head, decode_footer
from dver.operations.liveness import live_objects
from dver.operations.stock import Stock
from dver.progress import Task
from dver.storage.packs import pack_key, read_footer
from dver.storage.store import Store

_BATCH = 4096
# A pack that is gone, or shorter than it was a moment ago.
_NOT_WHOLE = frozenset({BackendProblem.NOT_FOUND, BackendProblem.OTHER})


def proven_versions(there: Store, here: Store, versions: Collection[VersionId], task: Task) -> set[VersionId]:
    """Return those of some versions that the store `there` surely has; manifests are read `here` where they are."""
    # Asked before anything else is: whoever looks for objects may write index files anew, from what packs there are.
    if not there.index.file_sizes():
        return set()
    there.index.refresh()
    marked = there.versions()
    proof = _Proof(there, here)
    found = set()
    for version in versions:
        if version in marked and proof.holds(version):
            found.add(version)
        task.advance(files=1)
    return found


class _Proof:
    """Looks at the packs of one store, once at each."""

    def __init__(self, there: Store, here: Store) -> None:
        self._there = there
        self._here = here
        self._stock = Stock(there, nearer=here)
        self._packs: dict[PackId, bool] = {}

    def holds(self, version: VersionId) -> bool:
        """Whether all of a marked version is in packs that are sound as far as this looks."""
        if not self._stock.has(version):
            return False
        try:
            needed = live_objects(self._there, [version], nearer=self._here)
        except (ObjectNotFoundError, IntegrityError, FormatError):
            return False
        with needed:
            return all(self._are_held(batch) for batch in batches(needed, _BATCH))

    def _are_held(self, ids: list[ObjectId]) -> bool:
        located = self._there.index.located(ids)
        packs = dict.fromkeys(at.pack for at in located.values())
        return len(located) == len(ids) and all(self._is_sound(pack) for pack in packs)

    def _is_sound(self, pack: PackId) -> bool:
        if pack not in self._packs:
            try:
                _check_ends(self._there, pack)
                self._packs[pack] = True
            except (FormatError, IntegrityError):
                self._packs[pack] = False
            except BackendError as exc:
                if exc.problem not in _NOT_WHOLE:
                    raise
                self._packs[pack] = False
        return self._packs[pack]


def _check_ends(store: Store, pack: PackId) -> None:
    """Raise an error unless head, footer and trailer of a pack are sound, and it has the size that is listed."""
    key = pack_key(pack)
    where = f"{store.backend.location}/{key}"
    size = store.backend.size(key)
    if size is None or size < HEAD_LENGTH + TRAILER_LENGTH or store.index.pack_size(pack) not in {None, size}:
        raise IntegrityError(where, "it is gone, or not as long as it was")
    check_head(store.backend.read_range(key, 0, HEAD_LENGTH), where)
    footer, expected = read_footer(lambda *span: store.backend.read_range(key, *span), size, where)
    decode_footer(footer, expected, pack, where)
