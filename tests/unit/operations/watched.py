"""A backend that is watched: its calls are counted, and it can be made to fail."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dver.storage.backend import Backend, BlobInfo


class Watched:
    """A backend that tells a `Remote` of each call, and passes for a distant one."""

    def __init__(self, inner: Backend, remote: "Remote") -> None:
        self._inner = inner
        self._remote = remote

    @property
    def location(self) -> str:
        return self._inner.location

    @property
    def is_local(self) -> bool:
        return False

    def _count(self, verb: str, key: str) -> None:
        self._remote.before(verb, key)
        self._remote.calls[verb] += 1

    def write(self, key: str, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        self._count("write", key)
        self._inner.write(key, pieces)

    def read(self, key: str) -> bytes:
        self._count("read", key)
        return self._inner.read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self._count("read_range", key)
        return self._inner.read_range(key, offset, length)

    def size(self, key: str) -> int | None:
        self._count("size", key)
        return self._inner.size(key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        self._count("list", prefix)
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        self._count("delete", key)
        self._inner.delete(key)


class Remote:
    """What was asked of the remote; `before` is called ahead of each call, with the verb and the key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str, str], None] = lambda verb, key: None

    @property
    def total(self) -> int:
        return sum(self.calls.values())
