"""Checkout: files become what pointers say, and nothing that is stored nowhere is lost."""

from pathlib import Path

import pytest

from dver.errors import DverError, FormatError, GitError, PathError
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.status import State
from tests.clones import Clone, Snapshot, everything_but_dvers_own, files_opened
from tests.unit.operations.conftest import fill


def version_files(clone: Clone, rev: str, folder: Path) -> Snapshot:
    """Return what a version holds, checked out into a clone of its own."""
    other = clone.clone(folder)
    (other.root / ".dver" / "config.local.toml").write_text(f'[cache]\ndir = "{clone.root}/.dver/cache"\n')
    other.checkout(rev)
    return other.data()


def test_every_version_comes_back_byte_for_byte(history: Clone, tmp_path: Path) -> None:
    second = history.data()

    history.checkout("v1")
    first = history.data()
    history.checkout("v2")

    assert history.data() == second
    assert first == version_files(history, "v1", tmp_path / "one")
    assert second == version_files(history, "v2", tmp_path / "two")
    assert first[b"sub/run.sh"] == ("executable", b"#!/bin/sh\n")
    assert first[b"link"] == ("link", b"sub/b.bin")
    assert first[b"empty"] == ("directory", b"")
    assert first[b"bad\xff\n"] == ("file", b"not utf-8")
    assert b"new/x" not in first


def test_a_revision_brings_its_pointer_too_and_stages_it(history: Clone) -> None:
    history.checkout("v1")

    assert history.pointer_text() == history.git("show", "v1:data.dver")
    assert history.git("diff", "--cached", "--name-only").split() == ["data.dver"]
    assert history.status().state is State.UNCHANGED


def test_without_a_revision_data_follows_the_pointer(history: Clone) -> None:
    second = history.data()
    history.git("checkout", "--quiet", "v1")
    assert history.status().state is State.POINTER_CHANGED

    history.checkout()

    assert history.status().state is State.UNCHANGED
    history.git("checkout", "--quiet", "main")
    history.checkout()
    assert history.data() == second


def test_only_files_that_differ_are_written(history: Clone) -> None:
    before = {name: (history.root / "data" / name).stat() for name in ("zero", "sub/b.bin", "a.bin")}

    plan = history.checkout("v1")

    assert [entry.path for entry in plan.datasets[0].writes] == [
        b"a.bin",
        b"empty",
        b"link",
        b"sub/deep/c",
        b"sub/run.sh",
    ]
    for name in ("zero", "sub/b.bin"):
        found = (history.root / "data" / name).stat()
        assert (found.st_ino, found.st_mtime_ns) == (before[name].st_ino, before[name].st_mtime_ns)


def test_a_checkout_with_nothing_to_do_touches_and_reads_nothing(history: Clone) -> None:
    with files_opened(history.root / "data") as opened:
        plan = history.checkout()
        history.checkout("v2")

    assert opened == []
    assert not plan.datasets[0].writes
    assert plan.datasets[0].deletes == []


def test_untracked_files_are_kept(history: Clone) -> None:
    history.write("data/mine", b"1")
    history.write("data/new/mine", b"2")
    history.write("data/own/mine", b"3")

    history.checkout("v1")

    kept = history.data()
    assert [kept[name] for name in (b"mine", b"new/mine", b"own/mine")] == [
        ("file", b"1"),
        ("file", b"2"),
        ("file", b"3"),
    ]
    assert b"new/x" not in kept
    assert history.status().changes.added == ("mine", "new/mine", "own/mine")


def test_an_untracked_file_in_a_directory_that_is_empty_in_the_version_is_kept(clone: Clone) -> None:
    (clone.root / "data" / "empty").mkdir(parents=True)
    clone.write("data/x", b"1")
    clone.save()
    clone.write("data/empty/mine", b"mine")
    (clone.root / "data" / "x").unlink()

    clone.checkout(force=True)

    assert clone.data() == {b"x": ("file", b"1"), b"empty/mine": ("file", b"mine")}


