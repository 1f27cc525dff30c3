"""Parts of datasets: only what they need is fetched, and what is absent is kept."""

import shutil
from pathlib import Path

import pytest

from dver.errors import VersionNotFoundError
from dver.operations.add import add
from dver.operations.status import Changes, State
from tests.clones import Clone, files_opened, noise
from tests.unit.operations.inspection import objects_in_cache


def test_only_the_chunks_of_the_part_are_fetched(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    other.pull("data/sub/deep")

    assert other.data() == {b"sub/deep/c": ("file", b"c")}
    assert objects_in_cache(other) == 2
    found = other.status()
    assert (found.state, found.partial, found.in_cache) == (State.UNCHANGED, True, False)


def test_a_single_file(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    other.pull("data/sp ace é")

    assert other.data() == {b"sp ace \xc3\xa9": ("file", b"unicode")}


def test_two_parts_at_once(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    other.pull("data/sub/deep", "data/link")

    assert other.data() == {b"sub/deep/c": ("file", b"c"), b"link": ("link", b"sub/b.bin")}
    assert other.status().state is State.UNCHANGED


def test_one_part_after_the_other_and_then_the_whole(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub/deep")
    other.pull("data/zero")
    assert other.data() == {b"sub/deep/c": ("file", b"c"), b"zero": ("file", b"")}
    assert other.status().partial

    other.pull()
    assert sorted(other.data()) == [b"sub/deep/c", b"zero"]

    other.pull("data")
    assert other.data() == team.data()
    found = other.status()
    assert (found.state, found.partial, found.in_cache) == (State.UNCHANGED, False, True)


def test_a_checkout_of_a_part_fetches_only_that(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    other.checkout(None, "data/sub/deep")

    assert other.data() == {b"sub/deep/c": ("file", b"c")}
    assert objects_in_cache(other) == 2
    assert not other.status().in_cache


def test_adding_keeps_what_is_absent(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    other.write("data/sub/new", b"new")
    other.write("data/top", b"outside of the part")
    (other.root / "data" / "sub" / "run.sh").unlink()
    other.save()

    found = other.status()
    assert (found.state, found.partial, found.in_cache) == (State.UNCHANGED, True, False)
    other.push()

    team.git("pull", "--quiet", str(other.root), "main")
    team.pull()
    expected = team.data()
    assert expected[b"sub/new"] == ("file", b"new")
    assert expected[b"top"] == ("file", b"outside of the part")
    assert b"sub/run.sh" not in expected
    assert expected[b"a.bin"] == ("file", noise(20_000))
    assert expected[b"empty"] == ("directory", b"")

    other.pull("data")
    assert other.data() == expected


def test_adding_in_a_directory_that_is_absent_as_it_was_empty(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    other.write("data/empty/x", b"no longer")
    other.write("data/empty-x", b"sorts between")
    other.save()
    other.push()

    other.pull("data")

    assert other.data()[b"empty/x"] == ("file", b"no longer")
    assert other.status().state is State.UNCHANGED


def test_a_second_add_of_a_part_reads_nothing(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")

    with files_opened(other.root / "data") as opened:
        assert not other.add().added[0].changed

    assert opened == []


def test_a_part_follows_to_another_version(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    other.write("data/a.bin", b"my own, untracked here")
    team.write("data/sub/new", b"new")
    (team.root / "data" / "sub" / "run.sh").unlink()
    team.write("data/elsewhere", b"new")
    (team.root / "data" / "a.bin").unlink()
    team.save()
    team.push()
    other.git("pull", "--quiet")

    other.pull()

    assert sorted(other.data()) == [b"a.bin", b"sub/b.bin", b"sub/deep/c", b"sub/new"]
    assert other.data()[b"a.bin"] == ("file", b"my own, untracked here")
    found = other.status()
    assert found.partial
    assert found.changes.added == ("a.bin",)


def test_a_part_can_be_pushed_to_where_the_rest_is(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    other.write("data/sub/new", b"new")
    other.save()

    other.push()

    assert other.status(remote=True).on_remote is True


def test_a_part_cannot_be_pushed_to_where_the_rest_is_not(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    (tmp_path / "remote").rename(tmp_path / "gone")

    with pytest.raises(VersionNotFoundError) as caught:
        other.push()

    assert caught.value.dataset == "data"
    assert caught.value.hint is not None
    assert "dver fetch" in caught.value.hint
    assert not (tmp_path / "remote" / "versions").exists()


def test_without_the_rest_within_reach_nothing_can_be_added(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    other.delete_cache()
    (tmp_path / "remote").rename(tmp_path / "gone")

    with pytest.raises(VersionNotFoundError) as caught:
        other.add()

    assert caught.value.hint


def _with_an_empty_folder(team: Clone, tmp_path: Path) -> Clone:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub/run.sh")
    (other.root / "data" / "sub" / "run.sh").unlink()
    return other


def test_an_empty_folder_that_stands_for_absent_files_is_no_change(team: Clone, tmp_path: Path) -> None:
    other = _with_an_empty_folder(team, tmp_path)
    assert other.status().changes == Changes(deleted=("sub/run.sh",))

    other.save()

    assert other.status().state is State.UNCHANGED
    other.push()
    team.git("pull", "--quiet", str(other.root), "main")
    before = team.data()
    team.pull()
    assert team.data() == {path: what for path, what in before.items() if path != b"sub/run.sh"}


def test_an_empty_folder_made_by_hand_where_files_are_absent_is_no_change(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/zero")
    (other.root / "data" / "sub" / "deep").mkdir(parents=True)
    pointer = other.pointer_text()

    assert other.status().state is State.UNCHANGED
    other.add()
    with other.open() as repo:
        add(repo, ["data/sub"], within=True)

    assert other.pointer_text() == pointer


def test_an_empty_folder_all_of_whose_files_were_here_is_a_change(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub/deep")
    (other.root / "data" / "sub" / "deep" / "c").unlink()

    assert other.status().changes == Changes(added=("sub/deep",), deleted=("sub/deep/c",))


@pytest.mark.parametrize("named", [(), ("data",)])
def test_a_folder_that_stands_for_absent_files_makes_room_for_a_file(
    team: Clone, tmp_path: Path, named: tuple[str, ...]
) -> None:
    other = _with_an_empty_folder(team, tmp_path)
    shutil.rmtree(team.root / "data" / "sub")
    team.write("data/sub", b"a file now")
    team.save()
    team.push()

    other.git("pull", "--quiet", str(team.root), "main")
    other.pull(*named)

    assert other.status().state is State.UNCHANGED
    assert other.data() == (team.data() if named else {})
