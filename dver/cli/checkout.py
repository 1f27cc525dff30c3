"""`dver checkout`."""

from collections.abc import Sequence

import click

from dver.cli.command import PATH
from dver.cli.revisions import RevisionCommand, split_arguments
from dver.cli.session import Session
from dver.cli.wording import count_text, size_text
from dver.objects.entry import FileEntry
from dver.objects.pointer import pointer_path
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.datasets import decode_path

_EXAMPLES = {
    "dver checkout": "make the data what the pointers say, as after git pull",
    "dver checkout data/raw": "one dataset, or a path within one",
    "dver checkout v1.0": "all data as it was in a tag, commit or branch",
    "dver checkout main~2 -- data/raw": "one dataset as it was two commits ago",
    "dver checkout --dry-run v1.0": "only say what would be done",
}


@click.command("checkout", cls=RevisionCommand, examples=_EXAMPLES)
@click.argument("words", metavar="[REV] [--] [PATH]...", nargs=-1, type=PATH)
@click.option("--force", is_flag=True, help="Give up changes to files whose content is stored nowhere.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written and deleted.")
@click.option("--verify", is_flag=True, help="Check every piece of data against its id while writing.")
@click.pass_obj
def command(session: Session, words: Sequence[str], force: bool, dry_run: bool, verify: bool) -> int:
    """Bring data to the version that a pointer or commit names.

    Without REV, files become what the pointers here say. With REV, a commit, tag or branch, its pointers are brought
    and staged too, as by git checkout REV -- PATH. Only files that differ are written; files that no version knows are
    kept; and nothing is overwritten or deleted whose content is stored nowhere. What the cache lacks is fetched from
    the default remote.
    """
    options = CheckoutOptions(force=force, dry_run=dry_run, verify=verify)
    with session.repo() as repo:
        arguments = split_arguments(session, repo, words, most=1)
        revision = arguments.revisions[0] if arguments.revisions else None
        plan = checkout(repo, revision, arguments.paths, options=options, progress=session.console)
    if dry_run:
        _show_plan(session, plan)
        return 1 if plan.conflicts else 0
    show_checkout(session, plan)
    return 0


def show_checkout(session: Session, plan: CheckoutPlan) -> None:
    """Say what a checkout did."""
    if not plan.datasets:
        session.console.done("nothing to do: there are no datasets")
        return
    unchanged = 0
    for dataset in plan.datasets:
        summary = _summary(dataset, brings_pointer=dataset.dataset in plan.pointers)
        if summary:
            session.console.done(f"checked out {session.shown(dataset.dataset)}: {summary}")
        else:
            unchanged += 1
    if unchanged == len(plan.datasets):
        session.console.done(f"nothing to do: {_all(unchanged)} up to date")
    elif unchanged:
        session.console.done(f"{count_text(unchanged, 'dataset')} already up to date")


def _all(count: int) -> str:
    return "the one dataset is" if count == 1 else f"all {count:,} datasets are"


def _summary(plan: DatasetPlan, *, brings_pointer: bool) -> str:
    """Return what was done to a dataset, or "" for nothing."""
    parts = []
    if plan.writes:
        parts.append(f"{count_text(len(plan.writes), 'file')} written, {size_text(plan.write_bytes)}")
    if plan.deletes:
        parts.append(f"{count_text(len(plan.deletes), 'file')} deleted")
    # With the files it goes without saying.
    return "; ".join(parts) or ("pointer restored" if brings_pointer else "")


def _show_plan(session: Session, plan: CheckoutPlan) -> None:
    console = session.console
    for dataset in plan.datasets:
        for entry in dataset.writes:
            size = f"  {size_text(entry.size)}" if isinstance(entry, FileEntry) else ""
            console.out(f"would write   {_shown(session, dataset, decode_path(entry.path))}{size}")
        for path in dataset.deletes:
            console.out(f"would delete  {_shown(session, dataset, decode_path(path))}")
        if dataset.dataset in plan.pointers:
            console.out(f"would write   {session.shown(pointer_path(dataset.dataset))}")
    for conflict in plan.conflicts:
        console.out(console.style(f"in the way    {session.shown(conflict)}  (its content is stored nowhere)", "red"))
    if not plan.pointers and not any(dataset.writes or dataset.deletes for dataset in plan.datasets):
        console.out("nothing to do")


def _shown(session: Session, plan: DatasetPlan, path: str) -> str:
    return session.shown(f"{plan.dataset}/{path}" if path else plan.dataset)
