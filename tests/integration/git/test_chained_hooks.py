"""Hooks that were there before `dver install`: theirs run as ever, and dver's with them."""

import stat
from pathlib import Path

import pytest

from tests.clones import snapshot
from tests.integration.git.project import Project

# What husky 9 puts into `.husky/_`: a script for each hook that looks, by its own name, for the user's one a level up.
_HUSKY_ENTRY = '#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n'
_HUSKY_LOGIC = """\
hook=$(basename "$0")
script=$(dirname "$(dirname "$0")")/$hook
[ -f "$script" ] || exit 0
sh -e "$script" "$@"
code=$?
[ $code = 0 ] || echo "husky - $hook script failed (code $code)"
exit $code
"""


def write_hook(path: Path, text: str) -> None:
    """Write an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@pytest.fixture
def bare_of_hooks(project: Project) -> Project:
    """A project with `dver install` undone."""
    project.dver.ok("uninstall")
    project.git("restore", ".gitattributes")
    return project


def test_hooks_that_were_there_run_with_arguments_and_input(bare_of_hooks: Project) -> None:
    project = bare_of_hooks
    hooks = project.root / ".git" / "hooks"
    for name in ("pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite", "post-commit"):
        write_hook(hooks / name, f'echo "{name} $*" >> ../log\n[ -t 0 ] || cat >> ../log\n')
    before = snapshot(hooks)
    project.dver.ok("install")

    project.git("switch", "--quiet", "side")
    project.assert_at("side")
    project.write("data/new.txt", "new")
    commit = project.commit("new", "data")
    project.git("commit", "--quiet", "--amend", "--message", "newer")
    amended = project.head()
    project.dver.ok("push")
    project.git("push", "--quiet", "origin", "side:new")
    project.git("merge", "--quiet", "--no-edit", "main")
    log = (project.root.parent / "log").read_text()
    assert f"post-checkout {project.git('rev-parse', 'main').strip()}" in log
    assert "pre-commit \n" in log
    assert "post-commit \n" in log
    assert f"post-rewrite amend\n{commit} {amended}" in log
    assert f"pre-push origin ../hub.git\nrefs/heads/side {amended} refs/heads/new {'0' * 40}\n" in log
    assert "post-merge 0\n" in log

    project.dver.ok("uninstall")
    assert snapshot(hooks) == before


def test_either_hook_can_refuse_a_commit(bare_of_hooks: Project) -> None:
    project = bare_of_hooks
    write_hook(project.root / ".git" / "hooks" / "pre-commit", 'echo "not on a Friday" >&2\n[ ! -e friday ]\n')
    project.dver.ok("install")
    project.write("data/a.csv", "changed")
    assert "dver add data" in project.git.fails("commit", "--allow-empty", "--message", "no")
    project.dver.ok("add", "data")
    project.write("friday", "")
    assert "not on a Friday" in project.git.fails("commit", "--message", "no")
    (project.root / "friday").unlink()
    project.git("commit", "--quiet", "--message", "yes")
    project.assert_clean()


def test_a_hook_that_may_not_run_does_not(bare_of_hooks: Project) -> None:
    project = bare_of_hooks
    hook = project.root / ".git" / "hooks" / "pre-commit"
    write_hook(hook, "exit 1\n")
    hook.chmod(0o644)
    project.dver.ok("install")
    project.git("commit", "--quiet", "--allow-empty", "--message", "fine")
    project.dver.ok("uninstall")
    assert hook.read_text() == "#!/bin/sh\nexit 1\n"
    assert stat.S_IMODE(hook.stat().st_mode) == 0o644


@pytest.fixture
def husky(bare_of_hooks: Project) -> Project:
    """A project whose hooks husky keeps, with a check of its own before a commit."""
    project = bare_of_hooks
    own = project.root / ".husky" / "_"
    for name in ("pre-commit", "post-checkout", "post-merge", "commit-msg"):
        write_hook(own / name, "")
        (own / name).write_text(_HUSKY_ENTRY)
    (own / "h").write_text(_HUSKY_LOGIC)
    (own / ".gitignore").write_text("*\n")
    project.write(".husky/pre-commit", "echo checked by husky\n[ ! -e bad.js ]\n")
    project.write(".husky/commit-msg", "grep -q '[a-z]' \"$1\"\n")
    project.git("add", ".husky")
    project.git("commit", "--quiet", "--message", "husky")
    project.git("config", "core.hooksPath", ".husky/_")
    return project


def test_husky_and_dver_both_check(husky: Project) -> None:
    husky.dver.ok("install")
    husky.write("bad.js", "")
    assert "husky - pre-commit script failed" in husky.git.fails("commit", "--allow-empty", "--message", "bad")
    (husky.root / "bad.js").unlink()
    assert "commit-msg script failed" in husky.git.fails("commit", "--allow-empty", "--message", "1")
    husky.write("data/a.csv", "changed")
    said = husky.git.fails("commit", "--allow-empty", "--message", "no")
    assert "checked by husky" in said
    assert "dver add data" in said
    husky.commit("changed", "data")
    husky.assert_clean()
    husky.git("switch", "--quiet", "side")
    husky.assert_data(husky.data_at("side"))


def test_husky_is_as_before_after_uninstall(husky: Project) -> None:
    before, config = snapshot(husky.root / ".husky"), husky.git("config", "--local", "--list")
    husky.dver.ok("install")
    assert "nothing to do" in husky.dver.ok("install")
    husky.dver.ok("uninstall")
    assert snapshot(husky.root / ".husky") == before
    assert husky.git("config", "--local", "--list") == config
    assert "checked by husky" in husky.git.run("commit", "--allow-empty", "--message", "by husky alone").stderr


def test_hooks_for_all_repositories_of_a_user_run_too(bare_of_hooks: Project, home: Path) -> None:
    project = bare_of_hooks
    write_hook(home / "hooks" / "pre-commit", "echo seen by all\n")
    write_hook(home / "hooks" / "commit-msg", 'grep -q "[a-z]" "$1" || { echo no letters; exit 1; }\n')
    project.git("config", "--global", "core.hooksPath", home / "hooks")
    before = snapshot(home / "hooks")
    project.dver.ok("install")
    assert "no letters" in project.git.fails("commit", "--allow-empty", "--message", "1")
    project.write("data/a.csv", "changed")
    said = project.git.fails("commit", "--allow-empty", "--message", "no")
    assert "seen by all" in said
    assert "dver add data" in said
    project.commit("changed", "data")
    project.git("switch", "--quiet", "side")
    project.assert_at("side")

    project.dver.ok("uninstall")
    assert snapshot(home / "hooks") == before
    assert project.git.run("config", "--local", "core.hooksPath").returncode == 1
    assert "no letters" in project.git.fails("commit", "--allow-empty", "--message", "1")


def test_install_and_uninstall_leave_a_work_tree_as_it_was(bare_of_hooks: Project) -> None:
    project = bare_of_hooks
    project.git("rm", "--quiet", ".gitattributes")
    project.git("commit", "--quiet", "--message", "nothing of dver's")
    hooks, config = snapshot(project.root / ".git" / "hooks"), (project.root / ".git" / "config").read_bytes()
    tree = project.tree()
    project.dver.ok("install")
    assert "nothing to do" in project.dver.ok("install")
    assert project.git("status", "--porcelain") == "?? .gitattributes\n"
    project.dver.ok("uninstall")
    assert "nothing to do" in project.dver.ok("uninstall")
    assert project.tree() == tree
    assert snapshot(project.root / ".git" / "hooks") == hooks
    assert (project.root / ".git" / "config").read_bytes() == config
