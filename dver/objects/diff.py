"""What differs between two manifests, found without reading what they share.

Two cursors walk both trees. Where both stand at a subtree with the same id, the whole subtree is skipped, so the cost
follows the size of the difference.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dver.objects.entry import Entry
from dver.objects.manifest import Manifest, Subtree, subtrees_below


@dataclass(frozen=True, slots=True)
class EntryChange:
    """One path that differs: `old` is None where it was added, `new` is None where it was deleted."""

    old: Entry | None
    new: Entry | None

    @property
    def path(self) -> bytes:
        """The path that differs."""
        entry = self.new or self.old
        return entry.path if entry else b""


_Item: TypeAlias = Subtree | Entry


class _Cursor:
    """A place in a manifest's tree that can step over a subtree or down into it."""

    def __init__(self, manifest: Manifest | None) -> None:
        self._manifest = manifest
        self._items: deque[_Item] = deque()
        if manifest is not None:
            self._items.append(manifest.root())

    def head(self) -> _Item | None:
        return self._items[0] if self._items else None

    def step(self) -> None:
        self._items.popleft()

    def descend(self, subtree: Subtree) -> None:
        assert self._manifest is not None
        self._items.popleft()
        node = self._manifest.load_subtrees([subtree])[0]
        self._items.extendleft(reversed(subtrees_below(subtree, node) or node.entries))


def diff_manifests(old: Manifest | None, new: Manifest | None) -> Iterator[EntryChange]:
    """Yield what changed from `old` to `new` in path order; None stands for an empty dataset."""
    left, right = _Cursor(old), _Cursor(new)
    while True:
        a, b = left.head(), right.head()
        if a is None and b is None:
            return
        if isinstance(a, Subtree) and isinstance(b, Subtree) and a.id == b.id:
            left.step()
            right.step()
        elif isinstance(a, Subtree) and not (isinstance(b, Subtree) and b.parent_level > a.parent_level):
            left.descend(a)
        elif isinstance(b, Subtree):
            right.descend(b)
        else:
            assert not isinstance(a, Subtree)
            yield from _compare(left, a, right, b)


def _compare(left: _Cursor, a: Entry | None, right: _Cursor, b: Entry | None) -> Iterator[EntryChange]:
    if b is None or (a is not None and a.path < b.path):
        left.step()
        yield EntryChange(a, None)
    elif a is None or b.path < a.path:
        right.step()
        yield EntryChange(None, b)
    else:
        left.step()
        right.step()
        if a != b:
            yield EntryChange(a, b)
