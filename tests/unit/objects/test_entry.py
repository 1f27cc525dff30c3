"""Entries: which paths, links and chunk lists are refused, on reading and before storing."""

from dataclasses import replace

import pytest

from dver.errors import FormatError
from dver.objects.chunker import MAX_CHUNK
from dver.objects.entry import (
    CHUNK_REF_LENGTH,
    INLINE_CHUNKS,
    MAX_PATH,
    MAX_SIZE,
    MAX_TARGET,
    DirectoryEntry,
    Entry,
    FileEntry,
    LinkEntry,
    check_entry,
    check_path,
    check_paths,
    chunks_size,
    counts_as_file,
    decode_entries,
    encode_entry,
    entry_size,
    pack_chunk,
    unpack_chunks,
)
from dver.objects.ids import ChunkId, NodeId

CHUNK = ChunkId(b"c" * 32)
ONE = pack_chunk(CHUNK, 5)
FILE = FileEntry(b"data/a.csv", 5, False, ONE)
ENTRIES: list[Entry] = [
    FILE,
    FileEntry(b"run.sh", 10, True, ONE + ONE),
    FileEntry(b"empty", 0, False, b""),
    FileEntry(b"long", 1 << 40, False, b"", NodeId(b"n" * 32)),
    FileEntry(b"", 5, False, ONE),
    LinkEntry(b"link", b"../elsewhere"),
    DirectoryEntry(b"folder"),
]