def test_ignored_files_are_kept(history: Clone) -> None:
    history.write(".dverignore", b"*.tmp\n")
    history.write("data/new/x.tmp", b"1")

    history.checkout("v1")

    assert history.data()[b"new/x.tmp"] == ("file", b"1")


def test_deleted_files_and_datasets_come_back(history: Clone) -> None:
    before = history.data()
    (history.root / "data" / "zero").unlink()
    (history.root / "data" / "new" / "x").unlink()
    history.checkout()
    assert history.data() == before

    (history.root / "data").rename(history.root.parent / "away")
    history.checkout()
    assert history.data() == before


def test_a_dry_run_plans_and_touches_nothing(history: Clone) -> None:
    history.write("data/a.bin", b"mine")
    before = everything_but_dvers_own(history)

    plan = history.checkout("v1", dry_run=True)

    assert plan.conflicts == ["data/a.bin"]
    assert plan.datasets[0].deletes == [b"empty/now full", b"new/x"]
    assert everything_but_dvers_own(history) == before
    assert history.git("diff", "--cached", "--name-only") == ""


def test_a_dry_run_without_the_stat_cache_changes_no_later_answer(history: Clone) -> None:
    history.forget_stat_cache()
    history.checkout("v1", dry_run=True)

    assert history.status().state is State.UNCHANGED


def test_without_the_stat_cache_the_right_files_are_written_and_deleted(history: Clone, tmp_path: Path) -> None:
    wanted = version_files(history, "v1", tmp_path / "one")
    history.forget_stat_cache()

    history.checkout("v1")

    assert history.data() == wanted


def test_a_fresh_checkout_of_one_file(clone: Clone, tmp_path: Path) -> None:
    clone.write("deep/folder/single", b"1", executable=True)
    clone.save("deep/folder/single")
    clone.git("tag", "v1")
    clone.git("rm", "--quiet", "deep/folder/single.dver", "deep/folder/.gitignore")
    (clone.root / "deep" / "folder" / "single").unlink()
    (clone.root / "deep" / "folder").rmdir()
    (clone.root / "deep").rmdir()
    clone.commit()

    clone.checkout("v1")

    assert clone.data("deep/folder/single") == {b"": ("executable", b"1")}
    assert (clone.root / "deep" / "folder" / ".gitignore").read_text() == "/single\n"
    assert clone.git("status", "--porcelain").splitlines() == [
        "A  deep/folder/.gitignore",
        "A  deep/folder/single.dver",
    ]


def test_a_dataset_of_a_revision_that_the_working_tree_lacks_comes_and_others_stay(clone: Clone) -> None:
    clone.write("old/x", b"1")
    clone.save("old")
    clone.git("tag", "v1")
    clone.git("rm", "--quiet", "old.dver")
    (clone.root / "old" / "x").unlink()
    clone.write("new/y", b"2")
    clone.save("new")

    clone.checkout("v1")

    assert clone.data("old") == {b"x": ("file", b"1")}
    assert clone.data("new") == {b"y": ("file", b"2")}


def test_paths_narrow_a_revision_to_datasets(clone: Clone) -> None:
    for dataset in ("a", "b"):
        clone.write(f"{dataset}/x", b"1")
    clone.save("a", "b")
    clone.git("tag", "v1")
    for dataset in ("a", "b"):
        clone.write(f"{dataset}/x", b"2")
    clone.save("a", "b")

    clone.checkout("v1", "a")

    assert clone.data("a") == {b"x": ("file", b"1")}
    assert clone.data("b") == {b"x": ("file", b"2")}
    assert clone.git("diff", "--cached", "--name-only").split() == ["a.dver"]


