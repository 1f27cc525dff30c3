"""A cache that is a remote as well: what others pushed to it stays, and it is no second copy of itself."""

import fcntl
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.config import add_remote, set_remote_option, set_value
from dver.errors import ConfigError, DataLossError, DverError, LockedError
from dver.objects.ids import PackId, VersionId
from dver.operations.drop import drop
from dver.operations.gc import GcResult, gc
from dver.operations.gc_auto import tidy
from dver.operations.gc_plan import GcOptions
from dver.storage.condemned import (
    Condemned,
    CondemnedList,
    CondemnedPack,
    CondemnedVersion,
    Holder,
    gc_key,
    new_name,
    write_lease,
    write_list,
    write_rescue,
    write_sweep,
)
from dver.storage.crypt import CryptBackend
from dver.storage.keyring import OpenKeyring
from dver.storage.local import LocalBackend
from dver.storage.registrations import Registrant, encode_registration, registrations
from dver.storage.same_place import are_one
from tests.clones import Clone, noise
from tests.faults.killing import check_store

_PLAIN = GcOptions()


def collect(clone: Clone, options: GcOptions = _PLAIN, *, dry_run: bool = False) -> GcResult:
    with clone.open() as repo:
        return gc(repo, options, dry_run=dry_run)


def cached(clone: Clone) -> frozenset[VersionId]:
    with clone.open() as repo:
        return frozenset(map(VersionId, check_store(repo.cache)))


def save(clone: Clone, seed: int) -> VersionId:
    clone.write("data/a", noise(9000, seed))
    clone.save()
    return clone.version()


def forget_last(clone: Clone) -> None:
    """Take the last commit out of a repository."""
    clone.go_back()


def cache_of(clone: Clone) -> Path:
    return clone.root / ".dver" / "cache"


# A remote that is the cache itself


@pytest.fixture(params=["its name", "a link to it", "a link above it"])
def selfsame(request: pytest.FixtureRequest, tmp_path: Path) -> Clone:
    """Three versions, committed and pushed to where they are."""
    (tmp_path / "x").mkdir()
    remote = {"its name": "x/store", "a link to it": "link", "a link above it": "y/store"}[request.param]
    (tmp_path / "link").symlink_to("x/store")
    (tmp_path / "y").symlink_to("x")
    made = Clone.make(tmp_path / "repo", remote=tmp_path / remote)
    set_value(made.root / ".dver", "cache.dir", str(tmp_path / "x/store"), local=False)
    for seed in (1, 2, 3):
        save(made, seed)
        made.push()
    return made


def test_a_remote_that_is_the_cache_lends_nothing(selfsame: Clone) -> None:
    before = cached(selfsame)
    for options in (GcOptions(pushed=True), GcOptions(keep_last=1), GcOptions(keep_days=0)):
        for dry_run in (False, True):
            with pytest.raises(ConfigError, match=r"origin is the cache itself.*no second copy") as caught:
                collect(selfsame, options, dry_run=dry_run)
            assert "dver remote set origin url" in str(caught.value.hint)
    assert cached(selfsame) == before
    assert len(before) == 3


def test_what_nothing_names_goes_from_a_cache_that_it_pushed_to_itself(selfsame: Clone) -> None:
    gone = selfsame.version()
    forget_last(selfsame)
    assert [one.version for one in collect(selfsame).plan.leaving] == [gone]
    assert len(cached(selfsame)) == 2


def test_drop_does_not_count_on_a_remote_that_is_the_damaged_cache(selfsame: Clone, tmp_path: Path) -> None:
    for pack in (tmp_path / "x/store/packs").rglob("*.pack"):
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    before = selfsame.data()
    with selfsame.open() as repo, pytest.raises(DataLossError, match="no second copy"):
        drop(repo, ["data"])
    assert selfsame.data() == before
    with selfsame.open() as repo:
        drop(repo, ["data"], force=True)
    assert not (selfsame.root / "data" / "a").exists()


