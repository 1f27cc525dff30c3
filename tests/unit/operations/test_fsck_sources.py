"""A repair looks in all places on this machine that can be known, and believes none of them."""

import shutil
from pathlib import Path

import pytest

from dver.errors import ConfigError
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions, FsckResult
from tests.clones import Clone, noise
from tests.unit.operations.damage import store_files


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository without a remote, with one committed version."""
    made = Clone.make(tmp_path / "repo")
    made.write("data/a", noise(90_000, 1))
    made.save(message="first")
    return made


def repair(clone: Clone, *sources: Path) -> FsckResult:
    with clone.open() as repo:
        return fsck(repo, options=FsckOptions(repair=True, sources=tuple(map(str, sources))))


def check(clone: Clone) -> FsckResult:
    with clone.open() as repo:
        return fsck(repo)


def restored(result: FsckResult) -> set[str]:
    assert result.repaired is not None
    return set(result.repaired.mended.restored)


def cache(clone: Clone) -> Path:
    return clone.root / ".dver" / "cache"


def lose(clone: Clone) -> None:
    """Lose all packs, and the working files."""
    for pack in store_files(cache(clone), "packs"):
        pack.unlink()
    shutil.rmtree(clone.root / "data")


def all_is_back(clone: Clone) -> bool:
    with clone.open() as repo:
        checkout(repo, None, [], options=CheckoutOptions(force=True, verify=True))
    return (clone.root / "data" / "a").read_bytes() == noise(90_000, 1) and check(clone).damages == ()


def use_cache_of(clone: Clone, other: Clone) -> None:
    config = clone.root / ".dver" / "config.toml"
    config.write_text(config.read_text() + f'\n[cache]\ndir = "{cache(other)}"\n')


def linked_to(clone: Clone, tmp_path: Path) -> Clone:
    linked = Clone(tmp_path / "linked")
    clone.git("worktree", "add", "--quiet", "--detach", str(linked.root))
    linked.checkout()
    return linked


def test_a_linked_work_tree_gives_back_what_is_lost(clone: Clone, tmp_path: Path) -> None:
    linked = linked_to(clone, tmp_path)
    lose(clone)
    result = repair(clone)
    assert (result.is_sound, restored(result)) == (True, {f"the working files in {linked.root}"})
    assert all_is_back(clone)


def test_files_that_were_changed_elsewhere_are_not_believed(clone: Clone, tmp_path: Path) -> None:
    linked = linked_to(clone, tmp_path)
    linked.write("data/a", noise(90_000, 7))
    lose(clone)
    assert not repair(clone).is_sound
    assert not store_files(cache(clone), "versions")


def test_the_files_of_another_repository_with_the_same_cache_give_back_what_is_lost(
    clone: Clone, tmp_path: Path
) -> None:
    other = clone.clone(tmp_path / "other")
    use_cache_of(other, clone)
    other.checkout()
    other.write("mine", b"so that it says that it uses the cache")
    other.add("mine")
    lose(clone)
    result = repair(clone)
    assert f"the working files in {other.root}" in restored(result)
    assert result.is_sound
    assert all_is_back(clone)


def test_a_cache_that_a_neighbour_had_before_gives_back_what_is_lost(clone: Clone, tmp_path: Path) -> None:
    other = clone.clone(tmp_path / "other")
    shutil.copytree(cache(clone), cache(other))
    use_cache_of(other, clone)
    other.write("mine", b"so that it says that it uses the cache")
    other.add("mine")
    lose(clone)
    result = repair(clone)
    assert f"another store ({cache(other)})" in restored(result)
    assert all_is_back(clone)


@pytest.mark.parametrize("kind", ["store", "repository"])
def test_what_the_user_names_gives_back_what_an_earlier_repair_could_not(
    clone: Clone, tmp_path: Path, kind: str
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(clone.root if kind == "repository" else cache(clone), backup)
    lose(clone)
    assert not repair(clone).is_sound
    assert not repair(clone).is_sound
    assert repair(clone, backup).is_sound
    assert all_is_back(clone)


def test_a_damaged_backup_is_not_believed(clone: Clone, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(cache(clone), backup)
    for pack in store_files(backup, "packs"):
        content = bytearray(pack.read_bytes())
        for at in range(40, len(content), 997):
            content[at] ^= 1
        pack.write_bytes(content)
    lose(clone)
    assert not repair(clone, backup).is_sound


def test_a_folder_that_is_neither_a_store_nor_a_repository_is_refused(clone: Clone, tmp_path: Path) -> None:
    lose(clone)
    with pytest.raises(ConfigError, match="neither a store nor a repository"):
        repair(clone, tmp_path)
