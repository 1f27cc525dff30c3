"""`dver add`."""

import shlex
from collections.abc import Sequence
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, size_text
from dver.errors import UsageError
from dver.objects.pointer import DatasetKind, pointer_path
from dver.operations.add import Added, AddResult, add
from dver.repo import LINEAGE_FILE, Repo
from dver.workspace.gitignore import gitignore_path

_EXAMPLES = {
    "dver add data/raw": "store a folder, or what changed in it",
    "dver add train.csv test.csv": "several datasets at once",
    "dver add data/raw/new.csv": "one file of a dataset, and nothing else that changed",
    "dver add --from https://example.org/raw.zip data/raw": "store it, and record where it came from",
    "dver add --note 'lab 3, camera 2' data/raw": "the same in words of your own",
    "dver add --from s3://bucket/v2 --kind model best.pt": "record what it is, too",
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
@click.option("--from", "source", metavar="URL", help="Record where the data came from; downloads nothing.")
@click.option("--note", metavar="TEXT", help="Record what there is to say of where it came from.")
@click.option(
    "--kind", "kinds", metavar="[PATH=]KIND", multiple=True, help="Record what it is: model, schema or any other word."
)
@click.option("--prop", "props", metavar="[PATH:]KEY=VALUE", multiple=True, help="Record a property of it.")
@click.pass_obj
def command(session: Session, /, paths: Sequence[str], stage: bool | None, **given: Any) -> None:
    """Store data as a new version and write its pointer.

    PATH is a file or a folder, not a pointer; each becomes one dataset. The data goes into the cache, its pointer
    PATH.dver is written and staged in git, and the data itself is named in .gitignore. Only what is new is stored, and
    files that did not change are not read again. Folders may hold a .dverignore file, written like .gitignore.

    PATH may also lie within a dataset: then only what changed there goes into its new version. For that the rest need
    not be here, and is neither read nor fetched.

    A dataset that was never checked out here, or whose checkout was interrupted, is refused if files of its version are
    missing. A merge conflict in the pointer is settled with the data as it is here, once dver checkout has brought what
    the other side changed.

    With --from or --note, .dver/lineage.jsonl gets a record of where the version came from, for dver lineage to show.
    URL is only text: nothing is downloaded, and passwords and keys in it are masked. It may be said later, too, of data
    that is added already. The same record has what --kind and --prop say, of PATH where there are several.
    """
    with session.repo() as repo:
        if stage is None:
            stage = repo.settings.add_stage
        result, recorded = _add(session, repo, paths, stage=stage, **given)
        _show(session, result)
        for line in recorded:
            session.console.done(line)
        for added in result.added:
            if added.settled_conflict:
                session.console.note(_conflict_note(session, added.dataset))
        _show_next(session, result.added, staged=stage, is_recorded=bool(recorded))
        session.tidy(repo)


def _add(
    session: Session, repo: Repo, paths: Sequence[str], *, stage: bool, force: bool, **given: Any
) -> tuple[AddResult, list[str]]:
    """Add, and return what to say of the record of the origin, if there is one."""
    words = session.paths(repo, paths)
    origin = {name: value for name, value in given.items() if value not in (None, ())}
    if not origin:
        return add(repo, words, stage=stage, force=force, within=True, progress=session.console), []
    # Deferred: records take their time to load, and most data is added without one.
    from dver.operations.descriptions import Words, parse_descriptions  # noqa: PLC0415
    from dver.operations.origin import Origin, add_from  # noqa: PLC0415
    from dver.records.record import short_id  # noqa: PLC0415

    described = Words(origin.pop("kinds", ()), origin.pop("props", ()))
    if not origin:
        raise UsageError(
            "--kind and --prop go into a record of where the data came from, and nothing is said of that",
            hint="give --note TEXT as well, or --from URL",
        )
    origin["descriptions"] = parse_descriptions(
        described, words, lambda word: repo.relative(word, session.start), noun="path"
    )
    done = add_from(repo, words, Origin(**origin), stage=stage, force=force, progress=session.console)
    if done.masked:
        session.console.note(f"masked in the record, for it looks like a secret: {', '.join(done.masked)}")
    return done.result, [f"recorded where it came from: run {short_id(done.record)}"]


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


def _show_next(session: Session, added: Sequence[Added], *, staged: bool, is_recorded: bool) -> None:
    changed = [one for one in added if one.changed]
    if not changed and not is_recorded:
        return
    commit = f"git commit -m {_quoted(_subject(session, changed or added, is_changed=bool(changed)))}"
    if not staged:
        files = [path for one in changed for path in (pointer_path(one.dataset), gitignore_path(one.dataset))]
        files += [LINEAGE_FILE] if is_recorded else []
        names = dict.fromkeys(session.relative_to_start(path) for path in files)
        commit = f"git add {shlex.join(names)} && {commit}"
    session.console.tip(f"next: {commit}")


def _subject(session: Session, added: Sequence[Added], *, is_changed: bool) -> str:
    """Return the first line of a commit message."""
    names = [session.relative_to_start(one.dataset) for one in added]
    named = " and ".join(names) if len(names) <= _NAMED_IN_TIP else f"{len(names)} datasets"
    if not is_changed:
        return f"Say where {named} came from"
    return f"{'Add' if all(one.is_new for one in added) else 'Update'} {named}"


def _quoted(text: str) -> str:
    return f'"{text}"' if not set(text) & set('"\\$`!\n') else shlex.quote(text)
