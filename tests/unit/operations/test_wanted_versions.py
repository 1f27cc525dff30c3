"""Which versions a transfer is about."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.operations.push import wanted_versions
from tests.clones import Clone


def versions(clone: Clone, *paths: str, revs: Sequence[str] = (), all_refs: bool = False) -> list[str]:
    with clone.open() as repo:
        return [want.dataset for want in wanted_versions(repo, paths, revs=revs, all_refs=all_refs)]


@pytest.fixture
def history(team: Clone) -> Clone:
    team.git("tag", "v1")
    team.write("data/zero", b"2")
    team.save()
    team.git("checkout", "--quiet", "-b", "branch", "v1")
    team.checkout()
    team.write("other/x", b"1")
    team.save("other")
    team.git("checkout", "--quiet", "main")
    team.checkout()
    return team


def test_by_default_head_and_the_working_tree(history: Clone) -> None:
    assert versions(history) == ["data"]

    history.write("data/zero", b"3")
    history.add()
    assert versions(history) == ["data", "data"]


def test_revisions_alone(history: Clone) -> None:
    assert versions(history, revs=["branch"]) == ["other", "data"]
    assert versions(history, revs=["v1", "main"]) == ["data", "data"]


def test_all_branches_and_tags_with_their_history(history: Clone) -> None:
    assert sorted(versions(history, all_refs=True)) == ["data", "data", "other"]


def test_paths_narrow_them(history: Clone) -> None:
    assert versions(history, "other", all_refs=True) == ["other"]
    with pytest.raises(PathError):
        versions(history, "nothing")


def test_all_history_can_be_pushed_and_restored(history: Clone, tmp_path: Path) -> None:
    history.push(all_refs=True)
    other = history.clone(tmp_path / "other")
    other.git("checkout", "--quiet", "--detach", "origin/branch")
    other.fetch(all_refs=True)
    (tmp_path / "remote").rename(tmp_path / "gone")

    for rev in ("origin/main", "v1", "origin/branch"):
        other.checkout(rev)
        history.checkout(rev.removeprefix("origin/"))
        assert other.data() == history.data()
        assert other.data("other") == history.data("other") or rev != "origin/branch"
