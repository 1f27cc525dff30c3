"""fsck on repositories: what is damaged is found, said in the user's words, and put right from where it can be had."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, ConfigError, PathError
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.fsck import fsck
from dver.operations.fsck_results import Damage, FsckOptions, FsckResult
from dver.repo import Repo
from dver.storage import repair
from dver.storage.audit_findings import Depth
from dver.storage.local import LocalBackend
from dver.storage.quarantine import set_aside
from tests.clones import Clone, noise
from tests.commands import installed_dver
from tests.templates import copy_template
from tests.unit.operations.damage import WAYS, damage, store_files, swap

CACHE = ".dver/cache"
# Cuts that leave all records readable, and damage that leaves all of the file's meaning, need nothing from elsewhere.
_KINDS = ["packs", "index", "versions", "dver-store.json"]
# What a marker says of its dataset is for people, and nothing tells when it is wrong.
_UNNOTICED = {
    ("versions", "deleted"),
    ("versions", "flipped in the version"),
    ("versions", "flipped near the end"),
    ("versions", "flipped in the middle"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    clone = Clone.make(folder / "repo", remote="../remote")
    clone.write("data/a", noise(9000, 1))
    clone.write("data/b", noise(5000, 2))
    clone.save(message="first")
    clone.write("data/deep/c", noise(80_000, 3))
    clone.save(message="second")
    clone.push(all_refs=True)
    return folder


@pytest.fixture
def clone(template: Path, tmp_path: Path) -> Clone:
    """A repository with two committed and pushed versions of a dataset."""
    copy_template(template, tmp_path)
    return Clone(tmp_path / "repo")


def check(
    clone: Clone, *paths: str, remote: str | None = None, repair: bool = False, depth: Depth = Depth.CONTENT
) -> FsckResult:
    with clone.open() as repo:
        return fsck(repo, paths, remote=remote, options=FsckOptions(depth, repair=repair))


def top_of(clone: Clone, remote: str | None) -> Path:
    return clone.root / CACHE if remote is None else clone.root.parent / "remote"


def things(result: FsckResult) -> list[tuple[str, str]]:
    return [(damage.thing, damage.problem) for damage in result.damages]


def only(result: FsckResult) -> Damage:
    (found,) = result.damages
    return found


def all_data_is_had(clone: Clone) -> bool:
    """Whether the dataset's files can be written anew, checked chunk by chunk against their ids."""
    before = clone.data()
    shutil.rmtree(clone.root / "data")
    with clone.open() as repo:
        checkout(repo, None, [], options=CheckoutOptions(force=True, verify=True))
    return clone.data() == before


def test_a_sound_repository_has_no_findings(clone: Clone) -> None:
    for remote in (None, "origin"):
        for depth in Depth:
            result = check(clone, remote=remote, depth=depth)
            assert (result.is_sound, result.damages, result.notes) == (True, (), ())
    assert result.counts.versions == 2


