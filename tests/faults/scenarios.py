"""The commands that are killed, each with a repository to be killed in: `folder / "repo"`, with `folder / "remote"`."""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from dver.objects.ids import ObjectId, chunk_id
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions
from dver.operations.gc import gc
from dver.operations.gc_auto import tidy
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.operations.push import push, wanted_versions
from dver.storage.lease import LEASE_SECONDS
from dver.storage.packs import list_packs, pack_key, read_pack_entries
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.clones import Clone, noise
from tests.encryption import stored_path
from tests.stores import flip, replace

SMALL_PACK = 4 * 1024


@dataclass(frozen=True, slots=True)
class Scenario:
    """A repository to begin with, and a command.

    Attributes:
        forced: the command for where it refuses after a power cut, for working files were cut short or the stat cache
            was lost.
        damage: done to the repository before the command, which is to mend it.
        reads: whether data must stay as it is.
        frees: whether the cache is to hold less in the end.
        cleans: whether the remote is.
        keys: whether what opens an encrypted remote changes.
        later: done before the command is run again.
    """

    prepare: Callable[[Path], None]
    command: Callable[[Clone], object]
    forced: Callable[[Clone], object] | None = None
    damage: Callable[[Clone], None] | None = None
    reads: bool = False
    frees: bool = False
    cleans: bool = False
    keys: bool = False
    later: Callable[[Clone], None] = lambda _clone: None


def make(folder: Path) -> Clone:
    """Make a repository with a remote."""
    return Clone.make(folder / "repo", remote="../remote")


def begin(folder: Path) -> Clone:
    """Make a repository with a first committed and pushed version of a dataset."""
    clone = make(folder)
    shutil.rmtree(clone.root / ".git" / "hooks", ignore_errors=True)
    clone.write("data/a", noise(9000, 1))
    clone.write("data/same", noise(5000, 2))
    clone.write("data/gone/x", b"x", executable=True)
    clone.write("data/kind", b"a file")
    (clone.root / "data" / "link").symlink_to("a")
    clone.save()
    clone.git("tag", "v1")
    clone.push()
    return clone


def change(clone: Clone) -> None:
    """Change the dataset in every way."""
    clone.write("data/a", noise(9000, 1)[:4000] + noise(7000, 3))
    clone.write("data/new/y", noise(3000, 4))
    (clone.root / "data" / "gone" / "x").unlink()
    (clone.root / "data" / "gone").rmdir()
    (clone.root / "data" / "kind").unlink()
    (clone.root / "data" / "kind").mkdir()
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").symlink_to("same")


def prepare_first_add(folder: Path) -> None:
    clone = begin(folder)
    clone.git("rm", "--quiet", "--cached", "data.dver")
    (clone.root / "data.dver").unlink()
    shutil.rmtree(clone.root / ".dver" / "cache")
    clone.forget_stat_cache()
    clone.commit()


def prepare_add(folder: Path) -> None:
    change(begin(folder))


def add_in_small_packs(clone: Clone) -> None:
    """Add with packs so small that there are several, and index files before the end."""
    with ExitStack() as stack:
        writer = partial(StoreWriter, pack_size=SMALL_PACK)
        stack.enter_context(patch("dver.operations.add.StoreWriter", writer))
        stack.enter_context(patch("dver.storage.writer.PUBLISH_EVERY_PACKS", 2))
        clone.add()


def prepare_checkout(folder: Path) -> None:
    clone = begin(folder)
    change(clone)
    clone.save()
    clone.write("data/mine", b"untracked")


def check_out_in_parts(clone: Clone, *, force: bool = False) -> None:
    """Check out with files so large that they take what stays from those that they replace."""
    with ExitStack() as stack:
        for module in ("dver.workspace.assemble", "dver.operations.sharing"):
            stack.enter_context(patch(f"{module}.LARGE_FILE", 1000))
        clone.checkout("v1", force=force)


def prepare_push(folder: Path) -> None:
    clone = begin(folder)
    change(clone)
    clone.save()


