"""The hooks under the pre-commit framework as it is on PyPI, with this project as the repository of hooks."""

import os
from pathlib import Path

import pytest

from tests.integration.git.framework import STAGES, Framework, make_framework
from tests.integration.git.project import Project

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def framework(tmp_path_factory: pytest.TempPathFactory) -> Framework:
    """The framework with dver's hooks installed, shared by all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pre-commit"
    shared.mkdir(exist_ok=True)
    return make_framework(shared)


@pytest.fixture
def checked(project: Project, framework: Framework, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose hooks are the framework's and not those of `dver install`; the drivers stay."""
    for name, value in framework.environment.items():
        monkeypatch.setenv(name, value)
    project.dver.ok("uninstall")
    project.dver.ok("install", "--no-hooks")
    _configure(project, framework, "id: dver-status")
    _install(project, framework, *STAGES)
    return project


def _configuration(project: Project) -> Path:
    """Return where the configuration is: beside the work tree, so that it is there on every branch."""
    return project.root.parent / "pre-commit-config.yaml"


def _configure(project: Project, framework: Framework, status: str, pushed: str = "id: dver-pushed") -> None:
    hooks = ("id: dver-lint", "id: dver-large-files", status, pushed, "id: dver-checkout")
    _configuration(project).write_text(framework.config(*hooks))


def _install(project: Project, framework: Framework, *stages: str) -> None:
    types = [word for stage in stages for word in ("-t", stage)]
    installed = framework.run(project.root, "install", "--config", str(_configuration(project)), *types)
    assert installed.returncode == 0, str(installed)


def test_data_follows_branches_and_merges(checked: Project) -> None:
    checked.git("switch", "--quiet", "--create", "other", "side")
    checked.assert_at("side")
    checked.git("switch", "--quiet", "main")
    assert checked.files() == checked.data_at("main")
    checked.assert_clean()
    checked.dver.ok("install")
    checked.git("merge", "--quiet", "--no-edit", "side")
    checked.assert_data(checked.merged("main", "side"))


def test_a_merge_conflict_and_its_end(checked: Project) -> None:
    checked.git.fails("merge", "clash")
    checked.git("add", "data.dver")
    assert "dver-lint" in checked.git.fails("commit", "--no-edit")
    checked.dver.ok("checkout", "--ours")
    checked.git("commit", "--quiet", "--no-edit")
    checked.assert_data(checked.merged("clash", "main"))


def test_data_follows_rebase_and_amend(checked: Project) -> None:
    checked.git("switch", "--quiet", "side")
    checked.git("switch", "--quiet", "--create", "behind", "v1")
    checked.assert_at("first")
    checked.write("data/new.txt", "new")
    checked.commit("new", "data")
    checked.git("rebase", "--quiet", "side")
    expected = {**checked.data_at("side"), b"new.txt": ("file", b"new")}
    if checked.files() != expected:
        checked.dver.ok("checkout")
    checked.assert_data(expected)


def test_a_pointer_that_is_not_staged_keeps_its_data(checked: Project) -> None:
    checked.write("data/a.csv", "mine")
    checked.dver.ok("add", "--no-stage", "data")
    checked.git("switch", "--quiet", "--create", "other")
    checked.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "nothing")
    assert (checked.data / "a.csv").read_text() == "mine"
    checked.dver.ok("status", "--exit-code")


def test_changed_data_stops_a_commit(checked: Project) -> None:
    checked.write("data/a.csv", "changed")
    checked.write("train.py", "print('changed')\n")
    checked.git("add", "train.py")
    said = checked.git.fails("commit", "--message", "code alone")
    assert "dver add data" in said
    assert "dver-status" in said
    checked.commit("both", "data")
    checked.assert_clean()


def test_changed_data_is_added_where_that_is_asked_for(checked: Project, framework: Framework) -> None:
    _configure(checked, framework, "{id: dver-status, args: [--fix]}")
    checked.write("data/a.csv", "changed")
    checked.write("train.py", "print('changed')\n")
    checked.git("add", "train.py")
    checked.git("commit", "--quiet", "--message", "both")
    assert checked.git("show", "--name-only", "--format=", "HEAD").split() == ["data.dver", "train.py"]
    checked.assert_data({**checked.data_at("main"), b"a.csv": ("file", b"changed")})


