"""What goes here because a remote has it: the remote is told first, and what may go there too stays here."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.config import set_value
from dver.errors import BackendError, BackendProblem, DataLossError
from dver.objects.ids import Bytes, VersionId
from dver.operations.drop import drop
from dver.operations.gc import GcResult, gc
from dver.operations.gc_plan import GcOptions
from dver.operations.roots import collect_roots
from dver.storage.condemned import Condemned, new_name, write_sweep
from dver.storage.local import LocalBackend
from dver.storage.registrations import registrations
from tests.clones import Clone, noise
from tests.faults.killing import check_store

PUSHED = GcOptions(pushed=True)


@pytest.fixture
def bob(tmp_path: Path) -> Clone:
    """Somebody who never pushed, and has all that others did: two versions of which he needs one at the moment."""
    ann = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    for seed in (1, 2):
        ann.write("data/a", noise(9000, seed))
        ann.save()
    ann.push(all_refs=True)
    made = ann.clone(tmp_path / "bob")
    made.fetch(all_refs=True)
    made.checkout()
    return made


def collect(clone: Clone, *, dry_run: bool = False) -> GcResult:
    with clone.open() as repo:
        return gc(repo, PUSHED, dry_run=dry_run)


def cached(clone: Clone) -> frozenset[VersionId]:
    with clone.open() as repo:
        return frozenset(map(VersionId, check_store(repo.cache)))


def named(clone: Clone) -> set[VersionId]:
    with clone.open() as repo:
        return set(collect_roots(repo).versions)


def told(folder: Path) -> dict[str, set[VersionId]]:
    return {one.by.name: set(one.versions) for one in registrations(LocalBackend(folder / "remote"))}


def begin_sweep(folder: Path, versions: frozenset[VersionId]) -> None:
    write_sweep(LocalBackend(folder / "remote"), new_name(0), {"a list": Condemned(versions)})


@pytest.fixture
def refusing(bob: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """Bob, from now on with a remote where nobody may leave word."""
    write = LocalBackend.write

    def refuse(self: LocalBackend, key: str, pieces: Sequence[Bytes]) -> None:
        if key.startswith("roots/"):
            raise BackendError(self.location, BackendProblem.DENIED, f"{key} may not be written")
        write(self, key, pieces)

    monkeypatch.setattr(LocalBackend, "write", refuse)
    return bob


def test_gc_tells_a_remote_what_is_needed_of_it(bob: Clone, tmp_path: Path) -> None:
    assert len(collect(bob, dry_run=True).plan.leaving) == 1
    assert told(tmp_path).keys() == {"ann"}

    assert len(collect(bob).plan.leaving) == 1

    assert told(tmp_path)["bob"] == named(bob)
    assert len(named(bob)) == 2


@pytest.mark.parametrize("dry_run", [False, True])
def test_gc_keeps_what_is_just_being_deleted_from_the_remote(bob: Clone, tmp_path: Path, dry_run: bool) -> None:
    versions = cached(bob)
    begin_sweep(tmp_path, versions)

    plan = collect(bob, dry_run=dry_run).plan

    assert (plan.leaving, plan.unproven) == ((), 1)
    assert cached(bob) == versions


def test_gc_keeps_what_a_remote_cannot_be_told_of(refusing: Clone) -> None:
    versions = cached(refusing)
    plan = collect(refusing).plan
    assert (plan.leaving, plan.unproven) == ((), 1)
    assert cached(refusing) == versions


def test_gc_tells_a_remote_of_all_who_use_the_cache(bob: Clone, tmp_path: Path) -> None:
    set_value(bob.root / ".dver", "cache.dir", "../shared", local=False)
    bob.git("add", "--all")
    bob.git("commit", "--quiet", "--message", "another cache")
    bob.fetch(all_refs=True)
    other = bob.clone(tmp_path / "other")
    other.write("data/a", noise(9000, 3))
    other.save()
    assert len(collect(bob).plan.leaving) == 1
    assert told(tmp_path)["other"] == named(other)


def test_drop_tells_a_remote_what_is_needed_of_it(bob: Clone, tmp_path: Path) -> None:
    with bob.open() as repo:
        drop(repo, ["data"], dry_run=True)
    bob.checkout()
    shutil.rmtree(bob.root / ".dver/cache")
    assert told(tmp_path).keys() == {"ann"}
    with bob.open() as repo:
        (done,) = drop(repo, ["data"])
    assert done.stored_in == "origin"
    assert told(tmp_path)["bob"] == named(bob)


def test_drop_of_what_is_in_the_cache_asks_no_remote(bob: Clone, tmp_path: Path) -> None:
    with bob.open() as repo:
        drop(repo, ["data"])
    assert told(tmp_path).keys() == {"ann"}


def test_drop_keeps_what_is_just_being_deleted_from_the_remote(bob: Clone, tmp_path: Path) -> None:
    begin_sweep(tmp_path, cached(bob))
    shutil.rmtree(bob.root / ".dver/cache")
    before = bob.data()
    with bob.open() as repo, pytest.raises(DataLossError):
        drop(repo, ["data"])
    assert bob.data() == before


def test_drop_keeps_what_a_remote_cannot_be_told_of(refusing: Clone) -> None:
    shutil.rmtree(refusing.root / ".dver/cache")
    before = refusing.data()
    with refusing.open() as repo, pytest.raises(BackendError, match="may not be written") as caught:
        drop(repo, ["data"])
    assert "roots/ and gc/" in str(caught.value.hint)
    assert refusing.data() == before