def in_whole_packs(command: Callable[[Clone], object], clone: Clone) -> None:
    """Run a command that takes packs as they are, however small."""
    with patch("dver.operations.pack_choice.SMALLEST_WHOLE", 1):
        command(clone)


def prepare_push_of_packs(folder: Path) -> None:
    """Leave packs in the cache that hold nothing but chunks, as all but the last do."""
    clone = begin(folder)
    change(clone)
    clone.write("data/large", noise(4 * SMALL_PACK, 60))
    add_in_small_packs(clone)
    clone.commit()


def prepare_fetch(folder: Path, prepare: Callable[[Path], None] = prepare_push) -> None:
    prepare(folder)
    clone = Clone(folder / "repo")
    in_whole_packs(Clone.push, clone)
    clone.checkout("v1")
    clone.git("reset", "--quiet", "--hard")
    shutil.rmtree(clone.root / ".dver" / "cache")
    shutil.copytree(folder / "remote", folder / "v1 only")
    clone.fetch("data/same")


def pull_by_force(clone: Clone) -> None:
    clone.fetch()
    clone.checkout(force=True)


def prepare_gc(folder: Path) -> None:
    """Leave packs of which nothing is needed, packs of which a part is, and a version of each kind."""
    clone = begin(folder)
    clone.write("data/a", noise(9000, 7))
    clone.write("data/new/z", noise(20_000, 8))
    clone.add()
    clone.write("data/a", noise(9000, 1))
    clone.save()
    clone.push()
    clone.write("data/b", noise(30_000, 9))
    clone.add()
    clone.go_back("HEAD")


def collect(clone: Clone) -> None:
    with clone.open() as repo:
        gc(repo)


def prepare_merging(folder: Path) -> None:
    """Leave more small packs and index files than are left alone."""
    clone = begin(folder)
    for seed in range(3):
        clone.write(f"data/{seed}", noise(2000, 20 + seed))
        clone.save()
    clone.push()


def merge_packs(clone: Clone) -> None:
    with (
        patch("dver.operations.gc_auto.MANY_PACKS", 2),
        patch("dver.operations.gc_auto.MANY_INDEX_FILES", 2),
        clone.open() as repo,
    ):
        tidy(repo)


def prepare_repair(folder: Path) -> None:
    """Leave a version whose only copy of a file is in the cache, and one whose files are here."""
    clone = begin(folder)
    change(clone)
    clone.write("data/only", noise(6000, 30))
    clone.save()
    (clone.root / "data" / "only").unlink()
    clone.write("data/later", noise(4000, 31))
    clone.save()


def damage_cache(clone: Clone) -> None:
    """Damage a pack that the remote has all of, one that only the working files have a part of, and an index file.

    What stays readable of the second pack is nowhere else.
    """
    with clone.open() as repo:
        store = repo.cache
        flip_record(store, chunk_id(first_chunk(clone, noise(5000, 2))))
        flip_record(store, chunk_id(first_chunk(clone, noise(3000, 4))))
        index = min(info.key for info in store.backend.list("index/"))
        replace(store.backend, index, flip(store.backend.read(index), 40))
    age(clone.root / ".dver" / "cache")


def prepare_remote_repair(folder: Path) -> None:
    prepare_push(folder)
    Clone(folder / "repo").push()


def damage_remote(clone: Clone) -> None:
    """Damage a pack of the remote, and delete another."""
    with clone.open() as repo:
        store = repo.remote()
        flip_record(store, chunk_id(first_chunk(clone, noise(5000, 2))))
        lost = pack_of(store, chunk_id(first_chunk(clone, noise(3000, 4))))
        (clone.root.parent / "remote" / lost).unlink()
    age(clone.root.parent / "remote")


def age(store: Path) -> None:
    """Let packs look old: a young one that is damaged may be one that a writer is in the middle of."""
    for pack in store.glob("packs/*/*"):
        os.utime(pack, (1_500_000_000, 1_500_000_000))


def first_chunk(clone: Clone, data: bytes) -> bytes:
    """Return the first chunk of a file with this content."""
    with clone.open() as repo:
        return data[: repo.chunker.cut(data)[0]]


