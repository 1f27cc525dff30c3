"""From working files to chunks: order, batches, and that a file cut by segments is the same as in one pass."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dver.errors import PathError, UnstableFileError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, unpack_chunks
from dver.objects.ids import ChunkId, chunk_id
from dver.progress import NO_TASK
from dver.storage.writer import StoreWriter
from dver.workspace import ingest
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingester
from dver.workspace.statcache import is_trusted
from dver.workspace.walk import FileType, walk_dataset
from tests.clones import noise
from tests.property.strategies import data
from tests.unit.workspace.shelf import Shelf


class Counting:
    """A task that adds up what is reported."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def advance(self, *, bytes: int = 0, files: int = 0) -> None:
        self.done.update(bytes=bytes, files=files)

    def expect(self, *, bytes: int = 0, files: int = 0) -> None:
        pass


def content(shelf: Shelf, entry: Entry) -> bytes:
    """Return a stored file's bytes, each chunk checked against its id."""
    assert isinstance(entry, FileEntry)
    manifest = shelf.store_entries([entry])
    ids = [identity for identity, _ in manifest.chunks(entry)]
    plain: dict[ChunkId, bytes] = {}
    for span in shelf.store.plan(ids):
        for record in shelf.store.read_span(span):
            plain[ChunkId(record.id)] = bytes(record.verified("store"))
    return b"".join(plain[identity] for identity in ids)


def test_each_kind_becomes_its_entry_in_order(shelf: Shelf, folder: Path) -> None:
    (folder / "b.sh").write_bytes(b"#!")
    (folder / "b.sh").chmod(0o750)
    (folder / "a").write_bytes(b"hello")
    (folder / "empty file").touch()
    (folder / "dir").mkdir()
    os.symlink(b"to\xff/../where", os.fsencode(folder) + b"/link")

    entries = [ingested.entry for ingested in shelf.ingest(folder)]

    assert [(type(entry), entry.path) for entry in entries] == [
        (FileEntry, b"a"),
        (FileEntry, b"b.sh"),
        (DirectoryEntry, b"dir"),
        (FileEntry, b"empty file"),
        (LinkEntry, b"link"),
    ]
    assert [entry.executable for entry in entries if isinstance(entry, FileEntry)] == [False, True, False]
    assert entries[4] == LinkEntry(b"link", b"to\xff/../where")
    assert content(shelf, entries[0]) == b"hello"
    assert content(shelf, entries[3]) == b""


def test_known_entries_pass_through_in_their_place(shelf: Shelf, folder: Path) -> None:
    (folder / "b").write_bytes(b"new")
    known = [LinkEntry(b"a", b"x"), LinkEntry(b"c", b"y")]
    (walked,) = walk_dataset(bytes(folder), IgnoreRules())

    with StoreWriter(shelf.store) as writer:
        ingester = Ingester(bytes(folder), writer, shelf.chunker, shelf.workers, NO_TASK)
        results = list(ingester.run([known[0], walked, known[1]]))
        writer.flush()

    assert [result.entry.path for result in results] == [b"a", b"b", b"c"]
    assert [result.row is None for result in results] == [True, False, True]


