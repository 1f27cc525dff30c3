"""What becomes of hooks that are there, and that all of it can be undone."""

import os
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.git.hooks import HookChange, HookEvent
from tests.unit.git.hooking import OTHERS, PRE_COMMITS, install_hooks, is_ours, state, uninstall_hooks, write_hook
from tests.unit.git.workbench import Workbench


def test_hooks_go_to_the_git_directory(bench: Workbench) -> None:
    changes = install_hooks(bench)

    folder = bench.repo.git_dir / "hooks"
    assert changes == [HookChange(HookEvent.ADDED, folder / name) for name in ("pre-commit", "pre-push")]
    assert is_ours(folder / "pre-commit")
    assert is_ours(folder / "pre-push")


def test_a_missing_folder_is_made(bench: Workbench) -> None:
    folder = bench.repo.git_dir / "hooks"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    install_hooks(bench)
    assert is_ours(folder / "pre-commit")


def test_done_twice_nothing_changes(bench: Workbench) -> None:
    write_hook(bench.root / ".git/hooks/pre-commit")
    install_hooks(bench)
    before = state(bench)

    assert install_hooks(bench) == []
    assert state(bench) == before


def test_after_python_moved_the_scripts_are_written_anew(bench: Workbench) -> None:
    write_hook(bench.root / ".git/hooks/pre-commit")
    install_hooks(bench)

    changes = install_hooks(bench, "/elsewhere/python")

    assert [change.event for change in changes] == [HookEvent.REWRITTEN] * 2
    assert "/elsewhere/python" in (bench.root / ".git/hooks/pre-commit").read_text()
    assert (bench.root / ".git/hooks/pre-commit.before-dver").read_text() == OTHERS


def test_a_script_that_lost_its_mode_is_mended(bench: Workbench) -> None:
    install_hooks(bench)
    (bench.root / ".git/hooks/pre-push").chmod(0o644)
    assert [change.path.name for change in install_hooks(bench)] == ["pre-push"]
    assert is_ours(bench.root / ".git/hooks/pre-push")


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_a_hook_that_is_there_is_put_aside_and_back(bench: Workbench, mode: int) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit", mode=mode)
    before = state(bench)

    chained = install_hooks(bench)[0]

    aside = path.resolve().with_name("pre-commit.before-dver")
    assert chained == HookChange(HookEvent.CHAINED, path.resolve(), str(aside))
    assert (aside.read_text(), aside.stat().st_mode & 0o777) == (OTHERS, mode)
    assert [change.event for change in uninstall_hooks(bench)] == [HookEvent.RESTORED, HookEvent.REMOVED]
    assert state(bench) == before


def test_a_link_as_hook_is_put_aside_as_a_link(bench: Workbench) -> None:
    target = write_hook(bench.root / "scripts/check.sh")
    path = bench.root / ".git/hooks/pre-commit"
    path.symlink_to("../../scripts/check.sh")
    before = state(bench)

    install_hooks(bench)

    assert is_ours(path)
    assert not path.is_symlink()
    assert path.with_name("pre-commit.before-dver").readlink() == Path("../../scripts/check.sh")
    assert target.read_text() == OTHERS
    uninstall_hooks(bench)
    assert state(bench) == before


def test_removing_where_nothing_was_installed_changes_nothing(bench: Workbench) -> None:
    write_hook(bench.root / ".git/hooks/pre-commit")
    before = state(bench)
    assert uninstall_hooks(bench) == []
    assert state(bench) == before


def test_a_folder_in_place_of_a_hook_is_refused_before_anything_is_changed(bench: Workbench) -> None:
    (bench.root / ".git/hooks/pre-push").mkdir()
    before = state(bench)
    with pytest.raises(PathError, match="pre-push: is in the way"):
        install_hooks(bench)
    assert state(bench) == before


def test_a_file_in_place_of_the_folder_is_refused(bench: Workbench) -> None:
    bench.git("config", "core.hooksPath", ".git/HEAD")
    with pytest.raises(PathError, match="HEAD: is in the way"):
        install_hooks(bench)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(bench: Workbench) -> None:
    folder = bench.root / ".git/hooks"
    folder.chmod(0o500)
    try:
        with pytest.raises(PathError, match="cannot be written to"):
            install_hooks(bench)
    finally:
        folder.chmod(0o700)


def test_a_hook_that_replaced_ours_is_not_guessed_about(bench: Workbench) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit")
    install_hooks(bench)
    write_hook(path, "#!/bin/sh\necho third\n")
    before = state(bench)

    with pytest.raises(PathError, match=r"pre-commit: replaced dver's hook") as caught:
        install_hooks(bench)

    assert "pre-commit.before-dver" in str(caught.value.hint)
    assert state(bench) == before
    assert HookEvent.LEFT in [change.event for change in uninstall_hooks(bench)]
    assert path.read_text() == "#!/bin/sh\necho third\n"
    assert path.with_name("pre-commit.before-dver").read_text() == OTHERS


def test_a_hook_put_aside_by_an_interrupted_install_is_put_back(bench: Workbench) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit")
    before = state(bench)
    path.rename(path.with_name("pre-commit.before-dver"))

    assert install_hooks(bench)[0].event == HookEvent.CHAINED
    path.unlink()
    uninstall_hooks(bench)

    assert state(bench) == before


def test_pre_commits_script_stays_in_front(bench: Workbench) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit", PRE_COMMITS)
    before = state(bench)

    assert install_hooks(bench)[0] == HookChange(HookEvent.ADDED, path.resolve().with_name("pre-commit.legacy"))

    assert path.read_text() == PRE_COMMITS
    assert is_ours(path.with_name("pre-commit.legacy"))
    assert install_hooks(bench) == []
    uninstall_hooks(bench)
    assert state(bench) == before


def test_a_hook_that_pre_commit_runs_is_run_by_ours_instead(bench: Workbench) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit", PRE_COMMITS)
    write_hook(path.with_name("pre-commit.legacy"))
    before = state(bench)

    install_hooks(bench)

    assert path.with_name("pre-commit.before-dver").read_text() == OTHERS
    assert is_ours(path.with_name("pre-commit.legacy"))
    uninstall_hooks(bench)
    assert state(bench) == before


def test_what_pre_commit_moved_when_it_was_installed_later_is_left_and_found(bench: Workbench) -> None:
    path = write_hook(bench.root / ".git/hooks/pre-commit")
    install_hooks(bench)
    path.rename(path.with_name("pre-commit.legacy"))
    write_hook(path, PRE_COMMITS)

    assert install_hooks(bench) == []
    assert [change.event for change in install_hooks(bench, "/new/python")] == [HookEvent.REWRITTEN] * 2
    assert "/new/python" in path.with_name("pre-commit.legacy").read_text()

    uninstall_hooks(bench)
    assert path.read_text() == PRE_COMMITS
    assert path.with_name("pre-commit.legacy").read_text() == OTHERS
    assert not path.with_name("pre-commit.before-dver").exists()


def test_a_script_that_pre_commit_left_behind_goes_when_ours_is_back_in_front(bench: Workbench) -> None:
    path = bench.root / ".git/hooks/pre-commit"
    install_hooks(bench)
    path.rename(path.with_name("pre-commit.legacy"))

    install_hooks(bench)

    assert is_ours(path)
    assert not path.with_name("pre-commit.legacy").exists()