@pytest.mark.parametrize("remote", [None, "origin"], ids=["cache", "remote"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", _KINDS)
def test_whatever_happens_to_a_file_is_found_and_repaired(
    clone: Clone, kind: str, way: str, remote: str | None
) -> None:
    for file in store_files(top_of(clone, remote), kind):
        damage(file, way)
        found = check(clone, remote=remote)
        assert found.damages or (kind, way) in _UNNOTICED, file
        repaired = check(clone, remote=remote, repair=True)
        assert repaired.is_sound, repaired
        assert check(clone, remote=remote).damages == ()
        with clone.open() as repo:
            assert len((repo.cache if remote is None else repo.remote()).versions()) == 2
    clone.forget_stat_cache()
    if remote is not None:
        clone.delete_cache()
        clone.fetch()
    assert all_data_is_had(clone)


@pytest.mark.parametrize("remote", [None, "origin"], ids=["cache", "remote"])
@pytest.mark.parametrize("kind", ["packs", "index"])
def test_two_files_that_changed_places_are_found_and_repaired(clone: Clone, kind: str, remote: str | None) -> None:
    clone.write("data/more", noise(4000, 4))
    clone.save()
    clone.push()
    first, second, *_ = store_files(top_of(clone, remote), kind)
    swap(first, second)
    assert len(check(clone, remote=remote).damages) == 2
    assert check(clone, remote=remote, repair=True).is_sound
    assert check(clone, remote=remote).damages == ()
    assert all_data_is_had(clone)


def test_markers_that_changed_places_are_found_and_repaired(clone: Clone) -> None:
    swap(*store_files(top_of(clone, None), "versions"))
    assert things(check(clone)) == [("marker", "damaged")] * 2
    assert check(clone, repair=True).is_sound
    assert check(clone).damages == ()


def test_a_finding_names_what_it_touches_and_what_helps(clone: Clone) -> None:
    pack = max(store_files(top_of(clone, None), "packs"), key=lambda file: file.stat().st_size)
    damage(pack, "flipped in the middle")
    found = only(check(clone))
    assert (found.thing, found.problem, found.lost) == ("pack", "damaged", 1)
    assert found.name == str(pack.relative_to(top_of(clone, None)))
    (effect,) = found.effects
    assert (effect.dataset, effect.paths, effect.commits) == (
        "data",
        ("deep/c",),
        (clone.git("rev-parse", "HEAD").strip(),),
    )
    assert found.remedy == "dver fsck --repair"


def test_a_lost_manifest_says_that_more_may_be_touched(clone: Clone) -> None:
    shutil.rmtree(top_of(clone, "origin"))
    for pack in store_files(top_of(clone, None), "packs"):
        damage(pack, "deleted")
    found = check(clone).damages
    assert {damage.problem for damage in found} == {"missing"}
    assert all(effect.unknown and effect.dataset == "data" for damage in found for effect in damage.effects)


@pytest.mark.parametrize("remote", [None, "origin"], ids=["cache", "remote"])
def test_damaged_packs_are_kept_in_quarantine(clone: Clone, remote: str | None) -> None:
    top = top_of(clone, remote)
    pack = store_files(top, "packs")[0]
    damage(pack, "flipped in the middle")
    kept = pack.read_bytes()
    check(clone, remote=remote, repair=True)
    assert (top / "quarantine" / "packs" / pack.name).read_bytes() == kept


def test_what_can_be_read_of_a_damaged_pack_is_not_brought_from_elsewhere(clone: Clone) -> None:
    pack = store_files(top_of(clone, None), "packs")[0]
    damage(pack, "flipped in the middle")
    repaired = check(clone, repair=True).repaired
    assert repaired is not None
    assert repaired.mended.restored["the damaged packs"] > 1
    assert repaired.mended.restored[f"remote origin ({top_of(clone, 'origin')})"] == 1


def test_what_a_quarantined_pack_still_holds_is_found_there_later(clone: Clone) -> None:
    top = top_of(clone, None)
    pack = store_files(top, "packs")[0]
    (top / "quarantine" / "packs").mkdir(parents=True)
    shutil.copy(pack, top / "quarantine" / "packs" / pack.name)
    damage(pack, "emptied")
    shutil.rmtree(top_of(clone, "origin"))
    shutil.rmtree(clone.root / "data")
    repaired = check(clone, repair=True)
    assert repaired.is_sound
    assert repaired.repaired is not None
    assert "quarantine" in repaired.repaired.mended.restored


def test_the_second_copy_of_an_object_keeps_it_from_being_lost(clone: Clone) -> None:
    top = top_of(clone, "origin")
    before = store_files(top, "packs")
    shutil.move(top / "versions", top / "aside")
    shutil.move(top / "index", top / "index aside")
    shutil.move(top / "packs", top / "packs aside")
    (clone.root / "b").write_bytes(b"another file")
    clone.add("b")
    clone.commit()
    with clone.open() as repo:
        repo.remote().index.start_over()
    clone.push(all_refs=True)
    for name in ("versions", "index", "packs"):
        shutil.copytree(top / (f"{name} aside" if name != "versions" else "aside"), top / name, dirs_exist_ok=True)
        shutil.rmtree(top / (f"{name} aside" if name != "versions" else "aside"))
    damage(before[0], "emptied")
    found = only(check(clone, remote="origin"))
    assert (found.lost, found.effects) == (0, ())
    assert check(clone, remote="origin", repair=True).is_sound
    assert all_data_is_had(clone)


# Where what is missing comes from


def test_working_files_give_back_what_no_store_has(clone: Clone) -> None:
    shutil.rmtree(top_of(clone, "origin"))
    for pack in store_files(top_of(clone, None), "packs"):
        damage(pack, "deleted")
    repaired = check(clone, repair=True)
    assert repaired.repaired is not None
    assert "the working files" in repaired.repaired.mended.restored
    # The second version is here, the first is history.
    left = {effect.version for damage in repaired.repaired.left for effect in damage.effects}
    with clone.open() as repo:
        assert len(repo.cache.versions()) == 1
        assert left.isdisjoint(repo.cache.versions())
    assert all_data_is_had(clone)


def test_a_remote_gets_chunks_from_working_files_where_the_cache_is_gone(clone: Clone) -> None:
    pack = store_files(top_of(clone, "origin"), "packs")[0]
    damage(pack, "flipped in the middle")
    clone.delete_cache()
    assert check(clone, remote="origin", repair=True).is_sound
    assert check(clone, remote="origin").damages == ()


def test_changed_working_files_are_not_believed(clone: Clone) -> None:
    shutil.rmtree(top_of(clone, "origin"))
    for name in ("a", "b", "deep/c"):
        clone.write(f"data/{name}", noise(9000, 99))
    for pack in store_files(top_of(clone, None), "packs"):
        damage(pack, "deleted")
    repaired = check(clone, repair=True)
    assert not repaired.is_sound
    with clone.open() as repo:
        assert repo.cache.versions() == set()


def test_a_second_remote_helps_where_the_first_lacks_something(clone: Clone, tmp_path: Path) -> None:
    shutil.copytree(top_of(clone, "origin"), tmp_path / "second")
    config = clone.root / ".dver" / "config.toml"
    config.write_text(config.read_text() + '\n[remotes.second]\nurl = "../second"\n')
    damage(store_files(top_of(clone, None), "packs")[0], "emptied")
    damage(store_files(top_of(clone, "origin"), "packs")[0], "emptied")
    shutil.rmtree(clone.root / "data")
    repaired = check(clone, repair=True)
    assert repaired.is_sound
    assert check(clone, remote="origin", repair=True).is_sound


# What cannot be had


@pytest.fixture
def lost(clone: Clone) -> Clone:
    """A repository whose cache lost a chunk that is nowhere else; the working files are elsewhere."""
    shutil.move(top_of(clone, "origin"), clone.root.parent / "aside")
    shutil.move(clone.root / "data", clone.root.parent / "data aside")
    pack = max(store_files(top_of(clone, None), "packs"), key=lambda file: file.stat().st_size)
    damage(pack, "flipped in the middle")
    return clone


def test_what_cannot_be_restored_is_listed_with_paths_and_commits(lost: Clone) -> None:
    repaired = check(lost, repair=True)
    assert not repaired.is_sound
    assert repaired.repaired is not None
    (left,) = repaired.repaired.left
    (effect,) = left.effects
    assert (effect.dataset, effect.paths, effect.commit_count) == ("data", ("deep/c",), 1)


def test_a_marker_of_an_incomplete_version_is_set_aside_and_not_lost(lost: Clone) -> None:
    before = {file.name for file in store_files(top_of(lost, None), "versions")}
    check(lost, repair=True)
    after = {file.name for file in store_files(top_of(lost, None), "versions")}
    aside = {file.name for file in store_files(top_of(lost, None), "quarantine/versions")}
    assert (before - after, len(after)) == (aside, 1)
    # What is left is a part of a version, which is no damage in a cache; but HEAD names it, and nobody has it.
    assert things(check(lost)) == [("version", "missing")]


def test_after_a_repair_fetch_fills_what_is_missing(lost: Clone) -> None:
    check(lost, repair=True)
    shutil.move(lost.root.parent / "aside", top_of(lost, "origin"))
    result = lost.fetch()
    assert (len(result.sent.versions), result.missing) == (1, ())
    assert result.sent.objects == 1
    assert check(lost).damages == ()


def test_after_a_repair_add_fills_what_is_missing(lost: Clone) -> None:
    check(lost, repair=True)
    shutil.move(lost.root.parent / "data aside", lost.root / "data")
    pointer = lost.pointer_text()
    lost.add("data")
    assert lost.pointer_text() == pointer
    with lost.open() as repo:
        assert len(repo.cache.versions()) == 2
    assert check(lost).damages == ()


def test_after_a_repair_push_fills_what_is_missing(clone: Clone) -> None:
    cache, data = top_of(clone, None), clone.root / "data"
    shutil.move(cache, clone.root.parent / "cache aside")
    shutil.move(data, clone.root.parent / "data aside")
    damage(store_files(top_of(clone, "origin"), "packs")[0], "cut in half")
    repaired = check(clone, remote="origin", repair=True)
    assert not repaired.is_sound
    # A version that only history names may be gone as well.
    assert set(things(check(clone, remote="origin"))) == {("version", "missing")}
    shutil.rmtree(cache, ignore_errors=True)
    shutil.move(clone.root.parent / "cache aside", cache)
    shutil.move(clone.root.parent / "data aside", data)
    clone.push(all_refs=True)
    assert check(clone, remote="origin").damages == ()
    clone.delete_cache()
    assert clone.fetch(all_refs=True).missing == ()


# What is no damage


def test_parts_of_versions_in_a_cache_are_no_damage(clone: Clone, tmp_path: Path) -> None:
    other = clone.clone(tmp_path / "other")
    other.pull("data/a")
    assert check(other).damages == ()
    assert check(other, repair=True).is_sound


def test_a_repair_of_a_partial_cache_does_not_fetch_the_rest(clone: Clone, tmp_path: Path) -> None:
    other = clone.clone(tmp_path / "other")
    other.pull("data/a")
    with other.open() as repo:
        held = sum(1 for _ in repo.cache.index.objects())
    damage(store_files(top_of(other, None), "packs")[0], "deleted")
    shutil.rmtree(other.root / "data")
    repaired = check(other, repair=True)
    assert repaired.is_sound
    with other.open() as repo:
        assert sum(1 for _ in repo.cache.index.objects()) == held


def test_a_version_without_a_marker_that_is_wholly_there_is_marked(clone: Clone) -> None:
    damage(store_files(top_of(clone, "origin"), "versions")[0], "deleted")
    found = check(clone, remote="origin")
    assert found.is_sound
    assert found.notes == (
        "1 version is wholly there without a marker, so nobody can have it from there:"
        " dver fsck --remote origin --repair marks it",
    )
    check(clone, remote="origin", repair=True)
    assert len(store_files(top_of(clone, "origin"), "versions")) == 2


def test_files_of_others_in_the_store_are_named_and_left_alone(clone: Clone) -> None:
    odd = top_of(clone, None) / "packs" / "notes.txt"
    odd.write_text("mine")
    (top_of(clone, None) / "README").write_text("also mine")
    result = check(clone, repair=True)
    assert result.is_sound
    assert result.notes == ("not dver's, and passed over: packs/notes.txt",)
    assert odd.read_text() == "mine"


def test_what_a_killed_writer_left_behind_is_no_damage_however_old(clone: Clone) -> None:
    top = top_of(clone, None)
    kept = {file for kind in ("packs", "index", "versions") for file in store_files(top, kind)}
    clone.write("data/new", noise(5000, 7))
    clone.add()
    for kind in ("index", "versions"):
        for file in set(store_files(top, kind)) - kept:
            file.unlink()
    clone.git("checkout", "--quiet", "HEAD", "--", "data.dver")
    (pack,) = set(store_files(top, "packs")) - kept
    os.utime(pack, (time.time() - 1e6,) * 2)
    result = check(clone)
    assert result.damages == ()
    assert result.notes == ("1 pack is in no index file, and no version needs it: a writer that was cut off left it",)


def test_a_pack_that_is_just_being_written_is_no_damage(clone: Clone) -> None:
    forming = top_of(clone, None) / "packs" / "ab" / f"{'ab' * 32}.pack"
    forming.parent.mkdir(exist_ok=True)
    forming.write_bytes(b"DVPK\x01\0\0\0 half of a record")
    assert check(clone).damages == ()
    os.utime(forming, (time.time() - 3600,) * 2)
    assert things(check(clone)) == [("pack", "damaged")]
    assert check(clone, repair=True).is_sound
    assert not forming.exists()


def test_what_a_garbage_collection_takes_meanwhile_is_no_damage(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.write("data/new", noise(5000, 7))
    clone.add()
    top = top_of(clone, None)
    kinds = ("versions", "index", "packs")
    newest = {kind: max(store_files(top, kind), key=lambda file: file.stat().st_mtime_ns) for kind in kinds}
    clone.git("checkout", "--quiet", "HEAD", "--", "data.dver")
    pointer_gone = threading.Event()
    real = LocalBackend.list

    def listing(self: LocalBackend, prefix: str) -> object:
        if prefix == "packs/" and not pointer_gone.is_set():
            pointer_gone.set()
            for kind in kinds:
                newest[kind].unlink()
        return real(self, prefix)

    monkeypatch.setattr(LocalBackend, "list", listing)
    assert check(clone).damages == ()
    assert pointer_gone.is_set()


# Pointers and records


def test_a_pointer_that_cannot_be_read_is_found_where_it_can_be_put_right(clone: Clone) -> None:
    good = clone.pointer_text()
    clone.write("data.dver", b"# dver pointer\nformat = 1\n")
    found = check(clone).damages
    assert [(one.thing, one.name, one.where) for one in found] == [("pointer", "data.dver", "working tree")]
    clone.commit("a bad pointer")
    tip = clone.git("rev-parse", "HEAD").strip()[:7]
    assert [one.where for one in check(clone).damages] == [f"working tree, what is staged, branch main at {tip}"]
    clone.write("data.dver", good.encode())
    clone.commit("put right")
    assert check(clone).damages == ()


def test_a_pointer_in_a_conflict_is_no_damage(clone: Clone) -> None:
    clone.write("data.dver", f"<<<<<<< ours\n{clone.pointer_text()}=======\n>>>>>>> theirs\n".encode())
    assert check(clone).damages == ()


def test_lines_of_the_lineage_file_that_are_no_records_are_found(clone: Clone) -> None:
    (clone.root / ".dver" / "lineage.jsonl").write_text('{"format": 1}\n\nno record\n')
    found = check(clone).damages
    assert [(one.thing, one.name, one.where) for one in found] == [
        ("lineage", ".dver/lineage.jsonl", "line 1 in the working tree"),
        ("lineage", ".dver/lineage.jsonl", "line 3 in the working tree"),
    ]
    assert not check(clone, repair=True).is_sound


def test_a_version_that_no_store_can_have_is_found(clone: Clone) -> None:
    clone.delete_cache()
    assert check(clone).damages == ()
    config = clone.root / ".dver" / "config.toml"
    lines = config.read_text().partition("[remotes")[0].replace('remote = "origin"', "")
    config.write_text(lines)
    found = only(check(clone))
    assert (found.thing, found.problem) == ("version", "missing")
    assert "dver add data" in found.remedy


# What is looked at


def test_paths_narrow_what_is_read(clone: Clone) -> None:
    clone.write("other", noise(5000, 8))
    clone.save("other")
    assert check(clone, "other").counts.read < check(clone).counts.read
    for pack in store_files(top_of(clone, None), "packs")[:2]:
        damage(pack, "flipped in the middle")
    with pytest.raises(PathError):
        check(clone, "nowhere")


def test_a_remote_that_has_no_store_is_an_error(clone: Clone) -> None:
    shutil.rmtree(top_of(clone, "origin"))
    with pytest.raises(ConfigError, match="there is no store"):
        check(clone, remote="origin")


def test_looking_changes_nothing_in_the_store(clone: Clone) -> None:
    for kind in ("packs", "index", "versions"):
        damage(store_files(top_of(clone, "origin"), kind)[0], "cut in half")
    before = {file: file.read_bytes() for file in top_of(clone, "origin").rglob("*") if file.is_file()}
    check(clone, remote="origin")
    after = {file: file.read_bytes() for file in top_of(clone, "origin").rglob("*") if file.is_file()}
    assert after == before


def test_a_read_only_store_is_looked_at_and_not_repaired(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(store_files(top_of(clone, "origin"), "packs")[0], "flipped in the middle")

    def refuse(self: LocalBackend, key: str, *_: object) -> None:
        raise BackendError(self.location, BackendProblem.READ_ONLY, f"read-only: cannot write {key}")

    for name in ("write", "delete"):
        monkeypatch.setattr(LocalBackend, name, refuse)
    assert len(check(clone, remote="origin").damages) == 1
    with pytest.raises(BackendError):
        check(clone, remote="origin", repair=True)


def test_two_repairs_at_once_do_no_harm(clone: Clone) -> None:
    damage(store_files(top_of(clone, None), "packs")[0], "flipped in the middle")
    command = [*installed_dver(clone.root).command, "fsck", "--repair"]
    running = [subprocess.Popen(command, cwd=clone.root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=60)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0], said
    assert check(clone).damages == ()
    assert all_data_is_had(clone)


@pytest.mark.parametrize("step", range(12))
def test_a_repair_that_is_cut_off_loses_nothing_and_is_completed_by_the_next(
    clone: Clone, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pack in store_files(top_of(clone, None), "packs"):
        damage(pack, "flipped in the middle")
    calls = 0

    def cut_off(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KeyboardInterrupt
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "delete"):
            patch.setattr(LocalBackend, name, cut_off(getattr(LocalBackend, name)))
        patch.setattr(repair, "set_aside", cut_off(set_aside))
        with suppress(KeyboardInterrupt):
            check(clone, repair=True)
    assert check(clone, repair=True).is_sound
    assert check(clone).damages == ()
    assert all_data_is_had(clone)


@pytest.mark.parametrize("remote", [None, "origin"], ids=["cache", "remote"])
def test_what_a_repair_that_was_cut_off_had_set_aside_is_brought_back(
    clone: Clone, remote: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pack in store_files(top_of(clone, remote), "packs"):
        damage(pack, "flipped in the middle")

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(repair.Mender, "restore", cut_off)
        check(clone, remote=remote, repair=True)
    assert check(clone, remote=remote, repair=True).is_sound
    assert check(clone, remote=remote).damages == ()


# What is named and not there


@pytest.mark.parametrize("ref", ["branch other", "tag v1"])
def test_a_branch_or_tag_whose_version_nobody_has_is_a_finding(clone: Clone, ref: str) -> None:
    kind, name = ref.split()
    clone.git("checkout", "--quiet", "-b", "elsewhere")
    clone.write("data/a", noise(9000, 55))
    before = {*store_files(top_of(clone, None), "versions")}
    clone.save()
    clone.git(*(["branch", name] if kind == "branch" else ["tag", name]))
    (marker,) = {*store_files(top_of(clone, None), "versions")} - before
    clone.git("checkout", "--quiet", "-")
    clone.git("branch", "--quiet", "-D", "elsewhere")
    marker.unlink()
    for pack in store_files(top_of(clone, None), "packs"):
        pack.unlink()
    shutil.rmtree(top_of(clone, None))
    clone.fetch(all_refs=True)
    found = only(check(clone))
    assert (found.thing, found.problem, found.where) == ("version", "missing", ref)
    assert found.name == f"b3:{marker.name}"
    shutil.move(clone.root / "data", clone.root.parent / "data aside")
    assert not check(clone, repair=True).is_sound
    # The files are those of that version.
    shutil.move(clone.root.parent / "data aside", clone.root / "data")
    assert check(clone, repair=True).is_sound
    assert check(clone).damages == ()


def test_what_only_history_names_and_nobody_has_is_a_note(clone: Clone) -> None:
    clone.delete_cache()
    clone.fetch()
    shutil.rmtree(top_of(clone, "origin"))
    result = check(clone)
    assert result.is_sound
    assert result.notes == ("1 version that only history names is neither in the cache nor on a remote",)


def test_what_was_not_pushed_is_a_note_of_a_remote(clone: Clone) -> None:
    clone.write("data/a", noise(9000, 56))
    clone.save()
    result = check(clone, remote="origin")
    assert result.is_sound
    assert result.notes == (
        "1 version that HEAD, a branch or a tag names is not there:"
        " dver push --all -r origin pushes what the cache has",
    )


def test_a_version_that_a_remote_lost_is_said_until_it_is_there_again(clone: Clone) -> None:
    shutil.move(top_of(clone, None), clone.root.parent / "cache aside")
    shutil.move(clone.root / "data", clone.root.parent / "data aside")
    for pack in store_files(top_of(clone, "origin"), "packs"):
        pack.unlink()
    for _ in range(3):
        assert not check(clone, remote="origin", repair=True).is_sound
        assert ("version", "missing") in things(check(clone, remote="origin"))
    shutil.rmtree(top_of(clone, None), ignore_errors=True)
    shutil.move(clone.root.parent / "cache aside", top_of(clone, None))
    assert check(clone, remote="origin", repair=True).repaired
    clone.push(all_refs=True)
    assert check(clone, remote="origin").damages == ()


def test_a_missing_marker_alone_is_one_finding_and_repaired(clone: Clone) -> None:
    shutil.rmtree(top_of(clone, "origin"))
    config = clone.root / ".dver" / "config.toml"
    config.write_text(config.read_text().split("[remotes")[0])
    for marker in store_files(top_of(clone, None), "versions"):
        marker.unlink()
    assert things(check(clone)) == [("marker", "missing")]
    assert check(clone, repair=True).is_sound
    assert check(clone).damages == ()
    assert len(store_files(top_of(clone, None), "versions")) == 2


def test_a_path_in_no_version_is_refused(clone: Clone) -> None:
    with pytest.raises(PathError, match="no version of data has it") as caught:
        check(clone, "data/none")
    assert caught.value.hint == "dver ls -R DATASET lists its files"
    assert check(clone, "data/deep").is_sound
    assert check(clone, "data/deep/c").is_sound


def test_names_are_read_after_the_lock_is_held(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Repo.lock

    @contextmanager
    def lock(self: Repo) -> Iterator[None]:
        with real(self):
            monkeypatch.setattr(Repo, "lock", real)
            clone.git("reset", "--quiet", "--hard", "HEAD~1")
            yield

    clone.write("data/a", noise(9000, 57))
    clone.add()
    for marker in store_files(top_of(clone, None), "versions"):
        if marker.name in (clone.root / "data.dver").read_text():
            marker.unlink()
    for pack in store_files(top_of(clone, None), "packs"):
        pack.unlink()
    shutil.rmtree(top_of(clone, None))
    clone.fetch(all_refs=True)
    monkeypatch.setattr(Repo, "lock", lock)
    assert check(clone, repair=True).damages == ()


@pytest.mark.parametrize("remote", [None, "origin"], ids=["cache", "remote"])
@pytest.mark.parametrize("kind", ["dver-store.json", "packs", "index", "versions"])
def test_a_folder_where_a_file_should_be_is_found_and_repaired(clone: Clone, kind: str, remote: str | None) -> None:
    file = store_files(top_of(clone, remote), kind)[0]
    file.unlink()
    file.mkdir()
    (file / "inside").write_bytes(b"x")
    found = only(check(clone, remote=remote))
    assert (found.problem, found.detail) == ("damaged", "a folder is where a file should be")
    assert check(clone, remote=remote, repair=True).is_sound
    assert check(clone, remote=remote).damages == ()
    assert all_data_is_had(clone)


@pytest.mark.parametrize("kind", ["packs", "index", "versions"])
def test_a_file_where_a_folder_should_be_is_found_and_repaired(clone: Clone, kind: str) -> None:
    place = top_of(clone, "origin") / kind
    shutil.rmtree(place)
    place.write_bytes(b"x")
    assert only(check(clone, remote="origin")).detail == "a file is where a folder should be"
    assert check(clone, remote="origin", repair=True).is_sound
    assert check(clone, remote="origin").damages == ()


def test_going_on_is_said_only_where_something_was_found_sound_before(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "read_range", _fail)
        with pytest.raises(BackendError):
            check(clone)
    assert check(clone).notes == ()


def _fail(self: LocalBackend, key: str, offset: int, length: int) -> bytes:
    raise BackendError(self.location, BackendProblem.ENDPOINT, f"{key}: no answer")
