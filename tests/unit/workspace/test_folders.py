"""Folders that are reached through descriptors, and what gets in their way."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dver.errors import DverError, PathError
from dver.objects.entry import FileEntry
from dver.workspace.deletion import delete_files
from dver.workspace.folders import PATH_MAX, Folders
from tests.unit.workspace.shelf import Shelf

ROUNDS = 150

_SWAPPER = """
import contextlib, itertools, os, sys
place, outside = sys.argv[1:]
link = place + ".link"
os.symlink(outside, link)
print("ready", flush=True)
for number in itertools.count():
    aside = f"{place}.{number}"
    # Whoever works there makes and removes folders at the same time, so any of these may fail.
    with contextlib.suppress(OSError):
        os.rename(place, aside)
    with contextlib.suppress(OSError):
        os.rename(link, place)
        os.rename(place, link)
    with contextlib.suppress(OSError):
        os.rename(aside, place)
"""


@contextmanager
def swapped(place: Path, outside: Path) -> Iterator[None]:
    """Put a symbolic link in place of a folder and take it away again, all the time, from another process."""
    command = [sys.executable, "-c", _SWAPPER, str(place), str(outside)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_folders_are_made_on_the_way_and_found_again(tmp_path: Path) -> None:
    with Folders(os.fsencode(tmp_path), b"data") as folders:
        folder, name = folders.above(b"a/b/c")
        assert name == b"c"
        assert os.path.samestat(os.fstat(folder.fd), (tmp_path / "data/a/b").stat())
        assert folders.above(b"a/b/d")[0] is folder
        assert folders.above(b"")[1] == b"data"
        assert folders.absolute(b"x") == os.fsencode(tmp_path / "data/x")


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with Folders(os.fsencode(tmp_path), b"data") as folders:
        assert folders.there(b"a/b") is None
        assert not folders.unlink(b"a/b")
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
@pytest.mark.parametrize("at", ["data", "data/a", "data/a/b"])
def test_nothing_but_a_folder_is_entered(tmp_path: Path, kind: str, at: str) -> None:
    outside = tmp_path / "outside"
    (outside / "a" / "b").mkdir(parents=True)
    place = tmp_path / "tree" / at
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(outside if kind == "link" else tmp_path / "nowhere")

    with Folders(os.fsencode(tmp_path / "tree"), b"data") as folders:
        with pytest.raises(PathError, match="in the way") as caught:
            folders.above(b"a/b/c")
        assert caught.value.hint
        assert folders.there(b"a/b/c") is None
        with pytest.raises(PathError):
            folders.write(b"a/b/c", b"x")
        assert not folders.unlink(b"a/b/c")
        delete_files(folders, [b"a/b/c"])
    assert names(outside) == ["a", "a/b"]


def test_what_leads_to_the_top_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    with Folders(os.fsencode(tmp_path / "link")) as folders:
        folders.write(b"a/b", b"x")

    assert (tmp_path / "real/a/b").read_bytes() == b"x"


def test_a_folder_that_was_forgotten_is_looked_at_again(tmp_path: Path) -> None:
    with Folders(os.fsencode(tmp_path)) as folders:
        folders.write(b"a/b/c", b"1")
        (tmp_path / "a").rename(tmp_path / "z")
        folders.forget(b"a")
        folders.write(b"a/b/c", b"2")
    assert (tmp_path / "a/b/c").read_bytes() == b"2"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with Folders(os.fsencode(tmp_path)) as folders:
        monkeypatch.setattr(os, "writev", full)
        with pytest.raises(OSError, match="full"):
            folders.write(b"file", b"new")
        monkeypatch.undo()
        assert names(tmp_path) == ["file"]
        assert (tmp_path / "file").read_bytes() == b"old"
        folders.write(b"file", b"new", mode=0o640)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_few_folders_stay_open_and_none_in_the_end(tmp_path: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    with Folders(os.fsencode(tmp_path), limit=8) as folders:
        for number in range(100):
            folders.write(b"%d/x/y" % number, b"")
        assert opened() <= before + 8
    assert opened() == before


def test_several_threads_use_the_same_folders(tmp_path: Path) -> None:
    with Folders(os.fsencode(tmp_path), limit=4) as folders:

        def work(start: int) -> None:
            for number in range(start, start + 50):
                folders.write(b"%d/%d/file" % (number % 7, number % 3), b"x")

        threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([name for name in names(tmp_path) if name.endswith("file")]) == 21


def test_a_very_deep_path_is_refused_and_one_that_fits_is_not(tmp_path: Path) -> None:
    room = PATH_MAX - len(os.fsencode(tmp_path)) - 2
    with Folders(os.fsencode(tmp_path)) as folders:
        with pytest.raises(OSError, match="too long"):
            folders.write(b"a/" * (room // 2 + 2) + b"x", b"")
        assert names(tmp_path) == []
        deep = b"a/" * (room // 2 - 1) + b"x"
        folders.write(deep, b"")
        assert os.path.exists(os.fsencode(tmp_path) + b"/" + deep)
        delete_files(folders, [deep])
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["data", "data/sub", "data/sub/deep"])
def test_nothing_is_written_outside_while_a_folder_is_swapped_for_a_link(
    shelf: Shelf, tmp_path: Path, place: str
) -> None:
    source, tree, outside = tmp_path / "source", tmp_path / "tree", tmp_path / "outside"
    for folder in ("sub/deep", "sub/other"):
        (source / folder).mkdir(parents=True)
        for number in range(5):
            (source / folder / str(number)).write_bytes(b"data")
    (outside / "deep").mkdir(parents=True)
    (outside / "sub" / "deep").mkdir(parents=True)
    before = names(outside)
    manifest = shelf.store_folder(source)
    (tree / place).mkdir(parents=True)
    entries = [entry for entry in manifest.entries() if isinstance(entry, FileEntry)]

    stopped = 0
    with swapped(tree / place, outside):
        for _ in range(ROUNDS):
            try:
                assembler = shelf.assembler(tree / "data")
                for _ in assembler.write(entries, manifest):
                    pass
                assembler.write_link(b"sub/deep/link", b"/etc/passwd")
                assembler.make_directory(b"sub/deep/empty")
            except DverError:
                stopped += 1
            with suppress(DverError), Folders(os.fsencode(tree), b"data") as folders:
                delete_files(folders, [*(entry.path for entry in entries), b"sub/deep/link"])
            assert names(outside) == before
    assert stopped, "the link was never met, so nothing was shown"