GOOD_PATHS = [
    b"a",
    b"a/b/c",
    b"with space/\xc3\xa9/\xff\xfe",
    b"...",
    b".gitignore",
    b".git\n",
    b"..\n",
    b".gi/t",
    b"a.git/x",
    b"git/x",
    b"..a/b..",
    b"new\nline",
    b"back\\slash",
    b"x" * MAX_PATH,
]
BAD_PATHS = [
    b"",
    b".",
    b"..",
    b"a/..",
    b"a/../b",
    b"../a",
    b"./a",
    b"a/.",
    b"a/./b",
    b"/",
    b"/etc/passwd",
    b"a/",
    b"a//b",
    b".git",
    b".GIT/hooks/pre-commit",
    b"a/.Git",
    b"a/.gIt/config",
    b"a\0b",
    b"\0",
    b"a/\0/b",
    b"x" * (MAX_PATH + 1),
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_plain_paths_are_accepted(path: bytes) -> None:
    check_path(path, "x")
    check_paths([b"before", path, b"after"], "x")


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_lead_elsewhere_are_refused_by_name(path: bytes) -> None:
    with pytest.raises(FormatError, match="refused the path"):
        check_path(path, "x")
    with pytest.raises(FormatError, match="refused the path"):
        check_paths([b"before", path, b"after"], "x")


@pytest.mark.parametrize("path", [path for path in BAD_PATHS if path])
def test_entries_at_such_paths_are_refused(path: bytes) -> None:
    for entry in (replace(FILE, path=path), LinkEntry(path, b"t"), DirectoryEntry(path)):
        with pytest.raises(FormatError, match="refused the path"):
            decode_entries([encode_entry(entry)], "x")
        with pytest.raises(FormatError, match="refused the path"):
            decode_entries([encode_entry(entry)], "x")
        with pytest.raises(FormatError, match="refused the path"):
            check_entry(entry, "x")


def test_no_paths_are_good_paths() -> None:
    check_paths([], "x")


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_round_trip(entry: Entry) -> None:
    check_entry(entry, "x")
    assert decode_entries([encode_entry(entry)], "x") == [entry]
    assert decode_entries([tuple(encode_entry(entry))], "x") == [entry]


def test_the_empty_path_is_good_only_where_it_is_alone() -> None:
    alone = encode_entry(FileEntry(b"", 5, False, ONE))
    assert decode_entries([alone], "x")[0].path == b""
    with pytest.raises(FormatError):
        decode_entries([alone, encode_entry(FILE)], "x")


@pytest.mark.parametrize(
    "fields",
    [
        None,
        7,
        b"path",
        {},
        [],
        [b"a"],
        ["a", 0, 5, ONE],
        [b"a", 0],
        [b"a", 0, 5],
        [b"a", 0, 5, ONE, b""],
        [b"a", 4, 5, ONE],
        [b"a", -1, 5, ONE],
        [b"a", 2, 5, ONE],
        [b"a", True, 5, ONE],
        [b"a", 0.0, 5, ONE],
        [b"a", 0, -1, ONE],
        [b"a", 0, True, pack_chunk(CHUNK, 1)],
        [b"a", 0, 5.0, ONE],
        [b"a", 0, 5, "text"],
        [b"a", 0, 5, None],
        [b"a", 0, 5, []],
        [b"a", 0, 5, [b"short"]],
        [b"a", 0, 5, ["n" * 32]],
        [b"a", 0, 5, [b"n" * 32, b"n" * 32]],
        [b"a", 0, MAX_SIZE + 1, [b"n" * 32]],
        [b"a", 0, 6, ONE],
        [b"a", 0, 5, b""],
        [b"a", 0, 0, ONE],
        [b"a", 0, 5, ONE[:-1]],
        [b"a", 0, 0, pack_chunk(CHUNK, 0)],
        [b"a", 0, MAX_CHUNK + 1, pack_chunk(CHUNK, MAX_CHUNK + 1)],
        [b"a", 0, 5, pack_chunk(CHUNK, 0) + ONE],
        [b"a", 0, 5 * (INLINE_CHUNKS + 1), ONE * (INLINE_CHUNKS + 1)],
        [b"a", 2, b""],
        [b"a", 2, b"t\0"],
        [b"a", 2, b"t" * (MAX_TARGET + 1)],
        [b"a", 2, "t"],
        [b"a", 2],
        [b"a", 3, b""],
        [b"a", 3, 0, b""],
    ],
)
def test_malformed_entries_are_refused(fields: object) -> None:
    with pytest.raises(FormatError, match="there:"):
        decode_entries([fields], "there")


@pytest.mark.parametrize(
    "entry",
    [
        replace(FILE, size=6),
        replace(FILE, size=-1),
        FileEntry(b"a", MAX_SIZE + 1, False, b"", NodeId(b"n" * 32)),
        FileEntry(b"a", 5 * (INLINE_CHUNKS + 1), False, ONE * (INLINE_CHUNKS + 1)),
        LinkEntry(b"a", b""),
        LinkEntry(b"a", b"t" * (MAX_TARGET + 1)),
    ],
)
def test_what_readers_refuse_is_refused_before_it_is_stored(entry: Entry) -> None:
    with pytest.raises(FormatError):
        check_entry(entry, "x")
    with pytest.raises(FormatError):
        decode_entries([encode_entry(entry)], "x")


def test_the_longest_inline_chunk_list_is_accepted() -> None:
    entry = FileEntry(b"a", 5 * INLINE_CHUNKS, False, ONE * INLINE_CHUNKS)
    assert decode_entries([encode_entry(entry)], "x") == [entry]


def test_chunk_lists_are_pairs_of_id_and_length() -> None:
    packed = ONE + pack_chunk(ChunkId(b"d" * 32), MAX_CHUNK)
    assert len(packed) == 2 * CHUNK_REF_LENGTH
    assert list(unpack_chunks(packed, "x")) == [(b"c" * 32, 5), (b"d" * 32, MAX_CHUNK)]
    assert chunks_size(packed, "x") == MAX_CHUNK + 5
    assert chunks_size(b"", "x") == 0


@pytest.mark.parametrize("packed", [b"x", ONE + b"x", pack_chunk(CHUNK, 0), ONE + pack_chunk(CHUNK, MAX_CHUNK + 1)])
def test_impossible_chunk_lists_are_refused(packed: bytes) -> None:
    with pytest.raises(FormatError):
        chunks_size(packed, "x")
    with pytest.raises(FormatError):
        list(unpack_chunks(packed, "x"))


def test_content_is_the_same_whatever_the_path_and_mode() -> None:
    assert FILE.same_content(FileEntry(b"other", 5, True, ONE))
    assert not FILE.same_content(FileEntry(b"data/a.csv", 5, False, pack_chunk(ChunkId(b"d" * 32), 5)))
    assert not FILE.same_content(LinkEntry(b"data/a.csv", b"t"))


def test_files_and_links_count_as_files_and_only_files_have_a_size() -> None:
    assert [counts_as_file(entry) for entry in ENTRIES] == [True] * 6 + [False]
    assert [entry_size(entry) for entry in ENTRIES] == [5, 10, 0, 1 << 40, 5, 0, 0]
