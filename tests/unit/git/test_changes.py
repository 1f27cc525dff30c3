"""What is staged against the commits before it."""

import os
import subprocess
from pathlib import Path

import pytest

from dver.git import GitRepo
from tests.unit.git.workbench import Workbench, odd_name


def _changed(bench: Workbench) -> list[str]:
    return [file.path for file in bench.repo.staged_changes()]


def test_before_the_first_commit_everything_staged_is_new(bench: Workbench) -> None:
    bench.write("a", "1")
    bench.write("unstaged", "1")
    bench.git("add", "a")
    assert _changed(bench) == ["a"]


def test_what_is_staged_otherwise_than_in_head_is_changed(bench: Workbench) -> None:
    bench.commit("one", {"same": "1", "changed": "1", "gone": "1", "d/unstaged": "1"})
    odd = odd_name(b"caf\xe9 \n.csv")
    for name in ("changed", odd, "d/new"):
        bench.write(name, "22")
    bench.git("rm", "--quiet", "gone")
    bench.git("add", "--all")
    bench.write("d/unstaged", "2")
    files = bench.repo.staged_changes()
    assert [file.path for file in files] == sorted(["changed", odd, "d/new"])
    assert {bench.repo.blob_size(file.blob_id) for file in files} == {2}


def test_links_submodules_and_a_change_of_mode_alone(bench: Workbench) -> None:
    bench.commit("one", {"run.sh": "1", "inner/x": "1"})
    bench.git("update-index", "--chmod=+x", "run.sh")
    (bench.root / "link").symlink_to("run.sh")
    bench.git("add", "link")
    bench.git("update-index", "--add", "--cacheinfo", f"160000,{bench.head()},module")
    assert _changed(bench) == ["run.sh"]
    assert bench.repo.staged_file("link") is None
    assert bench.repo.staged_file("module") is None


def test_of_a_merge_only_what_neither_side_has_is_changed(bench: Workbench) -> None:
    bench.commit("base", {"both": "1", "base": "1"})
    bench.git("switch", "--quiet", "-c", "side")
    bench.commit("side", {"both": "side", "from-side": "1"})
    bench.git("switch", "--quiet", "main")
    bench.commit("main", {"both": "main", "from-main": "1"})
    bench.git.fails("merge", "side")
    assert _changed(bench) == []
    assert bench.repo.staged_file("both") is None
    bench.write("both", "merged")
    bench.git("add", "both")
    assert _changed(bench) == ["both"]


def test_the_index_that_git_names_is_looked_at(bench: Workbench) -> None:
    bench.commit("one", {"a": "1"})
    bench.write("a", "2")
    env = {"GIT_INDEX_FILE": str(bench.root / ".git/other-index")}
    subprocess.run(["git", "read-tree", "HEAD"], cwd=bench.root, env={**os.environ, **env}, check=True)
    subprocess.run(["git", "add", "a"], cwd=bench.root, env={**os.environ, **env}, check=True)
    assert _changed(bench) == []
    assert [file.path for file in GitRepo.find(bench.root, env=env).staged_changes()] == ["a"]


@pytest.mark.parametrize(("name", "partial"), [("next-index-12.lock", True), ("index.lock", False), ("index", False)])
def test_a_commit_of_named_paths_is_told_by_its_index(bench: Workbench, name: str, partial: bool) -> None:
    bench.commit("one", {"a.dver": "1"})
    repo = GitRepo.find(bench.root, env={"GIT_INDEX_FILE": f".git/{name}"})
    assert repo.is_partial_commit is partial
    assert list(repo.lasting_index_files(".dver")) == ["a.dver"]


def test_a_blob_that_is_not_here_has_no_size(bench: Workbench) -> None:
    assert bench.repo.blob_size("12" * 20) is None


@pytest.mark.parametrize("folder", ["rebase-merge", "rebase-apply"])
def test_a_rebase_is_seen_while_it_lasts(bench: Workbench, folder: str) -> None:
    assert not bench.repo.is_rebasing
    Path(bench.root, ".git", folder).mkdir()
    assert bench.repo.is_rebasing


def test_a_work_tree_is_dirty_by_tracked_files_only(bench: Workbench) -> None:
    bench.commit("first", {"a": "1", "b": "1", b"\xff".decode("utf-8", "surrogateescape"): "1"})
    assert not bench.repo.is_dirty()
    bench.write("new", "untracked")
    os.utime(bench.root / "a", (1, 1))
    assert not bench.repo.is_dirty()
    bench.write("a", "2")
    assert bench.repo.is_dirty()
    assert not bench.repo.is_dirty(besides=["a"])
    bench.git("add", "a")
    assert bench.repo.is_dirty()
    bench.git("commit", "--quiet", "-m", "second")
    (bench.root / "b").unlink()
    assert bench.repo.is_dirty()


def test_before_the_first_commit_whatever_is_staged_makes_it_dirty(bench: Workbench) -> None:
    assert not bench.repo.is_dirty()
    bench.write("a", "1")
    assert not bench.repo.is_dirty()
    bench.git("add", "a")
    assert bench.repo.is_dirty()
    assert not bench.repo.is_dirty(besides=["a"])


def test_the_blob_of_a_file_is_what_git_would_make_of_it(bench: Workbench) -> None:
    bench.commit("first", {".gitattributes": "*.txt text eol=crlf\n", "a.txt": "one\ntwo\n"})
    bench.write("a.txt", "three\r\nfour\r\n")
    assert bench.repo.blob_of("a.txt") == bench.git("hash-object", "a.txt").strip()


def _stored(bench: Workbench) -> int:
    return int(bench.git("count-objects").split()[0])


@pytest.mark.parametrize("content", ["", "new\n", "a\rb\n"])
def test_to_ask_for_the_blob_of_a_file_stores_nothing(bench: Workbench, content: str) -> None:
    bench.git("config", "core.autocrlf", "true")
    bench.write("a.txt", content)
    before = _stored(bench)
    assert bench.repo.blob_of("a.txt") == bench.git("hash-object", "a.txt").strip()
    assert _stored(bench) == before
    assert bench.repo.store_blob("a.txt") == bench.repo.blob_of("a.txt")
    assert _stored(bench) == before + 1


@pytest.mark.parametrize("attribute", ["text", "ident"])
def test_the_blob_of_a_file_is_what_a_filter_makes_of_it(bench: Workbench, attribute: str) -> None:
    bench.write(".gitattributes", f"*.txt {attribute}\n")
    bench.write("a.txt", "$Id: abc $\r\n")
    assert bench.repo.blob_of("a.txt") == bench.git("hash-object", "a.txt").strip()


def test_the_blob_of_a_link_is_of_where_it_leads(bench: Workbench) -> None:
    bench.write("a", "1")
    (bench.root / "link").symlink_to("a")
    bench.git("add", "link")
    assert bench.repo.blob_of("link") == bench.git("rev-parse", ":link").strip()
