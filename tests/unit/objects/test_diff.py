"""Differences of manifests, and that finding them reads little of what is shared."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dver.errors import FormatError
from dver.objects.diff import EntryChange, diff_manifests
from dver.objects.entry import DirectoryEntry, Entry, FileEntry
from dver.objects.ids import VersionId
from dver.objects.manifest import Manifest
from dver.objects.node import NodeType, encode_node
from tests.property.strategies import NodeStore, many_files

FILES = many_files(50_000)
STORE = NodeStore()
VERSION = STORE.build(FILES).version


def changes(new: list[Entry]) -> tuple[list[EntryChange], int]:
    """Return what differs from `FILES`, and how many nodes were read for it."""
    store = NodeStore()
    store.nodes.update(STORE.nodes)
    version = store.build(new).version
    found = list(diff_manifests(store.manifest(VERSION), store.manifest(version)))
    return found, len(store.loaded)


def test_equal_versions_are_not_read_at_all() -> None:
    assert changes(FILES) == ([], 0)


def test_two_empty_datasets_do_not_differ() -> None:
    assert list(diff_manifests(None, None)) == []


def test_nothing_against_something_is_all_added_or_all_deleted() -> None:
    store = NodeStore()
    manifest = store.manifest(store.build(FILES[:3]).version)
    assert list(diff_manifests(None, manifest)) == [EntryChange(None, file) for file in FILES[:3]]
    assert list(diff_manifests(manifest, None)) == [EntryChange(file, None) for file in FILES[:3]]


EDITS: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "changed": lambda files: [*files[:777], DirectoryEntry(files[777].path), *files[778:]],
    "first": lambda files: [DirectoryEntry(files[0].path), *files[1:]],
    "last": lambda files: [*files[:-1], DirectoryEntry(files[-1].path)],
    "added": lambda files: [*files[:20_000], DirectoryEntry(files[19_999].path + b"~"), *files[20_000:]],
    "deleted": lambda files: files[:40_000] + files[40_001:],
    "folder deleted": lambda files: files[:3_000] + files[4_000:],
    "appended": lambda files: [*files, DirectoryEntry(b"z")],
    "prepended": lambda files: [DirectoryEntry(b"a"), *files],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_local_change_is_found_by_reading_little(edit: Callable[[list[Entry]], list[Entry]]) -> None:
    new = edit(FILES)
    found, loaded = changes(new)
    old_by_path = {entry.path: entry for entry in FILES}
    new_by_path = {entry.path: entry for entry in new}
    differing = sorted(
        path for path in old_by_path.keys() | new_by_path.keys() if old_by_path.get(path) != new_by_path.get(path)
    )
    assert found == [EntryChange(old_by_path.get(path), new_by_path.get(path)) for path in differing]
    # Both roots, and on each side the few leaves around the difference, of about a hundred.
    assert loaded <= 12
    assert len(STORE.nodes) > 80


def test_trees_of_different_heights_are_compared() -> None:
    found, loaded = changes(FILES[:10])
    assert found == [EntryChange(file, None) for file in FILES[10:]]
    assert loaded >= len(STORE.nodes)


def test_a_change_knows_its_path() -> None:
    file = FILES[0]
    assert isinstance(file, FileEntry)
    assert EntryChange(None, file).path == file.path
    assert EntryChange(file, None).path == file.path
    assert EntryChange(file, replace(file, executable=True)).path == file.path


def test_a_node_that_is_not_what_was_announced_is_refused() -> None:
    loop = encode_node(NodeType.ENTRIES, 1, [[b"a", b"r" * 32, 1, 1], [b"b", b"r" * 32, 1, 1]])
    forged = Manifest(VersionId(b"r" * 32), lambda wanted: [loop for _ in wanted])
    with pytest.raises(FormatError, match="fit together"):
        list(diff_manifests(None, forged))
