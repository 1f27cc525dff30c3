"""Real git runs the hook that keeps a push from naming versions which nobody else can get."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.clones import Clone
from tests.commands import CommandResult, GitCommand
from tests.githooks import PUSHING, write_hooks
from tests.templates import copy_template


@dataclass(frozen=True, slots=True)
class Pusher:
    """A clone with a bare repository `origin`, where `main` is, and a remote for data, which has all of it."""

    clone: Clone

    def push(self, *arguments: str, env: Mapping[str, str] | None = None) -> CommandResult:
        """Run git push."""
        result = GitCommand(self.clone.root).run("push", *arguments, env=env)
        assert "Traceback" not in result.stderr
        return result

    def accepted(self, *arguments: str) -> str:
        """Run git push, which must succeed, and return what was said."""
        result = self.push(*arguments)
        assert result.returncode == 0, str(result)
        return result.stderr

    def refused(self, *arguments: str) -> str:
        """Run git push, which must fail for the hook's sake, and return what was said."""
        result = self.push(*arguments)
        assert result.returncode == 1, str(result)
        assert "dver: error: " in result.stderr, str(result)
        assert "git push --no-verify" in result.stderr
        return result.stderr

    def save(self, text: str, dataset: str = "data") -> str:
        """Commit a version that is on no remote, and return its commit."""
        self.clone.write(f"{dataset}/a.txt", text.encode())
        return self.clone.save(dataset, message=text)

    @property
    def there(self) -> GitCommand:
        """git in the bare repository."""
        return GitCommand(self.clone.root.parent / "bare.git")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    clone = Clone.make(folder / "repo", remote="../remote")
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder / "bare.git")], check=True)
    clone.git("remote", "add", "origin", "../bare.git")
    Pusher(clone).save("first")
    clone.push()
    clone.git("push", "--quiet", "-u", "origin", "main")
    write_hooks(clone.root / ".git" / "hooks", PUSHING)
    return folder


@pytest.fixture
def pusher(template: Path, tmp_path: Path) -> Pusher:
    copy_template(template, tmp_path)
    return Pusher(Clone(tmp_path / "repo"))


@pytest.fixture
def unreachable(pusher: Pusher) -> Pusher:
    """The same where the remote for data does not answer."""
    local = pusher.clone.root / ".dver" / "config.local.toml"
    local.write_text('[remotes.origin]\nurl = "s3://nowhere/data"\nendpoint_url = "http://127.0.0.1:9"\n')
    return pusher


def test_a_version_that_is_not_pushed_is_named_with_the_command_that_helps(pusher: Pusher) -> None:
    commit = pusher.save("second")
    said = pusher.refused()
    assert "dver: error: 1 version that this push names is not on origin\n" in said
    assert "    data  b3:" in said
    assert f"…  of commit {commit[:8]}\n" in said
    assert "  hint: dver push; git push --no-verify" in said
    assert pusher.there("log", "-1", "--format=%s", "main") == "first\n"
    pusher.clone.push()
    pusher.accepted()
    assert pusher.there("log", "-1", "--format=%s", "main") == "second\n"


def test_an_older_version_among_the_commits_counts_too(pusher: Pusher) -> None:
    older = pusher.save("second")
    pusher.save("third")
    assert "2 versions that this push names are not on origin" in pusher.refused()
    pusher.clone.push()
    assert f"  hint: dver push --rev {older[:12]};" in pusher.refused()
    for number in range(5):
        pusher.save(f"number {number}")
    assert "  hint: dver push --all;" in pusher.refused()
    pusher.clone.push(all_refs=True)
    pusher.accepted()


def test_code_alone_needs_no_remote_for_data(unreachable: Pusher) -> None:
    (unreachable.clone.root / "code.py").write_text("code")
    unreachable.clone.commit("code")
    assert "dver" not in unreachable.accepted()
    assert "dver" not in unreachable.accepted("origin", "HEAD:refs/heads/another")
    unreachable.clone.git("tag", "-a", "-m", "tag", "v1")
    assert "dver" not in unreachable.accepted("origin", "v1")
    assert "dver" not in unreachable.accepted()


def test_an_unreachable_remote_for_data_refuses_new_versions(unreachable: Pusher) -> None:
    unreachable.save("second")
    result = unreachable.push()
    assert result.returncode != 0
    assert "git push --no-verify pushes without asking" in result.stderr
    assert unreachable.there("log", "-1", "--format=%s", "main") == "first\n"
    unreachable.accepted("--no-verify")


def test_without_a_remote_for_data_new_versions_are_refused(pusher: Pusher) -> None:
    Cli(pusher.clone.root).ok("remote", "remove", "origin")
    pusher.clone.commit("no remote")
    pusher.accepted()
    pusher.save("second")
    result = pusher.push()
    assert result.returncode != 0
    assert "dver remote add NAME URL" in result.stderr


def test_a_new_branch_is_looked_at_from_where_it_leaves_known_ones(pusher: Pusher) -> None:
    pusher.clone.git("switch", "--quiet", "-c", "new")
    pusher.accepted("origin", "new:empty")
    commit = pusher.save("on a branch")
    assert f"of commit {commit[:8]}" in pusher.refused("origin", "new")
    pusher.clone.push()
    pusher.accepted("origin", "new")