def test_folders_with_other_contents_are_not_one(tmp_path: Path) -> None:
    one, other = LocalBackend(tmp_path / "one"), LocalBackend(tmp_path / "other")
    assert not are_one(one, other)
    assert [*tmp_path.rglob("*")] in ([], [tmp_path / "one"])
    (tmp_path / "other").symlink_to("one")
    assert are_one(one, other)


def test_a_place_with_two_names_is_known_by_what_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where a folder is mounted twice, or served.
    monkeypatch.setattr("dver.storage.same_place.is_same_folder", lambda *_: False)
    assert are_one(LocalBackend(tmp_path), LocalBackend(tmp_path))
    assert [*tmp_path.iterdir()] == []


def test_what_is_encrypted_counts_by_where_it_lies(tmp_path: Path) -> None:
    def no_keys() -> OpenKeyring:
        raise AssertionError("keys were asked for")

    sealed = CryptBackend(LocalBackend(tmp_path / "one"), no_keys)
    assert are_one(LocalBackend(tmp_path / "one"), sealed)
    assert not are_one(LocalBackend(tmp_path / "other"), sealed)


# A cache that is the remote of others


@pytest.fixture
def ca(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "ca")
    save(made, 1)
    return made


@pytest.fixture
def cb(ca: Clone, tmp_path: Path) -> Clone:
    """A repository of its own, with the cache of `ca` for a remote and three versions pushed there."""
    made = Clone.make(tmp_path / "cb", remote=cache_of(ca))
    for seed in (11, 12, 13):
        save(made, seed)
    made.push(all_refs=True)
    return made


def test_what_another_repository_pushed_to_a_cache_stays(ca: Clone, cb: Clone) -> None:
    theirs = cached(cb)
    plan = collect(ca, dry_run=True).plan
    assert plan.leaving == ()
    assert [(one.said.by.name, one.only) for one in plan.pushers] == [("cb", 3)]
    collect(ca)
    assert theirs < cached(ca)


def test_nothing_is_lost_between_two_that_clean(ca: Clone, cb: Clone) -> None:
    before = cached(cb)
    assert len(collect(cb, GcOptions(pushed=True)).plan.leaving) == 2
    assert collect(ca).plan.leaving == ()
    shutil.rmtree(cache_of(cb))
    cb.fetch(all_refs=True)
    assert cached(cb) == before


@pytest.mark.parametrize("options", [GcOptions(pushed=True), GcOptions(keep_last=1, force=True)])
def test_what_others_named_here_stays_though_another_remote_has_it(
    ca: Clone, tmp_path: Path, options: GcOptions
) -> None:
    old = ca.version()
    key, data = encode_registration(Registrant("0" * 32 + "-" + "1" * 16, "cc", "host"), [old])
    LocalBackend(cache_of(ca)).write(key, [data])
    add_remote(ca.root / ".dver", "origin", str(tmp_path / "remote"), local=False)
    older = save(ca, 2)
    save(ca, 3)
    ca.push(all_refs=True)
    assert [one.version for one in collect(ca, options).plan.leaving] == [older]
    assert old in cached(ca)


def test_what_they_named_once_goes_when_they_name_it_no_more(ca: Clone, cb: Clone) -> None:
    gone = cb.version()
    forget_last(cb)
    save(cb, 14)
    cb.push()
    assert [one.version for one in collect(ca).plan.leaving] == [gone]


def test_a_damaged_registration_keeps_everything_until_it_is_forgotten(ca: Clone, cb: Clone) -> None:
    everything = cached(ca)
    (path,) = (cache_of(ca) / "roots").iterdir()
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    (absent,) = collect(ca).plan.absent
    assert (absent.path, absent.is_remote) == (f"roots/{path.name}", True)
    assert cached(ca) == everything
    done = collect(ca, GcOptions(forget=(f"{ca.root}/{absent.path}",)))
    assert len(done.plan.leaving) == 3
    assert registrations(LocalBackend(cache_of(ca))) == []
    cb.push(all_refs=True)
    assert cached(ca) == everything