def test_large_files_and_data_in_git_stop_a_commit(checked: Project) -> None:
    checked.write("raw.bin", bytes(1024 * 1024 + 1))
    checked.git("add", "raw.bin")
    checked.git("add", "--force", "data/b.csv")
    said = checked.git.fails("commit", "--message", "large")
    assert "dver add raw.bin" in said
    assert "data/b.csv" in said
    checked.git("rm", "--quiet", "--cached", "raw.bin", "data/b.csv")
    checked.commit("as a dataset", "raw.bin")
    checked.assert_clean()


def test_unstaged_changes_outlive_a_refused_commit(checked: Project) -> None:
    checked.write("train.py", "print('staged')\n")
    checked.git("add", "train.py")
    checked.write("sub/code.py", "print('not staged')\n")
    checked.write("data/a.csv", "changed")
    before = checked.tree()
    checked.git.fails("commit", "--message", "code alone")
    assert checked.tree() == before


def test_a_push_waits_for_the_data(checked: Project) -> None:
    checked.write("data/new.txt", "new")
    checked.commit("new", "data")
    assert "dver push" in checked.git.fails("push")
    checked.dver.ok("push")
    checked.git("push", "--quiet")
    assert checked.git("rev-parse", "main", cwd=checked.hub).strip() == checked.head()


def test_a_push_takes_the_data_along_where_that_is_asked_for(checked: Project, framework: Framework) -> None:
    _configure(checked, framework, "id: dver-status", "{id: dver-pushed, args: [--push]}")
    checked.write("data/new.txt", "new")
    checked.commit("new", "data")
    checked.git("push", "--quiet")
    assert "nothing to do" in checked.dver.ok("status", "--remote")


def test_the_framework_and_dver_install_chain_either_way(checked: Project, framework: Framework) -> None:
    checked.dver.ok("install")
    checked.write("data/a.csv", "changed")
    said = checked.git.fails("commit", "--allow-empty", "--message", "no")
    assert "dver-status" in said
    assert "dver add data" in said
    checked.commit("yes", "data")
    checked.git("switch", "--quiet", "--detach", "side")
    checked.assert_at("side")
    checked.git("switch", "--quiet", "main")

    checked.dver.ok("uninstall")
    checked.git("restore", ".gitattributes")
    _install(checked, framework, "pre-commit")
    checked.git("commit", "--quiet", "--allow-empty", "--message", "still checked")


def test_the_framework_installed_after_dver(
    project: Project, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in framework.environment.items():
        monkeypatch.setenv(name, value)
    _configure(project, framework, "id: dver-status")
    _install(project, framework, "pre-commit", "post-checkout")
    assert "nothing to do" in project.dver.ok("install")
    project.write("data/a.csv", "changed")
    assert "dver add data" in project.git.fails("commit", "--allow-empty", "--message", "no")
    project.commit("yes", "data")
    project.git("switch", "--quiet", "--detach", "side")
    project.assert_at("side")
    project.git("switch", "--quiet", "main")
    project.dver.ok("uninstall")
    project.git("restore", ".gitattributes")
    assert not (project.root / ".git" / "hooks" / "pre-commit.legacy").exists()
    project.git("commit", "--quiet", "--allow-empty", "--message", "by the framework alone")


def test_the_hooks_can_be_tried(project: Project, framework: Framework, tmp_path: Path) -> None:
    project.write("data/a.csv", "changed")
    # The framework makes another environment to try them in, where pip then finds all that dver depends on.
    given = {"PYTHONPATH": str(framework.dependencies)}
    words = ("try-repo", str(framework.hooks), "dver-status", "--verbose", "--all-files")
    tried = framework.run(project.root, *words, env=given)
    assert tried.returncode == 1, str(tried)
    assert "dver add data" in tried.stdout
