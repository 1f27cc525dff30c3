"""Freeing space in the cache: what nothing names goes, and nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from dver.config import set_value
from dver.errors import ConfigError, DataLossError, IntegrityError, LockedError, NotFoundError, UsageError
from dver.objects.entry import FileEntry
from dver.objects.ids import VersionId
from dver.operations.gc import GcResult, gc
from dver.operations.gc_plan import GcOptions, Why
from dver.storage.packs import list_packs, pack_key
from tests.clones import Clone, Snapshot, noise
from tests.faults.killing import check_store

_PLAIN = GcOptions()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "repo", remote="../remote")
    made.write("data/a", noise(40_000, 1))
    made.write("data/same", noise(9_000, 2))
    made.save(message="first")
    return made


def change(clone: Clone, seed: int, *, commit: bool = True) -> VersionId:
    clone.write("data/a", noise(40_000, seed))
    if commit:
        clone.save(message=f"number {seed}")
    else:
        clone.add()
    return clone.version()


def drop_last(clone: Clone) -> None:
    """Take the last commit out of the world."""
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.checkout(force=True)
    clone.forget_past()


def collect(clone: Clone, options: GcOptions = _PLAIN, *, dry_run: bool = False) -> GcResult:
    with clone.open() as repo:
        return gc(repo, options, dry_run=dry_run)


def cached(clone: Clone) -> frozenset[bytes]:
    with clone.open() as repo:
        return check_store(repo.cache)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def files(folder: Path) -> Snapshot:
    return {bytes(path): ("file", path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()}


def reread(clone: Clone) -> None:
    """Check that the data can be had from the cache alone."""
    before = clone.data()
    shutil.rmtree(clone.root / "data")
    clone.forget_stat_cache()
    clone.checkout(force=True)
    assert clone.data() == before


def test_what_nothing_names_goes_and_gives_its_space_back(clone: Clone) -> None:
    before = size(clone.root / ".dver" / "cache")
    kept = clone.version()
    gone = change(clone, 3)
    grown = size(clone.root / ".dver" / "cache")
    drop_last(clone)
    result = collect(clone)
    assert [(one.version, one.why, one.datasets) for one in result.plan.leaving] == [(gone, Why.UNNAMED, ("data",))]
    assert cached(clone) == {kept}
    assert size(clone.root / ".dver" / "cache") < before + (grown - before) // 10
    reread(clone)


def test_a_dry_run_says_the_same_and_touches_nothing(clone: Clone) -> None:
    change(clone, 3)
    drop_last(clone)
    before = files(clone.root / ".dver" / "cache")
    plan = collect(clone, dry_run=True).plan
    assert files(clone.root / ".dver" / "cache") == before
    done = collect(clone)
    assert done.plan == plan
    assert done.swept is not None
    assert done.swept.deleted_bytes - done.swept.written_bytes == plan.frees > 30_000


def test_a_second_run_finds_nothing(clone: Clone) -> None:
    change(clone, 3)
    drop_last(clone)
    collect(clone)
    again = collect(clone)
    assert again.plan.leaving == ()
    assert again.plan.frees == 0


def test_history_stays(clone: Clone) -> None:
    versions = {clone.version(), *(change(clone, seed) for seed in range(3, 6))}
    clone.forget_past()
    assert collect(clone).plan.frees == 0
    assert cached(clone) == versions


def test_packs_that_are_garbage_in_part_are_packed_anew(clone: Clone) -> None:
    clone.write("data/new", noise(30_000, 8))
    clone.write("data/a", noise(40_000, 9))
    clone.add()
    clone.write("data/a", noise(40_000, 1))
    clone.save()
    clone.git("commit", "--amend", "--quiet", "--no-edit")
    clone.forget_past()
    result = collect(clone)
    assert len(result.plan.census.due) == 1
    assert result.swept is not None
    assert result.swept.written_packs == 1
    assert collect(clone).plan.frees == 0
    reread(clone)


def test_what_a_killed_add_left_behind_goes(clone: Clone) -> None:
    with clone.open() as repo:
        left = repo.cache
        change(clone, 3, commit=False)
        for info in list(left.backend.list("index/"))[1:]:
            left.backend.delete(info.key)
    clone.git("checkout", "HEAD", "--", "data.dver")
    clone.checkout(force=True)
    collect(clone)
    with clone.open() as repo:
        assert len(list_packs(repo.cache.backend)) <= 2
    reread(clone)


def test_versions_of_which_only_a_part_is_here_stay_as_they_are(clone: Clone, tmp_path: Path) -> None:
    clone.push()
    other = clone.clone(tmp_path / "other")
    other.pull("data/same")
    before = other.data()
    assert collect(other).plan.frees == 0
    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(other.root / "data")
    other.checkout(None, "data/same", force=True)
    assert other.data() == before


# A cache for several clones


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Clone, Clone]:
    """Two clones with one cache."""
    first = Clone.make(tmp_path / "first")
    set_value(first.root / ".dver", "cache.dir", "../shared", local=False)
    first.write("data/a", noise(40_000, 1))
    first.save()
    second = first.clone(tmp_path / "second")
    second.checkout()
    return first, second


def test_what_another_clone_names_stays(shared: tuple[Clone, Clone]) -> None:
    first, second = shared
    theirs = change(second, 3)
    ours = change(first, 4)
    assert collect(first).plan.leaving == ()
    assert {theirs, ours} <= cached(first)
    reread(second)


def test_a_clone_that_is_gone_keeps_everything_until_it_is_forgotten(shared: tuple[Clone, Clone]) -> None:
    first, second = shared
    theirs = change(second, 3)
    shutil.rmtree(second.root)
    held = collect(first)
    assert [one.path for one in held.plan.absent] == [str(second.root)]
    assert theirs in cached(first)
    done = collect(first, GcOptions(forget=(str(second.root),)))
    assert [one.version for one in done.plan.leaving] == [theirs]
    assert theirs not in cached(first)
    assert collect(first).plan.absent == ()


def test_only_a_clone_that_is_gone_is_forgotten(shared: tuple[Clone, Clone]) -> None:
    first, second = shared
    with pytest.raises(UsageError, match="is there"):
        collect(first, GcOptions(forget=(str(second.root),)))
    with pytest.raises(UsageError, match="no repository"):
        collect(first, GcOptions(forget=("/nowhere",)))


def test_a_copy_does_not_make_the_original_count_as_moved(shared: tuple[Clone, Clone], tmp_path: Path) -> None:
    first, second = shared
    theirs = change(second, 3)
    shutil.copytree(second.root, tmp_path / "copy", symlinks=True)
    copy = Clone(tmp_path / "copy")
    copy.git("reset", "--quiet", "--hard", "HEAD~1")
    copy.checkout(force=True)
    copy.forget_past()
    second.root.rename(tmp_path / "not connected")
    (absent,) = collect(first).plan.absent
    assert absent.path == str(second.root)
    assert str(copy.root) in absent.reason
    assert theirs in cached(first)


def test_a_clone_in_the_place_of_one_that_was_moved_is_told_from_it(
    shared: tuple[Clone, Clone], tmp_path: Path
) -> None:
    first, second = shared
    theirs = change(second, 3)
    second.root.rename(tmp_path / "moved")
    moved = Clone(tmp_path / "moved")
    moved.checkout()
    first.clone(second.root).checkout()
    (absent,) = collect(first).plan.absent
    assert "another one in its place" in absent.reason
    assert collect(first, GcOptions(forget=(str(second.root),))).plan.absent == ()
    assert theirs in cached(first)


def test_a_repository_with_its_cache_in_it_may_be_moved(clone: Clone, tmp_path: Path) -> None:
    clone.root.rename(tmp_path / "moved")
    moved = Clone(tmp_path / "moved")
    assert collect(moved).plan.absent == ()
    moved.checkout()
    assert collect(moved).plan.absent == ()


def test_one_that_forgets_what_stood_in_its_way_makes_itself_known(shared: tuple[Clone, Clone], tmp_path: Path) -> None:
    first, second = shared
    theirs = change(first, 3)
    shutil.rmtree(tmp_path / "shared" / "clones")
    (tmp_path / "shared" / "clones").touch()
    assert [one.path for one in collect(first).plan.absent] == ["clones"]
    collect(first, GcOptions(forget=("clones",)))
    assert collect(second).plan.leaving == ()
    assert theirs in cached(second)


def test_a_damaged_file_of_another_clone_is_forgotten_by_its_key(shared: tuple[Clone, Clone], tmp_path: Path) -> None:
    first, second = shared
    theirs = change(second, 3)
    for path in (tmp_path / "shared" / "clones").iterdir():
        path.chmod(0o644)
        path.write_bytes(b"damaged")
    (absent,) = collect(first).plan.absent
    assert theirs in cached(first)
    shutil.rmtree(second.root)
    collect(first, GcOptions(forget=(f"{first.root}/{absent.path}",)))
    assert collect(first).plan.absent == ()


def test_a_clone_that_cannot_be_read_keeps_everything(shared: tuple[Clone, Clone]) -> None:
    first, second = shared
    theirs = change(second, 3)
    (second.root / ".dver" / "state.db").write_bytes(b"damaged" * 1000)
    assert len(collect(first).plan.absent) == 1
    assert theirs in cached(first)


def test_a_linked_work_tree_is_part_of_its_repository(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    linked = Clone(tmp_path / "linked")
    linked.checkout()
    theirs = change(linked, 3, commit=False)
    assert collect(clone).plan.absent == ()
    assert collect(linked).plan.absent == ()
    assert theirs in cached(clone)


# Old history, and what a remote has


def test_old_history_goes_only_if_the_remote_has_it(clone: Clone) -> None:
    first = clone.version()
    second = change(clone, 3)
    clone.forget_past()
    with pytest.raises(DataLossError):
        collect(clone, GcOptions(keep_last=1))
    assert cached(clone) == {first, second}
    clone.push(all_refs=True)
    plan = collect(clone, GcOptions(keep_last=1)).plan
    assert [(one.version, one.why) for one in plan.leaving] == [(first, Why.OLD)]
    assert cached(clone) == {second}


def test_old_history_goes_with_force(clone: Clone) -> None:
    first = clone.version()
    change(clone, 3)
    clone.forget_past()
    assert [one.version for one in collect(clone, GcOptions(keep_last=1, force=True)).plan.leaving] == [first]
    reread(clone)


def test_what_is_pushed_goes_but_for_what_is_in_use(clone: Clone) -> None:
    first = clone.version()
    clone.push()
    second = change(clone, 3)
    third = change(clone, 4)
    clone.forget_past()
    result = collect(clone, GcOptions(pushed=True))
    assert [(one.version, one.why) for one in result.plan.leaving] == [(first, Why.PUSHED)]
    assert result.plan.unproven == 1
    assert cached(clone) == {second, third}
    clone.checkout("HEAD~2", force=True)


def test_what_the_remote_says_it_has_and_lacks_stays(clone: Clone, tmp_path: Path) -> None:
    first = clone.version()
    clone.push()
    change(clone, 3)
    clone.forget_past()
    for pack in (tmp_path / "remote" / "packs").rglob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-1])
    assert collect(clone, GcOptions(pushed=True)).plan.leaving == ()
    assert first in cached(clone)


@pytest.mark.parametrize("offset", [0, 5, -1, -20, -60])
def test_a_pack_whose_head_footer_or_trailer_is_damaged_is_not_counted_on(
    clone: Clone, tmp_path: Path, offset: int
) -> None:
    first = clone.version()
    clone.push()
    change(clone, 3)
    clone.forget_past()
    for pack in (tmp_path / "remote" / "packs").rglob("*.pack"):
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[offset] ^= 0xFF
        pack.write_bytes(data)
    plan = collect(clone, GcOptions(pushed=True)).plan
    assert plan.leaving == ()
    assert plan.unproven == 1
    assert first in cached(clone)


def test_a_remote_without_index_files_is_not_counted_on(clone: Clone, tmp_path: Path) -> None:
    first = clone.version()
    clone.push()
    change(clone, 3)
    clone.forget_past()
    shutil.rmtree(tmp_path / "remote" / "index")
    assert collect(clone, GcOptions(pushed=True)).plan.leaving == ()
    assert first in cached(clone)


def test_what_is_pushed_without_a_remote_is_refused(tmp_path: Path) -> None:
    alone = Clone.make(tmp_path / "alone")
    with pytest.raises(UsageError, match="no remote") as caught:
        collect(alone, GcOptions(pushed=True))
    assert "dver remote add" in str(caught.value.hint)


def test_old_history_is_known_by_its_branch_and_not_by_the_reflog(clone: Clone) -> None:
    first = clone.version()
    for seed in (3, 4):
        change(clone, seed)
    plan = collect(clone, GcOptions(keep_last=1, force=True), dry_run=True).plan
    branch = clone.git("branch", "--show-current").strip()
    assert {name.by for one in plan.leaving for name in one.names} == {f"branch {branch}"}
    assert first in {one.version for one in plan.leaving}


# What stands in the way


def test_a_node_that_is_missing_stops_it(clone: Clone) -> None:
    change(clone, 3)
    drop_last(clone)
    with clone.open() as repo:
        version = clone.version()
        at = repo.cache.index.find([version])[version]  # type: ignore[list-item, index]
        path = clone.root / ".dver" / "cache" / pack_key(at.pack)
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[at.offset + 60] ^= 1
        path.write_bytes(data)
    before = files(clone.root / ".dver" / "cache" / "packs")
    with pytest.raises((IntegrityError, NotFoundError)):
        collect(clone)
    assert files(clone.root / ".dver" / "cache" / "packs") == before


def test_a_git_that_is_at_work_is_waited_for(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.operations.gc._GIT_PATIENCE", 0.0)
    (clone.root / ".git" / "index.lock").touch()
    with pytest.raises(LockedError, match=r"index\.lock"):
        collect(clone)


def test_a_cache_in_a_bucket_is_left_alone(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVER_CACHE_DIR", "memory://cache")
    with pytest.raises(ConfigError, match="memory://cache"):
        collect(clone)


_ADD_SLOWLY = """
import os, sys
from pathlib import Path
import dver.operations.add as adding
from dver.repo import Repo
real = adding.write_pointer
def slow(*arguments):
    print("stored", flush=True)
    sys.stdin.readline()
    real(*arguments)
