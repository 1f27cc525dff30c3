"""What add, rm and remotes must not do to data and history by surprise."""

import os
import shutil
import time
from pathlib import Path

import pytest

from dver.config import add_remote, set_remote_option
from dver.errors import ConfigError, DataLossError, FormatError, PathError, UnsupportedFormatError
from dver.operations import checkout as checkout_module
from dver.operations.log import log
from dver.operations.rm import rm
from dver.operations.status import State
from tests.clones import Clone, noise


def test_a_users_own_file_that_ends_in_dver_is_data_like_any_other(clone: Clone) -> None:
    clone.write("data/notes.dver", b"precious")
    clone.write("data/z", b"z")

    clone.save()
    shutil.rmtree(clone.root / "data")
    clone.checkout()

    assert clone.data()[b"notes.dver"] == ("file", b"precious")


def test_rm_never_deletes_a_file_that_is_no_pointer(clone: Clone) -> None:
    own = clone.write("notes.dver", b"precious")
    clone.write("notes", b"more")

    with clone.open() as repo, pytest.raises(PathError):
        rm(repo, ["notes"], keep=True)

    assert own.read_bytes() == b"precious"


def test_rm_of_a_damaged_pointer_needs_force(team: Clone) -> None:
    team.write("data.dver", b"# dver pointer\nbroken")

    with team.open() as repo, pytest.raises(FormatError):
        rm(repo, ["data"], keep=True)
    assert (team.root / "data.dver").exists()
    with team.open() as repo:
        rm(repo, ["data"], keep=True, force=True)
    assert not (team.root / "data.dver").exists()


def test_add_does_not_replace_a_file_that_is_no_pointer(clone: Clone) -> None:
    own = clone.write("bar.dver", b"precious")
    clone.write("bar", b"data")

    with pytest.raises(PathError, match="is there already") as caught:
        clone.add("bar")

    assert "--force" in str(caught.value.hint)
    assert own.read_bytes() == b"precious"


def test_add_does_not_replace_a_pointer_of_a_newer_dver(clone: Clone) -> None:
    clone.write("bar.dver", b'# dver pointer\nformat = 2\nversion = "b4:00"\n')
    clone.write("bar", b"data")

    with pytest.raises(UnsupportedFormatError):
        clone.add("bar", force=True)


def test_add_says_that_it_settled_a_merge_conflict(team: Clone) -> None:
    text = team.pointer_text()
    team.write("data.dver", f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n".encode())

    (added,) = team.add().added

    assert added.settled_conflict
    assert team.pointer_text() == text


@pytest.mark.parametrize("dataset", ["sub", "sub/new", "sub/deep/new"])
def test_add_refuses_data_of_another_git_repository(clone: Clone, dataset: str) -> None:
    clone.write("sub/new/a", b"1")
    clone.write("sub/deep/new", b"2")
    clone.git("init", "--quiet", "sub")

    with pytest.raises(PathError, match="git repository of its own") as caught:
        clone.add(dataset)

    assert "dver -C sub" in str(caught.value.hint)
    assert not list(clone.root.glob("**/new.dver"))


@pytest.mark.parametrize("look", ["", "status", "dry run", "refusal"])
def test_add_in_a_fresh_clone_does_not_take_what_was_never_here_as_deleted(
    team: Clone, tmp_path: Path, look: str
) -> None:
    other = team.clone(tmp_path / "other")
    other.write("data/new.csv", b"new")
    before = other.pointer_text()
    if look == "status":
        other.status()
    elif look == "dry run":
        other.checkout(dry_run=True)
    elif look == "refusal":
        taken = next(name for name, kind in team.data().items() if kind[0] == "file" and name.isascii()).decode()
        other.write(f"data/{taken}", b"another")
        with pytest.raises(DataLossError):
            other.checkout()

    with pytest.raises(PathError, match="was not checked out here") as caught:
        other.add()
    assert "dver checkout data" in str(caught.value.hint)
    assert other.pointer_text() == before

    other.checkout(force=look == "refusal")
    other.add()
    assert set(other.data()) == {*team.data(), b"new.csv"}


def test_add_with_force_takes_what_is_here_as_the_whole(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.write("data/new.csv", b"new")

    other.add(force=True)

    assert other.status().pointer is not None
    assert "files = 1\n" in other.pointer_text()


def test_an_interrupted_checkout_is_not_taken_as_a_deletion(
    team: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = team.clone(tmp_path / "other")

    def interrupted(*_: object) -> None:
        (other.root / "data").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(checkout_module, "delete_files", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.checkout()
    monkeypatch.undo()

    assert other.status().state is State.INTERRUPTED
    with pytest.raises(PathError, match="interrupted"):
        other.add()
    other.checkout()
    assert other.status().state is State.UNCHANGED
    assert other.data() == team.data()


@pytest.mark.parametrize("url", ["", "  ", ".", "store", "data", ".dver/store", "./a/../b"])
def test_a_remote_in_the_working_tree_is_refused(clone: Clone, url: str) -> None:
    with pytest.raises(ConfigError):
        add_remote(clone.root / ".dver", "near", url, local=False)
    add_remote(clone.root / ".dver", "far", "../far", local=False)
    with pytest.raises(ConfigError):
        set_remote_option(clone.root / ".dver", "far", "url", url, local=False)


def test_push_sends_no_chunks_of_another_size_even_after_the_setting_changed(clone: Clone, tmp_path: Path) -> None:
    theirs = Clone.make(tmp_path / "theirs", remote=tmp_path / "remote")
    (theirs.root / ".dver" / "config.toml").write_text(
        (theirs.root / ".dver" / "config.toml").read_text().replace("1024", "2048")
    )
    theirs.write("data", noise(5000))
    theirs.save()
    theirs.push()
    add_remote(clone.root / ".dver", "origin", str(tmp_path / "remote"), local=False)
    clone.write("data", noise(9000))
    clone.save()
    config = clone.root / ".dver" / "config.toml"

    for average in ("1024", "2048"):
        config.write_text(config.read_text().replace("1024", average))
        with pytest.raises(ConfigError, match="chunks of 2048 bytes"):
            clone.push()


def test_a_store_that_is_not_there_is_said_to_be_so(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    (tmp_path / "remote").rename(tmp_path / "moved away")

    with pytest.raises(ConfigError, match="there is no store") as caught:
        other.fetch()

    assert "dver remote set" in str(caught.value.hint)


def test_log_counts_against_the_parent_and_not_the_neighbour_in_the_list(clone: Clone) -> None:
    clone.write("data/base", b"base")
    clone.save(message="base")
    clone.git("branch", "other")
    clone.write("data/mine", b"mine")
    clone.save(message="mine")
    clone.git("checkout", "--quiet", "other")
    clone.checkout()
    clone.write("data/theirs", b"theirs")
    clone.save(message="theirs")
    clone.git("merge", "--quiet", "--strategy", "ours", "main")

    with clone.open() as repo:
        counts = {entry.subject: entry.changes for entry in log(repo, "data")}

    assert counts["theirs"] is not None
    assert (counts["theirs"].added, counts["theirs"].deleted) == (1, 0)


def test_temporary_files_of_a_killed_writer_are_removed_in_time(clone: Clone) -> None:
    clone.write("data", noise(3000))
    clone.save()
    left = clone.root / ".dver" / "cache" / "packs" / "00" / ".tmp-1-abc"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half a pack")
    old = time.time() - 3600
    os.utime(left, (old, old))
    with clone.open() as repo:
        journal = repo.cache.journal
    assert journal is not None
    journal.touch()

    clone.write("data", noise(3000, seed=2))
    clone.add()

    assert not left.exists()
