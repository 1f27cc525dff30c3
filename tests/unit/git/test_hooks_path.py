"""Which folder hooks go to where core.hooksPath or linked work trees have a say, and what that leaves alone."""

import subprocess
from pathlib import Path

import pytest

from dver.errors import GitError, PathError
from dver.git.hooks import HookChange, HookEvent
from tests.clones import snapshot
from tests.unit.git.hooking import OTHERS, install_hooks, is_ours, state, uninstall_hooks, write_hook
from tests.unit.git.workbench import Workbench


def test_what_lies_in_the_work_tree_is_passed_on_to_and_not_touched(bench: Workbench) -> None:
    write_hook(bench.root / ".husky/_/pre-commit")
    write_hook(bench.root / ".husky/_/push-to-checkout")
    bench.git("config", "core.hooksPath", ".husky/_")
    before, husky = state(bench), snapshot(bench.root / ".husky")

    assert install_hooks(bench) == [HookChange(HookEvent.PASSED_ON, bench.repo.git_dir / "dver/hooks", ".husky/_")]

    own = bench.repo.git_dir / "dver/hooks"
    assert snapshot(bench.root / ".husky") == husky
    assert bench.git("rev-parse", "--git-path", "hooks").strip() == str(own)
    assert all(is_ours(path) for path in own.iterdir())
    names = {path.name for path in own.iterdir()}
    # One that git does otherwise without is there only where it was.
    assert {"pre-commit", "pre-push", "commit-msg", "push-to-checkout"} <= names
    assert names.isdisjoint({"reference-transaction", "pre-receive", "update"})
    assert install_hooks(bench) == []
    assert uninstall_hooks(bench) == [HookChange(HookEvent.GIVEN_BACK, own)]
    assert state(bench) == before


def test_a_tool_that_took_the_setting_back_is_passed_on_to_again(bench: Workbench) -> None:
    bench.git("config", "core.hooksPath", "old")
    install_hooks(bench)
    bench.git("config", "core.hooksPath", ".husky/_")

    assert [change.event for change in install_hooks(bench)] == [HookEvent.PASSED_ON]
    assert ".husky/_/pre-commit" in (bench.root / ".git/dver/hooks/pre-commit").read_text()

    bench.git("config", "core.hooksPath", "third")
    uninstall_hooks(bench)
    assert bench.git("config", "core.hooksPath") == "third\n"
    assert not (bench.root / ".git/dver").exists()
    assert "dver" not in (bench.root / ".git/config").read_text()


def test_a_folder_of_the_users_is_passed_on_to_and_not_touched(bench: Workbench, tmp_path: Path) -> None:
    write_hook(tmp_path / "shared/pre-commit")
    bench.git("config", "--global", "core.hooksPath", str(tmp_path / "shared"))
    before = state(bench)

    install_hooks(bench)

    assert snapshot(tmp_path / "shared") == {b"pre-commit": ("executable", OTHERS.encode())}
    assert bench.git("config", "--global", "core.hooksPath").strip() == str(tmp_path / "shared")
    assert str(tmp_path / "shared/pre-commit") in (bench.root / ".git/dver/hooks/pre-commit").read_text()
    assert install_hooks(bench) == []
    uninstall_hooks(bench)
    assert state(bench) == before


def test_when_the_users_folder_is_gone_hooks_go_to_the_git_directory(bench: Workbench, tmp_path: Path) -> None:
    bench.git("config", "--global", "core.hooksPath", str(tmp_path / "shared"))
    install_hooks(bench)
    bench.git("config", "--global", "--unset", "core.hooksPath")

    assert HookEvent.GIVEN_BACK in [change.event for change in install_hooks(bench)]

    assert is_ours(bench.root / ".git/hooks/pre-commit")
    assert not (bench.root / ".git/dver").exists()
    assert "dver" not in (bench.root / ".git/config").read_text()


def test_when_the_user_gets_such_a_folder_hooks_leave_the_git_directory(bench: Workbench, tmp_path: Path) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit")
    install_hooks(bench)
    bench.git("config", "--global", "core.hooksPath", str(tmp_path / "shared"))

    install_hooks(bench)

    assert path.read_text() == OTHERS
    assert is_ours(bench.root / ".git/dver/hooks/pre-commit")


def test_a_path_from_the_home_folder_comes_back_as_it_was_written(bench: Workbench, home: Path) -> None:
    bench.git("config", "core.hooksPath", "~/hooks")
    install_hooks(bench)
    assert str(home / "hooks/pre-commit") in (bench.root / ".git/dver/hooks/pre-commit").read_text()
    assert install_hooks(bench) == []
    uninstall_hooks(bench)
    assert bench.git("config", "core.hooksPath") == "~/hooks\n"


def test_a_folder_in_the_git_directory_is_used_as_it_is(bench: Workbench) -> None:
    bench.git("config", "core.hooksPath", ".git/my-hooks")
    path = write_hook(bench.root / ".git/my-hooks/pre-commit")
    before = state(bench)

    install_hooks(bench)

    assert is_ours(path)
    assert not (bench.root / ".git/dver").exists()
    uninstall_hooks(bench)
    assert state(bench) == before


