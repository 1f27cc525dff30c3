"""How each tool does each operation, as commands.

A tool is data: for an operation the commands that are measured, and those to run before and after it unmeasured. To
"add" is to store a version and to commit it to git, with every tool that works with git. In commands, `{remote}`,
`{v1}`, `{clone}` and `{scratch}` stand for folders of the run, `{s3}` and `{link}` for the endpoints of the network.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.bench.cloud import BUCKET
from tests.bench.machine import version_of
from tests.bench.measure import Command
from tests.commands import installed_dver

DATA = "data"


class Operation(StrEnum):
    """What is measured, in the order in which it is done; the values are the page's words."""

    COPY = "copy the folder"
    HASH = "hash the folder"
    INIT = "init"
    ADD_V1 = "add v1"
    STATUS = "status, nothing changed"
    PUSH = "push to a folder"
    PUSH_AGAIN = "push again"
    PULL = "pull into a new clone"
    PULL_AGAIN = "pull again"
    PUSH_S3 = "push over S3"
    PUSH_S3_AGAIN = "push over S3 again"
    PULL_S3 = "pull over S3 into a new clone"
    PULL_S3_AGAIN = "pull over S3 again"
    PUSH_LINK = "push over the slow link"
    PULL_LINK = "pull over the slow link"
    ADD_V2 = "add v2"
    DIFF = "diff v1 v2"
    LOG = "log"
    LIST = "list all files of v2"
    CHECKOUT_V1 = "checkout v1 over v2"
    CHECKOUT_AGAIN = "checkout again"
    CHECKOUT_ALL = "checkout into an empty tree"
    STATUS_TOUCHED = "status, every file touched"
    VERSION = "print the version"
    STATUS_SMALL = "status, small repository"
    IMPORT = "start of Python"


STARTUP = (Operation.VERSION, Operation.STATUS_SMALL, Operation.IMPORT)
_S3 = (Operation.PUSH_S3, Operation.PUSH_S3_AGAIN, Operation.PULL_S3, Operation.PULL_S3_AGAIN)
_LINK = (Operation.PUSH_LINK, Operation.PULL_LINK)
# These have figures of the network, and are measured in the first run only: the network decides how long they take.
NETWORK = (*_S3, *_LINK)
ALL = tuple(operation for operation in Operation if operation not in STARTUP)
NEAR = tuple(operation for operation in ALL if operation not in _LINK)
_FOLDER = (Operation.PUSH, Operation.PUSH_AGAIN, Operation.PULL, Operation.PULL_AGAIN)
FEW = tuple(operation for operation in NEAR if operation not in (*_S3, *_FOLDER))
# What cannot be done where another operation failed. All else needs that every operation before it was done.
NEEDS = {
    Operation.PUSH_AGAIN: Operation.PUSH,
    Operation.PULL: Operation.PUSH,
    Operation.PULL_AGAIN: Operation.PULL,
    Operation.PUSH_S3_AGAIN: Operation.PUSH_S3,
    Operation.PULL_S3: Operation.PUSH_S3,
    Operation.PULL_S3_AGAIN: Operation.PULL_S3,
    Operation.PULL_LINK: Operation.PUSH_LINK,
}

