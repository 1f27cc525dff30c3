"""Ways to damage a file, for tests that must notice."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.stores import flip

WAYS: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda data: None,
    "cut in half": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-10],
    "emptied": lambda data: b"",
    "grown": lambda data: data + b"more",
    "flipped in the head": lambda data: flip(data, 0),
    "flipped in the version": lambda data: flip(data, 4),
    "flipped in the middle": lambda data: flip(data, len(data) // 2),
    "flipped near the end": lambda data: flip(data, len(data) - 30 if len(data) > 400 else 3),
    "flipped at the end": lambda data: flip(data, len(data) - 1),
}


def damage(file: Path, way: str) -> None:
    """Damage a file of a store."""
    data = WAYS[way](file.read_bytes())
    file.unlink()
    if data is not None:
        file.write_bytes(data)


def swap(first: Path, second: Path) -> None:
    """Let two files have each other's content."""
    one, other = first.read_bytes(), second.read_bytes()
    for file, data in ((first, other), (second, one)):
        file.unlink()
        file.write_bytes(data)


def store_files(top: Path, kind: str) -> list[Path]:
    """Return the files of one kind in a store: "packs", "index", "versions" or "dver-store.json"."""
    return sorted(_files(top / kind))


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for file in place.rglob("*") if place.is_dir() else ():
        if file.is_file():
            yield file
