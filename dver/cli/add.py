"""`dver add`."""

import shlex
from collections.abc import Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, size_text
from dver.objects.pointer import DatasetKind, pointer_path
from dver.operations.add import Added, AddResult, add
from dver.workspace.gitignore import gitignore_path

_EXAMPLES = {
    "dver add data/raw": "store a folder, or what changed in it",
    "dver add train.csv test.csv": "several datasets at once",
    "dver add --no-stage data/raw": "leave git's index alone",
}
_NAMED_IN_TIP = 2


@click.command("add", cls=Command, examples=_EXAMPLES)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--stage/--no-stage",
    default=None,
    help="Stage the pointer and .gitignore in git, or leave that to you. The setting add.stage decides otherwise.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Take the data here as the whole, even if files of the version were never here or git moved the pointer on.",
)
@click.pass_obj
def command(session: Session, paths: Sequence[str], stage: bool | None, force: bool) -> None:
    """Store data as a new version and write its pointer.

    PATH is a file or a folder, not a pointer; each becomes one dataset. The data goes into the cache, its pointer
    PATH.dver is written and staged in git, and the data itself is named in .gitignore. Only what is new is stored, and
    files that did not change are not read again. Folders may hold a .dverignore file, written like .gitignore.

    A dataset that was never checked out here, or whose checkout was interrupted, is refused if files of its version are
    missing. A merge conflict in the pointer is settled with the data as it is here, once dver checkout has brought what
    the other side changed.
    """
    with session.repo() as repo:
        if stage is None:
            stage = repo.settings.add_stage
        result = add(repo, session.paths(repo, paths), stage=stage, force=force, progress=session.console)
    _show(session, result)
    for added in result.added:
        if added.settled_conflict:
            session.console.note(_conflict_note(session, added.dataset))
    _show_next(session, result.added, staged=stage)


def _show(session: Session, result: AddResult) -> None:
    stored = f"{size_text(result.stored_bytes)} new in the store"
    together = len(result.added) > 1
    for added in result.added:
        end = f"; {stored}" if added.changed and not together else ""
        session.console.done(f"{_sentence(session, added)}{end}")
    if together and any(added.changed for added in result.added):
        session.console.done(stored)


def _conflict_note(session: Session, dataset: str) -> str:
    return (
        f"the merge conflict in {session.relative_to_start(pointer_path(dataset))} is settled with the data as it is"
        f" here; dver checkout --force REV -- {session.relative_to_start(dataset)} brings another side's, with"
        " MERGE_HEAD as REV that of the branch being merged"
    )


def _sentence(session: Session, added: Added) -> str:
    pointer = added.pointer
    what = size_text(pointer.size)
    if pointer.kind is DatasetKind.DIRECTORY:
        what = f"{count_text(pointer.files, 'file')}, {what}"
    if not added.changed:
        return f"unchanged {session.shown(added.dataset)}: {what}"
    return f"{'added' if added.is_new else 'updated'} {session.shown(added.dataset)}: {what}"


def _show_next(session: Session, added: Sequence[Added], *, staged: bool) -> None:
    changed = [one for one in added if one.changed]
    if not changed:
        return
    verb = "Add" if all(one.is_new for one in changed) else "Update"
    names = [session.relative_to_start(one.dataset) for one in changed]
    subject = " and ".join(names) if len(names) <= _NAMED_IN_TIP else f"{len(names)} datasets"
    commit = f"git commit -m {_quoted(f'{verb} {subject}')}"
    if not staged:
        files = dict.fromkeys(
            path for one in changed for path in (pointer_path(one.dataset), gitignore_path(one.dataset))
        )
        commit = f"git add {shlex.join(session.relative_to_start(path) for path in files)} && {commit}"
    session.console.tip(f"next: {commit}")


def _quoted(text: str) -> str:
    return f'"{text}"' if not set(text) & set('"\\$`!\n') else shlex.quote(text)
