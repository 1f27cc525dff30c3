"""git commit: what is refused, what goes through, and in which index the hook looks."""

from pathlib import Path

import pytest

from tests.commands import DverCommand, GitCommand
from tests.integration.git.project import Project


def test_a_commit_of_code_and_data_goes_through_quietly(project: Project) -> None:
    project.write("data/new.txt", "new")
    project.write("train.py", "print('new')\n")
    project.dver.ok("add", "data")
    project.git("add", "train.py")
    done = project.git.run("commit", "--quiet", "--message", "both")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.git("show", "--name-only", "--format=", "HEAD").split() == ["data.dver", "train.py"]
    project.assert_data({**project.data_at("main"), b"new.txt": ("file", b"new")})


def test_code_without_its_changed_data_is_refused(project: Project) -> None:
    head = project.head()
    project.write("data/a.csv", "changed")
    project.write("train.py", "print('new')\n")
    project.git("add", "train.py")
    assert "dver add data" in project.git.fails("commit", "--message", "half of it")
    assert project.head() == head
    assert project.git("status", "--porcelain") == "M  train.py\n"
    assert (project.data / "a.csv").read_text() == "changed"

    project.dver.ok("add", "data")
    project.git("commit", "--quiet", "--message", "all of it")
    project.assert_clean()


def test_a_refusal_can_be_overruled(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.write("train.py", "print('new')\n")
    project.git("commit", "--quiet", "--all", "--no-verify", "--message", "knowingly")
    assert (project.data / "a.csv").read_text() == "changed"
    assert project.git("status", "--porcelain") == ""


def test_a_pointer_that_is_not_staged_is_refused(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "--no-stage", "data")
    project.write("train.py", "print('new')\n")
    project.git("add", "train.py")
    assert "git add data.dver" in project.git.fails("commit", "--message", "without the pointer")


def test_commit_all_looks_at_the_index_that_is_being_made(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "--no-stage", "data")
    project.write("train.py", "print('new')\n")
    project.git("commit", "--quiet", "--all", "--message", "all")
    project.assert_clean()
    assert project.git("show", "--name-only", "--format=", "HEAD").split() == ["data.dver", "train.py"]


@pytest.mark.parametrize("paths", [("data.dver",), ("data.dver", "train.py")], ids=len)
def test_commit_of_paths_looks_at_the_index_that_is_being_made(project: Project, paths: tuple[str, ...]) -> None:
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "--no-stage", "data")
    project.write("train.py", "print('new')\n")
    project.git("commit", "--quiet", "--message", "some", "--", *paths)
    assert project.git("show", "--name-only", "--format=", "HEAD").split() == list(paths)
    assert project.git("status", "--porcelain") == ("" if "train.py" in paths else " M train.py\n")
    project.dver.ok("status", "--exit-code")


def test_a_staged_pointer_may_wait_while_other_paths_are_committed(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "data")
    project.write("train.py", "print('new')\n")
    project.git("commit", "--quiet", "--message", "code alone", "--", "train.py")
    assert project.git("status", "--porcelain") == "M  data.dver\n"
    project.dver.ok("status", "--exit-code")


def test_data_that_was_never_added_does_not_wait(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.write("train.py", "print('new')\n")
    assert "dver add data" in project.git.fails("commit", "--message", "code alone", "--", "train.py")
    assert project.git("status", "--porcelain") == " M train.py\n"


def test_a_large_file_is_refused_until_it_is_a_dataset(project: Project) -> None:
    project.write("raw.bin", bytes(1024 * 1024 + 1))
    project.git("add", "raw.bin")
    said = project.git.fails("commit", "--message", "large")
    assert "dver add raw.bin" in said
    assert "git rm --cached" in said
    project.git("rm", "--quiet", "--cached", "raw.bin")
    project.dver.ok("add", "raw.bin")
    project.git("commit", "--quiet", "--message", "as a dataset")
    project.assert_clean()


def test_data_that_git_would_track_is_refused(project: Project) -> None:
    project.git("add", "--force", "data/b.csv")
    said = project.git.fails("commit", "--message", "twice")
    assert "data/b.csv" in said
    assert "git rm" in said


def test_all_that_is_wrong_is_said_at_once(project: Project) -> None:
    project.write("data/a.csv", "changed")
    project.write("model.bin", "changed")
    project.write("raw.bin", bytes(1024 * 1024 + 1))
    project.git("add", "raw.bin")
    said = project.git.fails("commit", "--message", "all wrong")
    assert "dver add raw.bin" in said
    assert "model.bin" in said
    assert "data" in said


def test_the_first_commit_has_its_checks_too(git_repo: Path, run_dver: DverCommand) -> None:
    dver, git = run_dver.at(git_repo), GitCommand(git_repo)
    dver.ok("init")
    dver.ok("install")
    (git_repo / "data").mkdir()
    (git_repo / "data" / "a.txt").write_text("a")
    dver.ok("add", "data")
    (git_repo / "data" / "a.txt").write_text("changed")
    git("add", ".gitattributes")
    assert "dver add data" in git.fails("commit", "--message", "first")
    assert git.run("rev-parse", "--verify", "--quiet", "HEAD").returncode != 0
    dver.ok("add", "data")
    git("commit", "--quiet", "--message", "first")
    assert git("status", "--porcelain") == ""
    dver.ok("status", "--exit-code")


def test_git_shows_files_and_not_hashes(project: Project) -> None:
    shown = project.git("show", "--format=", "side", "--", "*.dver")
    assert "-" in shown
    added = [line for line in shown.splitlines() if line.startswith("+") and "side.txt" in line]
    deleted = [line for line in shown.splitlines() if line.startswith("-") and "run.sh" in line]
    assert (len(added), len(deleted)) == (1, 1)
    assert "b3:" not in shown
    assert "side.txt" in project.git("log", "--patch", "--all")
    project.write("data/a.csv", "changed")
    project.dver.ok("add", "data")
    changed = project.git("diff", "--cached")
    assert [line[0] for line in changed.splitlines() if " a.csv" in line and ">" not in line] == ["-", "+"]


@pytest.mark.parametrize("conflict", [False, True])
def test_stored_bytes_are_what_git_has_in_its_history(project: Project, conflict: bool) -> None:
    if conflict:
        project.git.fails("merge", "clash")
        project.dver.ok("checkout", "--ours")
        project.git("commit", "--quiet", "--no-edit")
    else:
        project.git("merge", "--quiet", "--no-edit", "side")
    expected = project.files()
    project.git("switch", "--quiet", "--detach", "v1")
    project.assert_at("first")
    project.git("switch", "--quiet", "main")
    project.assert_data(expected)
