"""Where git and its hooks are told to look: variables, other work trees, submodules, and folders of other users."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.git.project import HUB, Project


@pytest.fixture
def foreign(project: Project) -> Iterator[Project]:
    """A project whose folder belongs to somebody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    owner = project.root.stat()
    _give(project.root, 12345, 12345)
    yield project
    _give(project.root, owner.st_uid, owner.st_gid)


def _give(root: Path, user: int, group: int) -> None:
    for path in (root, root / ".git"):
        os.chown(path, user, group)


def named(project: Project) -> dict[str, str]:
    """Return the variables that name a repository from outside of it."""
    return {"GIT_DIR": str(project.root / ".git"), "GIT_WORK_TREE": str(project.root)}


def test_a_repository_is_named_by_variables(project: Project, tmp_path: Path) -> None:
    elsewhere, env = project.at(tmp_path), named(project)
    assert elsewhere.git.run("switch", "--quiet", "side", env=env).returncode == 0
    project.assert_at("side")
    project.write("data/b.csv", "changed")
    said = elsewhere.git.fails("commit", "--allow-empty", "--message", "without the data", env=env)
    assert "dver add" in said
    elsewhere.dver.ok("add", project.root / "data", env=env)
    elsewhere.git("commit", "--quiet", "--message", "with it", env=env)
    project.assert_clean()


def test_a_repository_is_named_by_options(project: Project, tmp_path: Path) -> None:
    options = (f"--git-dir={project.root / '.git'}", f"--work-tree={project.root}")
    project.git.at(tmp_path)(*options, "switch", "--quiet", "side")
    project.assert_at("side")
    project.git.at(tmp_path)(*options, "merge", "--quiet", "--no-edit", "main")
    project.assert_data(project.merged("main", "side"))


def test_an_index_is_named_by_a_variable(project: Project) -> None:
    env = {"GIT_INDEX_FILE": str(project.root / ".git" / "other-index")}
    project.git("read-tree", "HEAD", env=env)
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "data", env=env)
    project.git("commit", "--quiet", "--message", "from another index", env=env)
    assert project.git("show", "--name-only", "--format=", "HEAD") == "data.dver\n"
    project.git("reset", "--quiet")
    project.assert_clean()


def test_a_new_work_tree_has_its_data(project: Project) -> None:
    project.git("worktree", "add", "--quiet", "../linked", "side")
    linked = project.at(project.root.parent / "linked")
    linked.assert_at("side")
    project.assert_at("main")
    assert not (linked.root / ".dver" / "cache").exists()


def test_a_linked_work_tree_goes_its_own_way(project: Project) -> None:
    project.git("worktree", "add", "--quiet", "--detach", "../linked", "v1")
    linked = project.at(project.root.parent / "linked")
    linked.assert_at("first")
    linked.git("switch", "--quiet", "--create", "linked")
    linked.git("merge", "--quiet", "--no-edit", "main", "--no-ff")
    linked.git("merge", "--quiet", "--no-edit", "side")
    linked.assert_data(project.merged("main", "side"))
    linked.write("data/more.txt", "more")
    assert "dver add data" in linked.git.fails("commit", "--allow-empty", "--message", "no")
    linked.commit("more", "data")
    project.assert_at("main")
    project.git("merge", "--quiet", "linked")
    project.assert_data({**project.merged("main", "side"), b"more.txt": ("file", b"more")})


def test_install_in_a_linked_work_tree_is_for_all(project: Project) -> None:
    project.git("worktree", "add", "--quiet", "../linked", "side")
    linked = project.at(project.root.parent / "linked")
    linked.dver.ok("uninstall")
    linked.git("restore", ".gitattributes")
    linked.dver.ok("install")
    project.git("switch", "--quiet", "--detach", "v1")
    project.assert_at("first")
    linked.assert_at("side")


def test_a_submodule_has_hooks_of_its_own(project: Project, tmp_path: Path) -> None:
    top = project.root.parent / "top"
    project.git("init", "--quiet", top)
    outer = project.at(top)
    outer.git("submodule", "--quiet", "add", str(project.root.parent / HUB), "inner")
    outer.git("commit", "--quiet", "--message", "with a submodule")
    inner = project.at(top / "inner")
    # A path from the submodule's top; a remote in a bucket would have one address from everywhere.
    inner.dver.ok("config", "set", "--local", "remotes.origin.url", "../../remote")
    inner.dver.ok("install")
    inner.dver.ok("pull")
    inner.assert_at("main")
    assert list((top / ".git" / "hooks").glob("*.before-dver")) == []

    inner.git("switch", "--quiet", "--detach", "origin/side")
    inner.assert_at("side")
    assert outer.git("status", "--porcelain") == " M inner\n"
    outer.git("commit", "--quiet", "--all", "--message", "the submodule at side")
    outer.git("checkout", "--quiet", "HEAD~1")
    outer.git("submodule", "--quiet", "update")
    inner.assert_at("main")


def test_hooks_and_commands_refuse_the_folder_of_another_user(foreign: Project) -> None:
    command = f"git config --global --add safe.directory {foreign.root}"
    for arguments in (("hook", "status"), ("hook", "pre-commit"), ("install",), ("uninstall",)):
        assert command in foreign.dver.fails(3, *arguments)
    assert "safe.directory" in foreign.git.fails("commit", "--allow-empty", "--message", "no")

    foreign.git("config", "--global", "--add", "safe.directory", foreign.root, cwd=foreign.root.parent)
    foreign.git("switch", "--quiet", "side")
    foreign.assert_at("side")


def test_a_switch_goes_through_where_only_git_trusts_the_folder(foreign: Project) -> None:
    # Settings of the command line reach git, and not what reads the files of settings.
    switched = foreign.git.run("-c", "safe.directory=*", "switch", "--quiet", "side")
    assert switched.returncode in (0, 1)
    assert "Traceback" not in switched.stderr
    assert foreign.git("-c", "safe.directory=*", "branch", "--show-current") == "side\n"
    foreign.git("config", "--global", "--add", "safe.directory", foreign.root, cwd=foreign.root.parent)
    foreign.dver.ok("checkout")
    foreign.assert_at("side")


def test_a_bare_repository_is_refused_with_what_helps(project: Project) -> None:
    said = project.dver.at(project.hub).fails(3, "install")
    assert "bare" in said
    assert "git worktree add" in said
