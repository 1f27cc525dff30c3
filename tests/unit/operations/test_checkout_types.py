"""Checkout where a path is one kind of thing in one version and another in the next."""

import os
from itertools import permutations
from pathlib import Path

import pytest

from dver.errors import DataLossError
from dver.operations.status import State
from tests.clones import Clone

KINDS = ["file", "program", "link", "link to folder", "empty directory", "directory", "nothing"]


def put(path: Path, kind: str, content: bytes = b"") -> None:
    """Make a path what `kind` says, whatever it was; files hold `content`."""
    if path.is_dir() and not path.is_symlink():
        for below in sorted(path.rglob("*"), reverse=True):
            below.rmdir() if below.is_dir() else below.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    if kind == "file":
        path.write_bytes(content)
    elif kind == "program":
        path.write_bytes(content)
        path.chmod(0o755)
    elif kind == "link":
        path.symlink_to(f"somewhere {content!r}")
    elif kind == "link to folder":
        path.symlink_to("folder")
    elif kind == "empty directory":
        path.mkdir()
    elif kind == "directory":
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "x").write_bytes(b"deep" + content)
        (path / "y").write_bytes(content)


def put_all(clone: Clone, pairs: list[tuple[str, str]], *, first: bool) -> None:
    """Make one path of the dataset for each pair, of the pair's first kind or its second."""
    clone.write("data/folder/z", b"z")
    for number, pair in enumerate(pairs):
        kind = pair[0 if first else 1]
        put(clone.root / "data" / f"p{number:02}", kind, f"{kind} {number} {first}".encode())


def test_paths_that_change_their_kind_follow_each_version(clone: Clone) -> None:
    pairs = list(permutations(KINDS, 2))
    put_all(clone, pairs, first=True)
    clone.save()
    clone.git("tag", "v1")
    first = clone.data()
    put_all(clone, pairs, first=False)
    clone.save()
    second = clone.data()

    for rev, expected in (("v1", first), ("HEAD", second)):
        clone.checkout(rev)
        assert clone.data() == expected
        assert clone.status().state is State.UNCHANGED

    clone.forget_stat_cache()
    clone.checkout("v1")
    assert clone.data() == first
    assert clone.status().state is State.UNCHANGED


def holds_data(kind: str) -> bool:
    return kind not in ("empty directory", "nothing")


def test_what_a_user_put_in_the_place_of_a_path_is_only_replaced_by_force(clone: Clone) -> None:
    pairs = list(permutations(KINDS, 2))
    put_all(clone, pairs, first=True)
    clone.save()
    wanted = clone.data()
    put_all(clone, pairs, first=False)
    # What a user puts where nothing is tracked, or into an empty directory, stands in nobody's way.
    free = {
        f"p{number:02}"
        for number, (tracked, local) in enumerate(pairs)
        if tracked == "nothing" or (tracked, local) == ("empty directory", "directory")
    }
    mine = clone.data()

    with pytest.raises(DataLossError) as caught:
        clone.checkout()

    assert {Path(path).parts[1] for path in caught.value.paths} == {
        f"p{number:02}" for number, (_, local) in enumerate(pairs) if holds_data(local)
    } - free
    assert clone.data() == mine

    clone.checkout(force=True)

    def is_free(path: bytes) -> bool:
        return path.split(b"/")[0].decode() in free

    assert {path: what for path, what in clone.data().items() if not is_free(path)} == {
        path: what for path, what in wanted.items() if not is_free(path)
    }
    assert {path: what for path, what in clone.data().items() if is_free(path)} == {
        path: what for path, what in mine.items() if is_free(path)
    }


def test_an_empty_directory_holds_nothing_that_could_be_lost(clone: Clone) -> None:
    pairs = [(kind, "empty directory") for kind in KINDS if holds_data(kind)]
    put_all(clone, pairs, first=True)
    clone.save()
    wanted = clone.data()
    put_all(clone, pairs, first=False)

    clone.checkout()

    assert clone.data() == wanted
    assert clone.status().state is State.UNCHANGED


