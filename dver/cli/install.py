"""`dver install`, and how changes to hooks are told."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.wording import path_text
from dver.git.hooks import HookEvent
from dver.operations.install import Installed, install
from dver.workspace.gitattributes import GITATTRIBUTES

_EXAMPLES = {
    "dver install": "set up hooks and drivers in this clone",
    "dver install --no-hooks": "beside the pre-commit framework, which runs dver's hooks itself",
    "git diff HEAD~1 -- data.dver": "then shows files and sizes",
    "dver uninstall": "undo it",
}

_TOLD = {
    HookEvent.ADDED: "runs dver",
    HookEvent.CHAINED: "runs dver, after the hook that was there, now {}",
    HookEvent.REWRITTEN: "written anew",
    HookEvent.REMOVED: "removed",
    HookEvent.RESTORED: "is again the hook that was there before",
    HookEvent.LEFT: "is not from dver and stays; the hook that was there before it is {}",
    HookEvent.PASSED_ON: "git takes hooks from here now; they run those in {}, then dver",
    HookEvent.GIVEN_BACK: "removed; git takes hooks from where it did before",
}
_DRIVERS = {"merge.dver": "git merges datasets file by file", "diff.dver": "git diff shows which files changed"}


@click.command("install", cls=Command, examples=_EXAMPLES)
@click.option("--no-hooks", is_flag=True, help="Set up merging and diffs alone.")
@click.pass_obj
def command(session: Session, no_hooks: bool) -> None:
    """Set up git hooks, and merging and diffs of datasets.

    From then on git commit checks that pointers name the data that is here, git push that their versions are on the
    remote, and data follows when git switches, merges or rebases. Hooks that are there already go on to run, before
    dver's. git merges pointers file by file, and shows in them which files changed.

    All of it is set up in this clone alone, for all its work trees. It may be run any number of times; after Python
    moved, it mends the hooks.
    """
    with session.repo() as repo:
        result = install(repo.git, python=sys.executable, with_hooks=not no_hooks)
    if result.is_nothing:
        session.console.done(f"nothing to do: git runs dver in {repo.root}")
        return
    attributes = "names both for pointers; commit it, so that it holds in every clone"
    show_changes(session, repo.root, result, _DRIVERS, attributes)


def show_changes(session: Session, root: Path, result: Installed, drivers: Mapping[str, str], attributes: str) -> None:
    """Say a line for each change; the texts say what became of each driver, and of `.gitattributes`."""
    console = session.console
    for change in result.hooks:
        before = "" if change.before is None else _shown(session, root, root / change.before)
        console.done(f"{_shown(session, root, change.path)}: {_TOLD[change.event].format(before)}")
    for section in result.drivers:
        console.done(f"{section}: {drivers[section]}")
    if result.attributes:
        console.done(f"{session.shown(GITATTRIBUTES)}: {attributes}")
    if result.shared:
        console.done("this holds for all work trees of the repository")


def _shown(session: Session, root: Path, path: Path) -> str:
    """Return a path for people: from the current folder where it lies in the repository, else in full."""
    return session.shown(os.path.relpath(path, root)) if path.is_relative_to(root) else path_text(str(path))