Commands = Mapping[Operation, tuple[Command, ...]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program to measure.

    Attributes:
        commands: what is measured, by operation; what a tool has not, it cannot do.
        before: run before the operation, unmeasured.
        after: run after it, unmeasured.
        store: folder that holds what was added, seen from the repository; None for what is no versioning tool.
        only: the workloads that it is measured on; None for all.
    """

    name: str
    version_command: Command
    commands: Commands
    before: Commands = field(default_factory=dict)
    after: Commands = field(default_factory=dict)
    store: str | None = None
    only: frozenset[str] | None = None

    def version(self, environment: Mapping[str, str]) -> str | None:
        """Return what the tool says about its version, None when it is not there."""
        return version_of(self.version_command, dict(environment))


def environment(home: Path, lfs: Path) -> dict[str, str]:
    """Return the variables of every command: nothing of the caller's but PATH, and everything kept under `home`."""
    path = os.environ.get("PATH", os.defpath)
    return {
        # git finds git-lfs by name.
        "PATH": f"{lfs.parent}{os.pathsep}{path}" if lfs.is_absolute() else path,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        "RESTIC_PASSWORD": "benchmark",
        "RESTIC_FROM_PASSWORD": "benchmark",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **installed_dver(home).environment,
    }


# git collects garbage in the background after a large commit, in the time of the next command.
GIT_CONFIG = """\
[user]
    name = Benchmark
    email = benchmark@example.org
[init]
    defaultBranch = main
[gc]
    auto = 0
[maintenance]
    auto = false
[advice]
    detachedHead = false
"""

_GIT_INIT: Command = ("git", "init", "-q")
_SETTLE: tuple[Command, ...] = (("git", "add", "-A", "."), ("git", "commit", "-q", "-m", "Set up"))


# What a machine has that never saw the remote.
FRESH: Command = ("env", "XDG_CACHE_HOME={scratch}/fresh", "DVC_SITE_CACHE_DIR={scratch}/fresh/dvc-site")
FORGET: tuple[Command, ...] = (("rm", "-rf", "{clone}", "{scratch}/fresh"),)
_CLONE: tuple[Command, ...] = (*FORGET, ("git", "clone", "-q", ".", "{clone}"))


def _commit(version: str) -> Command:
    return ("git", "commit", "-q", "-m", version)


def _tags() -> Commands:
    return {Operation.ADD_V1: (("git", "tag", "v1"),), Operation.ADD_V2: (("git", "tag", "v2"),)}


def _transfers(push: Command, pull: Command) -> Commands:
    """Return all pushes and pulls of a tool that takes the name of a remote after `-r`, and has a default one."""
    s3, link = ("-r", "s3"), ("-r", "link")
    return {
        Operation.PUSH: (push,),
        Operation.PUSH_AGAIN: (push,),
        Operation.PULL: (pull,),
        Operation.PULL_AGAIN: (pull,),
        Operation.PUSH_S3: ((*push, *s3),),
        Operation.PUSH_S3_AGAIN: ((*push, *s3),),
        Operation.PULL_S3: ((*pull, *s3),),
        Operation.PULL_S3_AGAIN: ((*pull, *s3),),
        Operation.PUSH_LINK: ((*push, *link),),
        Operation.PULL_LINK: ((*pull, *link),),
    }


def dver() -> Tool:
    """Return the dver of the running Python's environment."""
    program = installed_dver(Path()).command
    status = (*program, "status")
    add = (*program, "add", DATA)
    return Tool(
        "dver",
        (*program, "--version"),
        commands={
            Operation.INIT: ((*program, "init", "--remote", "{remote}"),),
            Operation.ADD_V1: (add, _commit("v1")),
            Operation.STATUS: (status,),
            Operation.ADD_V2: (add, _commit("v2")),
            **_transfers((*program, "push"), (*FRESH, *program, "-C", "{clone}", "pull")),
            Operation.DIFF: ((*program, "diff", "v1", "v2"),),
            Operation.LOG: ((*program, "log", DATA),),
            Operation.LIST: ((*program, "ls", "-R", f"v2:{DATA}"),),
            Operation.CHECKOUT_V1: ((*program, "checkout", "v1"),),
            Operation.CHECKOUT_AGAIN: ((*program, "checkout"),),
            Operation.CHECKOUT_ALL: ((*program, "checkout"),),
            Operation.STATUS_TOUCHED: (status,),
            Operation.VERSION: ((*program, "--version"),),
            Operation.STATUS_SMALL: (status,),
        },
        before={
            Operation.INIT: (_GIT_INIT,),
            Operation.STATUS: (status,),
            Operation.PULL: _CLONE,
            Operation.PUSH_S3: _dver_remote(program, "s3"),
            Operation.PULL_S3: _CLONE,
            Operation.PUSH_LINK: _dver_remote(program, "link"),
            Operation.PULL_LINK: _CLONE,
        },
        after={Operation.INIT: _SETTLE, **_tags()},
        store=".dver/cache",
    )


def _dver_remote(program: Command, name: str) -> tuple[Command, ...]:
    return (
        (*program, "remote", "add", name, f"s3://{BUCKET}/dver-{name}"),
        (*program, "remote", "set", name, "endpoint_url", f"{{{name}}}"),
        *_SETTLE,
    )


def dvc(program: str) -> Tool:
    """Return DVC, without what it sends or asks over the network."""
    status = (program, "status")
    add: tuple[Command, ...] = ((program, "add", DATA), ("git", "add", f"{DATA}.dvc", ".gitignore"))
    checkout = (program, "checkout")
    return Tool(
        "dvc",
        (program, "--version"),
        commands={
            Operation.INIT: ((program, "init", "-q"),),
            Operation.ADD_V1: (*add, _commit("v1")),
            Operation.STATUS: (status,),
            Operation.ADD_V2: (*add, _commit("v2")),
            **_transfers((program, "push"), (*FRESH, program, "--cd", "{clone}", "pull")),
            Operation.DIFF: ((program, "diff", "v1", "v2"),),
            Operation.LIST: ((program, "ls", "-R", ".", DATA, "--rev", "v2"),),
            Operation.CHECKOUT_V1: (("git", "checkout", "-q", "v1"), checkout),
            Operation.CHECKOUT_AGAIN: (checkout,),
            Operation.CHECKOUT_ALL: (checkout,),
            Operation.STATUS_TOUCHED: (status,),
            Operation.VERSION: ((program, "--version"),),
            Operation.STATUS_SMALL: (status,),
        },
        before={
            Operation.INIT: (_GIT_INIT,),
            Operation.STATUS: (status,),
            Operation.PULL: _CLONE,
            Operation.PUSH_S3: _dvc_remote(program, "s3"),
            Operation.PULL_S3: _CLONE,
            Operation.PUSH_LINK: _dvc_remote(program, "link"),
            Operation.PULL_LINK: _CLONE,
        },
        after={
            Operation.INIT: (
                (program, "config", "core.analytics", "false"),
                (program, "config", "core.check_update", "false"),
                (program, "config", "core.autostage", "false"),
                (program, "remote", "add", "-d", "origin", "{remote}"),
                *_SETTLE,
            ),
            **_tags(),
        },
        store=".dvc/cache",
    )


def _dvc_remote(program: str, name: str) -> tuple[Command, ...]:
    return (
        (program, "remote", "add", name, f"s3://{BUCKET}/dvc-{name}"),
        (program, "remote", "modify", name, "endpointurl", f"{{{name}}}"),
        *_SETTLE,
    )


def lfs(program: str) -> Tool:
    """Return Git LFS; its `status` is that of git, through the filters of LFS."""
    status = ("git", "status", "--porcelain")
    add = ("git", "add", DATA)
    push = ("git", "push", "-q", "origin", "main")
    return Tool(
        "git lfs",
        (program, "version"),
        commands={
            Operation.INIT: (("git", "lfs", "install", "--local"), ("git", "lfs", "track", f"{DATA}/**")),
            Operation.ADD_V1: (add, _commit("v1")),
            Operation.STATUS: (status,),
            Operation.PUSH: (push,),
            Operation.PUSH_AGAIN: (push,),
            # All of the folder, and so what was deleted, too.
            Operation.ADD_V2: (("git", "add", "-A", DATA), _commit("v2")),
            Operation.PULL: (("git", "-C", "{clone}", "lfs", "pull"),),
            Operation.PULL_AGAIN: (("git", "-C", "{clone}", "lfs", "pull"),),
            Operation.DIFF: (("git", "diff", "--name-status", "v1", "v2"),),
            Operation.LOG: (("git", "log", "--", DATA),),
            Operation.LIST: (("git", "ls-tree", "-r", "v2", DATA),),
            Operation.CHECKOUT_V1: (("git", "checkout", "-q", "v1"),),
            Operation.CHECKOUT_AGAIN: (("git", "checkout", "-q", "v1"),),
            Operation.CHECKOUT_ALL: (("git", "checkout", "-q", "--", DATA),),
            Operation.STATUS_TOUCHED: (status,),
            Operation.VERSION: ((program, "version"),),
            Operation.STATUS_SMALL: (status,),
        },
        before={
            Operation.INIT: (
                _GIT_INIT,
                ("git", "init", "-q", "--bare", "{remote}"),
                ("git", "remote", "add", "origin", "file://{remote}"),
            ),
            Operation.STATUS: (status,),
            Operation.PULL: (
                *FORGET,
                ("env", "GIT_LFS_SKIP_SMUDGE=1", "git", "clone", "-q", "file://{remote}", "{clone}"),
                ("git", "-C", "{clone}", "lfs", "install", "--local"),
            ),
        },
        after={Operation.INIT: _SETTLE, **_tags()},
        store=".git/lfs",
    )


def git() -> Tool:
    """Return git without any tool for data: what many small files cost at least when they are committed."""
    status = ("git", "status", "--porcelain")
    return Tool(
        "git",
        ("git", "--version"),
        commands={
            Operation.INIT: (_GIT_INIT,),
            Operation.ADD_V1: (("git", "add", DATA), _commit("v1")),
            Operation.STATUS: (status,),
            Operation.ADD_V2: (("git", "add", "-A", DATA), _commit("v2")),
            Operation.DIFF: (("git", "diff", "--name-status", "v1", "v2"),),
            Operation.LOG: (("git", "log", "--", DATA),),
            Operation.LIST: (("git", "ls-tree", "-r", "v2", DATA),),
            Operation.CHECKOUT_V1: (("git", "checkout", "-q", "v1"),),
            Operation.CHECKOUT_AGAIN: (("git", "checkout", "-q", "v1"),),
            Operation.CHECKOUT_ALL: (("git", "checkout", "-q", "--", DATA),),
            Operation.STATUS_TOUCHED: (status,),
        },
        before={Operation.STATUS: (status,)},
        after=_tags(),
        store=".git",
        only=frozenset({"small", "million"}),
    )


def limits() -> list[Tool]:
    """Return what no versioning tool can beat: copying the data, reading and hashing it, starting Python."""
    copy = Tool(
        "cp -r",
        ("cp", "--version"),
        commands={Operation.COPY: (("cp", "-r", "{v1}", "{scratch}/copy"),)},
        after={Operation.COPY: (("rm", "-r", "{scratch}/copy"),)},
    )
    return [copy, _hasher(), *(_python(code) for code in ("pass", "import click", "import click, pygit2, sqlite3"))]


_HASH_FOLDER = """
import os, sys
from blake3 import blake3
for root, _, names in os.walk(sys.argv[1]):
    for name in names:
        blake3(max_threads=blake3.AUTO).update_mmap(os.path.join(root, name)).digest()
"""


def _hasher() -> Tool:
    if shutil.which("b3sum"):
        script = 'find "$1" -type f -print0 | xargs -0 b3sum'
        return Tool("b3sum", ("b3sum", "--version"), commands={Operation.HASH: (("sh", "-c", script, "sh", "{v1}"),)})
    version = (sys.executable, "-c", "import blake3; print(blake3.__version__)")
    command = (sys.executable, "-c", _HASH_FOLDER, "{v1}")
    return Tool("BLAKE3 in Python", version, commands={Operation.HASH: (command,)})


def _python(code: str) -> Tool:
    command = (sys.executable, "-c", code)
    return Tool(f'python -c "{code}"', (sys.executable, "--version"), commands={Operation.IMPORT: (command,)})