def test_parts_bring_back_what_is_in_them_and_no_sibling_whose_name_begins_alike(clone: Clone) -> None:
    names = ("a", "sub/x", "sub/deep/y", "sub/deeper", "subway", "sub.txt", "z")
    for name in names:
        clone.write(f"data/{name}", b"as stored")
    clone.add()
    for name in names:
        clone.write(f"data/{name}", b"changed here")

    clone.checkout(None, "data/sub/deep", "data/sub", "data/a", force=True)

    back = [name for name in names if (clone.root / "data" / name).read_bytes() == b"as stored"]
    assert back == ["a", "sub/x", "sub/deep/y", "sub/deeper"]


def test_an_empty_dataset_is_a_folder(clone: Clone) -> None:
    (clone.root / "data").mkdir()
    clone.save()
    (clone.root / "data").rmdir()

    clone.checkout()

    assert (clone.root / "data").is_dir()


@pytest.mark.parametrize(
    ("rev", "paths", "kind", "reason"),
    [
        ("nonsense", (), GitError, "nonsense"),
        (None, ("nowhere",), PathError, "no dataset is there"),
        ("v1", ("nowhere",), PathError, "no dataset is there"),
        (None, ("data/nothing",), PathError, "is not in the dataset data"),
        (None, ("data/zero/below",), PathError, "is not in the dataset data"),
    ],
)
def test_mistakes_are_named_with_what_helps(
    history: Clone, rev: str | None, paths: tuple[str, ...], kind: type[DverError], reason: str
) -> None:
    before = everything_but_dvers_own(history)

    with pytest.raises(kind, match=reason) as caught:
        history.checkout(rev, *paths)

    assert caught.value.hint
    assert everything_but_dvers_own(history) == before


def test_a_broken_pointer_stops_only_its_own_dataset(clone: Clone) -> None:
    clone.write("bad/x", b"1")
    clone.write("good/x", b"1")
    clone.save("bad", "good")
    (clone.root / "bad.dver").write_text("<<<<<<< HEAD\n")
    (clone.root / "good" / "x").unlink()

    clone.checkout(None, "good")
    assert clone.data("good") == {b"x": ("file", b"1")}

    with pytest.raises(FormatError, match=r"bad\.dver") as caught:
        clone.checkout()
    assert caught.value.hint


def test_part_of_another_version_is_refused(history: Clone) -> None:
    with pytest.raises(PathError, match="another version") as caught:
        history.checkout("v1", "data/sub")

    assert caught.value.hint is not None
    assert "dver checkout data" in caught.value.hint


def test_nothing_is_written_behind_a_symbolic_link(clone: Clone, tmp_path: Path) -> None:
    fill(clone, "folder/data")
    clone.save("folder/data")
    clone.git("tag", "v1")
    clone.git("rm", "--quiet", "-r", "folder")
    (clone.root / "folder").rename(tmp_path / "outside")
    (tmp_path / "outside" / "data").rename(tmp_path / "data")
    (clone.root / "folder").symlink_to(tmp_path / "outside")
    clone.commit()

    with pytest.raises(PathError, match="behind the symbolic link"):
        clone.checkout("v1")

    assert not (tmp_path / "outside" / "data").exists()


def test_a_damaged_cache_is_found_and_the_files_stay(clone: Clone) -> None:
    clone.write("data/x", b"a sentence that is stored as it is")
    clone.save()
    (clone.root / "data" / "x").unlink()
    for pack in (clone.root / ".dver" / "cache" / "packs").rglob("*.pack"):
        data = pack.read_bytes()
        pack.chmod(0o644)
        pack.write_bytes(data.replace(b"sentence", b"sentense"))

    with clone.open() as repo, pytest.raises(DverError, match="damaged"):
        checkout(repo, options=CheckoutOptions(verify=True))

    assert clone.data() == {}


def test_a_pointer_that_a_killed_checkout_may_have_left_is_written_again(history: Clone) -> None:
    pointer = history.root / "data.dver"
    pointer.write_text(history.git("show", "v1:data.dver"))
    left = pointer.stat().st_ino

    history.checkout("v1")

    assert pointer.stat().st_ino != left
    assert pointer.read_text() == history.git("show", "v1:data.dver")