def test_a_repository_that_does_not_know_all_that_it_names_keeps_everything(ca: Clone) -> None:
    save(ca, 2)
    forget_last(ca)
    key, data = encode_registration(Registrant("a" * 32 + "-" + "1" * 16, "cc", "host"), [], "a pointer is damaged")
    LocalBackend(cache_of(ca)).write(key, [data])
    assert [one.reason for one in collect(ca).plan.absent] == ["a pointer is damaged"]
    assert len(cached(ca)) == 2
    assert len(collect(ca, GcOptions(forget=(f"/here/{'a' * 12}",))).plan.leaving) == 1


# What else cleans


def put_list(ca: Clone) -> str:
    backend, name = LocalBackend(cache_of(ca)), new_name(time.time())
    version = CondemnedVersion(ca.version())
    pack = CondemnedPack(PackId(bytes(32)), 1, 1)
    write_list(backend, CondemnedList(name, "somebody", time.time(), (version,), (pack,)))
    return name


def hold_lease(ca: Clone) -> None:
    write_lease(LocalBackend(cache_of(ca)), new_name(time.time()), Holder("somebody"))


def test_a_cache_that_somebody_cleans_as_a_remote_is_left_alone(ca: Clone) -> None:
    save(ca, 2)
    forget_last(ca)
    hold_lease(ca)
    with pytest.raises(LockedError, match="somebody"):
        collect(ca)
    assert len(cached(ca)) == 2


def test_small_packs_stay_while_somebody_cleans(ca: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.operations.gc_auto.MANY_PACKS", 1)
    save(ca, 2)
    hold_lease(ca)
    before = sorted((cache_of(ca) / "packs").rglob("*.pack"))
    with ca.open() as repo:
        assert not tidy(repo)
    assert sorted((cache_of(ca) / "packs").rglob("*.pack")) == before


def test_what_a_push_may_count_on_stays(ca: Clone) -> None:
    save(ca, 2)
    forget_last(ca)
    rescue = new_name(time.time())
    write_rescue(LocalBackend(cache_of(ca)), rescue, [put_list(ca)], "host")
    assert [one.path for one in collect(ca).plan.absent] == [gc_key(rescue, "rescue")]
    assert len(cached(ca)) == 2


def test_lists_and_sweeps_of_others_stay_as_they_are(ca: Clone) -> None:
    save(ca, 2)
    forget_last(ca)
    put_list(ca)
    write_sweep(LocalBackend(cache_of(ca)), new_name(0), {"a list": Condemned()})
    before = {path: path.read_bytes() for path in (cache_of(ca) / "gc").iterdir()}
    assert len(collect(ca).plan.leaving) == 1
    assert {path: path.read_bytes() for path in (cache_of(ca) / "gc").iterdir()} == before


def drop_all(clone: Clone) -> None:
    shutil.rmtree(cache_of(clone))
    with clone.open() as repo:
        drop(repo, ["data"])


@pytest.mark.parametrize("act", [lambda cb: collect(cb, GcOptions(pushed=True)), drop_all])
def test_a_remote_that_is_being_cleaned_is_not_counted_on(
    ca: Clone, cb: Clone, monkeypatch: pytest.MonkeyPatch, act: Callable[[Clone], object]
) -> None:
    monkeypatch.setattr("dver.operations.gc_lender._PATIENCE", 0.0)
    monkeypatch.setattr("dver.operations.drop._PATIENCE", 0.0)
    cb.checkout()
    before = cb.data()
    with (cache_of(ca) / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DverError, match="being cleaned"):
            act(cb)
    assert cb.data() == before


def test_a_push_to_a_cache_sends_what_is_below_nodes_that_it_has_in_part(tmp_path: Path) -> None:
    ann = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    for name in ("deep/a", "b"):
        ann.write(f"data/{name}", noise(9000, len(name)))
    ann.save()
    ann.push()
    bob = ann.clone(tmp_path / "bob")
    bob.pull("data/b")
    set_remote_option(ann.root / ".dver", "origin", "url", str(cache_of(bob)), local=True)
    ann.push()
    assert cached(bob) == cached(ann)
    shutil.rmtree(cache_of(ann))
    before = ann.data()
    shutil.rmtree(ann.root / "data")
    ann.pull()
    assert ann.data() == before
