"""Finding a repository, revisions, references, and files at a commit."""

import hashlib
import os
import shutil
import zlib
from collections import Counter
from pathlib import Path

import pytest

from dver.errors import GitError, NotARepositoryError
from dver.git import CommitId, GitRepo
from tests.commands import GitCommand
from tests.unit.git.workbench import Workbench, odd_name


def _delete_object(bench: Workbench, object_id: str) -> None:
    (bench.root / ".git/objects" / object_id[:2] / object_id[2:]).unlink()


def test_find_works_from_a_subfolder(bench: Workbench) -> None:
    below = bench.root / "a/b"
    below.mkdir(parents=True)
    repo = GitRepo.find(below)
    assert repo.root == bench.root.resolve()
    assert repo.git_dir == bench.root.resolve() / ".git"
    assert repo.main_root == repo.root


def test_says_where_a_remote_is(bench: Workbench) -> None:
    bench.git("remote", "add", "origin", "https://example.org/team/work.git")

    assert bench.repo.remote_url("origin") == "https://example.org/team/work.git"
    assert bench.repo.remote_url("other") is None


def test_find_resolves_symbolic_links(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bench.root)
    assert GitRepo.find(tmp_path / "link").root == bench.root.resolve()


def test_find_accepts_folder_names_that_are_not_utf8(tmp_path: Path, run_git: GitCommand) -> None:
    folder = tmp_path / odd_name(b"caf\xe9")
    run_git("init", "--quiet", folder)
    assert GitRepo.find(folder).root == folder.resolve()


def test_find_outside_a_repository_names_git_init(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError) as caught:
        GitRepo.find(tmp_path)
    assert caught.value.hint == "git init"


def test_find_in_a_missing_folder_is_not_a_repository(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError):
        GitRepo.find(tmp_path / "nowhere")


