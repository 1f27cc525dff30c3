"""Move: datasets and paths within them, without reading or storing data."""

from pathlib import Path

import pytest

from dver.errors import PathError
from dver.operations.mv import Moved, mv
from dver.operations.status import State
from tests.clones import Clone, files_opened
from tests.unit.operations.conftest import fill


def move(clone: Clone, source: str, destination: str) -> Moved:
    with clone.open() as repo:
        return mv(repo, source, destination)


def stored_bytes(clone: Clone) -> int:
    return sum(path.stat().st_size for path in (clone.root / ".dver" / "cache" / "packs").rglob("*.pack"))


@pytest.fixture
def filled(clone: Clone) -> Clone:
    fill(clone)
    clone.save()
    return clone


def test_a_dataset_moves_with_pointer_and_ignore_line(filled: Clone) -> None:
    before, text = filled.data(), filled.pointer_text()

    with files_opened(filled.root / "data") as opened:
        assert move(filled, "data", "new/place") == Moved("data", "new/place")
        assert filled.status("new/place").state is State.UNCHANGED

    assert opened == []
    assert filled.data("new/place") == before
    assert filled.pointer_text("new/place") == text
    assert not (filled.root / "data").exists()
    assert not (filled.root / ".gitignore").exists()
    assert (filled.root / "new" / ".gitignore").read_text() == "/place\n"
    staged = filled.git("diff", "--cached", "--name-status", "-M").splitlines()
    assert "R100\tdata.dver\tnew/place.dver" in staged
    assert filled.git("status", "--porcelain", "--untracked-files=all").count("??") == 0


def test_a_folder_as_destination_is_moved_into(filled: Clone) -> None:
    (filled.root / "folder").mkdir()

    assert move(filled, "data", "folder") == Moved("data", "folder/data")
    assert move(filled, "folder/data", "") == Moved("folder/data", "data")
    assert filled.status().state is State.UNCHANGED


def test_a_single_file_moves(clone: Clone) -> None:
    clone.write("a.csv", b"1")
    clone.save("a.csv")

    move(clone, "a.csv", "b.csv")

    assert clone.data("b.csv") == {b"": ("file", b"1")}
    assert clone.status("b.csv").state is State.UNCHANGED


def test_changes_that_are_not_added_yet_move_along(filled: Clone) -> None:
    filled.write("data/a.bin", b"mine")

    move(filled, "data", "other")

    assert filled.status("other").changes.modified == ("a.bin",)


def test_a_dataset_that_is_not_checked_out_moves_too(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    move(other, "data", "elsewhere")
    assert other.status("elsewhere").state is State.NOT_CHECKED_OUT
    other.checkout()

    assert other.data("elsewhere") == team.data()


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        ("data", "lies within the dataset data"),
        ("data/sub", "lies within the dataset data"),
        ("other/sub", "lies within the dataset other"),
        ("taken", "is there already"),
        ("taken.dver", "is there already"),
        (".git/x", "belongs to git or dver"),
        (".dver/x", "belongs to git or dver"),
        ("linked/x", "behind the symbolic link"),
        ("file/x", "is in the way"),
    ],
)
def test_places_where_a_dataset_cannot_be(filled: Clone, tmp_path: Path, destination: str, reason: str) -> None:
    filled.write("other/x", b"1")
    filled.write("taken", b"1")
    filled.save("other", "taken")
    filled.write("file", b"1")
    (filled.root / "linked").symlink_to(tmp_path)
    before = filled.data()

    with pytest.raises(PathError, match=reason) as caught:
        move(filled, "data", destination)

    assert caught.value.hint or reason == "cannot be written"
    assert filled.data() == before
    assert filled.status().state is State.UNCHANGED
    assert sorted(path.name for path in filled.root.glob("[!.]*.dver")) == ["data.dver", "other.dver", "taken.dver"]


@pytest.mark.parametrize("source", ["", "nothing", "folder"])
def test_what_is_no_single_dataset_cannot_be_moved(clone: Clone, source: str) -> None:
    fill(clone, "folder/data")
    clone.save("folder/data")

    with pytest.raises(PathError) as caught:
        move(clone, source, "x")

    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "destination", "result"),
    [
        ("sub", "moved", "moved"),
        ("sub", "empty", "empty/sub"),
        ("a.bin", "sub", "sub/a.bin"),
        ("a.bin", "sub/deep/", "sub/deep/a.bin"),
        ("a.bin", "new/folder/b.bin", "new/folder/b.bin"),
        ("sub/deep/c", "", "c"),
        ("link", "sub/link", "sub/link"),
        ("empty", "sub/empty", "sub/empty"),
        ("sub/run.sh", "zzz", "zzz"),
        ("bad\udcff\n", "good", "good"),
        ("a.bin", "empty/deep/x", "empty/deep/x"),
    ],
)
def test_a_path_moves_within_its_dataset(filled: Clone, source: str, destination: str, result: str) -> None:
    old, new = (text.encode("utf-8", "surrogateescape") for text in (source, result))
    expected = {
        (new + path[len(old) :] if path == old or path.startswith(old + b"/") else path): what
        for path, what in filled.data().items()
    }
    if new.startswith(b"empty/"):
        del expected[b"empty"]
    before = stored_bytes(filled)

    moved = move(filled, f"data/{source}", f"data/{destination}".rstrip("/"))

    assert moved == Moved(f"data/{source}", f"data/{result}")
    assert filled.data() == expected
    assert filled.status().state is State.UNCHANGED
    assert stored_bytes(filled) - before < 2500
    filled.checkout("HEAD")
    assert filled.status().state is State.UNCHANGED


def test_the_version_after_a_move_is_that_of_a_fresh_add(filled: Clone, tmp_path: Path) -> None:
    move(filled, "data/sub", "data/a-b")

    fresh = Clone.make(tmp_path / "fresh")
    (filled.root / "data").rename(fresh.root / "data")
    fresh.add()

    assert filled.pointer_text() == fresh.pointer_text()


@pytest.mark.parametrize(
    ("source", "destination", "reason"),
    [
        ("a.bin", "data/zero", "is there already"),
        ("a.bin", "data/untracked", "is there already"),
        ("a.bin", "data/zero/x", "is not a directory"),
        ("a.bin", "data/link/x", "is not a directory"),
        ("sub", "data/sub/deep/x", "lies within what is to be moved"),
        ("sub", "data/sub", "lies within what is to be moved"),
        ("a.bin", "elsewhere/a.bin", "lies outside the dataset"),
        ("nothing", "data/x", "is not in the dataset"),
        ("a.bin", "data/.git/x", "refused the path"),
    ],
)
def test_moves_within_that_cannot_be(filled: Clone, source: str, destination: str, reason: str) -> None:
    filled.write("data/untracked", b"mine")
    before, text = filled.data(), filled.pointer_text()

    with pytest.raises((PathError, Exception), match=reason):
        move(filled, f"data/{source}", destination)

    assert filled.data() == before
    assert filled.pointer_text() == text


def test_a_part_that_is_not_here_is_moved_in_the_version_alone(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.fetch()

    move(other, "data/sub", "data/moved")
    other.checkout()

    assert other.data()[b"moved/deep/c"] == ("file", b"c")
    assert b"sub/deep/c" not in other.data()
