"""`dver rm`."""

from collections.abc import Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.operations.rm import Removed, rm
from dver.workspace.gitignore import gitignore_path

_EXAMPLES = {
    "dver rm data/raw": "stop tracking a dataset and delete its files here",
    "dver rm --keep data/raw": "stop tracking it, and keep the files",
    "dver rm data/raw/2019": "remove a path from a dataset, be it here or not",
}


@click.command("rm", cls=Command, examples=_EXAMPLES)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option("--keep", is_flag=True, help="Keep the files, and only stop tracking them; git goes on ignoring them.")
@click.option("--force", is_flag=True, help="Delete files even if their content is stored nowhere.")
@click.pass_obj
def command(session: Session, paths: Sequence[str], keep: bool, force: bool) -> None:
    """Stop tracking a dataset, or remove a path from one.

    The change is staged in git, and versions that were committed stay in the store: dver checkout REV -- PATH brings
    them back. Files whose content is stored nowhere are not deleted. With --keep, git goes on ignoring the files of a
    dataset, so that none gets into git by mistake; edit .gitignore to let git see them.

    A path in a dataset can be removed without being here: nothing is fetched for that.
    """
    with session.repo() as repo:
        removed = rm(repo, session.paths(repo, paths), keep=keep, force=force)
    for one in removed:
        session.console.done(_sentence(session, one))
    for one in removed:
        if one.kept and not one.part:
            ignore = session.relative_to_start(gitignore_path(one.dataset))
            session.console.tip(f"the data stays ignored by git; edit {ignore} to let git see it")
    session.console.tip("next: git commit")


def _sentence(session: Session, removed: Removed) -> str:
    kept = "; its files are kept" if removed.kept else ""
    if removed.part:
        return (
            f"removed {session.shown(f'{removed.dataset}/{removed.part}')} from {session.shown(removed.dataset)}{kept}"
        )
    return f"removed {session.shown(removed.dataset)}{kept}"
