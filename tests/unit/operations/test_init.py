"""Init: what it makes, and that it can be run again."""

import os
from pathlib import Path

import pytest

from dver.errors import ConfigError, NotARepositoryError
from dver.operations.init import init
from dver.repo import Repo
from tests.clones import Clone, noise


def test_it_makes_and_stages_its_files(git_repo: Path) -> None:
    result = init(git_repo, env=os.environ)

    assert (result.root, result.existed) == (git_repo, False)
    staged = Clone(git_repo).git("diff", "--cached", "--name-only").split()
    assert staged == [".dver/.gitattributes", ".dver/.gitignore", ".dver/config.toml"]


def test_git_never_sees_cache_state_or_local_settings(git_repo: Path) -> None:
    init(git_repo, env=os.environ)
    clone = Clone(git_repo)
    clone.write("data/x", noise(5000))
    clone.write(".dver/config.local.toml", b"")
    clone.save()

    clone.status()

    assert clone.git("status", "--porcelain", "--untracked-files=all") == ""
    assert (git_repo / ".dver" / "cache").is_dir()


def test_it_works_from_a_subfolder(git_repo: Path) -> None:
    (git_repo / "sub").mkdir()

    assert init(git_repo / "sub", env=os.environ).root == git_repo
    assert (git_repo / ".dver" / "config.toml").is_file()


def test_outside_of_git_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError) as caught:
        init(tmp_path, env=os.environ)

    assert caught.value.hint is not None
    assert "git init" in caught.value.hint


def test_other_commands_name_init_where_it_is_missing(git_repo: Path) -> None:
    with pytest.raises(NotARepositoryError) as caught:
        Repo.find(git_repo, env=os.environ)

    assert caught.value.hint == "dver init"


def test_a_remote_given_becomes_the_default(git_repo: Path) -> None:
    init(git_repo, remote="../remote", env=os.environ)

    with Repo.find(git_repo, env=os.environ) as repo:
        assert repo.has_remote
        assert repo.remote_settings().url == "../remote"


def test_run_again_it_changes_nothing(git_repo: Path) -> None:
    init(git_repo, remote="../remote", chunk_size=1024, env=os.environ)
    before = {path: path.read_bytes() for path in (git_repo / ".dver").iterdir()}

    assert init(git_repo, remote="../remote", chunk_size=1024, env=os.environ).existed
    assert init(git_repo, env=os.environ).existed

    assert {path: path.read_bytes() for path in (git_repo / ".dver").iterdir()} == before


def test_run_again_it_adds_what_is_missing(git_repo: Path) -> None:
    init(git_repo, env=os.environ)
    (git_repo / ".dver" / ".gitignore").unlink()

    init(git_repo, remote="../remote", env=os.environ)

    assert (git_repo / ".dver" / ".gitignore").is_file()
    with Repo.find(git_repo, env=os.environ) as repo:
        assert repo.remote_settings().name == "origin"


def test_another_remote_does_not_replace_the_first(git_repo: Path) -> None:
    init(git_repo, remote="../remote", env=os.environ)

    with pytest.raises(ConfigError, match="origin"):
        init(git_repo, remote="../other", env=os.environ)


@pytest.mark.parametrize("size", [0, 1000, 512, 1 << 30])
def test_an_impossible_chunk_size_is_refused_before_anything_is_made(git_repo: Path, size: int) -> None:
    with pytest.raises(ConfigError) as caught:
        init(git_repo, chunk_size=size, env=os.environ)

    assert caught.value.hint
    assert not (git_repo / ".dver").exists()


def test_another_chunk_size_than_that_in_use_is_refused(git_repo: Path) -> None:
    init(git_repo, chunk_size=1024, env=os.environ)

    with pytest.raises(ConfigError, match="1024"):
        init(git_repo, chunk_size=2048, env=os.environ)


def test_the_chunk_size_is_that_of_the_store(git_repo: Path) -> None:
    init(git_repo, chunk_size=2048, env=os.environ)
    clone = Clone(git_repo)
    clone.write("data/x", b"x")
    clone.add()

    with clone.open() as repo:
        params = repo.cache.read_params()
    assert params is not None
    assert params.average_size == 2048