def pack_of(store: Store, identity: ObjectId) -> str:
    """Return the key of the pack that holds an object."""
    return _find(store, identity)[0]


def flip_record(store: Store, identity: ObjectId) -> None:
    """Damage the record of an object."""
    key, middle = _find(store, identity)
    replace(store.backend, key, flip(store.backend.read(key), middle))


def _find(store: Store, identity: ObjectId) -> tuple[str, int]:
    """Return the key of the pack that holds an object, and where in it the middle of its record is."""
    return next(
        (pack_key(pack), (entry.offset + entry.end) // 2)
        for pack, size in list_packs(store.backend).items()
        for entry in read_pack_entries(store.backend, pack, size)
        if entry.id == identity
    )


def repair(remote: str | None, clone: Clone) -> None:
    with clone.open() as repo:
        result = fsck(repo, remote=remote, options=FsckOptions(repair=True))
        assert result.is_sound, result


def repair_remote(clone: Clone) -> None:
    with clone.open() as repo:
        name = repo.remote_settings().name
    repair(name, clone)


def prepare_marking(folder: Path) -> None:
    """Leave on the remote versions that nothing names, which share some data with one that is."""
    clone = begin(folder)
    for seed in (50, 51):
        clone.write("data/a", noise(9000, 1)[:4000] + noise(20_000, seed))
        clone.save()
        clone.push()
    clone.go_back("v1")


def prepare_sweeping(folder: Path) -> None:
    prepare_marking(folder)
    clean_remote(Clone(folder / "repo"), grace_days=0)


def clean_remote(clone: Clone, grace_days: float = 1) -> None:
    with clone.open() as repo:
        gc_remote(repo, None, RemoteGcOptions(grace_days))


def end_leases(clone: Clone) -> None:
    """Let the time pass after which nobody heeds a lease of one that was killed."""
    with clone.open() as repo:
        backend = repo.remote().backend
        leases = [info.key for info in backend.list("gc/") if info.key.endswith(".lease.json")]
        paths = [stored_path(backend, key) for key in leases]
    for path in paths:
        os.utime(path, (0, path.stat().st_mtime - LEASE_SECONDS - 1))


def push_and_verify(clone: Clone) -> None:
    with clone.open() as repo:
        checked = push(repo, wanted_versions(repo), verify=True).checked
        assert checked is not None
        assert not checked.problems


SCENARIOS = {
    "first add": Scenario(prepare_first_add, add_in_small_packs, reads=True),
    "add": Scenario(prepare_add, Clone.add, lambda clone: clone.add(force=True), reads=True),
    "checkout": Scenario(
        prepare_checkout, lambda clone: clone.checkout("v1"), lambda clone: clone.checkout("v1", force=True)
    ),
    "checkout of large files": Scenario(prepare_checkout, check_out_in_parts, partial(check_out_in_parts, force=True)),
    "push": Scenario(prepare_push, Clone.push, reads=True),
    "fetch": Scenario(prepare_fetch, Clone.fetch, reads=True),
    "pull": Scenario(prepare_fetch, Clone.pull, pull_by_force),
    "gc": Scenario(prepare_gc, collect, reads=True, frees=True),
    "merging of packs": Scenario(prepare_merging, merge_packs, reads=True),
    "fsck --repair": Scenario(prepare_repair, partial(repair, None), damage=damage_cache, reads=True),
    "push of whole packs": Scenario(prepare_push_of_packs, partial(in_whole_packs, Clone.push), reads=True),
    "fetch of whole packs": Scenario(
        partial(prepare_fetch, prepare=prepare_push_of_packs), partial(in_whole_packs, Clone.fetch), reads=True
    ),
    "push --verify": Scenario(prepare_push, push_and_verify, reads=True),
    "gc --remote, marking": Scenario(prepare_marking, clean_remote, reads=True, later=end_leases),
    "gc --remote, sweeping": Scenario(prepare_sweeping, clean_remote, reads=True, cleans=True, later=end_leases),
    "fsck --remote --repair": Scenario(prepare_remote_repair, repair_remote, damage=damage_remote, reads=True),
}
