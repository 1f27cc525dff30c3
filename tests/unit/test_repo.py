"""Tests of how a repository finds and wires its parts."""

import subprocess
from pathlib import Path

import pytest

from dver.config import add_remote, set_value
from dver.errors import ConfigError, NotARepositoryError, PathError
from dver.objects.ids import VersionId
from dver.operations.init import init
from dver.repo import Repo


@pytest.fixture
def ready(git_repo: Path) -> Path:
    """A git repository with dver set up."""
    init(git_repo)
    return git_repo


def test_find_in_a_plain_git_repository_names_dver_init(git_repo: Path) -> None:
    with pytest.raises(NotARepositoryError, match="not set up") as caught:
        Repo.find(git_repo)

    assert caught.value.hint == "dver init"


def test_find_works_from_any_subfolder(ready: Path) -> None:
    folder = ready / "a" / "b"
    folder.mkdir(parents=True)

    with Repo.find(folder) as repo:
        assert repo.root == ready.resolve()


def test_the_cache_lies_in_the_repository_by_default(ready: Path) -> None:
    with Repo.find(ready) as repo:
        assert repo.cache.backend.location == str(ready.resolve() / ".dver" / "cache")


def test_the_environment_moves_the_cache_and_overrules_the_settings(ready: Path, tmp_path: Path) -> None:
    set_value(ready / ".dver", "cache.dir", str(tmp_path / "from-settings"), local=True)

    with Repo.find(ready) as repo:
        assert repo.cache.backend.location == str(tmp_path / "from-settings")
    with Repo.find(ready, env={"DVER_CACHE_DIR": str(tmp_path / "from-env")}) as repo:
        assert repo.cache.backend.location == str(tmp_path / "from-env")


def test_a_linked_worktree_shares_the_cache_of_the_main_one(ready: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "commit", "--quiet", "--message", "set up"], check=True, cwd=ready)
    subprocess.run(["git", "worktree", "add", "--quiet", str(tmp_path / "linked")], check=True, cwd=ready)

    with Repo.find(tmp_path / "linked") as repo:
        assert repo.cache.backend.location == str(ready.resolve() / ".dver" / "cache")


def test_the_index_copy_is_kept_outside_the_store(ready: Path, tmp_path: Path) -> None:
    with Repo.find(ready, env={"XDG_CACHE_HOME": str(tmp_path / "xdg")}) as repo:
        repo.cache.present([])

    assert list((tmp_path / "xdg" / "dver" / "index").glob("*.db"))
    assert not list((ready / ".dver").rglob("*.db"))


def test_asking_which_versions_are_cached_opens_no_index(ready: Path, tmp_path: Path) -> None:
    version = VersionId(bytes(32))
    with Repo.find(ready, env={"DVER_INDEX_DIR": str(tmp_path / "index")}) as repo:
        assert not repo.cached_versions.has_version(version)
        assert repo.cached_versions.versions() == set()
        assert not (tmp_path / "index").exists()

        repo.cache.mark_version(version, files=0, size=0)

        assert repo.cached_versions.has_version(version)
        assert repo.cached_versions.versions() == repo.cache.versions() == {version}
        assert repo.cached_versions.backend is repo.cache.backend


def test_remote_without_any_set_up_names_the_command(ready: Path) -> None:
    with Repo.find(ready) as repo, pytest.raises(ConfigError) as caught:
        repo.remote()

    assert "dver remote add" in str(caught.value.hint)


def test_relative_remotes_are_found_from_the_repository(ready: Path, tmp_path: Path) -> None:
    add_remote(ready / ".dver", "near", "../near", local=False)

    with Repo.find(ready) as repo:
        assert repo.remote("near").backend.location == str((ready.parent / "near").resolve())


@pytest.mark.parametrize(
    ("given", "start", "expected"),
    [("data", "", "data"), ("../data/", "sub", "data"), (".", "", ""), ("./a/../b", "", "b"), ("x", "a/b", "a/b/x")],
)
def test_relative_paths_are_taken_from_the_start(ready: Path, given: str, start: str, expected: str) -> None:
    with Repo.find(ready) as repo:
        assert repo.relative(given, repo.root / start) == expected


def test_relative_refuses_paths_outside(ready: Path) -> None:
    with Repo.find(ready) as repo, pytest.raises(PathError, match="outside the repository"):
        repo.relative("../elsewhere", repo.root)


def test_relative_follows_symbolic_links_above_the_last_part(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "way-in").symlink_to(ready)

    with Repo.find(ready) as repo:
        assert repo.relative(str(tmp_path / "way-in" / "data"), tmp_path) == "data"
