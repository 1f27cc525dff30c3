"""A disk that is full under any part of a repository: one sentence, nothing half-written, and later all goes on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.fileio import TEMPORARY_PREFIX
from tests.cli.runner import Cli
from tests.clones import Clone, noise
from tests.faults.disks import SmallDisk
from tests.stores import damage_packs


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository with a dataset of two committed versions, of which a remote has the first."""
    made = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    made.write("data/a", noise(60_000, 1))
    made.write("data/b", noise(50_000, 2))
    made.save()
    made.push()
    made.write("data/b", noise(50_000, 3))
    made.save()
    return made


def move(path: Path, disk: SmallDisk) -> None:
    """Let a folder be on the small disk."""
    shutil.move(path, disk.folder / path.name)
    path.symlink_to(disk.folder / path.name)


def on_disk(clone: Clone, disk: SmallDisk) -> Clone:
    """Return the repository as it is on the small disk, all of it."""
    shutil.move(clone.root, disk.folder / "repo")
    return Clone(disk.folder / "repo")


def changed_with_cache_there(clone: Clone, disk: SmallDisk) -> Clone:
    clone.write("data/new", noise(30_000, 4))
    move(clone.root / ".dver/cache", disk)
    return clone


def changed_with_all_there(clone: Clone, disk: SmallDisk) -> Clone:
    there = on_disk(clone, disk)
    there.write("data/new", noise(9000, 4))
    return there


def unpushed_with_remote_there(clone: Clone, disk: SmallDisk) -> Clone:
    move(clone.root.parent / "remote", disk)
    return clone


def without_cache(clone: Clone, disk: SmallDisk) -> Clone:
    clone.push()
    clone.delete_cache()
    (clone.root / ".dver/cache").mkdir()
    move(clone.root / ".dver/cache", disk)
    return clone


def without_data(clone: Clone, disk: SmallDisk) -> Clone:
    cache = clone.root / ".dver/cache"
    shutil.move(cache, clone.root.parent / "cache")
    there = on_disk(clone, disk)
    (there.root / ".dver/cache").symlink_to(clone.root.parent / "cache")
    shutil.rmtree(there.root / "data")
    return there


def with_much_garbage(clone: Clone, disk: SmallDisk) -> Clone:
    clone.go_back()
    move(clone.root / ".dver/cache", disk)
    return clone


def damaged_with_cache_there(clone: Clone, disk: SmallDisk) -> Clone:
    """Damage a pack of which the remote has all: it is to be moved aside and made again."""
    clone.push()
    damage_packs(clone.root / ".dver/cache")
    move(clone.root / ".dver/cache", disk)
    return clone


def damaged_with_remote_there(clone: Clone, disk: SmallDisk) -> Clone:
    clone.push()
    damage_packs(clone.root.parent / "remote")
    move(clone.root.parent / "remote", disk)
    return clone


def with_garbage_there(clone: Clone, disk: SmallDisk) -> Clone:
    """Leave a version on the remote that nothing names, and shares a pack with nothing."""
    clone.push()
    clone.go_back()
    move(clone.root.parent / "remote", disk)
    return clone


def with_due_garbage_there(clone: Clone, disk: SmallDisk) -> Clone:
    there = with_garbage_there(clone, disk)
    Cli(there.root).ok("gc", "--remote", "--grace", "0")
    return there


SCENES: dict[str, tuple[Callable[[Clone, SmallDisk], Clone], tuple[str, ...], int]] = {
    "add, no room for packs": (changed_with_cache_there, ("add", "data"), 0),
    "add, room for packs and not for the rest": (changed_with_cache_there, ("add", "data"), 36_000),
    "add, no room for anything": (changed_with_all_there, ("add", "data"), 0),
    "push": (unpushed_with_remote_there, ("push",), 0),
    "push, room for packs and not for the rest": (unpushed_with_remote_there, ("push",), 60_000),
    "fetch": (without_cache, ("fetch",), 40_000),
    "pull": (without_cache, ("pull",), 40_000),
    "checkout": (without_data, ("checkout", "--force"), 70_000),
    "gc": (with_much_garbage, ("gc",), 0),
    "fsck --repair": (damaged_with_cache_there, ("fsck", "--repair"), 0),
    "fsck --repair, room for a part": (damaged_with_cache_there, ("fsck", "--repair"), 70_000),
    "fsck --repair of a remote": (damaged_with_remote_there, ("fsck", "--repair", "--remote", "origin"), 20_000),
    "gc --remote": (with_garbage_there, ("gc", "--remote", "--grace", "0"), 0),
    "gc --remote of what is due": (with_due_garbage_there, ("gc", "--remote", "--grace", "0"), 0),
    "gc --remote, room for the lease": (with_due_garbage_there, ("gc", "--remote", "--grace", "0"), 8_000),
}


RARE = {
    *("add, no room for anything", "push", "pull", "fsck --repair, room for a part", "fsck --repair of a remote"),
    *("gc --remote of what is due", "gc --remote, room for the lease"),
}


@pytest.mark.parametrize(
    "scene", [pytest.param(scene, marks=pytest.mark.slow if scene in RARE else []) for scene in SCENES]
)
def test_a_full_disk_is_told_and_once_there_is_room_the_same_command_completes(
    clone: Clone, small_disk: SmallDisk, scene: str
) -> None:
    prepare, command, room = SCENES[scene]
    there = prepare(clone, small_disk)
    pointer = there.pointer_text()
    small_disk.fill(but=room)
    result = Cli(there.root)(*command)
    if result.code:
        assert (result.code, result.err.count("dver: error:")) == (3, 1), result
        assert "o space left" in result.err, result
        assert "free some space" in result.err
        assert there.pointer_text() == pointer
    else:
        # Deleting needs no room, and neither does what fits.
        assert scene == "gc" or room, result
    assert [path for path in small_disk.folder.rglob(f"{TEMPORARY_PREFIX}*")] == []
    small_disk.free()
    assert Cli(there.root).ok(*command)
    assert there.status().in_cache
    for store in ((), ("--remote", "origin")):
        assert Cli(there.root)("fsck", "--full", *store).code == 0
