"""How restic and borg do the operations: backup tools, which know neither git nor a working tree.

Their "add" is a backup and their "checkout" a restore. What would only be like an operation is left out: borg has no
status and no push, and it always writes all files anew; older restics do not delete what a version has not.
"""

import subprocess

from tests.bench.cloud import BUCKET
from tests.bench.measure import Command
from tests.bench.tools import DATA, FORGET, FRESH, Commands, Operation, Tool

_STORE = "{scratch}/store"


def restic(program: str) -> Tool:
    """Return restic; a push is a copy to another of its repositories."""
    commands: dict[Operation, tuple[Command, ...]] = {
        Operation.INIT: ((program, "-q", "init", "-r", _STORE),),
        Operation.ADD_V1: ((program, "-q", "backup", "-r", _STORE, "--tag", "v1", DATA),),
        Operation.STATUS: ((program, "-q", "backup", "-r", _STORE, "--dry-run", DATA),),
        Operation.ADD_V2: ((program, "-q", "backup", "-r", _STORE, "--tag", "v2", DATA),),
        Operation.LIST: ((program, "ls", "-r", _STORE, "--tag", "v2", "latest"),),
        Operation.CHECKOUT_ALL: (_restore(program, _STORE, "."),),
        Operation.STATUS_TOUCHED: ((program, "-q", "backup", "-r", _STORE, "--dry-run", DATA),),
        Operation.VERSION: ((program, "version"),),
    }
    if _can_delete(program):
        over = ("restore", "-r", _STORE, f"latest:/{DATA}", "--tag", "v1", "--target", DATA)
        commands[Operation.CHECKOUT_V1] = ((program, "-q", *over, "--overwrite", "if-changed", "--delete"),)
    places = {
        (Operation.PUSH, Operation.PUSH_AGAIN, Operation.PULL): "{remote}",
        (Operation.PUSH_S3, Operation.PUSH_S3_AGAIN, Operation.PULL_S3): f"s3:{{s3}}/{BUCKET}/restic-s3",
        (Operation.PUSH_LINK, None, Operation.PULL_LINK): f"s3:{{link}}/{BUCKET}/restic-link",
    }
    before: dict[Operation, tuple[Command, ...]] = {}
    for (push, again, pull), place in places.items():
        copy: Command = (program, "-q", "copy", "-r", place, "--from-repo", _STORE)
        before[push] = ((program, "-q", "init", "-r", place, "--from-repo", _STORE, "--copy-chunker-params"),)
        before[pull] = FORGET
        commands |= {push: (copy,), pull: ((*FRESH, *_restore(program, place, "{clone}")),)}
        if again:
            commands[again] = (copy,)
    return Tool("restic", (program, "version"), commands=commands, before=before, store="../store")


def borg(program: str) -> Tool:
    """Return borg, without encryption."""
    commands: Commands = {
        Operation.INIT: ((program, "init", "-e", "none", _STORE),),
        Operation.ADD_V1: ((program, "create", f"{_STORE}::v1", DATA),),
        Operation.ADD_V2: ((program, "create", f"{_STORE}::v2", DATA),),
        Operation.DIFF: ((program, "diff", f"{_STORE}::v1", "v2"),),
        Operation.LOG: ((program, "list", _STORE),),
        Operation.LIST: ((program, "list", f"{_STORE}::v2"),),
        Operation.CHECKOUT_ALL: ((program, "extract", f"{_STORE}::v1"),),
        Operation.VERSION: ((program, "--version"),),
    }
    return Tool("borg", (program, "--version"), commands=commands, store="../store")


def _restore(program: str, repository: str, target: str) -> Command:
    return (program, "-q", "restore", "-r", repository, "--tag", "v1", "--target", target, "latest")


def _can_delete(program: str) -> bool:
    try:
        done = subprocess.run([program, "restore", "--help"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return "--delete" in done.stdout
