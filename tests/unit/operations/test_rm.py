"""Remove: datasets and parts of them go, data that is stored nowhere does not."""

from pathlib import Path

import pytest

from dver.errors import DataLossError, PathError, VersionNotFoundError
from dver.operations.rm import Removed, rm
from dver.operations.status import State
from tests.clones import Clone, files_opened
from tests.unit.operations.conftest import fill


def remove(clone: Clone, *paths: str, keep: bool = False, force: bool = False) -> list[Removed]:
    with clone.open() as repo:
        return rm(repo, paths, keep=keep, force=force)


def test_a_dataset_goes_with_its_data_pointer_and_ignore_line(clone: Clone) -> None:
    fill(clone, "folder/data")
    clone.save("folder/data")

    assert remove(clone, "folder/data") == [Removed("folder/data", "", kept=False)]

    assert not (clone.root / "folder").exists()
    assert clone.git("status", "--porcelain").splitlines() == ["D  folder/.gitignore", "D  folder/data.dver"]


def test_old_versions_can_still_be_checked_out(clone: Clone) -> None:
    fill(clone)
    clone.save()
    before = clone.data()
    remove(clone, "data")
    clone.commit()

    clone.checkout("HEAD~1")

    assert clone.data() == before


def test_a_single_file(clone: Clone) -> None:
    clone.write("big.csv", b"1")
    clone.write("other.csv", b"2")
    clone.save("big.csv", "other.csv")

    remove(clone, "big.csv")

    assert not (clone.root / "big.csv").exists()
    assert (clone.root / ".gitignore").read_text() == "/other.csv\n"


def test_the_data_can_be_kept(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/mine", b"not stored")
    before = clone.data()

    assert remove(clone, "data", keep=True) == [Removed("data", "", kept=True)]

    assert clone.data() == before
    assert not (clone.root / "data.dver").exists()
    # Git must not swallow it with the next `git add`.
    assert clone.git("check-ignore", "data").strip() == "data"


@pytest.mark.parametrize("change", ["modified", "added", "link"])
def test_what_is_stored_nowhere_is_not_removed(clone: Clone, change: str) -> None:
    fill(clone)
    clone.write("b/x", b"1")
    clone.save("data", "b")
    if change == "link":
        (clone.root / "data" / "link").unlink()
        (clone.root / "data" / "link").symlink_to("mine")
    else:
        clone.write("data/zero" if change == "modified" else "data/mine", b"mine")
    before = clone.data()

    with pytest.raises(DataLossError) as caught:
        remove(clone, "b", "data")

    assert caught.value.paths == ({"modified": "data/zero", "added": "data/mine", "link": "data/link"}[change],)
    assert caught.value.hint is not None
    assert "dver add data" in caught.value.hint
    assert clone.data() == before
    assert clone.data("b") == {b"x": ("file", b"1")}
    assert (clone.root / "b.dver").exists()

    remove(clone, "data", force=True)
    assert not (clone.root / "data").exists()


def test_ignored_files_stay_unless_forced(clone: Clone) -> None:
    clone.write(".dverignore", b"*.tmp\n")
    fill(clone)
    clone.write("data/sub/x.tmp", b"stored nowhere")
    clone.save()

    remove(clone, "data/sub")
    assert (clone.root / "data" / "sub" / "x.tmp").read_bytes() == b"stored nowhere"
    remove(clone, "data")
    assert clone.data() == {b"sub/x.tmp": ("file", b"stored nowhere")}

    fill(clone, "again")
    clone.write("again/x.tmp", b"stored nowhere")
    clone.save("again")
    remove(clone, "again", force=True)
    assert not (clone.root / "again").exists()


def test_the_only_copy_is_not_removed_after_the_cache_was_deleted(clone: Clone) -> None:
    fill(clone)
    clone.save()
    before = clone.data()
    clone.delete_cache()

    with pytest.raises(DataLossError):
        remove(clone, "data")

    assert clone.data() == before
    clone.forget_stat_cache()
    with pytest.raises(VersionNotFoundError):
        remove(clone, "data")
    remove(clone, "data", keep=True)
    assert clone.data() == before


def test_what_is_on_the_remote_can_be_removed(team: Clone) -> None:
    team.delete_cache()

    remove(team, "data")

    assert not (team.root / "data").exists()


def test_data_that_is_not_checked_out_is_no_obstacle(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    assert remove(other, "data") == [Removed("data", "", kept=False)]

    assert not (other.root / "data.dver").exists()


@pytest.mark.parametrize("part", ["sub", "sub/b.bin", "empty", "link", "bad\udcff\n"])
def test_a_part_leaves_the_dataset_and_the_rest_stays(clone: Clone, part: str) -> None:
    fill(clone)
    clone.save()
    name = part.encode("utf-8", "surrogateescape")
    expected = {path: what for path, what in clone.data().items() if path != name and not path.startswith(name + b"/")}

    with files_opened(clone.root / "data") as opened:
        assert remove(clone, f"data/{part}") == [Removed("data", part, kept=False)]

    assert opened == []
    assert clone.data() == expected
    assert clone.status().state is State.UNCHANGED
    assert clone.git("diff", "--cached", "--name-only").split() == ["data.dver"]
    clone.checkout("HEAD")
    assert clone.status().state is State.UNCHANGED


def test_the_version_without_a_part_is_that_of_a_fresh_add(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.add()
    remove(clone, "data/sub")

    fresh = Clone.make(tmp_path / "fresh")
    (clone.root / "data").rename(fresh.root / "data")
    fresh.add()

    assert clone.pointer_text() == fresh.pointer_text()


def test_a_part_can_be_kept_as_untracked(clone: Clone) -> None:
    fill(clone)
    clone.save()

    remove(clone, "data/sub", keep=True)

    assert clone.status().changes.added == ("sub/b.bin", "sub/deep/c", "sub/run.sh")


def test_changes_outside_of_the_part_are_no_obstacle(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/a.bin", b"mine")

    remove(clone, "data/sub")

    assert clone.data()[b"a.bin"] == ("file", b"mine")
    assert clone.status().changes.modified == ("a.bin",)
    with pytest.raises(DataLossError):
        remove(clone, "data/a.bin")


@pytest.mark.parametrize("path", ["", "nothing", "data/nothing"])
def test_mistakes_are_named(clone: Clone, path: str) -> None:
    fill(clone)
    clone.save()

    with pytest.raises(PathError) as caught:
        remove(clone, path)

    assert caught.value.hint


def test_a_part_of_data_at_another_version_is_refused(clone: Clone) -> None:
    fill(clone)
    first = clone.save()
    clone.write("data/a.bin", b"2")
    clone.save()
    clone.git("checkout", "--quiet", first, "--", "data.dver")

    with pytest.raises(PathError, match="another version") as caught:
        remove(clone, "data/sub")

    assert caught.value.hint == "dver checkout data"