def test_find_refuses_a_bare_repository(tmp_path: Path, run_git: GitCommand) -> None:
    run_git("init", "--quiet", "--bare", tmp_path / "bare.git")
    with pytest.raises(GitError, match="bare") as caught:
        GitRepo.find(tmp_path / "bare.git")
    assert "git worktree add" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_find_refuses_a_repository_of_another_user_and_names_the_setting(bench: Workbench, home: Path) -> None:
    bench.commit("one")
    for path in (bench.root, bench.root / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(GitError, match="another user") as caught:
        GitRepo.find(bench.root)
    assert caught.value.hint == f"git config --global --add safe.directory {bench.root}"

    bench.git(*str(caught.value.hint).split()[1:])
    assert GitRepo.find(bench.root).head_commit() is not None


def test_find_refuses_object_formats_that_libgit2_cannot_read(tmp_path: Path, run_git: GitCommand) -> None:
    run_git("init", "--quiet", "--object-format=sha256", tmp_path / "new")
    with pytest.raises(GitError, match="cannot open"):
        GitRepo.find(tmp_path / "new")


def test_find_heeds_git_dir_and_work_tree(bench: Workbench, tmp_path: Path) -> None:
    commit = bench.commit("one", {"a.txt": "a"})
    other = tmp_path / "other"
    other.mkdir()
    repo = GitRepo.find(tmp_path, env={"GIT_DIR": str(bench.root / ".git"), "GIT_WORK_TREE": "other"})
    assert repo.root == other.resolve()
    assert repo.git_dir == bench.root.resolve() / ".git"
    assert repo.head_commit() == commit


def test_find_takes_start_as_the_top_for_git_dir_alone(bench: Workbench, tmp_path: Path) -> None:
    assert GitRepo.find(bench.root, env={"GIT_DIR": ".git"}).root == bench.root.resolve()
    assert GitRepo.find(tmp_path, env={"GIT_DIR": str(bench.root / ".git")}).root == tmp_path.resolve()


def test_find_says_that_git_dir_is_wrong(bench: Workbench) -> None:
    with pytest.raises(NotARepositoryError, match="GIT_DIR names gone"):
        GitRepo.find(bench.root, env={"GIT_DIR": "gone"})


def test_find_stops_at_ceiling_directories(bench: Workbench) -> None:
    below = bench.root / "a/b"
    below.mkdir(parents=True)
    with pytest.raises(NotARepositoryError):
        GitRepo.find(below, env={"GIT_CEILING_DIRECTORIES": str(bench.root.resolve() / "a")})


def test_a_linked_worktree_knows_its_own_and_the_main_root(bench: Workbench, tmp_path: Path) -> None:
    first = bench.commit("one")
    linked = tmp_path / "linked"
    bench.git("worktree", "add", "--quiet", "-b", "side", str(linked))
    bench.commit("two")
    repo = GitRepo.find(linked)
    assert repo.root == linked.resolve()
    assert repo.main_root == bench.root.resolve()
    assert repo.head_commit() == first


def test_a_worktree_of_a_bare_repository_is_its_own_main_root(
    bench: Workbench, tmp_path: Path, run_git: GitCommand
) -> None:
    bench.commit("one")
    run_git("clone", "--quiet", "--bare", bench.root, tmp_path / "bare.git")
    run_git("worktree", "add", "--quiet", tmp_path / "linked", cwd=tmp_path / "bare.git")
    repo = GitRepo.find(tmp_path / "linked")
    assert repo.root == repo.main_root == (tmp_path / "linked").resolve()


def test_a_submodule_is_a_repository_of_its_own(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    bench.commit("one", {"x.dver": "in the submodule"})
    outer = tmp_path / "outer"
    run_git("init", "--quiet", outer)
    run_git("submodule", "--quiet", "add", bench.root, "sub", cwd=outer)
    run_git("commit", "--quiet", "-m", "with a submodule", cwd=outer)
    inner = GitRepo.find(outer / "sub")
    assert inner.root == inner.main_root == (outer / "sub").resolve()
    repo = GitRepo.find(outer)
    assert repo.root == outer.resolve()
    assert repo.list_files(repo.resolve("HEAD"), suffix=".dver") == {}


def test_before_the_first_commit_there_is_nothing_to_name(bench: Workbench) -> None:
    repo = bench.repo
    assert repo.is_unborn
    assert repo.head_commit() is None
    assert repo.refs() == {}


@pytest.mark.parametrize("rev", ["HEAD", "HEAD~1", "@", "main", "nothing"])
def test_before_the_first_commit_resolve_says_so(bench: Workbench, rev: str) -> None:
    with pytest.raises(GitError, match="has no commit yet") as caught:
        bench.repo.resolve(rev)
    assert "git commit" in str(caught.value.hint)


def test_on_an_unborn_branch_other_names_still_resolve(bench: Workbench) -> None:
    commit = bench.commit("one")
    bench.git("checkout", "--quiet", "--orphan", "fresh")
    assert bench.repo.resolve("main") == commit
    with pytest.raises(GitError, match="has no commit yet"):
        bench.repo.resolve("HEAD")
    with pytest.raises(GitError, match="no commit, branch or tag named 'nothing'"):
        bench.repo.resolve("nothing")


def test_a_detached_head_is_a_commit_as_any_other(bench: Workbench) -> None:
    commit = bench.commit("one")
    bench.git("checkout", "--quiet", "--detach")
    assert bench.repo.head_commit() == commit


def test_resolve_accepts_what_git_accepts(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    first = bench.commit("one")
    bench.git("tag", "plain")
    bench.git("tag", "-a", "-m", "a tag", "annotated")
    second = bench.commit("two")
    run_git("clone", "--quiet", bench.root, tmp_path / "clone")
    repo = GitRepo.find(tmp_path / "clone")
    for rev in ("HEAD~1", "HEAD^", "@~1", "main~1", "plain", "annotated", "annotated^{commit}", first, first[:8]):
        assert repo.resolve(rev) == first
    for rev in ("HEAD", "@", "main", "origin/main", "origin", "refs/heads/main", "@{u}", "main@{0}", second[:4]):
        assert repo.resolve(rev) == second


@pytest.mark.parametrize("rev", ["nope", "", "bad", "a b", "x..y", "HEAD~9", "-x", "zero\0", odd_name(b"\xff"), "@{u}"])
def test_resolve_refuses_what_names_nothing(bench: Workbench, rev: str) -> None:
    bench.commit("one")
    with pytest.raises(GitError, match="no commit, branch or tag named") as caught:
        bench.repo.resolve(rev)
    assert caught.value.hint == "git log --oneline shows commits, git branch -a branches"
    assert not bench.repo.is_revision(rev)


def test_resolve_refuses_what_is_not_a_commit(bench: Workbench) -> None:
    bench.commit("one", {"d/f": "x"})
    with pytest.raises(GitError, match="does not name a commit"):
        bench.repo.resolve("HEAD:d")


def test_resolve_says_that_an_id_prefix_is_ambiguous(bench: Workbench) -> None:
    bench.commit("one")
    # Among so many ids some share their first four digits.
    ids = [_loose_commit(bench, second) for second in range(1200)]
    shared, _ = Counter(commit[:4] for commit in ids).most_common(1)[0]
    with pytest.raises(GitError, match="more than one commit matches"):
        bench.repo.resolve(shared)


def _loose_commit(bench: Workbench, second: int) -> str:
    """Write a commit object without the cost of starting git, and return its id."""
    body = f"tree {'0' * 40}\nauthor A <a@b> {second} +0000\ncommitter A <a@b> {second} +0000\n\nx\n".encode()
    data = b"commit %d\0" % len(body) + body
    commit = hashlib.sha1(data).hexdigest()
    file = bench.root / ".git/objects" / commit[:2] / commit[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(data))
    return commit


def test_is_revision_tells_names_from_paths(bench: Workbench) -> None:
    bench.commit("one", {"data.csv": "1"})
    assert bench.repo.is_revision("main")
    assert not bench.repo.is_revision("data.csv")


def test_find_commit_takes_nothing_but_the_whole_id_of_a_commit_that_is_here(bench: Workbench) -> None:
    first = bench.commit("one", {"f": "x"})
    bench.git("tag", "-a", "-m", "a tag", "v1")
    assert bench.repo.find_commit(first) == first
    others = [bench.git("rev-parse", name).strip() for name in ("v1", "HEAD^{tree}", "HEAD:f")]
    for text in (*others, "", "main", "HEAD", "v1", first[:39], first.upper(), f"{first}\n", f"{first}^{{commit}}"):
        assert bench.repo.find_commit(text) is None


def test_find_commit_takes_no_branch_for_a_commit_of_that_id(bench: Workbench) -> None:
    bench.commit("one")
    gone = "1" * 40
    (bench.root / ".git/refs/heads" / gone).write_bytes((bench.root / ".git/refs/heads/main").read_bytes())
    assert bench.repo.find_commit(gone) is None


def test_refs_lists_branches_remote_branches_and_tags(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    first = bench.commit("one", {"f": "x"})
    bench.git("tag", "-a", "-m", "a tag", "v1")
    bench.git("tag", "of-a-tree", "HEAD^{tree}")
    bench.git("branch", "feature/ünïcode")
    second = bench.commit("two")
    run_git("clone", "--quiet", bench.root, tmp_path / "clone")
    run_git("update-ref", "refs/notes/other", "HEAD", cwd=tmp_path / "clone")
    run_git("pack-refs", "--all", cwd=tmp_path / "clone")
    assert GitRepo.find(tmp_path / "clone").refs() == {
        "refs/heads/main": second,
        "refs/remotes/origin/main": second,
        "refs/remotes/origin/feature/ünïcode": first,
        "refs/tags/v1": first,
    }


def test_refs_reports_a_branch_whose_commit_is_missing(bench: Workbench) -> None:
    lost = bench.commit("one")
    _delete_object(bench, lost)
    with pytest.raises(GitError, match="cannot read the references") as caught:
        bench.repo.refs()
    assert "git fsck" in str(caught.value.hint)


def test_read_returns_the_content_at_a_commit(bench: Workbench) -> None:
    name = odd_name(b"d/caf\xe9.dver")
    first = bench.commit("one", {"d/f.dver": "1", name: "odd"})
    second = bench.commit("two", {"d/f.dver": "2"})
    assert bench.repo.read(first, "d/f.dver") == b"1"
    assert bench.repo.read(second, b"d/f.dver") == b"2"
    assert bench.repo.read(second, name) == b"odd"
    assert bench.repo.read(second, os.fsencode(name)) == b"odd"


@pytest.mark.parametrize("path", ["nope", "d", "d/", "d/f.dver/x", "no/such/folder", "", "/d/f.dver", "../d", "link"])
def test_read_returns_none_where_there_is_no_file(bench: Workbench, path: str) -> None:
    (bench.root / "link").symlink_to("d/f.dver")
    commit = bench.commit("one", {"d/f.dver": "1"})
    assert bench.repo.read(commit, path) is None


def test_read_tells_a_missing_object_from_a_missing_file(bench: Workbench) -> None:
    commit = bench.commit("one", {"d/e/f.dver": "1"})
    blob = bench.git("rev-parse", "HEAD:d/e/f.dver").strip()
    tree = bench.git("rev-parse", "HEAD:d").strip()
    _delete_object(bench, blob)
    with pytest.raises(GitError, match="missing"):
        bench.repo.read(commit, "d/e/f.dver")
    _delete_object(bench, tree)
    with pytest.raises(GitError, match=f"cannot read .*{tree}"):
        bench.repo.read(commit, "d/e/f.dver")
    with pytest.raises(GitError, match="cannot read the files"):
        bench.repo.list_files(commit, suffix=".dver")


def test_read_refuses_an_unknown_commit(bench: Workbench) -> None:
    bench.commit("one")
    with pytest.raises(GitError, match="missing"):
        bench.repo.read(CommitId("0123456789" * 4), "f")
    with pytest.raises(GitError, match="cannot read"):
        bench.repo.read(CommitId("not an id"), "f")


def test_list_files_finds_files_by_suffix_at_every_depth(bench: Workbench) -> None:
    odd = odd_name(b"caf\xe9/\xff.dver")
    files: dict[str, str | bytes] = {"top.dver": "1", "a/b/c.dver": "2", odd: "3", "a/with space.dver": "4"}
    others: dict[str, str | bytes] = {
        ".dver/config.toml": "",
        ".dver/x.dver": "",
        "a/.dver/y.dver": "",
        "z/.dver": "no name before the suffix",
        "a/dver": "",
        "a.dver.bak": "",
        "folder.dver/file": "",
    }
    (bench.root / "link.dver").symlink_to("top.dver")
    commit = bench.commit("one", {**files, **others})
    assert bench.repo.list_files(commit, suffix=".dver") == {path: str(text).encode() for path, text in files.items()}


def test_list_files_answers_for_each_commit_and_suffix(bench: Workbench) -> None:
    first = bench.commit("one", {"a/x.dver": "1", "b/y.dver": "1", "b/y.txt": "t"})
    second = bench.commit("two", {"a/x.dver": "2"})
    repo = bench.repo
    assert repo.list_files(first, suffix=".dver") == {"a/x.dver": b"1", "b/y.dver": b"1"}
    assert repo.list_files(second, suffix=".dver") == {"a/x.dver": b"2", "b/y.dver": b"1"}
    assert repo.list_files(second, suffix=".txt") == {"b/y.txt": b"t"}


def test_a_partial_clone_opens_and_says_what_is_missing(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    first = bench.commit("one", {"f.dver": "1"})
    second = bench.commit("two", {"f.dver": "2"})
    bench.git("config", "uploadpack.allowFilter", "true")
    run_git("clone", "--quiet", "--filter=blob:none", f"file://{bench.root}", tmp_path / "partial")
    repo = GitRepo.find(tmp_path / "partial")
    assert repo.list_files(second, suffix=".dver") == {"f.dver": b"2"}
    with pytest.raises(GitError, match="missing") as caught:
        repo.read(first, "f.dver")
    assert "--refetch" in str(caught.value.hint)


def test_is_ignored_follows_the_rules_as_they_are_now(bench: Workbench) -> None:
    repo = bench.repo
    assert not repo.is_ignored("data/x.csv")
    bench.write(".gitignore", "/data/\n*.tmp\n!keep.tmp\n")
    bench.write("data/x.csv", "1")
    assert repo.is_ignored("data")
    assert repo.is_ignored("data/x.csv")
    assert repo.is_ignored("a/b.tmp")
    assert not repo.is_ignored("keep.tmp")
    bench.write(".gitignore", "")
    assert not repo.is_ignored("data/x.csv")


def test_is_ignored_knows_names_that_are_not_utf8(bench: Workbench) -> None:
    file, folder, other = odd_name(b"f\xff"), odd_name(b"d\xff"), odd_name(b"other\xff")
    for path in (file, f"{folder}/in/x", f"{other}/x"):
        bench.write(path, "1")
    bench.write(".gitignore", os.fsencode(f"/{file}\n/{folder}/\n"))
    repo = bench.repo
    assert repo.is_ignored(file)
    assert repo.is_ignored(folder)
    assert repo.is_ignored(f"{folder}/in/x")
    assert not repo.is_ignored(other)
    assert not repo.is_ignored(odd_name(b"missing\xff"))


def test_a_damaged_head_is_a_git_error(bench: Workbench) -> None:
    bench.commit("one")
    repo = bench.repo
    (bench.root / ".git/HEAD").write_text("rubbish\n")
    with pytest.raises(GitError, match="cannot look up 'HEAD'"):
        repo.head_commit()
    shutil.rmtree(bench.root / ".git/objects")
    with pytest.raises(GitError):
        repo.resolve("HEAD")
