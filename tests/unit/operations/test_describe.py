"""Versions as rows to read: a diff of the rows is a diff of the versions."""

import shutil

import pytest

from dver.errors import DverError, NotFoundError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import NodeId, chunk_id
from dver.objects.pointer import Pointer
from dver.operations.describe import DescribedPath, describe, describe_entries, readable_pointer
from dver.operations.kinds import NodeKind
from tests.clones import Clone
from tests.unit.operations.conftest import fill
from tests.unit.operations.watched import Remote

DATASET, FILE, EXECUTABLE, LINK, DIRECTORY = NodeKind


def pointer_of(clone: Clone, dataset: str = "data") -> Pointer:
    pointer = readable_pointer(clone.pointer_text(dataset).encode())
    assert pointer is not None
    return pointer


def described(clone: Clone, dataset: str = "data") -> list[DescribedPath]:
    with clone.open() as repo:
        return describe(repo, pointer_of(clone, dataset), most=100)


def file(path: bytes, content: bytes = b"x", *, executable: bool = False) -> FileEntry:
    return FileEntry(path, len(content), executable, pack_chunk(chunk_id(content), len(content)))


def paths(rows: list[DescribedPath]) -> list[str]:
    return [row.path + "/" * (row.kind is DIRECTORY) for row in rows]


def test_every_path_of_a_version_has_a_row_in_order(clone: Clone) -> None:
    fill(clone)
    clone.add()
    rows = described(clone)
    assert [(row.path, row.kind, row.size, row.files, row.target) for row in rows] == [
        ("a.bin", FILE, 20_000, None, None),
        ("bad\udcff\n", FILE, 9, None, None),
        ("empty", DIRECTORY, 0, None, None),
        ("link", LINK, 0, None, "sub/b.bin"),
        ("sp ace é", FILE, 7, None, None),
        ("sub/b.bin", FILE, 5000, None, None),
        ("sub/deep/c", FILE, 1, None, None),
        ("sub/run.sh", EXECUTABLE, 10, None, None),
        ("zero", FILE, 0, None, None),
    ]


def test_a_file_changed_at_equal_size_has_another_mark_and_the_others_keep_theirs(clone: Clone) -> None:
    fill(clone)
    clone.add()
    before = {row.path: row.mark for row in described(clone)}
    clone.write("data/sub/deep/c", b"d")
    clone.add()
    after = {row.path: row.mark for row in described(clone)}
    assert {path for path in before if before[path] != after[path]} == {"sub/deep/c"}
    assert all(len(mark) == 6 for mark in after.values())


def test_a_file_with_a_long_chunk_list_is_marked_by_its_tree() -> None:
    one, two = (FileEntry(b"long", 1 << 40, False, b"", NodeId(bytes([n]) * 32)) for n in (1, 2))
    assert describe_entries([one], most=9) != describe_entries([two], most=9)


def test_a_dataset_that_is_one_file_has_one_row_without_a_path(clone: Clone) -> None:
    clone.write("one.csv", b"1,2\n", executable=True)
    clone.add("one.csv")
    (row,) = described(clone, "one.csv")
    assert (row.path, row.kind, row.size, row.files) == ("", EXECUTABLE, 4, None)


def test_an_empty_dataset_has_no_rows(clone: Clone) -> None:
    (clone.root / "data").mkdir()
    clone.add()
    assert described(clone) == []


def test_what_lies_deepest_is_summed_up_first() -> None:
    entries: list[Entry] = [file(b"a/b/%d" % n, b"12") for n in range(3)]
    entries += [DirectoryEntry(b"a/b/empty"), LinkEntry(b"a/c", b"b"), file(b"a0"), file(b"z")]
    rows = describe_entries(entries, most=4)
    assert paths(rows) == ["a/b/", "a/c", "a0", "z"]
    assert (rows[0].size, rows[0].files) == (6, 3)
    assert paths(describe_entries(entries, most=3)) == ["a/", "a0", "z"]
    (whole,) = describe_entries(entries, most=2)
    assert (whole.path, whole.kind, whole.size, whole.files) == ("", DIRECTORY, 8, 6)


@pytest.mark.parametrize("most", [1, 2, 10, 50, 99])
def test_rows_are_as_deep_as_their_number_allows_wherever_the_limit_was_met(most: int) -> None:
    entries = [file(b"%d/%d/%d" % (a, b, c), b"%d" % c) for a in range(3) for b in range(5) for c in range(7)]
    entries.sort(key=lambda entry: entry.path)
    rows = describe_entries(entries, most=most)
    assert len(rows) == max(count for count in (1, 3, 15, 105) if count <= most)
    assert sum(row.files or 1 for row in rows) == len(entries)
    assert sum(row.size for row in rows) == len(entries)


@pytest.mark.parametrize(
    "changed",
    [
        [file(b"a/x", b"2"), file(b"a/y", b"1"), file(b"b/z")],
        [file(b"a/x", b"1", executable=True), file(b"a/y", b"2"), file(b"b/z")],
        [file(b"a/w", b"1"), file(b"a/y", b"2"), file(b"b/z")],
        [LinkEntry(b"a/x", b"1"), file(b"a/y", b"2"), file(b"b/z")],
        [DirectoryEntry(b"a/v"), file(b"a/x", b"1"), file(b"a/y", b"2"), file(b"b/z")],
    ],
    ids=["contents swapped", "executable bit", "renamed", "now a link", "empty folder added"],
)
def test_any_change_shows_in_the_row_of_its_folder_and_in_no_other(changed: list[Entry]) -> None:
    before = describe_entries([file(b"a/x", b"1"), file(b"a/y", b"2"), file(b"b/z")], most=2)
    after = describe_entries(changed, most=2)
    assert paths(before) == paths(after) == ["a/", "b/"]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_version_that_only_the_remote_has_is_not_fetched(team: Clone, remote: Remote) -> None:
    team.delete_cache()
    with pytest.raises(NotFoundError):
        described(team)
    assert not remote.calls


def test_a_cache_on_a_network_is_not_read(clone: Clone) -> None:
    fill(clone)
    clone.add()
    config = clone.root / ".dver" / "config.toml"
    config.write_text(config.read_text() + '\n[cache]\ndir = "memory://cache"\n')
    with pytest.raises(DverError, match="not on this machine"):
        described(clone)


def test_a_version_that_is_in_no_cache_is_not_found(clone: Clone) -> None:
    fill(clone)
    clone.add()
    shutil.rmtree(clone.root / ".dver" / "cache")
    with pytest.raises(NotFoundError):
        described(clone)


@pytest.mark.parametrize(
    "data",
    [b"", b"# dver pointer: cut sh", b"\xff\0", b"<<<<<<< ours\nformat = 1\n", b"x" * 100_000, b"format = 99\n"],
    ids=["empty", "cut short", "binary", "conflict", "large", "newer"],
)
def test_what_is_no_readable_pointer_is_none(data: bytes) -> None:
    assert readable_pointer(data) is None
