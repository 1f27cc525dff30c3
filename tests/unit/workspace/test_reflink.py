"""Sharing blocks: only where it can be done, and only the content of files that are certainly what they should be.

The tests that share blocks for real run where the folder for temporary files can; for the others a stand-in copies.
"""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.objects.entry import FileEntry
from dver.workspace import reflink
from dver.workspace.reflink import Cloner, content_of, share_blocks, why_not_shared
from dver.workspace.statcache import Row, make_row
from dver.workspace.walk import FileType
from tests.clones import noise

SIZE = reflink.SMALLEST


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where blocks are shared they are copied, and counted."""
    shared: list[int] = []

    def copy(source: int, target: int) -> None:
        data = os.pread(source, os.fstat(source).st_size, 0)
        os.pwrite(target, data, 0)
        shared.append(len(data))

    monkeypatch.setattr(reflink, "share_blocks", copy)
    return shared


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: int, _target: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(reflink, "share_blocks", refuse)


def entry(path: bytes = b"a", content: bytes = b"chunks", size: int = SIZE) -> FileEntry:
    return FileEntry(path, size, executable=False, chunks=content)


def known_file(path: Path, data: bytes) -> tuple[bytes, Row]:
    """Write a file and return its path, and a row that holds for it."""
    path.write_bytes(data)
    # Older than the clock may be coarse, so that the row is trusted.
    old = time.time_ns() - 10_000_000_000
    os.utime(path, ns=(old, old))
    found = path.stat()
    return os.fsencode(path), make_row(FileType.FILE, found, found.st_ctime_ns + 5_000_000_000)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_files_share_blocks_where_the_file_system_can(tmp_path: Path) -> None:
    reason = why_not_shared(tmp_path)
    if reason is not None:
        pytest.skip(f"the folder for temporary files cannot: {reason.strerror}")
    data = noise(SIZE + 17)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        share_blocks(source.fileno(), target.fileno())
    assert (tmp_path / "b").read_bytes() == data
    with (tmp_path / "b").open("r+b") as file:
        file.write(b"changed")
    assert (tmp_path / "a").read_bytes() == data


@pytest.mark.usefixtures("copying")
def test_trying_leaves_nothing_behind(tmp_path: Path) -> None:
    assert why_not_shared(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("refusing")
def test_a_file_system_that_cannot_says_why_and_nothing_is_left_behind(tmp_path: Path) -> None:
    reason = why_not_shared(tmp_path)
    assert reason is not None
    assert reason.errno == errno.EOPNOTSUPP
    assert list(tmp_path.iterdir()) == []


def test_other_systems_than_linux_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    reason = why_not_shared(tmp_path)
    assert reason is not None
    assert reason.errno == errno.EOPNOTSUPP


def test_equal_files_from_a_size_on_come_together() -> None:
    entries = [
        entry(b"a"),
        entry(b"b", b"other"),
        entry(b"c"),
        entry(b"small", size=SIZE - 1),
        entry(b"small too", size=SIZE - 1),
        entry(b"z"),
    ]
    groups = [
        (one.path, [twin.path for twin in twins])
        for one, twins in Cloner(Path("unused"), among_new=True).groups(entries)
    ]
    assert groups == [(b"a", [b"c", b"z"]), (b"b", []), (b"small", []), (b"small too", [])]
    alone = [(one.path, twins) for one, twins in Cloner(Path("unused"), among_new=False).groups(entries)]
    assert alone == [(one.path, ()) for one in entries]


@pytest.mark.usefixtures("copying")
def test_content_is_kept_whatever_becomes_of_its_file(tmp_path: Path, scratch: Path) -> None:
    data = noise(SIZE)
    cloner = Cloner(scratch, among_new=True)
    assert cloner.keep(content_of(entry()), *known_file(tmp_path / "a", data))
    (tmp_path / "a").unlink()
    kept = cloner.kept(entry(b"elsewhere"))
    assert kept is not None
    assert Path(os.fsdecode(kept)).read_bytes() == data
    assert cloner.kept(entry(content=b"other")) is None


def _touch(path: Path) -> None:
    path.touch()


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _replace_by_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.usefixtures("copying")
@pytest.mark.parametrize("change", [_touch, _grow, Path.unlink, _replace_by_a_link, _replace_by_a_pipe])
def test_a_file_that_is_not_what_it_was_is_no_source(
    tmp_path: Path, scratch: Path, change: Callable[[Path], None]
) -> None:
    path, row = known_file(tmp_path / "a", noise(SIZE))
    change(tmp_path / "a")
    cloner = Cloner(scratch, among_new=True)
    assert not cloner.keep(content_of(entry()), path, row)
    assert cloner.kept(entry()) is None


@pytest.mark.usefixtures("copying")
@pytest.mark.parametrize("change", [{"checked": 0}, {"differs": 1}])
def test_a_file_whose_content_is_not_known_is_no_source(tmp_path: Path, scratch: Path, change: dict[str, int]) -> None:
    path, row = known_file(tmp_path / "a", noise(SIZE))
    assert not Cloner(scratch, among_new=True).keep(content_of(entry()), path, row._replace(**change))


def test_a_file_that_is_written_to_meanwhile_is_no_source(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, row = known_file(tmp_path / "a", noise(SIZE))

    def meanwhile(_source: int, target: int) -> None:
        (tmp_path / "a").write_bytes(bytes(SIZE))
        os.write(target, bytes(SIZE))

    monkeypatch.setattr(reflink, "share_blocks", meanwhile)
    cloner = Cloner(scratch, among_new=True)
    assert not cloner.keep(content_of(entry()), path, row)
    assert cloner.kept(entry()) is None


@pytest.mark.usefixtures("refusing")
def test_what_cannot_be_shared_is_left_to_be_written(tmp_path: Path, scratch: Path) -> None:
    path, row = known_file(tmp_path / "a", noise(SIZE))
    cloner = Cloner(scratch, among_new=True)
    assert not cloner.keep(content_of(entry()), path, row)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        assert not cloner.share(entry(), source.fileno(), target.fileno())
    assert (cloner.refused, cloner.files, cloner.bytes) == ([entry()], 0, 0)


def test_a_share_of_another_length_counts_as_none(tmp_path: Path, copying: list[int]) -> None:
    (tmp_path / "a").write_bytes(bytes(SIZE - 1))
    cloner = Cloner(tmp_path, among_new=True)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        assert not cloner.share(entry(), source.fileno(), target.fileno())
    assert copying
    assert cloner.refused == [entry()]
