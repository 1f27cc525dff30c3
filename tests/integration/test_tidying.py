"""The cache is not tidied while git waits for a hook, whichever it is, and is tidied otherwise."""

import os
import subprocess
from pathlib import Path

import pytest

from dver.cli.session import Session
from dver.storage.packs import list_packs
from tests.clones import Clone, noise

# Those in which somebody may run a command that stores something, and git waits for all of them.
HOOKS = {
    *("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "pre-merge-commit"),
    *("post-merge", "pre-push", "pre-rebase", "post-rewrite", "applypatch-msg", "pre-applypatch", "post-applypatch"),
}
# Set where git runs the tests themselves.
SET_BY_GIT = ("GIT_EXEC_PATH", "GIT_PREFIX", "GIT_INDEX_FILE", "GIT_DIR")


def tidy_at(clone: Clone, environment: dict[str, str]) -> None:
    """Do what a command with an environment does at its end."""
    session = Session(environment)
    with clone.open() as repo:
        session.tidy(repo)


def packs(clone: Clone) -> int:
    with clone.open() as repo:
        return len(list_packs(repo.cache.backend))


def write_hooks(clone: Clone, folder: Path) -> None:
    """Let each hook keep the environment that git gives it, in a file of its own each time."""
    folder.mkdir()
    for name in HOOKS:
        hook = clone.root / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\nenv -0 >'{folder}/{name}'.$$\n")
        hook.chmod(0o755)


def environments(folder: Path) -> dict[str, dict[str, str]]:
    found = {}
    for file in folder.iterdir():
        lines = file.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        found[file.name] = dict(line.split("=", 1) for line in lines if "=" in line)
    return found


def change(clone: Clone, name: str) -> None:
    clone.write(name, name.encode())
    clone.git("add", name)
    clone.git("commit", "--quiet", "-m", name)


def test_nothing_is_tidied_below_any_hook_of_git_and_it_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in ("MANY_PACKS", "MANY_INDEX_FILES"):
        monkeypatch.setattr(f"dver.operations.gc_auto.{most}", 1)
    for name in SET_BY_GIT:
        monkeypatch.delenv(name, raising=False)
    clone, kept = Clone.make(tmp_path / "repo"), tmp_path / "kept"
    for number in range(4):
        clone.write("data/a", noise(5000, number))
        clone.add()
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "-m", "base")
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
    write_hooks(clone, kept)

    clone.git("switch", "--quiet", "-c", "side")
    change(clone, "one")
    patch = clone.git("format-patch", "-1", "--stdout")
    clone.git("switch", "--quiet", "main")
    change(clone, "two")
    clone.git("merge", "--quiet", "--no-edit", "side")
    clone.git("push", "--quiet", str(tmp_path / "origin"), "main")
    clone.git("switch", "--quiet", "-c", "other", "HEAD~1")
    change(clone, "three")
    clone.git("rebase", "--quiet", "main")
    clone.git("reset", "--quiet", "--hard", "main~1")
    (tmp_path / "patch").write_text(patch)
    clone.git("am", "--quiet", str(tmp_path / "patch"))

    found = environments(kept)
    assert {name.partition(".")[0] for name in found} == HOOKS
    tidied = []
    for name, environment in found.items():
        tidy_at(clone, environment)
        if packs(clone) < 4:
            tidied.append(name)
    assert tidied == []

    tidy_at(clone, dict(os.environ))
    assert packs(clone) == 1
