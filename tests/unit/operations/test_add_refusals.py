"""What add refuses, each time with the command that helps, and without touching anything."""

import os
import socket
from pathlib import Path

import pytest

from dver.errors import ConfigError, DverError, PathError, UsageError
from dver.operations.add import add
from tests.clones import Clone, snapshot
from tests.unit.operations.conftest import fill


def refusal(clone: Clone, *paths: str) -> DverError:
    """Return the error that adding raises, after checking that it changed nothing outside of dver's own folder."""
    before = snapshot(clone.root)
    with pytest.raises(DverError) as caught:
        clone.add(*paths)
    after = snapshot(clone.root)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    own = (b".dver/tmp", b".dver/state.db", b".dver/cache", b".git/dver")
    assert not {path for path in changed if not path.startswith(own)}
    assert caught.value.hint
    return caught.value


def test_a_path_outside_of_the_repository(clone: Clone, tmp_path: Path) -> None:
    with clone.open() as repo, pytest.raises(PathError, match="outside the repository") as caught:
        repo.relative(str(tmp_path / "x"), clone.root)

    assert caught.value.hint


def test_the_whole_repository(clone: Clone) -> None:
    assert "whole repository" in str(refusal(clone, ""))


def test_a_file_that_git_tracks(clone: Clone) -> None:
    clone.write("code.py", b"1")
    clone.commit()

    error = refusal(clone, "code.py")

    assert "already tracked by git" in str(error)
    assert error.hint is not None
    assert "git rm -r --cached code.py" in error.hint


def test_a_folder_with_files_that_git_tracks(clone: Clone) -> None:
    clone.write("src/a.py", b"1")
    clone.write("src/b.py", b"1")
    clone.commit()

    error = refusal(clone, "src")

    assert "already tracked by git" in str(error)
    assert "src/a.py" in str(error)


def test_a_path_within_a_dataset(clone: Clone) -> None:
    fill(clone)
    clone.add()

    error = refusal(clone, "data/sub")

    assert "lies within the dataset data" in str(error)
    assert error.hint == "dver add data"


def test_a_folder_around_a_dataset(clone: Clone) -> None:
    fill(clone, "outer/data")
    clone.add("outer/data")

    assert "holds the dataset outer/data" in str(refusal(clone, "outer"))


@pytest.mark.parametrize("paths", [("a", "a/c"), ("a/c", "a"), ("a", "a-b", "a/c"), ("a/c", "a.b", "a-b", "a")])
def test_paths_of_which_one_lies_within_another(clone: Clone, paths: tuple[str, ...]) -> None:
    for name in ("a/c/x", "a-b/x", "a.b/x"):
        clone.write(name, b"x")

    error = refusal(clone, *paths)

    assert isinstance(error, UsageError)
    assert "a/c lies within a" in str(error)


def test_a_pointer_file(clone: Clone) -> None:
    fill(clone)
    clone.add()

    error = refusal(clone, "data.dver")

    assert "is a pointer file" in str(error)
    assert error.hint == "dver add data"


@pytest.mark.parametrize("path", [".git", ".git/config", ".dver", ".dver/config.toml", "sub/.git/x", ".GIT"])
def test_what_belongs_to_git_or_dver(clone: Clone, path: str) -> None:
    assert "belongs to git or dver" in str(refusal(clone, path))


def test_a_missing_path(clone: Clone) -> None:
    assert "no such file or directory" in str(refusal(clone, "nothing"))


def test_a_missing_path_among_good_ones_stops_all(clone: Clone) -> None:
    fill(clone)

    refusal(clone, "data", "nothing")


def test_a_dataset_whose_data_is_not_here(clone: Clone) -> None:
    fill(clone)
    clone.save()
    (clone.root / "data").rename(clone.root.parent / "away")

    error = refusal(clone, "data")

    assert error.hint is not None
    assert "dver checkout data" in error.hint


