"""Reading and changing the index, seen by real git afterwards."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dver.errors import GitError, LockedError
from dver.git import GitRepo, staging
from tests.commands import GitCommand
from tests.unit.git.workbench import Workbench, odd_name


def _status(bench: Workbench) -> list[str]:
    entries = bench.git("status", "--porcelain", "-z", "--untracked-files=all").split("\0")
    return sorted(entry for entry in entries if entry)


def _staged(bench: Workbench) -> dict[str, str]:
    """Return the staged files and their modes, as git lists them."""
    lines = bench.git("ls-files", "--stage", "-z").split("\0")
    return {line.partition("\t")[2]: line[:6] for line in lines if line}


def test_stage_adds_files_before_the_first_commit(bench: Workbench) -> None:
    bench.write("d/f.dver", "1")
    bench.write(".gitignore", "/d/f\n")
    bench.repo.stage(["d/f.dver", ".gitignore"])
    assert _status(bench) == ["A  .gitignore", "A  d/f.dver"]
    bench.git("commit", "--quiet", "-m", "one")
    assert _status(bench) == []
    assert bench.git("show", "HEAD:d/f.dver") == "1"


def test_stage_works_from_any_folder(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("d/f.dver", "1")
    monkeypatch.chdir(tmp_path)
    GitRepo.find(bench.root / "d").stage(["d/f.dver"])
    assert _status(bench) == ["A  d/f.dver"]


def test_stage_updates_and_removes(bench: Workbench) -> None:
    bench.commit("one", {"a": "1", "b": "1", "c/d/e": "1", "same": "1"})
    bench.write("a", "2")
    (bench.root / "b").unlink()
    (bench.root / "c/d/e").unlink()
    (bench.root / "c/d").rmdir()
    bench.repo.stage(["a", "b", "c/d/e", "same", "never-there"])
    assert _status(bench) == ["D  b", "D  c/d/e", "M  a"]
    bench.git("commit", "--quiet", "-m", "two")
    assert bench.git("fsck", "--strict") == ""
    assert _status(bench) == []


def test_stage_keeps_modes_links_and_odd_names(bench: Workbench) -> None:
    odd = odd_name(b"caf\xe9 \xff.dver")
    bench.write("run.sh", "#!").chmod(0o755)
    bench.write(odd, "1")
    (bench.root / "link").symlink_to("run.sh")
    bench.repo.stage(["run.sh", odd, "link"])
    assert _staged(bench) == {"run.sh": "100755", odd: "100644", "link": "120000"}
    assert _status(bench) == sorted(["A  run.sh", f"A  {odd}", "A  link"])
    assert bench.repo.is_tracked(odd)


def test_stage_heeds_core_filemode(bench: Workbench) -> None:
    bench.git("config", "core.filemode", "false")
    bench.write("f", "1").chmod(0o755)
    bench.repo.stage(["f"])
    assert _staged(bench) == {"f": "100644"}


def test_stage_adds_files_that_are_ignored(bench: Workbench) -> None:
    bench.write(".gitignore", "*\n")
    bench.write("f.dver", "1")
    bench.repo.stage(["f.dver"])
    assert _status(bench) == ["A  f.dver"]


def test_stage_sees_what_git_staged_meanwhile(bench: Workbench) -> None:
    repo = bench.repo
    for name in ("a", "b", "c"):
        bench.write(name, name)
    repo.stage(["a"])
    bench.git("add", "b")
    repo.stage(["c"])
    assert _status(bench) == ["A  a", "A  b", "A  c"]
    bench.git("rm", "--quiet", "--cached", "b")
    assert not repo.is_tracked("b")


def test_stage_resolves_a_conflict(bench: Workbench) -> None:
    bench.commit("base", {"f": "base"})
    bench.git("checkout", "--quiet", "-b", "side")
    bench.commit("side", {"f": "side"})
    bench.git("checkout", "--quiet", "main")
    bench.commit("main", {"f": "main"})
    subprocess.run(["git", "merge", "--quiet", "side"], cwd=bench.root, check=False, capture_output=True)
    assert _status(bench) == ["UU f"]
    assert bench.repo.is_tracked("f")
    assert bench.repo.tracked_under("") == ["f"]
    bench.write("f", "resolved")
    bench.repo.stage(["f"])
    assert _status(bench) == ["M  f"]


def test_stage_replaces_a_file_by_a_folder(bench: Workbench) -> None:
    bench.commit("one", {"a": "1"})
    (bench.root / "a").unlink()
    bench.write("a/b", "1")
    bench.repo.stage(["a/b"])
    assert list(_staged(bench)) == ["a/b"]


def test_stage_notices_a_change_of_equal_size_right_after(bench: Workbench) -> None:
    for number in range(20):
        bench.write("f", f"{number:02}")
        bench.git("add", "f")
        bench.write("f", f"{number + 50:02}")
        bench.write("other", str(number))
        bench.repo.stage(["other"])
        assert bench.git("diff", "--name-only").split() == ["f"]


def test_git_takes_staged_files_for_unchanged_without_reading_them(bench: Workbench) -> None:
    bench.commit("one", {"f": "1", "same": "1"})
    bench.write("f", "22")
    (bench.root / "link").symlink_to("f")
    bench.repo.stage(["f", "link"])
    # Unlike git status, these do not look into files first.
    assert bench.git("diff-files", "--name-only") == ""
    bench.git("reset", "--merge", "HEAD")
    assert (bench.root / "f").read_text() == "1"


def test_a_change_of_equal_size_right_after_staging_is_noticed(bench: Workbench) -> None:
    for number in range(20):
        bench.write("f", f"{number:02}")
        bench.repo.stage(["f"])
        bench.write("f", f"{number + 50:02}")
        assert bench.git("diff", "--name-only").split() == ["f"]


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_stage_leaves_the_other_entries_as_they_are(bench: Workbench, version: str) -> None:
    bench.commit("one", {f"d{number}/f": str(number) for number in range(20)})
    bench.git("update-index", "--index-version", version)
    bench.git("update-index", "--skip-worktree", "d3/f")
    bench.git("update-index", "--assume-unchanged", "d4/f")
    (bench.root / "d3/f").unlink()
    before = bench.git("ls-files", "-v", "--stage")
    bench.write("d7/f", "new")
    bench.write("d7/g", "new")
    bench.repo.stage(["d7/f", "d7/g"])
    assert _status(bench) == ["A  d7/g", "M  d7/f"]
    after = bench.git("ls-files", "-v", "--stage").splitlines()
    assert [line for line in after if "d7/" not in line] == [line for line in before.splitlines() if "d7/" not in line]
    # write-tree uses the trees cached in the index; without them it must come to the same.
    with_cache = bench.git("write-tree")
    bench.git("read-tree", with_cache.strip())
    assert bench.git("write-tree") == with_cache


def test_stage_of_nothing_new_does_not_touch_the_index(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    before = (bench.root / ".git/index").stat()
    bench.repo.stage(["f", "missing"])
    bench.repo.untrack(["missing"])
    after = (bench.root / ".git/index").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("path", ["folder", "../outside", ".git/config"])
def test_stage_refuses_what_git_cannot_hold(bench: Workbench, path: str) -> None:
    (bench.root / "folder").mkdir()
    (bench.root.parent / "outside").write_text("x")
    bench.write("good", "1")
    with pytest.raises(GitError):
        bench.repo.stage(["good", path])
    assert _staged(bench) == {}
    assert not (bench.root / ".git/index.lock").exists()


def test_untrack_keeps_the_file(bench: Workbench) -> None:
    bench.commit("one", {"a": "1", "b": "1"})
    bench.repo.untrack(["a"])
    assert _status(bench) == ["?? a", "D  a"]
    assert (bench.root / "a").read_text() == "1"


def test_the_lock_of_another_process_is_waited_for(bench: Workbench) -> None:
    bench.write("f", "1")
    lock = bench.root / ".git/index.lock"
    lock.touch()
    timer = threading.Timer(0.2, lock.unlink)
    timer.start()
    bench.repo.stage(["f"])
    timer.join()
    assert _status(bench) == ["A  f"]


def test_a_lock_that_stays_is_an_error_and_is_left_alone(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_LOCK_PATIENCE", 0.1)
    bench.write("f", "1")
    lock = bench.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(LockedError, match=r"index\.lock"):
        bench.repo.stage(["f"])
    assert lock.exists()
    assert not bench.repo.is_tracked("f")


def test_processes_that_stage_at_once_lose_nothing(bench: Workbench) -> None:
    program = (
        "import sys; from pathlib import Path; from dver.git import GitRepo\n"
        "for name in sys.argv[1:]: GitRepo.find(Path.cwd()).stage([name])"
    )
    names = [[f"w{worker}-{number}" for number in range(15)] for worker in range(3)]
    for name in [name for mine in names for name in mine]:
        bench.write(name, name)
    environment = {**os.environ, "PYTHONPATH": str(Path(staging.__file__).parents[2])}
    running = [
        subprocess.Popen([sys.executable, "-c", program, *mine], cwd=bench.root, env=environment) for mine in names
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert sorted(_staged(bench)) == sorted([name for mine in names for name in mine])


def test_a_linked_worktree_has_its_own_index(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    bench.commit("one", {"f": "1"})
    linked = tmp_path / "linked"
    bench.git("worktree", "add", "--quiet", str(linked))
    (linked / "g").write_text("1")
    GitRepo.find(linked).stage(["g"])
    assert run_git("status", "--porcelain", cwd=linked) == "A  g\n"
    assert _status(bench) == []


def test_git_index_file_names_another_index(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    bench.write("g", "1")
    repo = GitRepo.find(bench.root, env={"GIT_INDEX_FILE": ".git/other-index"})
    assert not repo.is_tracked("f")
    repo.stage(["g"])
    assert repo.tracked_under("") == ["g"]
    assert _status(bench) == ["?? g"]


def test_a_pre_commit_hook_can_stage_into_the_commit(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    bench.write("hooked", "from the hook")
    program = (
        "import os; from pathlib import Path; from dver.git import GitRepo\n"
        "GitRepo.find(Path.cwd(), env=os.environ).stage(['hooked'])"
    )
    hook = bench.write(".git/hooks/pre-commit", f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    hook.chmod(0o755)
    bench.set_variable("PYTHONPATH", str(Path(staging.__file__).parents[2]))
    bench.write("f", "2")
    bench.git("commit", "--quiet", "--all", "-m", "two")
    assert bench.git("show", "--name-only", "--format=", "HEAD").split() == ["f", "hooked"]
    assert _status(bench) == []


def test_tracked_under_lists_a_file_or_what_is_below_a_folder(bench: Workbench) -> None:
    odd = odd_name(b"d/\xff")
    files = ["a", "d-x", "d.dver", "d/e/f", "d/g", "d0", odd]
    bench.commit("one", dict.fromkeys(files, "1"))
    repo = bench.repo
    assert repo.tracked_under("d") == ["d/e/f", "d/g", odd]
    assert repo.tracked_under("d/") == ["d/e/f", "d/g", odd]
    assert repo.tracked_under("d/e") == ["d/e/f"]
    assert repo.tracked_under("a") == ["a"]
    assert repo.tracked_under("e") == []
    assert sorted(repo.tracked_under("")) == sorted(files)


def test_is_tracked_is_about_files(bench: Workbench) -> None:
    bench.commit("one", {"d/f": "1"})
    assert bench.repo.is_tracked("d/f")
    assert not bench.repo.is_tracked("d")


def test_index_files_names_staged_blobs(bench: Workbench) -> None:
    (bench.root / "link.dver").symlink_to("a.dver")
    bench.commit("one", {"a.dver": "1", "d/b.dver": "1", ".dver/c.dver": "1", "d/.dver": "1", "e.txt": "1"})
    bench.write("d/b.dver", "staged")
    bench.git("add", "d/b.dver")
    bench.write("d/b.dver", "working")
    repo = bench.repo
    found = repo.index_files(".dver")
    assert {path: repo.read_blob(blob) for path, blob in found.items()} == {"a.dver": b"1", "d/b.dver": b"staged"}


def test_a_damaged_index_is_a_git_error(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    (bench.root / ".git/index").write_bytes(b"rubbish" * 20)
    with pytest.raises(GitError, match="cannot read the git index"):
        bench.repo.is_tracked("f")


def test_a_split_index_is_refused_rather_than_misread(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    bench.git("update-index", "--split-index")
    with pytest.raises(GitError, match="cannot read the git index"):
        bench.repo.is_tracked("f")
