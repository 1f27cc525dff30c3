"""Editing manifests: the same as building them anew, with few nodes read."""

import random

import pytest

import dver.objects.builder
from dver.errors import FormatError
from dver.objects.builder import build_manifest
from dver.objects.edit import EntryReader, edit_manifest, find_clashes
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry
from dver.objects.ids import NodeId
from tests.property.strategies import NodeStore, many_files


def nowhere(_identity: NodeId, _encoded: bytes) -> None:
    """Keep no node."""


def built(entries: dict[bytes, Entry]) -> object:
    return build_manifest([entries[path] for path in sorted(entries)], nowhere)


def link(path: bytes) -> Entry:
    return LinkEntry(path, b"target")


@pytest.mark.parametrize("mask", [1, 3, 15, 63])
def test_an_edited_manifest_is_the_one_that_is_built_anew(monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    monkeypatch.setattr(dver.objects.builder, "SPLIT_MASK", mask)
    choose = random.Random(mask)
    for _ in range(60):
        pool = [b"%05d" % number for number in range(choose.choice([2, 20, 600]))]
        before = {path: link(path) for path in pool if choose.random() < 0.6}
        count = choose.choice([0, 1, 2, len(pool) // 2])
        changes: dict[bytes, Entry | None] = {
            path: LinkEntry(path, b"other") if choose.random() < 0.5 else None for path in choose.sample(pool, count)
        }
        store = NodeStore()
        manifest = store.manifest(store.build(list(before.values())).version)
        after = {**before, **{path: entry for path, entry in changes.items() if entry is not None}}
        for path in [path for path, entry in changes.items() if entry is None]:
            after.pop(path, None)

        assert edit_manifest(manifest, changes, store.sink) == built(after)


@pytest.mark.parametrize("kept", [slice(0, 1), slice(700, 701), slice(300, 900), slice(1500, None), slice(0, 0)])
def test_what_is_left_of_a_large_manifest_has_no_superfluous_root(kept: slice) -> None:
    store = NodeStore()
    entries = many_files(3000)
    manifest = store.manifest(store.build(entries).version)
    left = {entry.path: entry for entry in sorted(entries, key=lambda entry: entry.path)[kept]}

    edited = edit_manifest(manifest, {entry.path: None for entry in entries if entry.path not in left}, store.sink)

    assert edited == built(left)
    assert sorted(entry.path for entry in store.manifest(edited.version).entries()) == sorted(left)


def test_only_nodes_on_the_way_to_a_change_are_read() -> None:
    store = NodeStore()
    entries = many_files(60_000)
    manifest = store.manifest(store.build(entries).version)
    middle = sorted(entry.path for entry in entries)[30_000]

    edited = edit_manifest(manifest, {middle: None, middle + b".new": link(middle + b".new")}, store.sink)

    assert len(store.nodes) > 100
    assert len(set(store.loaded)) < 8
    assert edited.files == 60_000


def test_an_edit_reads_no_node_again_that_a_check_before_it_has_read() -> None:
    store = NodeStore()
    entries = sorted(many_files(20_000), key=lambda entry: entry.path)
    manifest = EntryReader(store.manifest(store.build(entries).version))
    changes: dict[bytes, Entry | None] = {entry.path: None for entry in entries[5000:5100]}
    changes |= {b"%s.new" % path: link(b"%s.new" % path) for path in changes}

    assert [*find_clashes(manifest, changes)] == []
    before = len(store.loaded)
    edit_manifest(manifest, changes, store.sink)

    assert before == len(set(store.loaded[:before]))
    assert len(store.loaded) == len(set(store.loaded))


def test_many_paths_are_found_by_reading_only_where_they_may_be() -> None:
    store = NodeStore()
    entries = {entry.path: entry for entry in many_files(60_000)}
    manifest = store.manifest(store.build(list(entries.values())).version)
    wanted = sorted(entries)[10_000:10_200]

    found = manifest.find([*wanted, b"nothing", wanted[0] + b"/below"])

    assert found == {path: entries[path] for path in wanted}
    assert len(set(store.loaded)) < 10
    assert manifest.find([]) == {}


@pytest.mark.parametrize("path", [b"a/x/y", b"d"])
def test_a_path_cannot_become_both_an_entry_and_a_folder(path: bytes) -> None:
    store = NodeStore()
    before = [link(b"a/x"), link(b"d-e"), link(b"d/e")]
    manifest = store.manifest(store.build(before).version)

    with pytest.raises(FormatError, match="both an entry and a folder"):
        edit_manifest(manifest, {path: link(path)}, store.sink)


def test_a_file_may_take_the_place_of_a_folder_and_the_other_way_round() -> None:
    store = NodeStore()
    before: list[Entry] = [DirectoryEntry(b"empty"), link(b"a/x"), FileEntry(b"d", 0, False, b"")]
    manifest = store.manifest(store.build(before).version)
    changes: dict[bytes, Entry | None] = {
        b"empty": None, b"empty/x": link(b"empty/x"), b"a/x": None, b"a": link(b"a"), b"d": None, b"d/e": link(b"d/e")
    }  # fmt: skip

    edited = edit_manifest(manifest, changes, store.sink)

    assert [entry.path for entry in store.manifest(edited.version).entries()] == [b"a", b"d/e", b"empty/x"]
