"""Add: every kind of data, what git is told, and that unchanged files are not read again."""

import os
import time
from pathlib import Path

import pytest

from dver.errors import ConfigError, UnstableFileError
from dver.operations.add import add
from dver.workspace import ingest
from dver.workspace.pointers import read_pointer
from dver.workspace.reading import read_whole
from dver.workspace.statcache import StatCache
from tests.clones import Clone, files_opened, noise, snapshot
from tests.unit.operations.conftest import fill


def stored_version(clone: Clone, dataset: str = "data") -> bytes:
    pointer = read_pointer(clone.root, dataset)
    assert pointer is not None
    return pointer.version


def restored(clone: Clone, folder: Path, dataset: str = "data") -> Clone:
    """Return a clone of what is committed whose data comes from the first one's cache."""
    other = clone.clone(folder)
    (other.root / ".dver" / "config.local.toml").write_text(f'[cache]\ndir = "{clone.root}/.dver/cache"\n')
    other.checkout(None, dataset)
    return other


def test_files_of_every_kind_come_back(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.write("data/new\nline", b"x")
    clone.write("data/.gitignore", b"*.bin\n")
    clone.write("data/sub/.gitattributes", b"* binary\n")
    before = clone.data()
    clone.save()

    assert clone.data() == before
    assert restored(clone, tmp_path / "other").data() == before


def test_the_pointer_says_what_was_added(clone: Clone) -> None:
    fill(clone)

    (added,) = clone.add().added

    assert added.previous is None
    assert added.changed
    assert read_pointer(clone.root, "data") == added.pointer
    assert added.pointer.files == 8
    assert added.pointer.size == 20_000 + 5000 + 10 + 1 + 7 + 9
    assert clone.pointer_text().startswith("# dver pointer")


def test_single_files_and_many_paths_at_once(clone: Clone, tmp_path: Path) -> None:
    clone.write("big.csv", noise(50_000))
    clone.write("a/one", b"1", executable=True)
    clone.write("b/x", b"2")

    result = clone.add("big.csv", "a/one", "b/", "b")
    clone.commit()

    assert [added.dataset for added in result.added] == ["big.csv", "a/one", "b"]
    assert result.stored_bytes > 50_000
    other = restored(clone, tmp_path / "other", "a/one")
    assert snapshot(other.root / "a" / "one") == {b"": ("executable", b"1")}


def test_git_gets_pointers_and_ignore_lines_and_no_data(clone: Clone) -> None:
    fill(clone, "some/where/data")
    clone.write("top.bin", b"x")

    clone.add("some/where/data", "top.bin")

    staged = clone.git("diff", "--cached", "--name-only").split()
    assert staged[3:] == [".gitignore", "some/where/.gitignore", "some/where/data.dver", "top.bin.dver"]
    assert (clone.root / "some" / "where" / ".gitignore").read_text() == "/data\n"
    assert (clone.root / ".gitignore").read_text() == "/top.bin\n"
    assert clone.git("status", "--porcelain", "--untracked-files=all").count("??") == 0


def test_data_that_git_ignores_already_needs_no_line(clone: Clone) -> None:
    clone.write(".gitignore", b"*.csv\nraw/\n")
    clone.write("x.csv", b"1")
    clone.write("raw/y", b"2")
    clone.write("raw2/y", b"2")

    clone.add("x.csv", "raw2")

    assert (clone.root / ".gitignore").read_text() == "*.csv\nraw/\n/raw2\n"


def test_nothing_is_staged_where_that_is_not_wanted(clone: Clone) -> None:
    clone.commit()
    fill(clone)

    with clone.open() as repo:
        add(repo, ["data"], stage=False)

    assert clone.git("diff", "--cached", "--name-only") == ""
    assert (clone.root / "data.dver").is_file()
    assert (clone.root / ".gitignore").read_text() == "/data\n"


def test_an_interrupted_staging_is_made_up_for(clone: Clone) -> None:
    fill(clone)
    with clone.open() as repo:
        add(repo, ["data"], stage=False)

    clone.add()

    staged = clone.git("diff", "--cached", "--name-only").split()
    assert {".gitignore", "data.dver"} <= {*staged}


@pytest.mark.parametrize("is_first", [False, True])
def test_a_pointer_that_a_killed_add_may_have_left_is_written_again(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    fill(clone)
    if not is_first:
        clone.add()
    clone.write("data/new", b"new")
    with monkeypatch.context() as patch:
        # The stat cache learns of a version once its pointer is durable.
        patch.setattr(StatCache, "rebase", killed)
        with pytest.raises(KeyboardInterrupt):
            clone.add()
    pointer = clone.root / "data.dver"
    left, text = pointer.stat().st_ino, pointer.read_text()

    clone.add()
    assert pointer.stat().st_ino != left
    left = pointer.stat().st_ino
    clone.add()

    assert (pointer.stat().st_ino, pointer.read_text()) == (left, text)


def test_new_changed_and_deleted_files_make_the_version_that_a_fresh_add_makes(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.add()
    clone.write("data/sub/new", b"new")
    clone.write("data/a.bin", noise(20_000, 7))
    (clone.root / "data" / "zero").unlink()
    (clone.root / "data" / "sub" / "run.sh").chmod(0o644)
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").symlink_to("elsewhere")
    (clone.root / "data" / "empty" / "no longer").touch()
    clone.add()

    fresh = Clone.make(tmp_path / "fresh")
    (clone.root / "data").rename(fresh.root / "data")
    fresh.add()

    assert stored_version(clone) == stored_version(fresh)
    assert clone.pointer_text() == fresh.pointer_text()


def test_a_second_add_reads_no_data(clone: Clone) -> None:
    fill(clone)
    clone.add()
    text = clone.pointer_text()

    with files_opened(clone.root / "data") as opened:
        result = clone.add()

    assert opened == []
    assert not result.added[0].changed
    assert result.stored_bytes == 0
    assert clone.pointer_text() == text


def test_only_changed_files_are_read_again(clone: Clone) -> None:
    fill(clone)
    clone.add()
    clone.write("data/zero", b"0")
    (clone.root / "data" / "a.bin").touch()

    with files_opened(clone.root / "data") as opened:
        clone.add()
        assert sorted(opened) == [bytes(clone.root / "data" / name) for name in ("a.bin", "zero")]
        clone.add()

    assert len(opened) == 2


def test_a_touched_file_is_stored_once(clone: Clone) -> None:
    fill(clone)
    clone.add()
    (clone.root / "data" / "a.bin").touch()

    result = clone.add()

    assert not result.added[0].changed
    assert result.stored_bytes == 0


def test_an_edit_stores_little_more_than_what_changed(clone: Clone) -> None:
    plain = noise(400_000)
    clone.write("data/big", plain)
    clone.add()
    clone.write("data/big", plain[:200_000] + noise(3000, 9) + plain[200_000:])

    assert clone.add().stored_bytes < 20_000


def test_edits_of_the_same_size_in_quick_succession_are_all_stored(clone: Clone) -> None:
    path = clone.write("data/x", b"0")
    versions = set()
    for number in range(10):
        path.write_bytes(b"%d" % number)
        versions.add(clone.add().added[0].pointer.version)

    assert len(versions) == 10


def test_without_the_stat_cache_the_version_is_the_same(clone: Clone) -> None:
    fill(clone)
    clone.add()
    text = clone.pointer_text()
    clone.forget_stat_cache()

    result = clone.add()

    assert not result.added[0].changed
    assert result.stored_bytes == 0
    assert clone.pointer_text() == text


def test_a_deleted_cache_is_filled_again(clone: Clone) -> None:
    fill(clone)
    clone.save()
    before = clone.data()
    clone.delete_cache()

    clone.add()

    assert clone.status().in_cache
    for path in (clone.root / "data").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.unlink()
    clone.checkout()
    assert clone.data() == before


def test_a_cache_that_holds_only_part_of_a_version_is_completed(clone: Clone, team: Clone, tmp_path: Path) -> None:
    before = team.data()
    team.delete_cache()
    team.fetch("data/sub")

    team.add()

    assert team.status().in_cache
    (tmp_path / "remote").rename(tmp_path / "gone")
    for name in ("a.bin", "sub/b.bin"):
        (team.root / "data" / name).unlink()
    team.checkout()
    assert team.data() == before


def test_ignored_files_are_left_out(clone: Clone) -> None:
    clone.write(".dverignore", b"*.tmp\n!keep.tmp\n/data/cache/\n")
    for name in ("x", "x.tmp", "keep.tmp", "cache/y", "sub/cache/z", "sub/skip/w"):
        clone.write(f"data/{name}", b"x")
    clone.write("data/sub/.dverignore", b"skip\n")

    assert clone.add().added[0].pointer.files == 4
    assert not clone.status().changes


def test_a_file_that_becomes_ignored_leaves_the_dataset(clone: Clone) -> None:
    clone.write("data/x", b"x")
    clone.write("data/y.tmp", b"y")
    assert clone.add().added[0].pointer.files == 2

    clone.write(".dverignore", b"*.tmp\n")

    assert clone.status().changes.deleted == ("y.tmp",)
    assert clone.add().added[0].pointer.files == 1
    assert (clone.root / "data" / "y.tmp").exists()


def test_a_broken_ignore_file_is_named(clone: Clone) -> None:
    clone.write("data/.dverignore", b"!\n")

    with pytest.raises(ConfigError, match=r"data/\.dverignore"):
        clone.add()


def test_a_file_that_changes_while_it_is_read_is_stored_as_it_ends_up(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = clone.write("data/x", noise(3000))
    final = noise(3000, 2)
    calls: list[int] = []

    def disturbed(fd: int, found: os.stat_result) -> bytes:
        calls.append(fd)
        data = read_whole(fd, found)
        if len(calls) == 1:
            path.write_bytes(final)
        return data

    monkeypatch.setattr(ingest, "read_whole", disturbed)
    clone.save()

    assert restored(clone, tmp_path / "other").data() == {b"x": ("file", final)}


def test_a_file_that_does_not_stop_changing_is_refused_and_nothing_is_written(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone.write("data/x", b"0")
    clone.write("data/y", noise(3000))

    def disturbed(fd: int, found: os.stat_result) -> bytes:
        path.write_bytes(os.urandom(8))
        return read_whole(fd, found)

    monkeypatch.setattr(ingest, "read_whole", disturbed)

    with pytest.raises(UnstableFileError) as caught:
        clone.add()

    assert caught.value.path == str(path)
    assert not (clone.root / "data.dver").exists()
    monkeypatch.undo()
    assert clone.add().added[0].pointer.files == 2


def test_a_file_can_become_a_folder_and_back(clone: Clone) -> None:
    clone.write("data", b"one file")
    clone.add()
    (clone.root / "data").unlink()
    clone.write("data/x", b"many")
    clone.add()
    assert 'kind = "directory"' in clone.pointer_text()
    assert clone.status().state == "unchanged"

    (clone.root / "data" / "x").unlink()
    (clone.root / "data").rmdir()
    clone.write("data", b"one file")
    clone.add()
    assert 'kind = "file"' in clone.pointer_text()
    assert clone.status().state == "unchanged"


def test_an_empty_folder_is_a_dataset(clone: Clone, tmp_path: Path) -> None:
    (clone.root / "data").mkdir()
    clone.save()

    assert clone.status().state == "unchanged"
    assert list((restored(clone, tmp_path / "other").root / "data").iterdir()) == []


def test_a_dataset_may_have_a_name_that_is_hard_to_quote(clone: Clone, tmp_path: Path) -> None:
    for name in ("sp ace", "é", "#x", "!y", "[z]*", "bad\udcff"):
        clone.write(f"{name}/x", name.encode("utf-8", "surrogateescape"))
        clone.save(name)
        assert clone.status(name).state == "unchanged"
        assert clone.git("status", "--porcelain", "--untracked-files=all") == ""

    other = restored(clone, tmp_path / "other", "bad\udcff")
    assert snapshot(other.root / "bad\udcff") == {b"x": ("file", b"bad\xff")}


def test_a_pointer_in_a_merge_conflict_is_settled_by_adding(clone: Clone) -> None:
    clone.write("data/x", b"base")
    clone.save()
    clone.git("checkout", "--quiet", "-b", "other")
    clone.write("data/x", b"theirs")
    clone.save()
    clone.git("checkout", "--quiet", "main")
    clone.checkout()
    clone.write("data/x", b"ours")
    clone.save()
    with pytest.raises(AssertionError):
        clone.git("merge", "--quiet", "other")
    assert "<<<<<<<" in clone.pointer_text()
    clone.write("data/x", b"merged")

    clone.save()

    assert "<<<<<<<" not in clone.pointer_text()
    assert clone.git("ls-files", "--unmerged") == ""
    assert clone.status().state == "unchanged"


def test_time_stamps_in_the_future_are_no_trouble(clone: Clone) -> None:
    path = clone.write("data/x", b"1")
    later = time.time() + 3600
    os.utime(path, (later, later))
    clone.add()

    path.write_bytes(b"2")
    os.utime(path, (later, later))

    assert clone.status().changes.modified == ("x",)
    assert clone.add().added[0].changed