def test_pipes_and_sockets(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(clone.root / "pipe")
    monkeypatch.chdir(clone.root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")

    for name in ("pipe", "socket"):
        error = refusal(clone, name)
        assert name in str(error)
        assert "socket, device or named pipe" in str(error)


def test_a_pipe_in_a_folder_is_named_with_its_path(clone: Clone) -> None:
    fill(clone)
    os.mkfifo(clone.root / "data" / "sub" / "pipe")

    error = refusal(clone, "data")

    assert isinstance(error, PathError)
    assert error.path == "data/sub/pipe"


def test_a_git_repository_inside_the_data(clone: Clone) -> None:
    clone.write("data/inner/.git/config", b"")

    error = refusal(clone, "data")

    assert isinstance(error, PathError)
    assert error.path == "data/inner/.git/config"
    assert error.hint is not None
    assert ".dverignore" in error.hint


def test_a_git_repository_that_is_ignored_is_no_trouble(clone: Clone) -> None:
    clone.write("data/inner/.git/config", b"")
    clone.write("data/.dverignore", b".git\n")

    assert clone.add().added[0].pointer.files == 1


def test_a_symbolic_link(clone: Clone) -> None:
    fill(clone)
    (clone.root / "linked").symlink_to("data")

    error = refusal(clone, "linked")

    assert error.hint is not None
    assert "data" in error.hint


def test_a_path_behind_a_symbolic_link(clone: Clone) -> None:
    fill(clone, "real/data")
    (clone.root / "linked").symlink_to("real")

    assert "behind the symbolic link linked" in str(refusal(clone, "linked/data"))


def test_a_place_where_git_would_ignore_the_pointer(clone: Clone) -> None:
    clone.write(".gitignore", b"build/\n*.dver\n")
    fill(clone)

    error = refusal(clone, "data")

    assert "ignored by git" in str(error)
    assert error.hint is not None
    assert "git check-ignore" in error.hint


def test_a_line_break_in_the_datasets_own_name(clone: Clone) -> None:
    clone.write("two\nlines", b"x")

    assert "line break" in str(refusal(clone, "two\nlines"))


def test_a_store_with_other_chunk_sizes(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.add()
    other = Clone.make(tmp_path / "other")
    (other.root / ".dver" / "config.toml").write_text('[chunks]\nsize = "4KiB"\n')
    (other.root / ".dver" / "config.local.toml").write_text(f'[cache]\ndir = "{clone.root}/.dver/cache"\n')
    fill(other)

    error = refusal(other, "data")

    assert isinstance(error, ConfigError)
    assert "dver config set chunks.size 1024" in str(error.hint)


def test_data_older_than_its_pointer(clone: Clone) -> None:
    clone.write("data/x", b"1")
    first = clone.save()
    clone.write("data/x", b"2")
    clone.save()
    clone.git("checkout", "--quiet", first, "--", "data.dver")
    clone.write("data/y", b"new")

    error = refusal(clone, "data")

    assert "its pointer was changed since" in str(error)
    assert error.hint is not None
    assert "dver checkout data" in error.hint
    assert "dver add --force data" in error.hint

    clone.add(force=True)
    assert clone.status().state == "unchanged"
    assert clone.data()[b"x"] == ("file", b"2")


def test_data_that_already_is_what_its_pointer_became(clone: Clone) -> None:
    clone.write("data/x", b"1")
    first = clone.save()
    clone.write("data/x", b"2")
    clone.save()
    clone.git("checkout", "--quiet", first, "--", "data.dver")
    clone.write("data/x", b"1")

    clone.add()

    assert clone.status().state == "unchanged"


def test_a_version_of_another_dver_is_refused_by_name(clone: Clone) -> None:
    fill(clone)
    clone.add()
    path = clone.root / ".dver" / "cache" / "dver-store.json"
    path.chmod(0o644)
    path.write_text('{"format": 99}')

    with clone.open() as repo, pytest.raises(DverError, match="format 99") as caught:
        add(repo, ["data"])

    assert caught.value.hint is not None
    assert "upgrade" in caught.value.hint
