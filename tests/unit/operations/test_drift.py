"""Where a commit would name other data than what is here, and mending it."""

import pytest

from dver.operations.add import add
from dver.operations.drift import Drift, Staging, find_drift
from dver.operations.mend import mend_drift
from dver.operations.status import State
from dver.repo import Repo
from tests.clones import Clone


def _drift(clone: Clone, **env: str) -> list[Drift]:
    with Repo.find(clone.root, env=env) as repo:
        return find_drift(repo)


def _found(clone: Clone, **env: str) -> list[tuple[str, State, Staging]]:
    return [(one.status.dataset, one.status.state, one.staging) for one in _drift(clone, **env)]


def _mend(clone: Clone) -> tuple[list[str], tuple[str, ...]]:
    with clone.open() as repo:
        mended = mend_drift(repo, find_drift(repo))
        return [one.dataset for one in mended.added.added], mended.staged


@pytest.fixture
def saved(clone: Clone) -> Clone:
    """A repository with one committed dataset."""
    clone.write("data/a", b"1")
    clone.save()
    return clone


def test_there_is_none_where_nothing_changed(saved: Clone, clone: Clone) -> None:
    assert _found(saved) == []
    saved.write("code.py", b"pass")
    saved.git("add", "code.py")
    assert _found(saved) == []


def test_data_that_is_not_checked_out_is_none(saved: Clone) -> None:
    (saved.root / "data/a").unlink()
    (saved.root / "data").rmdir()
    assert _found(saved) == []


def test_modified_data_is_added_and_its_pointer_staged(saved: Clone) -> None:
    saved.write("data/a", b"22")
    assert _found(saved) == [("data", State.MODIFIED, Staging.SAME)]
    assert _mend(saved) == (["data"], ())
    assert _found(saved) == []
    assert saved.git("diff", "--cached", "--name-only") == "data.dver\n"
    assert saved.git("diff", "--name-only") == ""


def test_a_new_pointer_that_is_not_staged_is_staged_with_its_gitignore(clone: Clone) -> None:
    clone.write("sub/data/a", b"1")
    with clone.open() as repo:
        add(repo, ["sub/data"], stage=False)
    assert _found(clone) == [("sub/data", State.UNCHANGED, Staging.ABSENT)]
    assert _mend(clone) == ([], ("sub/data.dver", "sub/.gitignore"))
    assert _found(clone) == []
    assert "sub/.gitignore\nsub/data.dver\n" in clone.git("diff", "--cached", "--name-only")


def test_a_pointer_staged_as_another_version_is_staged_anew(saved: Clone) -> None:
    saved.write("data/a", b"22")
    with saved.open() as repo:
        add(repo, ["data"], stage=False)
    assert _found(saved) == [("data", State.UNCHANGED, Staging.DIFFERENT)]
    assert _mend(saved) == ([], ("data.dver",))
    assert saved.git("show", ":data.dver") == saved.pointer_text()


def test_a_pointer_with_other_line_ends_is_the_same(saved: Clone) -> None:
    saved.write("data.dver", saved.pointer_text().replace("\n", "\r\n").encode())
    assert _found(saved) == []


def test_a_staged_pointer_that_cannot_be_read_is_another_one(saved: Clone) -> None:
    text = saved.pointer_text()
    saved.write("data.dver", b"<<<<<<< ours\n")
    saved.git("add", "data.dver")
    saved.write("data.dver", text.encode())
    assert _found(saved) == [("data", State.UNCHANGED, Staging.DIFFERENT)]


def test_a_pointer_that_git_moved_on_is_drift_that_adding_does_not_mend(saved: Clone) -> None:
    saved.write("data/a", b"22")
    saved.save()
    saved.git("checkout", "--quiet", "HEAD~")
    (one,) = _drift(saved)
    assert (one.status.state, one.of_data, one.can_be_mended) == (State.POINTER_CHANGED, True, False)
    assert _mend(saved) == ([], ())


def test_in_a_rebase_unchanged_data_waits_for_its_end(saved: Clone) -> None:
    saved.write("data/a", b"22")
    saved.save()
    saved.git("checkout", "--quiet", "HEAD~")
    (saved.root / ".git/rebase-merge").mkdir()
    assert _found(saved) == []
    saved.write("data/a", b"mine")
    assert _found(saved) == [("data", State.POINTER_CHANGED, Staging.SAME)]


def test_a_pointer_that_cannot_be_read_is_drift(saved: Clone) -> None:
    saved.write("data.dver", b"# dver pointer\n")
    assert _found(saved) == [("data", State.BROKEN, Staging.SAME)]


def test_what_a_commit_of_named_paths_leaves_out_is_none(saved: Clone) -> None:
    saved.git("read-tree", "--index-output=.git/next-index-1.lock", "HEAD")
    saved.write("data/a", b"22")
    saved.add()
    partial = {"GIT_INDEX_FILE": ".git/next-index-1.lock"}
    assert _found(saved) == []
    assert _found(saved, **partial) == []
    saved.write("data/a", b"333")
    with saved.open() as repo:
        add(repo, ["data"], stage=False)
    assert _found(saved, **partial) == [("data", State.UNCHANGED, Staging.DIFFERENT)]
