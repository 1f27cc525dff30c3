"""`dver pull`."""

from dataclasses import replace

import click

from dver.cli.checkout import show_checkout, tell_spared
from dver.cli.choosing import choice_options
from dver.cli.command import Command
from dver.cli.fetch import fetched_json, show_fetch, tell_garbage
from dver.cli.session import Session
from dver.cli.transfers import Request, moved_anything, transfer_options
from dver.cli.wording import path_json
from dver.objects.ids import format_version
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.datasets import Target, decode_path, select, working_datasets
from dver.operations.push import TransferResult, fetch, missing_error, wanted_versions
from dver.operations.run_guard import spare
from dver.operations.selection import choose_wanted
from dver.operations.wanted import Wanted
from dver.repo import Repo
from dver.workspace.choice import Patterns

_EXAMPLES = {
    "git pull && dver pull": "what others committed, with its data",
    "dver pull data/raw/2024": "one folder of a dataset, and no other data",
    "dver pull --include '*.csv' --exclude old/ data": "only what fits, from now on",
    "dver pull -r backup": "from another remote than the default one",
}


@click.command("pull", cls=Command, examples=_EXAMPLES)
@transfer_options
@click.option("--force", is_flag=True, help="Give up changes to files whose content is stored nowhere.")
@choice_options("Bring all of each dataset, and forget what was chosen of it.")
def command(session: Session, request: Request, patterns: Patterns, whole: bool, force: bool) -> None:
    """Fetch, then check out.

    Brings what the last commit and the pointers here name, then makes the data what the pointers here say. --rev and
    --all fetch more, and do not change what is checked out.

    PATH may be part of a dataset: then only that part comes. With --include and --exclude, only what fits of PATH, or
    of each dataset that is a folder, comes and stays. Such a choice is remembered: without PATH, a later dver pull or
    dver checkout keeps to it. Naming the dataset, or --whole, brings everything.
    """
    with session.repo() as repo:
        named = bool(request.paths)
        options = CheckoutOptions(force=force, patterns=patterns, whole=named or whole)
        fetched = fetch(repo, _wanted(session, repo, request, options), remote=request.remote, progress=session.console)
        plan = _check_out(session, repo, request, fetched, options)
        problem = missing_error(fetched, repo, pushing=False)
        session.tidy(repo)
    tell_garbage(session, fetched)
    tell_spared(session, plan)
    if request.as_json:
        session.console.document(_document(fetched, plan))
    else:
        if moved_anything(fetched):
            show_fetch(session, fetched)
        if plan.datasets or not fetched.missing:
            show_checkout(session, plan)
    if problem is not None:
        raise problem


def _wanted(session: Session, repo: Repo, request: Request, options: CheckoutOptions) -> list[Wanted]:
    """Return what is to be checked out, and what else was asked for."""
    paths = session.paths(repo, request.paths)
    # In a whole checkout, what is chosen so far plays no part.
    is_named = bool(options.whole)
    wanted = choose_wanted(repo, wanted_versions(repo, paths), options.patterns, is_named=is_named)
    if request.revisions or request.all_refs:
        wanted += choose_wanted(repo, request.wanted(session, repo), options.patterns, is_named=is_named, whole=True)
    return list(dict.fromkeys(wanted))


def _check_out(
    session: Session, repo: Repo, request: Request, fetched: TransferResult, options: CheckoutOptions
) -> CheckoutPlan:
    """Check out what can be: a version that is nowhere must not keep the other datasets from coming."""
    targets = select(working_datasets(repo), session.paths(repo, request.paths))
    targets, spared = spare(repo.dver_dir, targets, session.paths(repo, request.paths))
    missing = {want.dataset for want in fetched.missing}
    paths = [_path(target) for target in targets if target.dataset not in missing]
    if not paths:
        return CheckoutPlan((), spared=spared)
    if not missing:
        paths = session.paths(repo, request.paths)
    plan = checkout(repo, None, paths, options=options, progress=session.console)
    return replace(plan, spared=plan.spared or spared)


def _path(target: Target) -> str:
    return f"{target.dataset}/{decode_path(target.part)}" if target.part else target.dataset


def _document(fetched: TransferResult, plan: CheckoutPlan) -> dict[str, object]:
    return {
        **fetched_json(fetched),
        "checked_out": [
            {
                "dataset": path_json(dataset.dataset),
                "version": format_version(dataset.version),
                "written": len(dataset.writes),
                "written_bytes": dataset.write_bytes,
                "deleted": len(dataset.deletes),
            }
            for dataset in plan.datasets
        ],
    }
