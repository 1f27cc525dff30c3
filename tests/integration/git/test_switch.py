"""git switch, checkout and restore: data follows, and what was changed stays."""

from pathlib import Path

import pytest

from tests.integration.git.project import Project


def test_data_follows_from_branch_to_branch(project: Project) -> None:
    for branch in ("side", "clash", "main", "side"):
        project.git("switch", "--quiet", branch)
        project.assert_at(branch)


def test_nothing_is_said_where_no_pointer_changed(project: Project) -> None:
    switched = project.git.run("switch", "--create", "new")
    assert "data" not in switched.stdout + switched.stderr
    project.assert_at("main")


@pytest.mark.parametrize("rev", ["v1", "annotated", "main~1", "origin/main~1"])
def test_data_follows_to_a_detached_head(project: Project, rev: str) -> None:
    project.git("switch", "--quiet", "--detach", rev)
    project.assert_at("first")
    project.git("switch", "--quiet", "-")
    project.assert_at("main")


def test_a_commit_on_a_detached_head_can_be_come_back_to(project: Project) -> None:
    project.git("checkout", "--quiet", "v1")
    project.write("data/new.txt", "new")
    commit = project.commit("on no branch", "data")
    there = project.tree()
    project.git("checkout", "--quiet", "side")
    project.assert_at("side")
    project.git("checkout", "--quiet", commit)
    assert project.tree() == there
    project.assert_clean()


def test_changed_data_stays_and_other_datasets_follow(project: Project) -> None:
    project.write("data/b.csv", "changed, and stored nowhere")
    before = project.files()

    switched = project.git.run("switch", "side")

    assert switched.returncode == 0
    assert "dver checkout --force" in switched.stderr
    assert "data" in switched.stderr
    assert project.files() == before
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]
    assert project.dver("status", "--exit-code").returncode == 1

    project.git("switch", "--quiet", "main")
    assert project.files() == before
    project.dver.ok("checkout", "--force", "data")
    project.assert_at("main")


def test_git_keeps_a_new_version_that_is_not_committed(project: Project) -> None:
    project.write("data/b.csv", "changed and added")
    project.dver.ok("add", "data")
    before = project.tree()
    assert "data.dver" in project.git.fails("switch", "side")
    assert project.tree() == before
    project.dver.ok("status", "--exit-code")


@pytest.mark.parametrize(
    "command", [("checkout", "side", "--"), ("restore", "--source=side", "--staged", "--worktree")]
)
def test_data_follows_pointers_that_are_brought_one_by_one(project: Project, command: tuple[str, ...]) -> None:
    done = project.git.run(*command, "data.dver")
    assert done.returncode == 0
    if command[0] == "restore":
        # git runs no hook here.
        project.dver.ok("checkout")
    assert project.files() == project.data_at("side")
    assert project.tree()[b"model.bin"] == project.trees["main"][b"model.bin"]
    project.dver.ok("status", "--exit-code")
    assert project.git("status", "--porcelain") == "M  data.dver\n"


def test_files_of_a_dataset_go_and_come_back_with_its_pointer(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "less")
    project.git("rm", "--quiet", "model.bin.dver")
    project.git("commit", "--quiet", "--message", "no model")
    project.git("switch", "--quiet", "main")
    project.assert_at("main")
    project.git("switch", "--quiet", "less")
    assert not (project.root / "model.bin").exists()
    assert project.files() == project.data_at("main")
    project.assert_clean()
    project.git("switch", "--quiet", "main")
    project.assert_at("main")


def test_files_of_a_dataset_stay_where_its_pointer_goes_but_they_were_changed(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "less")
    project.git("rm", "--quiet", "model.bin.dver")
    project.git("commit", "--quiet", "--message", "no model")
    project.git("switch", "--quiet", "main")
    project.write("model.bin", "trained for a week")

    switched = project.git.run("switch", "less")

    assert switched.returncode == 0
    assert "model.bin" in switched.stderr
    assert (project.root / "model.bin").read_text() == "trained for a week"


def test_a_branch_from_before_dver_has_no_hooks_to_fear(project: Project) -> None:
    project.git("switch", "--quiet", "--orphan", "before")
    project.write("code.py", "pass")
    project.git("add", "code.py")
    quiet = project.git.run("commit", "--quiet", "--message", "no dver here")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    project.git("switch", "--quiet", "main")
    project.assert_at("main")


def test_a_subfolder_will_do_as_working_directory(project: Project) -> None:
    sub = project.root / "sub"
    git, dver = project.git.at(sub), project.dver.at(sub)
    git("switch", "--quiet", "side")
    project.assert_at("side")
    project.write("data/b.csv", "changed")
    assert "dver add ../data" in git.fails("commit", "--allow-empty", "--message", "without the data")
    dver.ok("add", "../data")
    git("commit", "--quiet", "--message", "from below")
    project.assert_clean()
    git("checkout", "--quiet", "side~1", "--", "../data.dver")
    assert project.files() == project.data_at("side")
    dver.ok("status", "--exit-code")


def test_untracked_files_beside_the_data_stay(project: Project, tmp_path: Path) -> None:
    project.write("notes.txt", "not in git")
    project.git("switch", "--quiet", "side")
    assert (project.root / "notes.txt").read_text() == "not in git"
    assert project.git("status", "--porcelain") == "?? notes.txt\n"
    assert project.files() == project.data_at("side")
