"""Checkout: nothing that is stored nowhere is lost, and what is lacking is fetched or named."""

import os
from pathlib import Path

import pytest

from dver.errors import DataLossError, DverError, VersionNotFoundError
from dver.operations.push import fetch, wanted_versions
from dver.operations.status import State
from tests.clones import Clone, everything_but_dvers_own, files_opened, noise
from tests.unit.operations.conftest import fill


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.bin", noise(20_000, 99)), ("zero", b"no longer"), ("new/x", b"edited"), ("sub/deep/c", b"untracked")],
)
def test_modified_files_are_never_lost(history: Clone, name: str, content: bytes) -> None:
    history.write(f"data/{name}", content)
    history.write("data/sub/run.sh", b"edited as well")
    before = everything_but_dvers_own(history)

    rev = "v1"
    if name == "zero":
        # The same in both versions: only without a revision is it put back.
        rev = "HEAD"
        history.git("checkout", "--quiet", "--detach", "v1")
        before = everything_but_dvers_own(history)

    with pytest.raises(DataLossError, match="nothing was changed") as caught:
        history.checkout(rev)

    assert caught.value.paths == tuple(sorted([f"data/{name}", "data/sub/run.sh"]))
    assert caught.value.hint is not None
    assert "dver add" in caught.value.hint
    assert "--force" in caught.value.hint
    assert everything_but_dvers_own(history) == before

    history.checkout("v1", force=True)
    assert history.status().state is State.UNCHANGED


def test_a_changed_link_is_never_lost(history: Clone) -> None:
    (history.root / "data" / "link").unlink()
    (history.root / "data" / "link").symlink_to("my own target")

    with pytest.raises(DataLossError) as caught:
        history.checkout("v1")

    assert caught.value.paths == ("data/link",)
    assert os.readlink(history.root / "data" / "link") == "my own target"


def test_a_change_that_is_stored_already_is_no_obstacle(history: Clone) -> None:
    history.write("data/zero", b"new in v2")

    history.checkout()

    assert history.data()[b"zero"] == ("file", b"")


def test_an_edit_that_makes_the_file_what_is_wanted_is_no_obstacle(history: Clone) -> None:
    history.write("data/a.bin", noise(20_000))
    inode = (history.root / "data" / "a.bin").stat().st_ino

    history.checkout("v1")

    assert (history.root / "data" / "a.bin").stat().st_ino == inode
    assert history.status().state is State.UNCHANGED


def test_a_changed_mode_alone_is_put_back(history: Clone) -> None:
    (history.root / "data" / "a.bin").chmod(0o755)

    history.checkout()

    assert history.data()[b"a.bin"] == ("file", noise(20_000, 5))
    assert history.status().state is State.UNCHANGED


def test_all_datasets_are_looked_at_before_any_is_touched(clone: Clone) -> None:
    for dataset in ("a", "z"):
        clone.write(f"{dataset}/x", b"1")
    clone.save("a", "z")
    clone.git("tag", "v1")
    for dataset in ("a", "z"):
        clone.write(f"{dataset}/x", b"2")
    clone.save("a", "z")
    clone.write("z/x", b"mine")

    with pytest.raises(DataLossError) as caught:
        clone.checkout("v1")

    assert caught.value.paths == ("z/x",)
    assert clone.data("a") == {b"x": ("file", b"2")}


