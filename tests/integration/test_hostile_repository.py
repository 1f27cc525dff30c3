"""What a clone of somebody's repository must not be able to do to the one who checks it out."""

import subprocess
from pathlib import Path

import pytest

from dver.objects.pointer import pointer_path
from dver.records.record import Artifact, Record, State, encode_record
from tests.commands import DverCommand, GitCommand, installed_dver


@pytest.fixture
def stocked(git_repo: Path) -> tuple[DverCommand, GitCommand]:
    """A repository whose cache holds a dataset with an executable file `hooks/post-commit`."""
    dver, git = installed_dver(git_repo, warm=True), GitCommand(git_repo)
    hook = git_repo / "data" / "hooks" / "post-commit"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\ntouch owned\n")
    hook.chmod(0o755)
    dver.ok("init")
    dver.ok("add", "data")
    git("commit", "-m", "data")
    return dver, git


@pytest.mark.parametrize("dataset", [".git", ".dver", ".GIT", "sub/.git", "sub/.Git/hooks", ".DVER"])
def test_a_pointer_for_git_or_dver_itself_is_refused_before_anything_is_written(
    git_repo: Path, stocked: tuple[DverCommand, GitCommand], dataset: str
) -> None:
    dver, _ = stocked
    hostile = git_repo / pointer_path(dataset)
    if not hostile.parent.exists():
        # git itself would not add a file below a `.git`, a hostile server's tree may have one.
        hostile.parent.mkdir(parents=True)
    hostile.write_bytes((git_repo / "data.dver").read_bytes())
    before = sorted(path for path in git_repo.rglob("*") if path.name == "post-commit")

    for arguments in (["checkout"], ["checkout", "--force"], ["checkout", dataset]):
        dver.fails(3, *arguments)

    assert sorted(path for path in git_repo.rglob("*") if path.name == "post-commit") == before
    assert "broken" in dver.ok("status").lower()


def test_a_tree_entry_that_leads_out_of_the_repository_is_refused(
    git_repo: Path, stocked: tuple[DverCommand, GitCommand]
) -> None:
    dver, git = stocked
    blob = git("rev-parse", "HEAD:data.dver").strip()
    inner = _make_tree(git_repo, f"100644 blob {blob}\tevil.dver\n")
    outer = _make_tree(git_repo, f"040000 tree {inner}\t..\n")
    commit = git("commit-tree", "-m", "hostile", outer).strip()

    assert "refused" in dver.fails(3, "checkout", commit)
    assert sorted(path.name for path in git_repo.parent.iterdir()) == ["repo"]


def _make_tree(folder: Path, listing: str) -> str:
    done = subprocess.run(["git", "mktree"], cwd=folder, input=listing, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_no_command_of_the_lineage_file_runs_but_by_repro(
    git_repo: Path, stocked: tuple[DverCommand, GitCommand], tmp_path: Path
) -> None:
    dver, git = stocked
    dver.ok("remote", "add", "origin", tmp_path / "remote")
    dver.ok("push")
    owned = tmp_path / "owned"
    version = next(line for line in (git_repo / "data.dver").read_text().splitlines() if line.startswith("version"))
    artifact = Artifact("data", version.split('"')[1])
    record = Record(
        state=State.COMPLETE,
        started="2026-11-23T13:00:00.123Z",
        name="build",
        command=(f"touch {owned}",),
        shell=True,
        # It is other now, so that the step counts as stale.
        inputs=(Artifact("code.py", "git:" + "0" * 40, kind="code"),),
        outputs=(artifact,),
    )
    (git_repo / "code.py").write_text("pass\n")
    (git_repo / ".dver/lineage.jsonl").write_bytes(encode_record(record))
    git("add", "--all")
    git("commit", "-m", "hostile lineage")
    clone, in_clone = dver.at(tmp_path / "clone"), GitCommand(tmp_path / "clone")
    git("clone", git_repo, tmp_path / "clone")
    clone.ok("install")

    for arguments in (
        *(["pull"], ["checkout"], ["checkout", "HEAD"], ["status"], ["status", "--stale"], ["diff", "HEAD~1", "HEAD"]),
        *(["ls"], ["log", "data"], ["lineage", "data"], ["runs"], ["show", "data"], ["repro", "--dry-run", "data"]),
        *(["cat", "data/hooks/post-commit"], ["drop", "data"], ["fetch"], ["pull"], ["add", "data"], ["push"]),
        *(["hook", "lint"], ["hook", "status"], ["hook", "large-files"], ["rm", "data"]),
    ):
        result = clone(*arguments)
        assert "Traceback" not in result.stderr, str(result)
        assert not owned.exists(), arguments
    for arguments in (["reset", "--hard"], ["switch", "-c", "other"], ["commit", "--allow-empty", "-m", "x"]):
        in_clone(*arguments)
    in_clone.run("merge", "main")
    in_clone.run("push", "origin", "other")
    assert not owned.exists()

    clone("repro")
    assert owned.exists(), "repro runs it, which shows that the others could have"
