"""Cleaning a remote: what no repository names is listed, and goes when its time has come, and nothing else does."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dver.errors import ConfigError, IntegrityError, LockedError, UsageError
from dver.objects.entry import FileEntry
from dver.objects.ids import VersionId, chunk_id
from dver.operations.gc import gc
from dver.operations.gc_remote import RemoteGcOptions, RemoteGcResult, gc_remote
from dver.operations.push import fetch, wanted_versions
from dver.operations.registering import registrant
from dver.storage.packs import list_packs
from dver.storage.registrations import encode_registration
from tests.clones import Clone, Snapshot, noise
from tests.faults.killing import check_store

AT_ONCE = RemoteGcOptions(grace_days=0)
LATER = RemoteGcOptions()


@pytest.fixture
def ann(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    made.write("data/a", noise(40_000, 1))
    made.write("data/same", noise(9_000, 2))
    made.save(message="first")
    made.push()
    return made


def change(clone: Clone, seed: int) -> VersionId:
    """Commit and push another version."""
    clone.write("data/a", noise(40_000, seed))
    clone.save(message=f"number {seed}")
    clone.push()
    return clone.version()


def drop_last(clone: Clone) -> None:
    """Take the last commit out of the world, and its data out of the cache."""
    clone.go_back()


def collect(clone: Clone, options: RemoteGcOptions = AT_ONCE, *, dry_run: bool = False) -> RemoteGcResult:
    with clone.open() as repo:
        return gc_remote(repo, None, options, dry_run=dry_run)


def stored(clone: Clone) -> frozenset[bytes]:
    """Return the versions on the remote, each of which was read whole."""
    with clone.open() as repo:
        return check_store(repo.remote())


def remote_files(folder: Path) -> dict[str, bytes]:
    top = folder / "remote"
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "remote" / "packs").rglob("*.pack"))


def fresh_data(clone: Clone, folder: Path) -> Snapshot:
    """Return what a new clone gets."""
    other = clone.clone(folder)
    other.pull()
    found = other.data()
    shutil.rmtree(folder)
    return found


def test_what_nothing_names_is_listed_first_and_deleted_by_the_next_run(ann: Clone, tmp_path: Path) -> None:
    old = ann.version()
    gone = change(ann, 3)
    drop_last(ann)
    before = size(tmp_path)

    first = collect(ann)

    assert first.condemned is not None
    assert [one.version for one in first.condemned.versions] == [gone]
    assert stored(ann) == {old, gone}
    assert size(tmp_path) == before
    assert not first.swept

    second = collect(ann)

    assert [[one.version for one in swept.versions] for swept in second.swept] == [[gone]]
    assert second.freed > 30_000
    assert size(tmp_path) == before - second.freed
    assert stored(ann) == {old}
    assert second.condemned is None
    assert fresh_data(ann, tmp_path / "new") == ann.data()
    assert collect(ann).condemned is None


@pytest.mark.parametrize("of_remote", [True, False])
def test_a_sweep_leaves_no_empty_folders(ann: Clone, tmp_path: Path, of_remote: bool) -> None:
    change(ann, 3)
    drop_last(ann)
    for _ in range(2):
        if of_remote:
            collect(ann)
        else:
            with ann.open() as repo:
                gc(repo)
    packs = tmp_path / "remote/packs" if of_remote else ann.root / ".dver/cache/packs"
    folders = [path for path in packs.iterdir() if path.is_dir()]
    assert folders
    assert all(any(folder.iterdir()) for folder in folders)


def test_nothing_goes_before_its_time(ann: Clone, tmp_path: Path) -> None:
    change(ann, 3)
    drop_last(ann)
    collect(ann, LATER)
    before = remote_files(tmp_path)

    again = collect(ann)

    assert remote_files(tmp_path) == before
    assert [len(one.versions) for one in again.waiting] == [1]
    assert again.condemned is None


def test_a_dry_run_writes_nothing(ann: Clone, tmp_path: Path) -> None:
    gone = change(ann, 3)
    drop_last(ann)
    before = remote_files(tmp_path)
    planned = collect(ann, dry_run=True)
    assert planned.condemned is not None
    assert [one.version for one in planned.condemned.versions] == [gone]
    assert remote_files(tmp_path) == before

    collect(ann)
    before = remote_files(tmp_path)
    planned = collect(ann, dry_run=True)
    assert [[one.version for one in swept.versions] for swept in planned.swept] == [[gone]]
    assert remote_files(tmp_path) == before


def test_what_other_repositories_that_pushed_name_is_kept(ann: Clone, tmp_path: Path) -> None:
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    bob.git("switch", "--quiet", "--create", "work")
    of_bob = change(bob, 7)
    ours = ann.version()

    assert collect(ann).condemned is None
    assert collect(ann).swept == ()
    assert stored(ann) == {ours, of_bob}


def test_a_version_that_is_named_again_is_spared(ann: Clone) -> None:
    again = change(ann, 3)
    commit = ann.git("rev-parse", "HEAD").strip()
    drop_last(ann)
    collect(ann)
    ann.git("reset", "--quiet", "--hard", commit)

    result = collect(ann)

    assert [(swept.versions, swept.spared) for swept in result.swept] == [((), 1)]
    assert again in stored(ann)


def test_a_push_of_what_is_listed_saves_it_without_sending_it_again(ann: Clone, tmp_path: Path) -> None:
    gone = change(ann, 3)
    drop_last(ann)
    collect(ann)
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    before = size(tmp_path)
    bob.write("data/a", noise(40_000, 3))
    bob.save()

    assert bob.push().sent.versions == ()
    assert size(tmp_path) == before
    collect(ann)
    assert gone in stored(ann)
    # And so it does when only a part of a new version is in a list.
    drop_last(bob)
    bob.push()
    collect(ann)
    bob.write("data/b", noise(5000, 9))
    bob.write("data/a", noise(40_000, 3))
    bob.save()
    sent = bob.push().sent
    assert len(sent.versions) == 1
    assert sent.bytes < 10_000
    collect(ann)
    assert fresh_data(bob, tmp_path / "new") == bob.data()
    assert stored(ann) == {ann.version(), bob.version()}


def test_undelete_takes_lists_back(ann: Clone) -> None:
    gone = change(ann, 3)
    drop_last(ann)
    collect(ann)

    result = collect(ann, RemoteGcOptions(undelete=True))

    assert len(result.withdrawn) == 1
    assert collect(ann).swept == ()
    assert gone in stored(ann)


def test_a_repository_that_is_forgotten_keeps_nothing_any_more(ann: Clone, tmp_path: Path) -> None:
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    of_bob = change(bob, 7)
    shutil.rmtree(bob.root)
    mine = {one.by.id for one in collect(ann).repositories if one.by.name == "ann"}
    (other,) = {one.by.id for one in collect(ann).repositories} - mine

    with pytest.raises(UsageError, match="none that pushed here"):
        collect(ann, RemoteGcOptions(forget=("123",)))
    with pytest.raises(UsageError, match="this one"):
        collect(ann, RemoteGcOptions(forget=(*mine,)))
    result = collect(ann, RemoteGcOptions(grace_days=0, forget=(other[:12],)))

    assert [one.by.name for one in result.forgotten] == ["bob"]
    assert result.condemned is not None
    assert [one.version for one in result.condemned.versions] == [of_bob]
    collect(ann)
    assert stored(ann) == {ann.version()}


def test_a_repository_that_was_forgotten_and_pushes_counts_again(ann: Clone, tmp_path: Path) -> None:
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    of_bob = change(bob, 7)
    (other,) = {one.by.id for one in collect(ann).repositories if one.by.name == "bob"}
    collect(ann, RemoteGcOptions(grace_days=0, forget=(other,)))

    assert bob.push().sent.versions == ()

    assert len(collect(ann).swept) == 1
    assert of_bob in stored(ann)


def test_a_repository_that_cannot_say_what_it_names_keeps_everything(ann: Clone, tmp_path: Path) -> None:
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    bob.git("switch", "--quiet", "--create", "newer")
    bob.write("other.dver", b"# dver pointer\nformat = 99\n")
    bob.commit()
    bob.git("switch", "--quiet", "main")
    change(bob, 8)
    change(ann, 3)
    drop_last(ann)
    before = stored(ann)

    result = collect(ann)

    assert [one.by.name for one in result.in_the_way] == ["bob"]
    assert result.condemned is None
    collect(ann)
    assert stored(ann) == before


def test_a_registration_that_cannot_be_read_is_in_the_way(ann: Clone, tmp_path: Path) -> None:
    change(ann, 3)
    drop_last(ann)
    (tmp_path / "remote/roots/strange.json").write_text("{")
    result = collect(ann)
    assert [one.problem for one in result.in_the_way] == ["its file cannot be read"]
    assert result.condemned is None
    assert collect(ann, RemoteGcOptions(forget=("strange",))).condemned is not None


def test_only_one_cleans_at_a_time(ann: Clone, tmp_path: Path) -> None:
    lease = tmp_path / "remote/gc/20260101T000000Z-0123456789abcdef.lease.json"
    lease.parent.mkdir()
    lease.write_text(json.dumps({"by": "the other machine", "format": 1}))
    with pytest.raises(LockedError, match="being cleaned by the other machine"):
        collect(ann)
    assert [path.name for path in lease.parent.iterdir()] == [lease.name]

    os.utime(lease, (0, lease.stat().st_mtime - 1801))
    collect(ann)
    assert not lease.exists()


def test_a_remote_with_packs_missing_is_left_alone(ann: Clone, tmp_path: Path) -> None:
    change(ann, 3)
    next((tmp_path / "remote/packs").rglob("*.pack")).unlink()
    with pytest.raises(IntegrityError, match="missing"):
        collect(ann)


def test_the_cache_of_clones_is_not_cleaned_as_a_remote(ann: Clone) -> None:
    ann.git("config", "x.y", "z")
    with ann.open() as repo:
        cache = Path(repo.cache.backend.location)
    other = Clone.make(ann.root.parent / "other", remote=cache)
    with pytest.raises(ConfigError, match="cache of clones"):
        collect(other)


def test_a_place_without_a_store_is_told_of(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "nothing")
    with pytest.raises(ConfigError, match="no store"):
        collect(clone)


def test_packs_of_which_a_part_is_needed_are_packed_anew(ann: Clone, tmp_path: Path) -> None:
    for number in range(4):
        ann.write(f"data/part {number}", noise(20_000, 50 + number))
    ann.save()
    ann.push()
    for number in range(2):
        (ann.root / f"data/part {number}").unlink()
    ann.save()
    # One commit with what is left, so that the version with all parts is gone.
    tree = ann.git("rev-parse", "HEAD^{tree}").strip()
    ann.git("reset", "--quiet", "--hard", ann.git("commit-tree", tree, "-m", "all in one").strip())
    ann.forget_past()
    ann.push()
    before = size(tmp_path)

    collect(ann)
    result = collect(ann)

    assert 35_000 < result.freed == before - size(tmp_path)
    assert result.space is not None
    assert result.space.written_packs > 0
    assert stored(ann) == {ann.version()}
    assert fresh_data(ann, tmp_path / "new") == ann.data()


def test_the_record_of_a_sweep_says_what_went(ann: Clone, tmp_path: Path) -> None:
    gone = change(ann, 3)
    drop_last(ann)
    collect(ann)
    (listed,) = (tmp_path / "remote/gc").glob("*.list.json")
    assert json.loads(listed.read_text())["versions"][0]["version"] == f"b3:{gone.hex()}"
    collect(ann)
    (swept,) = (tmp_path / "remote/gc").glob("*.swept.json")
    assert json.loads(swept.read_text())["versions"] == [gone.hex()]
    assert {path.name.split(".")[1] for path in (tmp_path / "remote/gc").iterdir()} == {"sweep", "unmarked", "swept"}
    with ann.open() as repo:
        assert set(list_packs(repo.remote().backend)) == set(repo.remote().index.packs())


def test_a_reader_finds_what_was_packed_anew_and_is_told_of_what_went(ann: Clone, tmp_path: Path) -> None:
    for number in range(4):
        ann.write(f"data/part {number}", noise(20_000, 50 + number))
    ann.save()
    ann.push()
    gone = ann.version()
    late = ann.clone(tmp_path / "late")
    drop_last(ann)
    ann.write("data/part 0", noise(20_000, 50))
    ann.save()
    ann.push()
    with ann.open() as repo:
        # As it is known before the sweep.
        store = repo.remote()
        manifest = store.manifest(ann.version())
        files = [entry for entry in manifest.entries() if isinstance(entry, FileEntry)]
        chunks = [chunk for entry in files for chunk, _ in manifest.chunks(entry)]
        wanted = store.plan(chunks)
        collect(ann)
        collect(ann)
        assert not {span.pack for span in wanted} <= set(list_packs(store.backend))
        read = [chunk_id(record.plain("there")) for span in wanted for record in store.read_span(span)]
    assert set(read) == set(chunks)
    with late.open() as repo:
        result = fetch(repo, wanted_versions(repo))
    assert [want.version for want in result.missing] == [gone]


def test_a_push_of_less_than_was_said_before_says_nothing_anew(ann: Clone, tmp_path: Path) -> None:
    def written() -> list[tuple[str, int]]:
        return [(path.name, path.stat().st_mtime_ns) for path in (tmp_path / "remote" / "roots").iterdir()]

    change(ann, 7)
    ann.push(all_refs=True)
    said = written()
    ann.push()
    assert written() == said
    change(ann, 8)
    ann.push()
    assert written() != said


def test_what_another_with_the_same_id_names_is_kept(ann: Clone) -> None:
    gone = change(ann, 3)
    drop_last(ann)
    with ann.open() as repo:
        # A copy of this machine, or another process at work here, said so.
        key, data = encode_registration(registrant(repo), [gone])
        repo.remote().backend.write(key, [data])
    assert collect(ann, dry_run=True).condemned is None
    assert collect(ann).condemned is None


def test_what_this_repository_said_earlier_does_not_count_even_if_it_is_damaged(ann: Clone, tmp_path: Path) -> None:
    gone = change(ann, 3)
    (file,) = (tmp_path / "remote/roots").iterdir()
    drop_last(ann)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"b3:", b"xx:"))
    result = collect(ann, dry_run=True)
    assert result.condemned is not None
    assert [one.version for one in result.condemned.versions] == [gone]
