"""`dver checkout`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from dver.cli.choosing import choice_options
from dver.cli.command import PATH
from dver.cli.conflicts import show_conflicts
from dver.cli.following import tell
from dver.cli.plans import summary_text
from dver.cli.revisions import RevisionCommand, split_arguments
from dver.cli.session import Session
from dver.cli.wording import count_text, size_text
from dver.config import Link
from dver.errors import PathError, UsageError
from dver.objects.entry import FileEntry
from dver.objects.merge import Side
from dver.objects.pointer import pointer_path
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.datasets import decode_path
from dver.operations.follow import remove_gone
from dver.operations.resolve import Resolution, Resolved, Unresolved, checkout_merging, resolve
from dver.repo import Repo

_EXAMPLES = {
    "dver checkout": "make the data what the pointers say, as after git pull",
    "dver checkout data/raw": "one dataset, or a path within one",
    "dver checkout v1.0": "all data as it was in a tag, commit or branch",
    "dver checkout main~2 -- data/raw": "one dataset as it was two commits ago",
    "dver checkout --include '*.csv' data/raw": "only what fits a pattern, from now on",
    "dver checkout --dry-run v1.0": "only say what would be done",
    "dver checkout --link reflink v1.0": "let equal files share blocks on disk, or refuse",
    "dver checkout --theirs data/raw/a.csv": "decide a merge conflict",
}


@click.command("checkout", cls=RevisionCommand, examples=_EXAMPLES)
@click.argument("words", metavar="[REV] [--] [PATH]...", nargs=-1, type=PATH)
@click.option("--force", is_flag=True, help="Give up changes to files whose content is stored nowhere.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written and deleted.")
@click.option("--verify", is_flag=True, help="Check every piece of data against its id while writing.")
@click.option(
    "--link",
    type=click.Choice([one.value for one in Link]),
    help="Whether equal files share blocks on disk: auto, where that is possible and takes less time; reflink, wherever"
    " it saves space, or refuse; copy, never. The setting checkout.link decides otherwise.",
)
@choice_options("Bring all of each dataset, and forget what was chosen of it.")
@click.option("--ours", is_flag=True, help="Decide merge conflicts for our side.")
@click.option("--theirs", is_flag=True, help="Decide merge conflicts for their side.")
@click.pass_obj
def command(session: Session, /, words: Sequence[str], ours: bool, theirs: bool, link: str | None, **how: Any) -> int:
    """Bring data to the version that a pointer or commit names.

    Without REV, files become what the pointers here say. With REV, a commit, tag or branch, its pointers are brought
    and staged too, as by git checkout REV -- PATH. Only files that differ are written; files that no version knows are
    kept; and nothing is overwritten or deleted whose content is stored nowhere. What the cache lacks is fetched from
    the default remote.

    With --include and --exclude, only what fits of PATH, or of each dataset that is a folder, is wanted here from now
    on: it comes, other files go if they are stored, and without PATH a later dver checkout or dver pull keeps to it.
    Naming the dataset, or --whole, brings everything.

    A dataset whose pointer git could not merge is merged file by file. What both sides changed differently stays in
    conflict until --ours or --theirs decides it, for everything in conflict or for the datasets and paths that are
    named; or until you make the data what it should be and dver add stores it. As long as something is left, the exit
    code is 1.
    """
    if ours and theirs:
        raise UsageError("--ours and --theirs cannot go together", hint="run one after the other, each with its paths")
    side = Side.OURS if ours else Side.THEIRS if theirs else None
    if side and (how["patterns"] or how["whole"]):
        raise UsageError("--ours and --theirs decide conflicts; what is wanted here is another matter")
    how["whole"] = how["whole"] or None
    options = CheckoutOptions(**how, link=None if link is None else Link(link))
    with session.repo() as repo:
        outcome = _check_out(session, repo, words, side, options)
        # What git took away in ways that run no hook, as git merge --abort does.
        left = [] if words or side or options.dry_run else remove_gone(repo, progress=session.console)
    tell_spared(session, outcome.plan)
    if options.dry_run:
        _show_plan(session, outcome.plan)
    elif side is None or outcome.resolved:
        show_resolution(session, outcome)
    elif not outcome.unresolved:
        session.console.done("nothing to do: no dataset is in a merge conflict")
    for one in left:
        tell(session, one)
    for unresolved in outcome.unresolved:
        _show_unresolved(session, unresolved)
    return 1 if outcome.unresolved or (options.dry_run and outcome.plan.conflicts) else 0


def _check_out(
    session: Session, repo: Repo, words: Sequence[str], side: Side | None, options: CheckoutOptions
) -> Resolution:
    # A side stands in the place of a revision, so that every word is a path.
    arguments = split_arguments(session, repo, words, most=1 if side is None else 0)
    progress = session.console
    if side is not None:
        return resolve(repo, side, arguments.paths, options=options, progress=progress)
    if not arguments.revisions:
        return checkout_merging(repo, arguments.paths, options=options, progress=progress)
    return Resolution(checkout(repo, arguments.revisions[0], arguments.paths, options=options, progress=progress))


def show_resolution(session: Session, outcome: Resolution) -> None:
    """Say what a checkout did, first where it ended a merge conflict."""
    plans = {plan.dataset: plan for plan in outcome.plan.datasets}
    for resolved in outcome.resolved:
        plan = plans.pop(resolved.dataset, None)
        data = "" if plan is None else summary_text(plan, brings_pointer=False)
        session.console.done(f"{_resolution(session, resolved)}{'; ' * bool(data)}{data}")
        if resolved.taken is not None:
            session.console.note(
                f"{session.relative_to_start(resolved.dataset)}: a version is out of reach, so {resolved.taken.value}"
                f" was taken as it is, without what {resolved.taken.other.value} changed"
            )
        if not resolved.has_data:
            session.console.note(
                f"dver pull {session.relative_to_start(resolved.dataset)} brings the data once its version is in reach"
            )
    is_merge = bool(outcome.resolved or outcome.unresolved)
    others = [plan for plan in plans.values() if summary_text(plan) or not is_merge]
    if others or not is_merge:
        show_checkout(session, replace(outcome.plan, datasets=tuple(others)))


def _resolution(session: Session, resolved: Resolved) -> str:
    name = session.shown(resolved.dataset)
    if resolved.taken is not None:
        return f"resolved {name}: {resolved.taken.value} as it is"
    if resolved.decided:
        return f"resolved {name}: {count_text(resolved.decided, 'conflict')} decided"
    return f"merged {name}: nothing conflicts"


def _show_unresolved(session: Session, unresolved: Unresolved) -> None:
    problem = unresolved.problem
    if problem is None:
        show_conflicts(session, unresolved.dataset, unresolved.conflicts)
    else:
        name = session.relative_to_start(unresolved.dataset)
        reason = problem.reason if isinstance(problem, PathError) else problem.message
        session.console.error(f"{name} is in a merge conflict: {reason}", hint=problem.hint)


def tell_spared(session: Session, plan: CheckoutPlan) -> None:
    """Say which datasets a checkout of everything left alone."""
    for problem in plan.spared:
        session.console.note(f"{problem.message}, so it is left alone")


def show_checkout(session: Session, plan: CheckoutPlan) -> None:
    """Say what a checkout did."""
    if not plan.datasets:
        if not plan.spared:
            session.console.done("nothing to do: there are no datasets")
        return
    unchanged = 0
    for dataset in plan.datasets:
        summary = summary_text(dataset, brings_pointer=dataset.dataset in plan.pointers)
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
