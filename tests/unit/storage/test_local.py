"""What the local backend adds to the contract: durable, read-only files, open descriptors, errors by errno."""

import errno
import gc
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dver.errors import BackendError, BackendProblem
from dver.storage import local
from dver.storage.backend import BlobInfo
from dver.storage.local import LocalBackend

KEY = "packs/4f/one.pack"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def backend(root: Path) -> LocalBackend:
    return LocalBackend(root)


def open_descriptors(root: Path) -> list[str]:
    """Return the files below `root` that this process holds open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith(str(root)):
            found.append(target)
    return found


def test_location_is_the_path_and_local(backend: LocalBackend, root: Path) -> None:
    assert backend.location == str(root)
    assert backend.is_local


def test_a_blob_is_a_plain_file_and_nothing_else_is_left(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"some ", b"bytes"])
    assert (root / KEY).read_bytes() == b"some bytes"
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["one.pack"]


def test_blobs_are_read_only_within_the_umask(backend: LocalBackend, root: Path) -> None:
    before = os.umask(0o027)
    try:
        backend.write(KEY, [b"x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / KEY).stat().st_mode) == 0o440
    assert stat.S_IMODE((root / "packs").stat().st_mode) == 0o750


def test_writing_again_keeps_the_file_and_makes_it_young(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"the same"])
    os.utime(root / KEY, (1000, 1000))
    inode = (root / KEY).stat().st_ino
    backend.write(KEY, [b"the same"])
    found = (root / KEY).stat()
    assert found.st_ino == inode
    assert found.st_mtime > time.time() - 60


def test_a_blob_of_somebody_else_is_made_young_by_replacing_it(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.write(KEY, [b"the same"])
    os.utime(root / KEY, (1000, 1000))
    inode = (root / KEY).stat().st_ino

    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    backend.write(KEY, [b"the same"])
    found = (root / KEY).stat()
    assert found.st_ino != inode
    assert found.st_mtime > time.time() - 60


def test_lists_leave_out_temporary_files_and_links_to_nowhere(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"x"])
    (root / "packs/4f/.tmp-1-abc").write_bytes(b"half")
    (root / "packs/4f/dangling").symlink_to("nowhere")
    assert [*backend.list("packs/")] == [BlobInfo(KEY, 1)]


def test_stale_temporaries_are_removed_and_young_ones_kept(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"x"])
    stale, young = root / "packs/4f/.tmp-1-old", root / ".tmp-2-new"
    for path in (stale, young):
        path.write_bytes(b"half")
    os.utime(stale, (1000, 1000))
    os.utime(root / KEY, (1000, 1000))
    # A link to nowhere looks as a file does that somebody else removed in this moment.
    (root / ".tmp-3-gone").symlink_to("nowhere")
    assert backend.remove_stale_temporaries(24 * 3600) == 1
    assert not stale.exists()
    assert young.exists()
    assert backend.read(KEY) == b"x"


def test_no_stale_temporaries_in_a_store_that_is_not_there(backend: LocalBackend) -> None:
    assert backend.remove_stale_temporaries(0) == 0


def test_an_interrupted_write_leaves_nothing(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    (root / "packs/4f").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        backend.write(KEY, [b"x"])
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_file_systems_that_cannot_flush_folders_are_taken(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def refuse(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    backend.write(KEY, [b"x"])
    assert backend.read(KEY) == b"x"


def test_a_folder_that_fails_to_flush_is_a_failed_write(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(local, "sync_directory", fail)
    with pytest.raises(BackendError, match=r"cannot write .*: Input/output error"):
        backend.write(KEY, [b"x"])


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOSPC, BackendProblem.NO_SPACE),
        (errno.EDQUOT, BackendProblem.NO_SPACE),
        (errno.EROFS, BackendProblem.READ_ONLY),
        (errno.EACCES, BackendProblem.DENIED),
        (errno.EPERM, BackendProblem.DENIED),
        (errno.EIO, BackendProblem.OTHER),
    ],
)
def test_failures_of_the_disk_are_told_by_kind_and_leave_nothing(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, problem: BackendProblem
) -> None:
    def fail(_fd: int, _pieces: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local, "write_all", fail)
    with pytest.raises(BackendError) as caught:
        backend.write(KEY, [b"x"])
    assert caught.value.problem is problem
    assert not caught.value.transient
    assert caught.value.message.startswith(f"{root}: ")
    assert KEY in caught.value.message
    assert caught.value.hint
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_a_file_where_the_store_should_be_is_told(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(BackendError, match="a file is where a folder should be"):
        LocalBackend(root).write(KEY, [b"x"])


def test_reading_a_folder_is_a_failure(backend: LocalBackend) -> None:
    backend.write(KEY, [b"x"])
    with pytest.raises(BackendError) as caught:
        backend.read("packs/4f")
    assert caught.value.problem is BackendProblem.OTHER


def test_a_folder_that_may_not_be_read_is_no_empty_list(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.write(KEY, [b"x"])

    def refuse(_folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BackendError) as caught:
        [*backend.list("packs/4f/")]
    assert caught.value.problem is BackendProblem.DENIED


def test_few_files_stay_open_and_close_lets_go_of_them(root: Path) -> None:
    backend = LocalBackend(root, open_files=3)
    for number in range(10):
        backend.write(f"packs/{number}", [bytes([number]) * 10])
    for _ in range(2):
        for number in range(10):
            assert backend.read_range(f"packs/{number}", 5, 1) == bytes([number])
    assert len(open_descriptors(root)) == 3
    assert backend.read_range("packs/9", 0, 2) == b"\x09\x09"
    assert len(open_descriptors(root)) == 3
    backend.close()
    assert open_descriptors(root) == []
    assert backend.read_range("packs/0", 0, 1) == b"\x00"
    backend.close()


def test_a_dropped_backend_lets_go_of_its_files(root: Path) -> None:
    backend = LocalBackend(root)
    backend.write(KEY, [b"x"])
    backend.read_range(KEY, 0, 1)
    assert len(open_descriptors(root)) == 1
    del backend
    gc.collect()
    assert open_descriptors(root) == []


def test_deleted_and_replaced_files_are_not_held_open(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"first"])
    backend.read_range(KEY, 0, 1)
    backend.write(KEY, [b"second"])
    assert open_descriptors(root) == []
    backend.read_range(KEY, 0, 1)
    backend.delete(KEY)
    assert open_descriptors(root) == []


def test_a_file_stays_open_while_others_read_from_it(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.write(KEY, [b"0123456789"])
    inside, go_on = threading.Event(), threading.Event()
    pread = os.pread

    def slow_pread(fd: int, length: int, offset: int) -> bytes:
        inside.set()
        assert go_on.wait(10)
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", slow_pread)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(backend.read_range, KEY, 2, 3)
        assert inside.wait(10)
        backend.delete(KEY)
        backend.close()
        go_on.set()
        assert reading.result(10) == b"234"
    assert open_descriptors(root) == []


def test_short_reads_of_the_kernel_are_completed(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.write(KEY, [b"0123456789"])
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: pread(fd, min(length, 3), offset))
    assert backend.read_range(KEY, 1, 8) == b"12345678"
    backend.close()


def test_a_stale_handle_of_a_network_file_system_is_opened_again(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.write(KEY, [b"0123456789"])
    backend.read_range(KEY, 0, 1)
    pread = os.pread
    failures = [OSError(errno.ESTALE, "Stale file handle")]

    def stale_once(fd: int, length: int, offset: int) -> bytes:
        if failures:
            raise failures.pop()
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", stale_once)
    assert backend.read_range(KEY, 4, 2) == b"45"
    backend.close()


def test_other_read_errors_are_told(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.write(KEY, [b"0123456789"])

    def fail(_fd: int, _length: int, _offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(BackendError, match=r"cannot read .*: Input/output error"):
        backend.read_range(KEY, 4, 2)
    backend.close()


def test_empty_folders_inside_one_are_removed_and_others_stay(backend: LocalBackend, root: Path) -> None:
    backend.write(KEY, [b"x"])
    for name in ("packs/aa", "packs/bb/deep", "versions"):
        (root / name).mkdir(parents=True)
    backend.remove_empty_folders("packs", inside=True)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["packs", "packs/4f", KEY, "versions"]
    backend.delete(KEY)
    backend.remove_empty_folders("packs", inside=True)
    assert sorted(path.name for path in root.iterdir()) == ["packs", "versions"]


def test_a_writer_makes_its_folder_again_if_it_is_removed_before_anything_is_in_it(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    mkdir = Path.mkdir

    def make_and_lose(folder: Path, *arguments: Any, **keywords: Any) -> None:
        mkdir(folder, *arguments, **keywords)
        if folder == root / "packs/4f":
            made.append(folder)
            if len(made) < 3:
                backend.remove_empty_folders("packs", inside=True)

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    backend.write(KEY, [b"x"])
    assert backend.read(KEY) == b"x"
    assert len(made) == 3


def test_a_folder_that_goes_with_what_was_just_written_is_no_failure(
    backend: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def replace_and_lose(self: Path, target: Path) -> Path:
        found = replace(self, target)
        target.unlink()
        backend.remove_empty_folders("packs", inside=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_and_lose)
        backend.write(KEY, [b"x"])
    assert backend.size(KEY) is None
    backend.write(KEY, [b"x"])
    assert backend.read(KEY) == b"x"


def test_writers_and_one_that_removes_empty_folders_do_not_disturb_each_other(root: Path) -> None:
    is_over = threading.Event()

    def remove() -> None:
        other = LocalBackend(root)
        while not is_over.is_set():
            other.remove_empty_folders("packs", inside=True)
            time.sleep(0.0005)

    def write(number: int) -> None:
        backend = LocalBackend(root)
        for one in range(20):
            key = f"packs/{number:02x}/{one}.pack"
            backend.write(key, [b"x"])
            assert backend.read(key) == b"x"
            backend.delete(key)

    with ThreadPoolExecutor(5) as pool:
        removing = pool.submit(remove)
        try:
            list(pool.map(write, range(4)))
        finally:
            is_over.set()
        removing.result()
    LocalBackend(root).remove_empty_folders("packs", inside=True)
    assert [path.name for path in root.rglob("*")] == ["packs"]
