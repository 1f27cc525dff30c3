"""git clone, push, pull and fetch between clones, deep and shallow, and the check before a push."""

import shutil

import pytest

from tests.commands import DverCommand
from tests.integration.git.project import Project


def cloned(project: Project, *arguments: str) -> Project:
    """Return a clone of the project's git remote, with hooks and data."""
    clone = project.at(project.root.parent / "clone")
    project.git("clone", "--quiet", *arguments, f"file://{project.hub}", clone.root)
    clone.dver.ok("install")
    clone.dver.ok("pull")
    return clone


def test_a_clone_has_the_data_after_install_and_pull(project: Project) -> None:
    clone = cloned(project)
    clone.assert_at("main")
    assert "nothing to do" in clone.dver.ok("install")
    clone.git("switch", "--quiet", "side")
    clone.assert_at("side")


def test_data_is_fetched_as_branches_call_for_it(project: Project) -> None:
    clone = cloned(project, "--branch", "side")
    clone.assert_at("side")
    clone.git("merge", "--quiet", "--no-edit", "origin/main")
    clone.assert_data(project.merged("main", "side"))


def test_a_switch_without_the_remote_leaves_the_data(project: Project) -> None:
    clone = cloned(project)
    shutil.move(project.root.parent / "remote", project.root.parent / "away")
    switched = clone.git.run("switch", "side")
    assert switched.returncode == 0
    assert "dver: warning: version b3:" in switched.stderr
    assert clone.files() == project.data_at("main")
    shutil.move(project.root.parent / "away", project.root.parent / "remote")
    clone.dver.ok("pull")
    clone.assert_at("side")


def test_a_merge_without_the_remote_is_left_to_the_user(project: Project) -> None:
    clone = cloned(project)
    shutil.move(project.root.parent / "remote", project.root.parent / "away")
    clone.git.fails("merge", "--no-edit", "origin/side")
    assert "data.dver" in clone.git("diff", "--name-only", "--diff-filter=U")
    shutil.move(project.root.parent / "away", project.root.parent / "remote")
    clone.dver.ok("checkout")
    clone.git("commit", "--quiet", "--no-edit")
    clone.assert_data(project.merged("main", "side"))


def test_a_shallow_clone_switches_commits_and_pushes(project: Project) -> None:
    clone = cloned(project, "--depth", "1", "--no-single-branch")
    clone.assert_at("main")
    clone.git("switch", "--quiet", "side")
    clone.assert_at("side")
    clone.git("switch", "--quiet", "main")
    clone.write("data/shallow.txt", "from a shallow clone")
    clone.commit("shallow", "data")
    assert "dver push" in clone.git.fails("push", "--quiet")
    clone.dver.ok("push")
    clone.git("push", "--quiet")
    project.git("pull", "--quiet", "--ff-only")
    project.assert_data({**project.data_at("main"), b"shallow.txt": ("file", b"from a shallow clone")})


def test_a_shallow_clone_becomes_deep(project: Project) -> None:
    clone = cloned(project, "--depth", "1")
    clone.git("fetch", "--quiet", "--unshallow")
    clone.git("switch", "--quiet", "--detach", "HEAD~1")
    clone.assert_at("first")


def test_a_clone_without_blobs_has_the_data(project: Project) -> None:
    project.git("config", "uploadpack.allowFilter", "true", cwd=project.hub)
    clone = cloned(project, "--filter=blob:none")
    clone.assert_at("main")
    clone.git("switch", "--quiet", "side")
    clone.assert_at("side")


def test_a_push_waits_for_the_data(project: Project) -> None:
    project.write("data/new.txt", "new")
    commit = project.commit("new", "data")
    said = project.git.fails("push")
    assert "dver push" in said
    assert "data" in said
    assert commit[:7] in said
    assert project.git("rev-parse", "main", cwd=project.hub).strip() != commit
    project.dver.ok("push")
    project.git("push", "--quiet")
    assert project.git("rev-parse", "main", cwd=project.hub).strip() == commit


def test_a_version_in_the_midst_of_what_is_pushed_counts(project: Project) -> None:
    project.write("data/new.txt", "new")
    project.commit("new", "data")
    project.write("data/new.txt", "newer")
    project.commit("newer", "data")
    project.dver.ok("push")
    project.git.fails("push")
    project.dver.ok("push", "--all")
    # All branches have it, but what lies between them is still missing.
    if project.git.run("push").returncode != 0:
        project.dver.ok("push", "--rev", "HEAD~1")
        project.git("push", "--quiet")


@pytest.mark.parametrize("arguments", [("new",), ("--all",), ("HEAD:refs/heads/other",)], ids=lambda a: a[0])
def test_a_new_branch_is_checked(project: Project, arguments: tuple[str, ...]) -> None:
    project.git("switch", "--quiet", "--create", "new")
    project.write("data/new.txt", "new")
    project.commit("new", "data")
    assert "dver push" in project.git.fails("push", "origin", *arguments)
    project.dver.ok("push")
    project.git("push", "--quiet", "origin", *arguments)


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_is_checked(project: Project, annotated: bool) -> None:
    project.git("switch", "--quiet", "--detach")
    project.write("data/new.txt", "new")
    project.commit("new", "data")
    project.git("tag", *(["--annotate", "--message", "note"] if annotated else []), "v2")
    assert "dver push" in project.git.fails("push", "origin", "v2")
    project.dver.ok("push")
    project.git("push", "--quiet", "origin", "v2")


def test_what_names_no_new_version_needs_no_remote(project: Project) -> None:
    shutil.rmtree(project.root.parent / "remote")
    project.dver.ok("remote", "set", "origin", "endpoint_url", "http://127.0.0.1:1", "--local")
    project.write("train.py", "print('code alone')\n")
    project.commit("code alone")
    project.git("push", "--quiet")
    project.git("push", "--quiet", "origin", "main:copy")
    project.git("push", "--quiet", "origin", "--delete", "copy")
    project.git("tag", "code")
    project.git("push", "--quiet", "origin", "code")


def test_rewritten_commits_are_pushed_by_force(project: Project) -> None:
    project.git("rebase", "--quiet", "side")
    assert "dver push" in project.git.fails("push", "--force-with-lease")
    project.dver.ok("push")
    project.git("push", "--quiet", "--force-with-lease")


def test_a_push_of_another_branch_is_not_checked_against_the_work_tree(project: Project, run_dver: DverCommand) -> None:
    project.git("switch", "--quiet", "side")
    project.write("data/b.csv", "changed and not added")
    project.git("push", "--quiet", "origin", "v1^{commit}:refs/heads/old")
    assert (project.data / "b.csv").read_text() == "changed and not added"
