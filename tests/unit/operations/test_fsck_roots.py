"""fsck knows the roots that a garbage collection knows: of what a stash, a reflog or a neighbour names it tells."""

import shutil
from pathlib import Path

import pytest

from dver.objects.ids import chunk_id, format_version
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions, FsckResult
from tests.clones import Clone, noise
from tests.unit.operations.damage import store_files


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository without a remote, with one committed version."""
    made = Clone.make(tmp_path / "repo")
    made.write("data/a", noise(5000, 1))
    made.save(message="first")
    return made


def check(clone: Clone, *, repair: bool = False) -> FsckResult:
    with clone.open() as repo:
        return fsck(repo, options=FsckOptions(repair=repair))


def cache(clone: Clone) -> Path:
    return clone.root / ".dver" / "cache"


def version_of(clone: Clone) -> str:
    return format_version(clone.version())


def take_back(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "HEAD", "--", "data.dver")
    clone.checkout(force=True)


def change(clone: Clone, seed: int) -> tuple[str, set[Path]]:
    """Add a version, and return it with the packs that it brought."""
    before = set(store_files(cache(clone), "packs"))
    clone.write("data/a", noise(5000, seed))
    clone.add()
    return version_of(clone), set(store_files(cache(clone), "packs")) - before


def lose(packs: set[Path]) -> None:
    for pack in packs:
        pack.unlink()


def said(result: FsckResult) -> list[tuple[str, str, str]]:
    return [(one.thing, one.problem, one.where) for one in result.damages]


def touched_by(result: FsckResult, version: str) -> tuple[set[str], set[str]]:
    """Return what names a version that damage touches, and the commits."""
    effects = [one for damage in result.damages for one in damage.effects if one.version is not None]
    found = [one for one in effects if one.version is not None and format_version(one.version) == version]
    assert all(one.dataset == "data" for one in found)
    return {name for one in found for name in one.named_by}, {commit for one in found for commit in one.commits}


@pytest.mark.parametrize("depth", [0, 1], ids=["the latest stash", "an earlier stash"])
def test_the_version_of_a_stash_is_told_of_until_it_is_back(clone: Clone, depth: int) -> None:
    version, packs = change(clone, 2)
    clone.git("stash", "--quiet")
    clone.checkout(force=True)
    if depth:
        change(clone, 3)
        clone.git("stash", "--quiet")
        clone.checkout(force=True)
    kept = {pack: pack.read_bytes() for pack in packs}
    lose(packs)
    names, commits = touched_by(check(clone), version)
    assert "stash" in names
    assert clone.git("rev-parse", f"stash@{{{depth}}}").strip() in commits
    assert not check(clone, repair=True).is_sound
    for _ in range(2):
        result = check(clone)
        assert said(result) == [("version", "missing", "stash")]
        assert result.damages[0].name == version
        assert not check(clone, repair=True).is_sound
    for pack, content in kept.items():
        pack.parent.mkdir(exist_ok=True)
        pack.write_bytes(content)
    assert check(clone, repair=True).is_sound
    assert check(clone).damages == ()


def test_a_version_that_only_a_reflog_names_is_told_of_after_it_was_lost(clone: Clone) -> None:
    version, packs = change(clone, 2)
    commit = clone.commit("to be given up")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.checkout(force=True)
    lose(packs)
    names, commits = touched_by(check(clone), version)
    assert names & {"reflog HEAD", "reflog main", "reflog ORIG_HEAD"}
    assert commits == {clone.git("rev-parse", commit or "ORIG_HEAD").strip()}
    check(clone, repair=True)
    assert [one.name for one in check(clone).damages] == [version]


def test_what_a_linked_work_tree_has_staged_and_in_its_files_is_told_of(clone: Clone, tmp_path: Path) -> None:
    linked = Clone(tmp_path / "linked")
    clone.git("worktree", "add", "--quiet", "--detach", str(linked.root))
    linked.checkout()
    before = set(store_files(cache(clone), "packs"))
    linked.write("data/a", noise(5000, 4))
    linked.add()
    version = version_of(linked)
    lose(set(store_files(cache(clone), "packs")) - before)
    shutil.rmtree(linked.root / "data")
    names, _ = touched_by(check(clone), version)
    assert f"working tree {linked.root}" in names
    check(clone, repair=True)
    assert [one.name for one in check(clone).damages] == [version]


@pytest.fixture
def shared(clone: Clone, tmp_path: Path) -> Clone:
    """Another repository with the same cache, with a version of its own; its files are gone."""
    other = Clone.make(tmp_path / "other")
    config = other.root / ".dver" / "config.toml"
    config.write_text(config.read_text() + f'\n[cache]\ndir = "{cache(clone)}"\n')
    other.write("data/a", noise(5000, 5))
    other.save()
    shutil.rmtree(other.root / "data")
    return other


def test_what_another_repository_with_the_same_cache_names_is_told_of(clone: Clone, shared: Clone) -> None:
    version = version_of(shared)
    for pack in store_files(cache(clone), "packs"):
        pack.unlink()
    names, commits = touched_by(check(clone), version)
    assert f"HEAD in {shared.root}" in names
    assert commits == {shared.git("rev-parse", "HEAD").strip()}
    check(clone, repair=True)
    (found,) = check(clone).damages
    assert (found.name, f" in {shared.root}" in found.where) == (version, True)


def test_a_neighbour_that_is_gone_is_a_note(clone: Clone, shared: Clone) -> None:
    shutil.rmtree(shared.root)
    result = check(clone)
    assert result.is_sound
    assert result.notes == (
        f"what {shared.root}, which uses the cache too, names cannot all be known: is not there any more",
    )


def test_a_version_that_never_came_here_is_no_damage_though_a_stash_names_it(tmp_path: Path) -> None:
    first = Clone.make(tmp_path / "repo", remote="../remote")
    first.write("data/a", noise(5000, 1))
    first.write("data/b", noise(5000, 2))
    first.save()
    first.push()
    second = first.clone(tmp_path / "second")
    second.pull("data/a")
    second.write("notes", b"mine")
    second.git("add", "notes")
    second.git("stash", "--quiet")
    for repair in (False, True, False):
        assert check(second, repair=repair).damages == ()


def test_what_a_stash_names_is_there_again_as_soon_as_a_remote_has_it(clone: Clone, tmp_path: Path) -> None:
    version, packs = change(clone, 2)
    clone.git("stash", "--quiet")
    clone.checkout(force=True)
    kept = tmp_path / "kept"
    shutil.copytree(cache(clone), kept)
    lose(packs)
    check(clone, repair=True)
    assert [one.name for one in check(clone).damages] == [version]
    config = clone.root / ".dver" / "config.toml"
    config.write_text(config.read_text() + f'\n[remotes.origin]\nurl = "{kept}"\n')
    assert check(clone).damages == ()


@pytest.mark.parametrize("stashed", [True, False], ids=["a stash", "the working tree"])
def test_a_repair_of_a_remote_sends_nothing_that_was_never_pushed(tmp_path: Path, stashed: bool) -> None:
    clone = Clone.make(tmp_path / "repo", remote="../remote")
    clone.write("data/a", noise(5000, 1))
    clone.save()
    clone.push()
    pushed = set(store_files(tmp_path / "remote", "versions"))
    clone.write("data/private", noise(3000, 2))
    clone.add()
    if stashed:
        clone.git("stash", "--quiet")
        clone.checkout(force=True)
    lose(set(store_files(tmp_path / "remote", "packs")))

    with clone.open() as repo:
        result = fsck(repo, remote=repo.remote_settings().name, options=FsckOptions(repair=True))

    assert result.is_sound
    assert set(store_files(tmp_path / "remote", "versions")) == pushed
    with clone.open() as repo:
        private = [chunk_id(noise(3000, 2)[:end]) for end in repo.chunker.cut(noise(3000, 2))[:1]]
        assert repo.cache.present(private)
        assert not repo.remote().present(private)