@pytest.mark.parametrize(("files", "batch_bytes"), [(1, 1), (3, 10**9), (1000, 1000)])
def test_batches_of_any_size_give_the_same(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch, files: int, batch_bytes: int
) -> None:
    contents = {f"{number:03}".encode(): noise(number * 37, number) for number in range(40)}
    for name, plain in contents.items():
        (folder / name.decode()).write_bytes(plain)
    monkeypatch.setattr(ingest, "BATCH_FILES", files)
    monkeypatch.setattr(ingest, "BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(ingest, "LARGE_FILE", 1200)

    entries = [ingested.entry for ingested in shelf.ingest(folder)]

    assert [entry.path for entry in entries] == sorted(contents)
    assert {entry.path: content(shelf, entry) for entry in entries} == contents


@given(plain=data(), segment=st.integers(700, 30_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_by_segments_is_as_in_one_pass(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory, plain: bytes, segment: int
) -> None:
    path = tmp_path_factory.mktemp("large") / "file"
    path.write_bytes(plain)
    (once,) = shelf.ingest(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "LARGE_FILE", 0)
        patch.setattr(ingest, "SEGMENT", segment)
        (by_segments,) = shelf.ingest(path)

    assert by_segments.entry == once.entry
    assert content(shelf, by_segments.entry) == plain


def test_a_long_file_has_a_tree_of_chunks(shelf: Shelf, folder: Path) -> None:
    plain = noise(200_000)
    (folder / "long").write_bytes(plain)

    (ingested,) = shelf.ingest(folder)

    assert isinstance(ingested.entry, FileEntry)
    assert ingested.entry.chunk_tree is not None
    assert content(shelf, ingested.entry) == plain


def test_equal_content_is_stored_once(shelf: Shelf, folder: Path) -> None:
    (folder / "a").write_bytes(noise(20_000))
    shelf.ingest(folder)
    before = sum(info.size for info in shelf.store.backend.list("packs/"))

    (folder / "b").write_bytes(noise(20_000))
    shelf.ingest(folder)

    assert sum(info.size for info in shelf.store.backend.list("packs/")) == before


def test_rows_can_be_trusted_at_once(shelf: Shelf, folder: Path) -> None:
    (folder / "a").write_bytes(b"just written")

    (ingested,) = shelf.ingest(folder)

    assert ingested.row is not None
    assert is_trusted(ingested.row, FileType.FILE, (folder / "a").stat())


def test_all_bytes_and_files_are_reported(shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "LARGE_FILE", 3000)
    for number, size in enumerate((0, 10, 2999, 3000, 50_000)):
        (folder / str(number)).write_bytes(noise(size))
    task = Counting()

    with StoreWriter(shelf.store) as writer:
        ingester = Ingester(bytes(folder), writer, shelf.chunker, shelf.workers, task)
        list(ingester.run(walk_dataset(bytes(folder), IgnoreRules())))

    assert task.done == {"bytes": 10 + 2999 + 3000 + 50_000, "files": 5}


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_always_changes_ends_the_session(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path = folder / "busy"
    path.write_bytes(noise(5000))
    if large:
        monkeypatch.setattr(ingest, "LARGE_FILE", 0)
        monkeypatch.setattr(ingest, "SEGMENT", 1000)
    real_pread = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        found = real_pread(fd, length, offset)
        with path.open("r+b") as file:
            file.write(os.urandom(8))
        return found

    monkeypatch.setattr(os, "pread", pread)

    with pytest.raises(UnstableFileError, match="busy"):
        shelf.ingest(folder)


@pytest.mark.parametrize("large", [False, True])
def test_a_file_truncated_while_it_is_read_is_stored_as_it_then_is(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path = folder / "cut"
    path.write_bytes(noise(5000))
    if large:
        monkeypatch.setattr(ingest, "LARGE_FILE", 0)
        monkeypatch.setattr(ingest, "SEGMENT", 1000)
    real_pread = os.pread
    calls: list[int] = []

    def pread(fd: int, length: int, offset: int) -> bytes:
        if not calls:
            os.truncate(path, 700)
        calls.append(offset)
        return real_pread(fd, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        (ingested,) = shelf.ingest(folder)

    assert content(shelf, ingested.entry) == noise(5000)[:700]


def test_a_named_pipe_is_refused(shelf: Shelf, folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    with pytest.raises(PathError, match="pipe") as caught:
        shelf.ingest(folder)

    assert caught.value.hint


def test_chunks_are_named_by_their_content(shelf: Shelf, folder: Path) -> None:
    plain = noise(3000)
    (folder / "a").write_bytes(plain)

    (ingested,) = shelf.ingest(folder)

    assert isinstance(ingested.entry, FileEntry)
    offset = 0
    for identity, length in unpack_chunks(ingested.entry.chunks, "here"):
        assert chunk_id(plain[offset : offset + length]) == identity
        offset += length
    assert offset == len(plain)