adding.write_pointer = slow
with Repo.find(Path(sys.argv[1]), env=os.environ) as repo:
    adding.add(repo, ["data"])
"""


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


@contextmanager
def _adding_slowly(clone: Clone) -> Iterator[subprocess.Popen[str]]:
    """Another process that adds, and has stored all but the pointer, for which it waits for a line."""
    with subprocess.Popen(
        [sys.executable, "-c", _ADD_SLOWLY, str(clone.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        yield process


def test_what_an_add_at_work_has_stored_is_not_taken(clone: Clone) -> None:
    clone.write("data/a", noise(40_000, 3))
    with _adding_slowly(clone) as process:
        assert process.stdin is not None
        notes: list[str] = []
        collector = subprocess.Popen(
            [sys.executable, "-m", "dver", "gc"], cwd=clone.root, stderr=subprocess.PIPE, text=True, env=_environment()
        )
        assert collector.stderr is not None
        with collector:
            notes.append(collector.stderr.readline())
            process.stdin.write("go on\n")
            process.stdin.flush()
            collector.wait()
    assert "waiting" in notes[0]
    assert (process.returncode, collector.returncode) == (0, 0)
    assert clone.version() in cached(clone)
    reread(clone)


def test_one_that_is_killed_while_it_adds_keeps_nobody_waiting(clone: Clone) -> None:
    clone.write("data/a", noise(40_000, 3))
    with _adding_slowly(clone) as process:
        process.kill()
    assert len(collect(clone).plan.leaving) == 1


def test_a_reader_that_planned_its_reads_before_goes_on(clone: Clone) -> None:
    clone.write("data/new", noise(30_000, 8))
    clone.write("data/a", noise(40_000, 9))
    clone.add()
    clone.write("data/a", noise(40_000, 1))
    clone.save()
    clone.forget_past()
    with clone.open() as repo:
        reader = repo.cache
        manifest = reader.manifest(clone.version())
        entries = [entry for entry in manifest.entries() if isinstance(entry, FileEntry)]
        chunks = [chunk for entry in entries for chunk, _ in manifest.chunks(entry)]
        spans = reader.plan(chunks)
        assert collect(clone).swept is not None
        assert any(reader.backend.size(pack_key(span.pack)) is None for span in spans)
        assert {record.id for span in spans for record in reader.read_span(span)} == set(chunks)