def test_a_folder_that_is_a_link_out_of_the_git_directory_is_passed_on_to(bench: Workbench) -> None:
    folder = bench.root / ".git/hooks"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    write_hook(bench.root / "githooks/pre-commit")
    folder.symlink_to("../githooks")

    install_hooks(bench)

    assert snapshot(bench.root / "githooks") == {b"pre-commit": ("executable", OTHERS.encode())}
    assert is_ours(bench.root / ".git/dver/hooks/pre-commit")


def test_a_repository_that_moved_is_mended_and_remembers_what_was_before(bench: Workbench, tmp_path: Path) -> None:
    bench.git("config", "core.hooksPath", ".husky/_")
    install_hooks(bench)
    moved = Workbench(tmp_path / "moved", bench.git.at(tmp_path / "moved"), bench.set_variable)
    bench.root.rename(moved.root)

    assert [change.event for change in install_hooks(moved)] == [HookEvent.PASSED_ON]
    assert moved.git("config", "core.hooksPath").strip() == str(moved.repo.git_dir / "dver/hooks")

    uninstall_hooks(moved)
    assert moved.git("config", "core.hooksPath") == ".husky/_\n"


def test_a_setting_that_an_included_file_makes_stronger_is_refused(bench: Workbench) -> None:
    bench.write("team.config", "[core]\n\thooksPath = hooks\n")
    bench.git("config", "include.path", "../team.config")
    before = state(bench)

    with pytest.raises(GitError, match="includes") as caught:
        install_hooks(bench)

    assert "--show-origin" in str(caught.value.hint)
    assert state(bench) == before


def test_a_setting_of_one_work_tree_changes_that_one_only(bench: Workbench, tmp_path: Path) -> None:
    bench.commit("first", {"a": "a"})
    bench.git("config", "extensions.worktreeConfig", "true")
    bench.git("worktree", "add", "--quiet", tmp_path / "linked")
    linked = Workbench(tmp_path / "linked", bench.git.at(tmp_path / "linked"), bench.set_variable)
    linked.git("config", "--worktree", "core.hooksPath", ".husky")
    before = state(bench)

    install_hooks(linked)

    own = linked.repo.git_dir / "dver/hooks"
    assert is_ours(own / "pre-commit")
    assert linked.git("config", "core.hooksPath").strip() == str(own)
    assert bench.git("rev-parse", "--git-path", "hooks") == ".git/hooks\n"
    assert install_hooks(linked) == []
    uninstall_hooks(linked)
    assert state(bench) == before


def test_a_linked_work_tree_shares_the_hooks_of_the_main_one(bench: Workbench, tmp_path: Path) -> None:
    bench.commit("first", {"a": "a"})
    bench.git("worktree", "add", "--quiet", tmp_path / "linked")
    linked = Workbench(tmp_path / "linked", bench.git.at(tmp_path / "linked"), bench.set_variable)

    install_hooks(linked)

    assert is_ours(bench.root / ".git/hooks/pre-commit")
    assert install_hooks(bench) == []


def test_what_is_not_ours_in_our_folder_is_refused_and_never_removed(bench: Workbench) -> None:
    bench.git("config", "core.hooksPath", ".husky/_")
    install_hooks(bench)
    path = write_hook(bench.root / ".git/dver/hooks/pre-push")

    with pytest.raises(PathError, match="pre-push: is not from dver"):
        install_hooks(bench)
    uninstall_hooks(bench)

    assert path.read_text() == OTHERS
    assert bench.git("config", "core.hooksPath") == ".husky/_\n"


@pytest.mark.parametrize(
    "text",
    [
        '#!/bin/sh\ncase "$(basename "$0")" in pre-commit) echo ran ;; esac\n',
        '#!/bin/sh\n. "$(dirname "${0}")/shared.sh"\n',
        "#!/usr/bin/env python3\nfrom pathlib import Path\nprint(Path(__file__).with_name('shared.sh').read_text())\n",
    ],
)
def test_a_hook_that_asks_for_its_own_name_keeps_it(bench: Workbench, text: str) -> None:
    folder = bench.root / ".git/hooks"
    (folder / "shared.sh").write_text("echo ran\n")
    hook = write_hook(folder / "pre-commit", text)

    changes = install_hooks(bench, "/bin/true")

    assert [change.event for change in changes] == [HookEvent.PASSED_ON]
    assert hook.read_text() == text
    done = subprocess.run(
        ["git", "commit", "--allow-empty", "-m", "one"], cwd=bench.root, capture_output=True, text=True, check=True
    )
    assert "ran" in done.stdout + done.stderr
    assert install_hooks(bench, "/bin/true") == []
    bench.git("update-ref", "-d", "HEAD")
    assert [change.event for change in uninstall_hooks(bench)] == [HookEvent.GIVEN_BACK]
    assert hook.read_text() == text
    assert bench.git("config", "--list", "--local").find("hookspath") == -1
    assert not list(folder.glob("*.before-dver"))