@pytest.mark.parametrize("direction", ["folder first", "file first"])
def test_a_dataset_may_turn_from_a_folder_into_a_file_and_back(clone: Clone, direction: str) -> None:
    kinds = ["directory", "program"] if direction == "folder first" else ["program", "directory"]
    path = clone.root / "data"
    put(path, kinds[0])
    clone.save()
    clone.git("tag", "v1")
    first = clone.data()
    put(path, kinds[1])
    clone.save()
    second = clone.data()

    clone.checkout("v1")
    assert clone.data() == first
    clone.checkout("HEAD")
    assert clone.data() == second
    assert clone.status().state is State.UNCHANGED


def test_a_folder_that_must_become_a_file_keeps_what_is_untracked_in_it(clone: Clone) -> None:
    clone.write("data", b"one file")
    clone.save()
    clone.git("tag", "v1")
    (clone.root / "data").unlink()
    clone.write("data/x", b"many")
    clone.save()
    clone.write("data/mine", b"mine")

    with pytest.raises(DataLossError) as caught:
        clone.checkout("v1")

    assert caught.value.paths == ("data/mine",)
    clone.checkout("v1", force=True)
    assert clone.data() == {b"": ("file", b"one file")}


def test_a_file_that_must_become_a_folder_is_kept_when_it_is_the_users(clone: Clone) -> None:
    clone.write("data/x", b"many")
    clone.save()
    (clone.root / "data" / "x").unlink()
    (clone.root / "data").rmdir()
    clone.write("data", b"mine")

    with pytest.raises(DataLossError) as caught:
        clone.checkout()

    assert caught.value.paths == ("data",)
    clone.checkout(force=True)
    assert clone.data() == {b"x": ("file", b"many")}


def test_a_dataset_that_the_user_moved_behind_a_link_is_not_written_through(clone: Clone, tmp_path: Path) -> None:
    clone.write("data/x", b"1")
    clone.save()
    clone.git("tag", "v1")
    clone.write("data/x", b"2")
    clone.save()
    (clone.root / "data").rename(tmp_path / "big disk")
    (clone.root / "data").symlink_to(tmp_path / "big disk")

    with pytest.raises(DataLossError) as caught:
        clone.checkout("v1")

    assert caught.value.paths == ("data",)
    assert (tmp_path / "big disk" / "x").read_bytes() == b"2"


def test_ignored_files_where_a_folder_must_become_a_file_are_seen_before_anything_is_touched(clone: Clone) -> None:
    clone.write(".dverignore", b"*.tmp\n")
    clone.write("data/p", b"file")
    clone.write("data/q", b"1")
    clone.save()
    clone.git("tag", "v1")
    (clone.root / "data" / "p").unlink()
    clone.write("data/p/x", b"x")
    clone.write("data/q", b"2")
    clone.save()
    clone.write("data/p/mine.tmp", b"ignored")
    before = clone.data()

    with pytest.raises(DataLossError) as caught:
        clone.checkout("v1")

    assert caught.value.paths == ("data/p/mine.tmp",)
    assert clone.data() == before
    clone.checkout("v1", force=True)
    assert clone.data() == {b"p": ("file", b"file"), b"q": ("file", b"1")}


def test_a_pipe_in_the_place_of_a_file_is_replaced_by_force(clone: Clone) -> None:
    clone.write("data/x", b"1")
    clone.save()
    (clone.root / "data" / "x").unlink()
    os.mkfifo(clone.root / "data" / "x")

    with pytest.raises(DataLossError):
        clone.checkout()

    clone.checkout(force=True)
    assert clone.data() == {b"x": ("file", b"1")}
    assert clone.status().state is State.UNCHANGED


def test_an_empty_directory_in_the_place_of_a_link_stays_modified_in_every_scan(clone: Clone) -> None:
    (clone.root / "data").mkdir()
    (clone.root / "data" / "link").symlink_to("somewhere")
    clone.save()
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").mkdir()

    # At once, while the stat is too young to be trusted, and again.
    states = [clone.status().state for _ in range(3)]

    assert states == [State.MODIFIED] * 3
