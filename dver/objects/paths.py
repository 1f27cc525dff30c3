"""Paths of a dataset as names alone: what lies within what. Loads nothing, for `dver status` asks as well."""

from collections.abc import Iterator, Set

MAX_DEPTH = 512
"""How many parts a path can have."""


def is_within(path: bytes, part: bytes) -> bool:
    """Whether a path of a dataset is `part` or lies below it; everything is within b"", the dataset itself."""
    return not part or path == part or path.startswith(part + b"/")


def is_within_any(path: bytes, parts: Set[bytes]) -> bool:
    """Whether a path of a dataset is one of many parts or lies below one; it takes no longer for more of them."""
    return path in parts or any(above in parts for above in parents(path))


def parents(path: bytes) -> Iterator[bytes]:
    """Yield the directories above a path of a dataset, the last of them b"", the dataset itself."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path