def test_tags_are_looked_at_like_their_commits(pusher: Pusher) -> None:
    pusher.save("tagged")
    pusher.clone.git("tag", "light")
    pusher.clone.git("tag", "-a", "-m", "annotated", "heavy")
    pusher.clone.git("tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}")
    pusher.refused("origin", "light")
    pusher.refused("origin", "heavy")
    pusher.accepted("origin", "tree")
    pusher.clone.push()
    pusher.accepted("origin", "light", "heavy")


def test_of_several_references_all_are_looked_at(pusher: Pusher) -> None:
    clone = pusher.clone
    clone.git("switch", "--quiet", "-c", "one", "main")
    pusher.save("one")
    clone.git("switch", "--quiet", "-c", "two", "main")
    pusher.save("two", "second")
    said = pusher.refused("origin", "main", "one", "two", ":refs/heads/none")
    assert "2 versions that this push names are not on origin" in said
    assert "    second" in said
    pusher.clone.push()
    assert "1 version that" in pusher.refused("origin", "main", "one", "two")
    pusher.accepted("origin", "two")


def test_a_deletion_needs_nothing(unreachable: Pusher) -> None:
    unreachable.accepted("--no-verify", "origin", "main:gone")
    assert "dver" not in unreachable.accepted("origin", "--delete", "gone")


def test_a_forced_push_is_looked_at_for_what_it_brings(pusher: Pusher) -> None:
    clone = pusher.clone
    pusher.save("second")
    clone.push()
    pusher.accepted()
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.checkout()
    pusher.save("another second")
    pusher.refused("--force")
    clone.push()
    pusher.accepted("--force")
    # Back to what was there before: the remote has the data, and git's remote had the commit.
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    pusher.accepted("--force")


def test_a_commit_over_there_that_is_not_here_does_not_matter(pusher: Pusher, tmp_path: Path) -> None:
    other = pusher.clone.clone(tmp_path / "other")
    other.git("remote", "set-url", "origin", str(tmp_path / "bare.git"))
    (other.root / "code").write_text("x")
    other.commit("elsewhere")
    other.git("push", "--quiet", "origin", "main")
    pusher.save("second")
    pusher.refused("--force")
    pusher.clone.push()
    pusher.accepted("--force")


def test_a_remote_known_by_its_url_alone_gets_all_history_looked_at(pusher: Pusher, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "elsewhere.git")], check=True)
    pusher.save("second")
    pusher.clone.push()
    pusher.save("third")
    pusher.accepted("--no-verify")
    assert "1 version that" in pusher.refused(str(tmp_path / "elsewhere.git"), "main")
    pusher.clone.push()
    pusher.accepted(str(tmp_path / "elsewhere.git"), "main")


def test_a_name_with_spaces_for_what_is_pushed_is_understood(pusher: Pusher) -> None:
    pusher.save("a subject of words")
    pusher.refused("origin", ":/subject of words:refs/heads/new")


def test_with_push_what_is_missing_is_sent_first(pusher: Pusher) -> None:
    write_hooks(pusher.clone.root / ".git" / "hooks", {"pre-push": "pushed --push"})
    pusher.save("second")
    pusher.save("third")
    assert "dver: pushed 2 versions to origin: " in pusher.accepted()
    with pusher.clone.open() as repo:
        assert len(repo.remote().versions()) == 3
    assert "dver" not in pusher.accepted()


def test_with_push_what_is_nowhere_is_refused(pusher: Pusher) -> None:
    write_hooks(pusher.clone.root / ".git" / "hooks", {"pre-push": "pushed --push"})
    pusher.save("second")
    pusher.clone.delete_cache()
    assert "hint: dver push --all, run where they were added" in pusher.refused()


def test_merges_and_reverts_bring_no_version_of_their_own(pusher: Pusher) -> None:
    clone = pusher.clone
    clone.git("switch", "--quiet", "-c", "side")
    pusher.save("side")
    clone.push()
    pusher.accepted("origin", "side")
    clone.git("switch", "--quiet", "main")
    (clone.root / "code").write_text("x")
    clone.commit("code")
    clone.git("merge", "--quiet", "--no-edit", "side")
    local = clone.root / ".dver" / "config.local.toml"
    local.write_text('[remotes.origin]\nurl = "s3://nowhere/data"\nendpoint_url = "http://127.0.0.1:9"\n')
    assert "dver" not in pusher.accepted()


def test_a_work_tree_is_looked_at_as_well(pusher: Pusher, tmp_path: Path) -> None:
    pusher.clone.git("worktree", "add", "--quiet", "-b", "tree", str(tmp_path / "tree"))
    tree = Pusher(Clone(tmp_path / "tree"))
    tree.clone.checkout()
    tree.save("in a work tree")
    tree.refused("origin", "tree")
    tree.clone.push()
    tree.accepted("origin", "tree")


def test_a_shallow_clone_can_push(pusher: Pusher, tmp_path: Path) -> None:
    pusher.save("second")
    pusher.clone.push()
    pusher.accepted()
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{tmp_path / 'bare.git'}", str(tmp_path / "shallow")],
        check=True,
        env=os.environ,
    )
    shallow = Pusher(Clone(tmp_path / "shallow"))
    write_hooks(shallow.clone.root / ".git" / "hooks", PUSHING)
    shallow.clone.pull()
    shallow.save("from the shallow clone")
    shallow.refused()
    shallow.clone.push()
    shallow.accepted()


def test_pushing_from_a_subfolder_works(pusher: Pusher) -> None:
    (pusher.clone.root / "code").mkdir()
    pusher.save("second")
    result = GitCommand(pusher.clone.root / "code").run("push")
    assert result.returncode == 1
    assert "    ../data  b3:" in result.stderr
