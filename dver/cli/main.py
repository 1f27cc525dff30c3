"""Where the command `dver` begins.

`dver --version` is answered before anything is imported, for scripts and prompts ask it often. The table of commands is
plain text for the same reason: listing them loads none of them.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence

from dver import __version__

COMMANDS = {
    "Start": {
        "init": "Set dver up in a git repository.",
        "tour": "See dver at work in a temporary repository.",
    },
    "Work with data": {
        "add": "Store data as a new version and write its pointer.",
        "status": "Show which datasets changed and what to do about it.",
        "checkout": "Bring data to the version that a pointer or commit names.",
        "drop": "Free the disk space of data that is stored, and go on tracking it.",
        "mv": "Move or rename a dataset, or a path within one.",
        "rm": "Stop tracking a dataset, or remove a path from one.",
    },
    "Look": {
        "diff": "Show which files differ between revisions or from the data here.",
        "log": "Show the versions of a dataset through git's history.",
        "ls": "List datasets and what is in them, without a checkout.",
        "cat": "Write a file of a dataset to standard output.",
    },
    "Share": {
        "push": "Send versions to a remote.",
        "fetch": "Bring versions from a remote into the cache.",
        "pull": "Fetch, then check out.",
        "remote": "Manage the remotes that data is pushed to and fetched from.",
    },
    "Look after the stores": {
        "gc": "Free disk space: delete from the cache what nothing names.",
        "fsck": "Check that what is stored is whole and undamaged, and put it right.",
    },
    "Know where data comes from": {
        "run": "Run a command, and record what it read and made.",
        "repro": "Run again what is stale, from the records of dver run.",
        "lineage": "Show which runs and data led to a version, or came of it.",
        "runs": "List the runs that are recorded, the newest last.",
        "artifacts": "List the versions that runs used or made, the newest last.",
        "show": "Show all that is recorded of a run, or of the runs that made a version.",
    },
    "Work with git": {
        "install": "Set up git hooks, and merging and diffs of datasets.",
        "uninstall": "Undo what dver install did.",
        "hook": "Run a check as git and pre-commit do.",
    },
    "Configure": {
        "config": "Read and change settings.",
        "completion": "Print a script for tab completion in your shell.",
    },
}
"""The commands by section of the help; each is the module of its name, and the text is how its own help begins."""

# Loading a command makes so many objects that last; looking for garbage among them takes a tenth of a short command.
_FEW_OBJECTS = 50_000
_STREAMS = ("stdin", "stdout", "stderr")
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run dver with `argv`, by default those of this process, and return the exit code."""
    _open_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        sys.stdout.write(f"dver {__version__}\n")
        return 0
    try:
        # Deferred: click takes three times as long to import as Python to start.
        from dver.cli.boundary import run  # noqa: PLC0415
    except KeyboardInterrupt:
        # Nothing was begun, and there is no one yet who could say so.
        return _INTERRUPTED
    if argv is not None:
        return run(arguments, os.environ, COMMANDS)
    # The process is ours. It need not take apart at its end what ends with it.
    gc.set_threshold(_FEW_OBJECTS, 10, 10)
    code = run(arguments, os.environ, COMMANDS)
    gc.freeze()
    return code


def _open_closed_streams() -> None:
    """Let a standard stream that the caller closed, as by `>&-`, be an empty one.

    Python has None for it. Its number would go to the next file that is opened, and what a library says on standard
    error would then be written into that file.
    """
    closed = [name for name in _STREAMS if getattr(sys, name) is None]
    if not closed:
        return
    while (number := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(number, True)
    os.close(number)
    for name in closed:
        binary = io.FileIO(os.devnull, "r" if name == "stdin" else "w")
        buffered = io.BufferedReader(binary) if name == "stdin" else io.BufferedWriter(binary)
        setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8"))
