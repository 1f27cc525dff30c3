"""Folders that may not be written, files that may not be read, and too few files that may be open."""

import os
import resource
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

import dver
from tests.cli.runner import Cli
from tests.clones import Clone, noise
from tests.stores import damage_packs

READ_ONLY, NOTHING = 0o500, 0


@pytest.fixture
def clone(mine: Path) -> Clone:
    """A repository with a changed dataset and a remote that has the version before."""
    made = Clone.make(mine / "repo", remote=mine / "remote")
    made.write("data/a", noise(9000, 1))
    made.write("data/sub/b", noise(5000, 2))
    made.save()
    made.push()
    made.write("data/a", noise(9000, 3))
    return made


REFUSED = {
    "cache": (".dver/cache/packs", READ_ONLY, ("add", "data")),
    "markers": (".dver/cache/versions", READ_ONLY, ("add", "data")),
    "pointer": (".", READ_ONLY, ("add", "data")),
    "git": (".git", READ_ONLY, ("add", "data")),
    "data": ("data", READ_ONLY, ("checkout", "--force")),
    "tmp": (".dver/tmp", READ_ONLY, ("checkout", "--force")),
    "unreadable file": ("data/a", NOTHING, ("add", "data")),
    "unreadable folder": ("data/sub", NOTHING, ("add", "data")),
    "remote": ("../remote/packs", READ_ONLY, ("push",)),
    "closed remote": ("../remote", NOTHING, ("push",)),
    "remote to fetch from": ("../remote/packs", NOTHING, ("fetch",)),
}


RARE = {"markers", "unreadable folder", "closed remote", "remote to fetch from"}


@pytest.mark.parametrize(
    "scene", [pytest.param(scene, marks=pytest.mark.slow if scene in RARE else []) for scene in REFUSED]
)
def test_what_is_not_permitted_is_told_with_what_helps_and_works_once_it_is(clone: Clone, scene: str) -> None:
    path, mode, command = REFUSED[scene]
    cli = Cli(clone.root)
    if command == ("push",):
        clone.save()
    if command == ("fetch",):
        clone.delete_cache()
    place = clone.root / path
    before = place.stat().st_mode
    pointer = clone.pointer_text()
    place.chmod(mode)
    try:
        error = cli.fails(3, *command)
        # Staging it comes last, and is made good by the next run.
        assert scene == "git" or clone.pointer_text() == pointer
    finally:
        place.chmod(before)
    assert error.count("dver: error:") == 1
    assert "ermission denied" in error
    assert "hint: change the permissions there, then run the command again" in error
    assert cli(*command).code == 0
    assert cli("fsck", "--full").code == 0


@pytest.mark.parametrize(
    "command", [("status",), ("diff",), ("ls", "data"), ("log", "data"), ("checkout", "--dry-run")]
)
def test_looking_needs_no_right_to_write(clone: Clone, command: tuple[str, ...]) -> None:
    for path in [clone.root, *clone.root.rglob("*")]:
        if path.is_dir():
            path.chmod(READ_ONLY)
    result = Cli(clone.root)(*command)
    assert result.code in {0, 1}, result
    assert result.err == ""


REPAIR, CLEAN = ("fsck", "--repair"), ("gc", "--remote", "--grace", "0")
COMMANDS = [("add", "data"), ("checkout", "--force"), ("fetch",), ("gc",), ("fsck",), ("push",), REPAIR, CLEAN]
USUAL = [(14, ("checkout", "--force")), (14, ("push",)), (18, ("add", "data")), (14, REPAIR), (18, CLEAN)]


def leave_garbage(clone: Clone) -> None:
    """Leave a version on the remote that nothing names, and that is due to go."""
    clone.write("data/more", noise(20_000, 99))
    clone.save()
    clone.push()
    clone.go_back()
    Cli(clone.root).ok(*CLEAN)


@pytest.mark.parametrize(
    ("allowed", "command"),
    [
        pytest.param(*each, marks=[] if each in USUAL else pytest.mark.slow)
        for each in product([14, 18, 24, 32], COMMANDS)
    ],
)
def test_few_files_that_may_be_open_are_enough_or_told(tmp_path: Path, allowed: int, command: tuple[str, ...]) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    for number in range(30):
        clone.write(f"data/{number}/deep/er/file", noise(3000, number))
    clone.save()
    if command != ("push",):
        clone.push()
    if command == ("checkout", "--force"):
        subprocess.run(["rm", "-r", str(clone.root / "data")], check=True)
    if command == ("fetch",):
        clone.delete_cache()
    if command == REPAIR:
        damage_packs(clone.root / ".dver/cache")
    if command == CLEAN:
        leave_garbage(clone)
    done = subprocess.run(
        [sys.executable, "-m", "dver", "-C", str(clone.root), *command],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parents[1])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert done.returncode == 3, done
        assert "Too many open files" in done.stderr
        assert "ulimit -n" in done.stderr
        assert "bug" not in done.stderr
        assert "Traceback" not in done.stderr
    assert Cli(clone.root)(*command).code == 0
    assert Cli(clone.root)("fsck", "--full").code == 0
    assert clone.status().in_cache
