"""Which packs a transfer takes as a whole: large ones of which nearly everything is wanted.

What is wanted becomes known bit by bit, in the order of a manifest, and packs were filled in about the same order. So
what is wanted of a large pack waits until all of the pack is, or until too much waits. Small packs are not taken whole:
put together they make a better store. What is not taken whole keeps the order in which it was wanted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dver.objects.ids import ObjectId, PackId
from dver.objects.pack import ENTRY_LENGTH, HEAD_LENGTH, TARGET_SIZE, TRAILER_LENGTH
from dver.storage.index_copy import Location

SMALLEST_WHOLE = TARGET_SIZE // 4
# The rest of a pack comes along, and takes room.
WHOLE_SHARE = 0.9
_MOST_WAITING = 64 * 1024


@dataclass(slots=True)
class PackWish:
    """What is wanted of one pack.

    Attributes:
        size: the pack's, in bytes.
        ids: what is wanted, each with a number that says when it was.
        wanted: how many bytes of the pack this takes, with entries in its list, head and trailer.
    """

    pack: PackId
    size: int
    ids: list[tuple[int, ObjectId]] = field(default_factory=list)
    wanted: int = HEAD_LENGTH + TRAILER_LENGTH


class PackChoice:
    """Collects what is wanted, by pack."""

    def __init__(self, size_of: Callable[[PackId], int | None]) -> None:
        """`size_of` returns how long a pack is, in bytes."""
        self._size_of = size_of
        self._waiting: dict[PackId, PackWish] = {}
        self._small: set[PackId] = set()
        self._count = self._number = 0

    def add(self, locations: Iterable[Location]) -> tuple[list[PackWish], list[ObjectId]]:
        """Add what is wanted, in order; return packs to take whole, and objects to take one by one, in order."""
        ready: list[PackWish] = []
        loose: list[tuple[int, ObjectId]] = []
        for location in locations:
            self._number += 1
            wish = self._wish(location.pack)
            if wish is None:
                loose.append((self._number, location.id))
                continue
            wish.ids.append((self._number, location.id))
            wish.wanted += location.end - location.offset + ENTRY_LENGTH
            self._count += 1
            if wish.wanted == wish.size:
                ready.append(self._take(wish.pack))
        while self._count > _MOST_WAITING:
            self._release(next(iter(self._waiting)), ready, loose)
        return ready, _in_order(loose)

    def rest(self) -> tuple[list[PackWish], list[ObjectId]]:
        """Return all that waits still, as `add` does."""
        ready: list[PackWish] = []
        loose: list[tuple[int, ObjectId]] = []
        for pack in list(self._waiting):
            self._release(pack, ready, loose)
        return ready, _in_order(loose)

    def _wish(self, pack: PackId) -> PackWish | None:
        """Return what is wanted so far of a pack, None for a small one."""
        wish = self._waiting.get(pack)
        if wish is None and pack not in self._small:
            size = self._size_of(pack) or 0
            if size >= SMALLEST_WHOLE:
                wish = self._waiting[pack] = PackWish(pack, size)
            else:
                self._small.add(pack)
        return wish

    def _release(self, pack: PackId, ready: list[PackWish], loose: list[tuple[int, ObjectId]]) -> None:
        wish = self._take(pack)
        if wish.wanted >= WHOLE_SHARE * wish.size:
            ready.append(wish)
        else:
            loose += wish.ids

    def _take(self, pack: PackId) -> PackWish:
        wish = self._waiting.pop(pack)
        self._count -= len(wish.ids)
        return wish


def _in_order(numbered: list[tuple[int, ObjectId]]) -> list[ObjectId]:
    return [identity for _, identity in sorted(numbered)]