def test_what_is_nowhere_is_named_with_the_command_that_brings_it(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.delete_cache()
    (clone.root / "data").rename(clone.root.parent / "away")

    with pytest.raises(VersionNotFoundError) as caught:
        clone.checkout()

    assert caught.value.dataset == "data"
    assert caught.value.hint is not None
    assert "dver remote add" in caught.value.hint
    assert not (clone.root / "data").exists()


def test_what_the_cache_lacks_comes_from_the_default_remote(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    other.checkout()

    assert other.data() == team.data()
    found = other.status()
    assert found.state is State.UNCHANGED
    assert found.in_cache
    with files_opened(other.root / "data") as opened:
        assert not other.add().added[0].changed
    assert opened == []


def test_a_version_that_was_never_pushed_is_named(team: Clone, tmp_path: Path) -> None:
    team.write("data/new", b"not pushed")
    team.save()
    other = team.clone(tmp_path / "other")

    with pytest.raises(VersionNotFoundError) as caught:
        other.checkout()

    assert caught.value.hint is not None
    assert "dver push" in caught.value.hint
    assert not (other.root / "data").exists()


def test_a_chunk_that_is_missing_on_the_remote_as_well_touches_nothing(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.git("tag", "v1")
    clone.write("data/a.bin", noise(20_000, 5))
    clone.save()
    before = clone.data()
    for pack in sorted(
        (clone.root / ".dver" / "cache" / "packs").rglob("*.pack"), key=lambda path: path.stat().st_mtime
    ):
        if noise(20_000)[:100] in pack.read_bytes():
            pack.unlink()

    with pytest.raises(DverError):
        clone.checkout("v1")

    assert clone.data() == before
    assert clone.git("diff", "--cached", "--name-only") == ""


class TestAfterTheCacheWasDeleted:
    """The working files may be the only copy of their version then."""

    def test_the_only_copy_is_not_overwritten(self, history: Clone, tmp_path: Path) -> None:
        second = history.data()
        history.git("checkout", "--quiet", "v1", "--", "data.dver")
        store_v1_only(history, tmp_path)

        with pytest.raises(DataLossError) as caught:
            history.checkout()

        assert caught.value.paths == ("data/a.bin", "data/link")
        assert history.data() == second

        history.checkout(force=True)
        assert history.data()[b"a.bin"] == ("file", noise(20_000))
        # Nothing says any more that these were tracked.
        assert history.data()[b"new/x"] == ("file", b"new in v2")

    def test_what_is_known_of_the_version_without_its_data_is_no_copy(self, team: Clone, tmp_path: Path) -> None:
        team.git("tag", "v1")
        team.write("data/a.bin", noise(20_000, 6))
        team.write("data/new", b"new")
        team.write("data/sub/new", b"in the part")
        team.save()
        second = team.data()
        team.push()
        team.delete_cache()
        with team.open() as repo:
            fetch(repo, wanted_versions(repo, revs=["v1"]))
        team.fetch("data/sub")
        (tmp_path / "remote").rename(tmp_path / "gone")

        with pytest.raises(DataLossError) as caught:
            team.checkout("v1")

        assert caught.value.paths == ("data/a.bin", "data/new")
        assert team.data() == second
        team.checkout("v1", force=True)
        assert b"new" not in team.data()

    def test_what_is_on_the_remote_is_not_the_only_copy(self, team: Clone) -> None:
        first = team.data()
        team.git("tag", "v1")
        team.write("data/a.bin", noise(20_000, 6))
        team.save()
        team.push()
        team.delete_cache()

        team.checkout("v1")

        assert team.data() == first

    def test_an_add_makes_it_safe_again(self, team: Clone) -> None:
        team.git("tag", "v1")
        team.write("data/a.bin", noise(20_000, 6))
        team.save()
        team.delete_cache()
        with pytest.raises(DataLossError):
            team.checkout("v1")

        team.add()
        team.checkout("v1")
        team.checkout("HEAD")

        assert team.data()[b"a.bin"] == ("file", noise(20_000, 6))


def store_v1_only(clone: Clone, tmp_path: Path) -> None:
    """Make the cache one that has v1 and not a byte of what v2 brought."""
    other = clone.clone(tmp_path / "v1 only")
    (other.root / ".dver" / "config.local.toml").write_text(f'[cache]\ndir = "{clone.root}/.dver/cache"\n')
    other.checkout("v1")
    (other.root / ".dver" / "config.local.toml").unlink()
    other.forget_stat_cache()
    other.add(force=True)
    clone.delete_cache()
    (other.root / ".dver" / "cache").rename(clone.root / ".dver" / "cache")
