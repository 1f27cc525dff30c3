"""Real git runs the hooks after which data follows the pointers."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from dver.operations.mv import mv
from dver.operations.rm import rm
from tests.clones import Clone, Snapshot, noise
from tests.commands import CommandResult, GitCommand
from tests.githooks import FOLLOWING, write_hooks
from tests.templates import copy_template


@dataclass(frozen=True, slots=True)
class Followed:
    """A clone whose hooks are set up, on branch main, where `data` and `other` are datasets of two versions each.

    Branch `side` has one more dataset, `extra`, and another version of `data`; `other` is the same on both.
    """

    clone: Clone
    main: Snapshot
    side: Snapshot

    def run(self, *arguments: str) -> CommandResult:
        """Run git, which must succeed with no word of an error."""
        result = GitCommand(self.clone.root).run(*arguments)
        assert result.returncode == 0, str(result)
        assert "Traceback" not in result.stderr
        assert "dver: error" not in result.stderr
        return result

    def said(self, *arguments: str) -> list[str]:
        """Run git and return the lines that dver said."""
        lines = (self.run(*arguments).stderr).splitlines()
        return [line for line in lines if line.startswith("dver:")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("template")
    clone = Clone.make(folder / "repo", remote="../remote")
    clone.write("data/a.bin", noise(5000))
    clone.write("data/b.txt", b"b")
    clone.write("other/o", b"other")
    clone.save("data", "other", message="base")
    clone.git("branch", "base")
    clone.git("switch", "--quiet", "-c", "side")
    clone.write("data/a.bin", noise(5000, 2))
    clone.write("data/side.txt", b"side")
    clone.write("extra/x", b"extra")
    clone.save("data", "extra", message="side")
    side = clone.data()
    clone.push(all_refs=True)
    clone.git("switch", "--quiet", "main")
    clone.checkout()
    shutil.rmtree(clone.root / "extra")
    with clone.open() as repo:
        repo.stat_cache.forget("extra")
    return Followed(clone, clone.data(), side)


@pytest.fixture
def followed(template: Followed, tmp_path: Path) -> Followed:
    copy_template(template.clone.root.parent, tmp_path / "t")
    root = tmp_path / "t" / "repo"
    write_hooks(root / ".git" / "hooks", FOLLOWING)
    return Followed(Clone(root), template.main, template.side)


def is_clean(clone: Clone) -> bool:
    return clone.git("status", "--porcelain") == "" and clone.status().state == "unchanged"


def test_a_switch_brings_changed_and_new_data_and_removes_what_is_gone(followed: Followed) -> None:
    assert followed.said("switch", "side") == [
        "dver: checked out data: 2 files written, 4.9 KiB",
        "dver: checked out extra: 1 file written, 5 bytes",
    ]
    assert followed.clone.data() == followed.side
    assert is_clean(followed.clone)
    assert followed.said("switch", "main") == [
        "dver: removed extra: its pointer is gone; 1 file deleted",
        "dver: checked out data: 1 file written, 4.9 KiB; 1 file deleted",
    ]
    assert followed.clone.data() == followed.main
    assert not (followed.clone.root / "extra").exists()
    assert is_clean(followed.clone)


def test_a_new_branch_or_one_with_the_same_data_says_nothing(followed: Followed) -> None:
    assert followed.said("switch", "-c", "new") == []
    (followed.clone.root / "code.py").write_text("code")
    followed.clone.git("add", "code.py")
    assert followed.said("commit", "-m", "code") == []
    assert followed.said("switch", "main") == []
    assert followed.said("switch", "--detach", "base") == []


def test_other_datasets_are_not_touched(followed: Followed) -> None:
    changed = followed.clone.write("other/o", b"changed, and to be kept")
    before = changed.stat()
    followed.run("switch", "side")
    assert changed.read_bytes() == b"changed, and to be kept"
    assert changed.stat().st_mtime_ns == before.st_mtime_ns


def test_changed_data_is_left_as_it_is_and_the_others_go_on(followed: Followed) -> None:
    followed.clone.write("data/a.bin", b"not added")
    result = followed.run("switch", "side")
    assert "dver: warning: data: its pointer changed, and its data was changed here; left as it is" in result.stderr
    assert "    data/a.bin\n" in result.stderr
    assert "hint: dver add --force data" in result.stderr
    assert "dver checkout --force data gives the changes up" in result.stderr
    assert (followed.clone.root / "data/a.bin").read_bytes() == b"not added"
    assert not (followed.clone.root / "data/side.txt").exists()
    assert (followed.clone.root / "extra/x").read_bytes() == b"extra"
    assert followed.said("switch", "main") == ["dver: removed extra: its pointer is gone; 1 file deleted"]
    assert followed.clone.status().changes.modified == ("a.bin",)


def test_files_that_are_not_tracked_stay(followed: Followed) -> None:
    followed.run("switch", "side")
    followed.clone.write("extra/mine", b"mine")
    followed.clone.write("data/mine", b"mine")
    followed.run("switch", "main")
    assert [path.name for path in (followed.clone.root / "extra").iterdir()] == ["mine"]
    assert (followed.clone.root / "data/mine").read_bytes() == b"mine"
    followed.run("switch", "side")
    assert {path.name for path in (followed.clone.root / "extra").iterdir()} == {"mine", "x"}


def test_changed_data_whose_pointer_is_gone_is_left(followed: Followed) -> None:
    followed.run("switch", "side")
    followed.clone.write("extra/x", b"changed")
    result = followed.run("switch", "main")
    assert "dver: warning: extra: its pointer is gone, but its data was changed; left as it is" in result.stderr
    assert (followed.clone.root / "extra/x").read_bytes() == b"changed"
    # Said once: where it lies now is nobody's news with each later commit.
    assert followed.said("commit", "--allow-empty", "-m", "another") == []
    assert followed.said("switch", "side") == ["dver: checked out data: 2 files written, 4.9 KiB"]
    assert (followed.clone.root / "extra/x").read_bytes() == b"changed"


def test_what_was_left_out_stays_out_until_it_changes(followed: Followed) -> None:
    other = followed.clone.clone(followed.clone.root.parent / "clone")
    write_hooks(other.root / ".git" / "hooks", FOLLOWING)
    there = Followed(other, followed.main, followed.side)
    assert there.said("switch", "-c", "work") == []
    assert there.said("commit", "--allow-empty", "-m", "empty") == []
    assert not (other.root / "data").exists()
    other.checkout(None, "other")
    assert there.said("switch", "--detach", "origin/base") == []
    assert [line.partition(":")[2].split(":")[0] for line in there.said("switch", "side")] == [
        " checked out data",
        " checked out extra",
    ]


def test_data_that_was_deleted_stays_so_until_its_pointer_changes(followed: Followed) -> None:
    shutil.rmtree(followed.clone.root / "other")
    shutil.rmtree(followed.clone.root / "data")
    followed.run("switch", "-c", "new")
    followed.run("commit", "--allow-empty", "-m", "empty")
    assert not (followed.clone.root / "data").exists()
    followed.run("switch", "side")
    assert followed.clone.data() == followed.side
    assert not (followed.clone.root / "other").exists()


def test_part_of_a_dataset_stays_part(followed: Followed) -> None:
    other = followed.clone.clone(followed.clone.root.parent / "clone")
    write_hooks(other.root / ".git" / "hooks", FOLLOWING)
    there = Followed(other, followed.main, followed.side)
    other.checkout(None, "data/a.bin")
    there.run("switch", "side")
    assert set(other.data()) == {b"a.bin"}
    assert other.data()[b"a.bin"] == followed.side[b"a.bin"]
    other.git("switch", "--quiet", "-c", "without")
    other.git("rm", "--quiet", "data.dver")
    there.run("commit", "-m", "no data")
    assert not (other.root / "data").exists()
    there.run("switch", "side")
    assert set(other.data()) == {b"a.bin"}


def test_a_fast_forward_and_a_real_merge_bring_the_data(followed: Followed) -> None:
    followed.run("switch", "-c", "forward", "base")
    assert followed.said("merge", "--ff-only", "side")[0].startswith("dver: checked out data")
    assert followed.clone.data() == followed.side
    followed.run("switch", "main")
    (followed.clone.root / "code.py").write_text("code")
    followed.run("add", "code.py")
    followed.run("commit", "-m", "code")
    assert len(followed.said("merge", "--no-edit", "side")) == 2
    assert followed.clone.data() == followed.side
    assert is_clean(followed.clone)


def test_a_squash_merge_brings_the_data_before_the_commit(followed: Followed) -> None:
    assert len(followed.said("merge", "--squash", "side")) == 2
    assert followed.clone.data() == followed.side
    assert followed.said("commit", "-m", "squashed") == []


def test_a_pull_brings_the_data(followed: Followed) -> None:
    other = followed.clone.clone(followed.clone.root.parent / "clone")
    write_hooks(other.root / ".git" / "hooks", FOLLOWING)
    there = Followed(other, followed.main, followed.side)
    other.pull()
    followed.run("merge", "--ff-only", "side")
    there.run("pull", "--quiet")
    assert other.data() == followed.side


def test_a_rebase_brings_the_data_once_at_its_end(followed: Followed) -> None:
    clone = followed.clone
    clone.write("sub/third", b"third")
    clone.save("sub/third", message="a dataset of its own")
    (clone.root / "code.py").write_text("code")
    clone.commit("code")
    assert followed.said("rebase", "side") == [
        "dver: checked out data: 2 files written, 4.9 KiB",
        "dver: checked out extra: 1 file written, 5 bytes",
    ]
    assert clone.data() == followed.side
    assert (clone.root / "sub/third").read_bytes() == b"third"
    assert clone.git("status", "--porcelain") == ""


def test_a_rebase_that_only_moves_the_branch_forward_brings_the_data(followed: Followed) -> None:
    assert len(followed.said("rebase", "side")) == 2
    assert followed.clone.data() == followed.side


def test_a_rebase_by_patches_brings_the_data(followed: Followed) -> None:
    (followed.clone.root / "code.py").write_text("code")
    followed.clone.commit("code")
    followed.run("rebase", "--apply", "side")
    assert followed.clone.data() == followed.side
    assert is_clean(followed.clone)


def test_a_rebase_that_is_given_up_has_touched_nothing(followed: Followed) -> None:
    clone = followed.clone
    (clone.root / "code.py").write_text("main")
    clone.commit("code on main")
    clone.git("-c", "core.hooksPath=/dev/null", "switch", "--quiet", "side")
    (clone.root / "code.py").write_text("side")
    clone.git("add", "code.py")
    clone.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "code on side")
    clone.git("-c", "core.hooksPath=/dev/null", "switch", "--quiet", "main")
    opened = clone.data()
    stopped = GitCommand(clone.root).run("rebase", "side")
    assert stopped.returncode == 1
    assert "dver" not in stopped.stderr
    assert clone.data() == opened
    followed.run("rebase", "--abort")
    assert clone.data() == followed.main
    assert is_clean(clone)


def test_cherry_pick_and_revert_bring_the_data(followed: Followed) -> None:
    assert len(followed.said("cherry-pick", "side")) == 2
    assert followed.clone.data() == followed.side
    assert followed.said("revert", "--no-edit", "HEAD") == [
        "dver: removed extra: its pointer is gone; 1 file deleted",
        "dver: checked out data: 1 file written, 4.9 KiB; 1 file deleted",
    ]
    assert followed.clone.data() == followed.main
    assert is_clean(followed.clone)


def test_an_amended_commit_brings_nothing_that_was_left_out(followed: Followed) -> None:
    other = followed.clone.clone(followed.clone.root.parent / "clone")
    write_hooks(other.root / ".git" / "hooks", FOLLOWING)
    there = Followed(other, followed.main, followed.side)
    assert there.said("commit", "--amend", "-m", "other words") == []
    assert not (other.root / "data").exists()


def test_a_pointer_restored_from_another_commit_brings_its_data(followed: Followed) -> None:
    assert followed.said("checkout", "side", "--", "data.dver", "extra.dver") == [
        "dver: checked out data: 2 files written, 4.9 KiB",
        "dver: checked out extra: 1 file written, 5 bytes",
    ]
    assert followed.clone.data() == followed.side
    assert len(followed.said("restore", "--staged", "--worktree", "data.dver")) == 1
    assert followed.clone.data() == followed.main


def test_a_new_work_tree_gets_all_data(followed: Followed) -> None:
    root = followed.clone.root.parent / "tree"
    followed.run("worktree", "add", str(root), "side")
    tree = Clone(root)
    assert tree.data() == followed.side
    assert (root / "other/o").read_bytes() == b"other"
    assert (root / "extra/x").read_bytes() == b"extra"
    assert is_clean(tree)


def test_a_clone_with_hooks_from_a_template_gets_all_data(followed: Followed) -> None:
    top = followed.clone.root.parent
    write_hooks(top / "template" / "hooks", FOLLOWING)
    GitCommand(top)("clone", "--quiet", "--template", top / "template", followed.clone.root, top / "cloned")
    cloned = Clone(top / "cloned")
    assert cloned.data() == followed.main
    assert is_clean(cloned)


def test_what_git_takes_along_on_leaving_a_commit_that_had_the_data_comes_back(followed: Followed) -> None:
    clone = followed.clone
    followed.run("switch", "--create", "old")
    followed.run("rm", "--quiet", "data.dver")
    (clone.root / ".gitignore").unlink()
    followed.run("add", "--force", "data", ".gitignore")
    followed.run("commit", "-m", "git has the data")
    assert followed.said("switch", "main") == ["dver: checked out data: 2 files written, 4.9 KiB"]
    assert clone.data() == followed.main
    assert is_clean(clone)


def test_a_renamed_pointer_takes_its_data_along(followed: Followed) -> None:
    followed.run("mv", "data.dver", "renamed.dver")
    said = followed.said("commit", "-m", "rename")
    assert said == [
        "dver: removed data: its pointer is gone; 2 files deleted",
        "dver: checked out renamed: 2 files written, 4.9 KiB",
        "dver: .gitignore now names renamed, and is staged; commit it, so that git keeps it out",
    ]
    assert followed.clone.data("renamed") == followed.main


def test_without_the_remote_what_is_in_the_cache_is_brought(followed: Followed) -> None:
    shutil.rmtree(followed.clone.root.parent / "remote")
    assert len(followed.said("switch", "side")) == 2
    assert followed.clone.data() == followed.side
    assert len(followed.said("switch", "main")) == 2


def test_data_out_of_reach_is_left_with_the_command_that_helps(followed: Followed) -> None:
    followed.clone.delete_cache()
    shutil.rmtree(followed.clone.root.parent / "remote")
    result = followed.run("switch", "side")
    assert "dver: warning: version b3:" in result.stderr
    assert "hint: dver push --all" in result.stderr
    assert followed.clone.data() == followed.main


def test_a_remote_that_cannot_be_reached_is_asked_once(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVER_TRUST_REMOTES", "1")
    clone = followed.clone
    clone.delete_cache()
    config = clone.root / ".dver" / "config.local.toml"
    config.write_text('[remotes.origin]\nurl = "s3://nowhere/data"\nendpoint_url = "http://127.0.0.1:9"\n')
    result = followed.run("switch", "side")
    assert result.stderr.count("was not brought") == 2
    assert "hint: dver pull data, once it can be reached" in result.stderr
    assert clone.data() == followed.main


def test_the_only_copy_of_gone_data_is_left(followed: Followed) -> None:
    followed.run("switch", "side")
    followed.clone.delete_cache()
    shutil.rmtree(followed.clone.root.parent / "remote")
    result = followed.run("switch", "main")
    assert "extra: its pointer is gone, but its version is neither in the cache nor on the default" in result.stderr
    assert (followed.clone.root / "extra/x").read_bytes() == b"extra"


def test_a_conflicted_pointer_is_passed_over_and_followed_once_it_is_resolved(followed: Followed) -> None:
    clone = followed.clone
    clone.write("data/b.txt", b"ours")
    clone.save("data", message="ours")
    ours = clone.data()
    merge = GitCommand(clone.root).run("merge", "side")
    assert merge.returncode == 1
    assert clone.data() == ours
    brought = followed.said("checkout", "--theirs", "data.dver")
    assert [line.split(":")[1] for line in brought] == [" checked out data", " checked out extra"]
    assert clone.data() == followed.side
    followed.run("add", "data.dver")
    assert followed.said("commit", "--no-edit") == []
    assert is_clean(clone)


def test_a_bisect_brings_the_data_of_each_step(followed: Followed) -> None:
    clone = followed.clone
    versions = []
    for number in range(4):
        clone.write("data/n", b"%d" % number)
        versions.append(clone.save("data", message=str(number)))
    followed.run("bisect", "start", "HEAD", "base")
    at = clone.git("rev-parse", "HEAD").strip()
    assert (clone.root / "data/n").read_bytes() == b"%d" % versions.index(at)
    followed.run("bisect", "reset")
    assert (clone.root / "data/n").read_bytes() == b"3"


def test_data_that_git_itself_has_in_another_commit_is_not_removed(followed: Followed) -> None:
    clone = followed.clone
    clone.git("-c", "core.hooksPath=/dev/null", "switch", "--quiet", "--orphan", "before-dver")
    clone.git("-c", "core.hooksPath=/dev/null", "restore", "--source=main", "--worktree", ".dver")
    clone.git("add", "--force", ".dver/config.toml", "data/b.txt")
    clone.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "data in git")
    clone.git("-c", "core.hooksPath=/dev/null", "switch", "--quiet", "--force", "main")
    followed.clone.checkout(None, force=True)
    assert "dver: removed data: its pointer is gone; 1 file deleted" in followed.said("switch", "before-dver")
    assert (clone.root / "data/b.txt").read_bytes() == b"b"
    assert clone.git("status", "--porcelain", "--untracked-files=no") == ""


def test_in_a_work_tree_without_dver_nothing_is_done(followed: Followed) -> None:
    clone = followed.clone
    clone.git("switch", "--quiet", "--orphan", "plain")
    assert clone.data() == followed.main
    assert followed.said("commit", "--allow-empty", "-m", "plain") == []
    assert followed.said("switch", "main") == []
    assert clone.data() == followed.main


def test_hooks_work_from_a_subfolder_and_with_variables_set(followed: Followed) -> None:
    clone = followed.clone
    (clone.root / "code").mkdir()
    env = {"GIT_DIR": str(clone.root / ".git"), "GIT_WORK_TREE": str(clone.root)}
    GitCommand(clone.root / "code")("switch", "side", env=env)
    assert clone.data() == followed.side
    result = GitCommand(clone.root / "code").run("switch", "main")
    assert result.returncode == 0
    assert clone.data() == followed.main


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_cannot_be_written_is_a_warning(followed: Followed) -> None:
    data = followed.clone.root / "data"
    data.chmod(0o500)
    try:
        result = followed.run("switch", "side")
    finally:
        data.chmod(0o700)
    assert "dver: warning:" in result.stderr


def _nothing_here(followed: Followed) -> Followed:
    other = followed.clone.clone(followed.clone.root.parent / "clone")
    write_hooks(other.root / ".git" / "hooks", FOLLOWING)
    return Followed(other, followed.main, followed.side)


def test_a_commit_brings_no_dataset_that_was_rewritten_without_its_data(followed: Followed) -> None:
    there = _nothing_here(followed)
    with there.clone.open() as repo:
        rm(repo, ["data/b.txt"])
    assert there.said("commit", "--quiet", "-m", "removed") == []
    with there.clone.open() as repo:
        mv(repo, "data/a.bin", "data/c.bin")
    assert there.said("commit", "--quiet", "--amend", "-m", "removed and moved") == []
    assert not (there.clone.root / "data").exists()
    assert there.clone.status().state == "not checked out"


def test_a_commit_brings_no_dataset_that_was_moved_without_its_data(followed: Followed) -> None:
    there = _nothing_here(followed)
    with there.clone.open() as repo:
        mv(repo, "data", "moved")
    assert there.said("commit", "--quiet", "-m", "moved") == []
    assert not (there.clone.root / "moved").exists()
