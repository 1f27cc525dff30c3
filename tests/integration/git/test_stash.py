"""git stash, bisect and mv: commands after which git runs no hook, or runs many."""

import pytest

from tests.integration.git.project import Project

WORK = {b"work.txt": ("file", b"in progress")}


@pytest.fixture
def stashed(project: Project) -> Project:
    """A project whose work, code and data, is stashed away."""
    project.write("data/work.txt", "in progress")
    project.write("sub/code.py", "print('in progress')\n")
    project.dver.ok("add", "data")
    project.git("stash", "push", "--quiet")
    # git runs no hook after a stash.
    assert project.dver("status", "--exit-code").returncode == 1
    project.dver.ok("checkout")
    project.assert_at("main")
    return project


def test_stashed_work_comes_back(stashed: Project) -> None:
    stashed.git("stash", "pop", "--quiet", "--index")
    stashed.dver.ok("checkout")
    assert stashed.files() == {**stashed.data_at("main"), **WORK}
    assert stashed.git("status", "--porcelain") == "M  data.dver\n M sub/code.py\n"
    stashed.commit("done")
    stashed.assert_clean()


def test_stashed_work_comes_back_on_another_branch(stashed: Project) -> None:
    stashed.git("switch", "--quiet", "side")
    stashed.git("stash", "pop", "--quiet")
    stashed.dver.ok("checkout")
    # What main changed since the two branches parted is not in the stash.
    assert stashed.files() == {**stashed.data_at("side"), **WORK}
    stashed.commit("work of main on side")
    stashed.assert_data({**stashed.data_at("side"), **WORK})


def test_stashed_work_that_conflicts_stays_in_the_stash(stashed: Project) -> None:
    stashed.write("data/work.txt", "done by someone else")
    stashed.commit("meanwhile", "data")
    assert "data/work.txt" in stashed.git.fails("stash", "pop")
    assert stashed.git("stash", "list") != ""
    stashed.dver.ok("checkout", "--theirs")
    assert (stashed.data / "work.txt").read_text() == "in progress"
    stashed.git("stash", "drop", "--quiet")
    stashed.commit("with the work")
    stashed.assert_clean()


def test_changed_data_that_was_not_added_outlives_a_stash(project: Project) -> None:
    project.write("data/a.csv", "not added")
    project.write("train.py", "print('changed')\n")
    before = project.files()
    project.git("stash", "push", "--quiet")
    project.git("stash", "pop", "--quiet")
    assert project.files() == before


def test_bisect_finds_the_commit_that_spoiled_the_data(project: Project) -> None:
    commits = []
    for number in range(6):
        project.write("data/verdict.txt", "bad" if number >= 4 else "good")
        project.write("data/count.txt", str(number))
        commits.append(project.commit(f"number {number}", "data"))
    project.git("bisect", "start", "HEAD", "main~5")
    found = project.git("bisect", "run", "grep", "-q", "good", "data/verdict.txt")
    assert f"{commits[4]} is the first bad commit" in found
    project.git("bisect", "reset")
    assert (project.data / "count.txt").read_text() == "5"
    project.assert_clean()


def test_a_moved_pointer_is_followed_by_its_data(project: Project) -> None:
    project.git("mv", "data.dver", "moved.dver")
    committed = project.git.run("commit", "--quiet", "--message", "moved")
    assert committed.returncode == 0, str(committed)
    assert "dver: .gitignore now names moved, and is staged" in committed.stderr
    assert project.git("status", "--porcelain") == "M  .gitignore\n"
    assert {path for path in project.tree() if path.startswith(b"moved/")} == {
        b"moved/" + path for path in project.data_at("main")
    }
    project.dver.ok("status", "--exit-code")
    assert not project.data.exists()


def test_a_moved_pointer_merges_with_changes_elsewhere(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "moving", "v1")
    project.dver.ok("mv", "data", "moved")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "moved")
    merged = project.git.run("merge", "--no-edit", "side")
    assert merged.returncode == 0, str(merged)
    expected = {b"moved/" + path: what for path, what in project.data_at("side").items()}
    assert {path: what for path, what in project.tree().items() if path.startswith(b"moved/")} == expected
    project.assert_clean()
