"""`dver pull`."""

import click

from dver.cli.checkout import show_checkout
from dver.cli.command import Command
from dver.cli.fetch import show_fetch
from dver.cli.session import Session
from dver.cli.transfers import Request, document, moved_anything, transfer_options
from dver.cli.wording import path_json
from dver.objects.ids import format_version
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.datasets import Target, decode_path, select, working_datasets
from dver.operations.push import TransferResult, fetch, missing_error, wanted_versions
from dver.operations.transfer import Wanted
from dver.repo import Repo

_EXAMPLES = {
    "git pull && dver pull": "what others committed, with its data",
    "dver pull data/raw/2024": "one folder of a dataset, and no other data",
    "dver pull -r backup": "from another remote than the default one",
}


@click.command("pull", cls=Command, examples=_EXAMPLES)
@transfer_options
@click.option("--force", is_flag=True, help="Give up changes to files whose content is stored nowhere.")
def command(session: Session, request: Request, force: bool) -> None:
    """Fetch, then check out.

    Brings what the last commit and the pointers here name, then makes the data what the pointers here say. --rev and
    --all fetch more, and do not change what is checked out. PATH may be part of a dataset: then only that part comes.
    """
    with session.repo() as repo:
        fetched = fetch(repo, _wanted(session, repo, request), remote=request.remote, progress=session.console)
        plan = _check_out(session, repo, request, fetched, CheckoutOptions(force=force))
        problem = missing_error(fetched, repo, pushing=False)
    if request.as_json:
        session.console.document(_document(fetched, plan))
    else:
        if moved_anything(fetched):
            show_fetch(session, fetched)
        if plan.datasets or not fetched.missing:
            show_checkout(session, plan)
    if problem is not None:
        raise problem


def _wanted(session: Session, repo: Repo, request: Request) -> list[Wanted]:
    """Return what is to be checked out, and what else was asked for."""
    paths = session.paths(repo, request.paths) or _present_parts(repo)
    wanted = wanted_versions(repo, paths)
    if request.revisions or request.all_refs:
        wanted += request.wanted(session, repo)
    return list(dict.fromkeys(wanted))


def _present_parts(repo: Repo) -> list[str]:
    """Return all datasets as paths: where only parts of one are checked out, as by an earlier pull, these."""
    paths = []
    for dataset in working_datasets(repo):
        base = repo.stat_cache.base(dataset)
        parts = base.parts if base is not None else None
        paths += [dataset] if parts is None else [f"{dataset}/{decode_path(part)}" for part in parts]
    return paths


def _check_out(
    session: Session, repo: Repo, request: Request, fetched: TransferResult, options: CheckoutOptions
) -> CheckoutPlan:
    """Check out what can be: a version that is nowhere must not keep the other datasets from coming."""
    targets = select(working_datasets(repo), session.paths(repo, request.paths))
    missing = {want.dataset for want in fetched.missing}
    paths = [_path(target) for target in targets if target.dataset not in missing]
    if not paths:
        return CheckoutPlan(())
    if not missing:
        paths = session.paths(repo, request.paths)
    return checkout(repo, None, paths, options=options, progress=session.console)


def _path(target: Target) -> str:
    return f"{target.dataset}/{decode_path(target.part)}" if target.part else target.dataset


def _document(fetched: TransferResult, plan: CheckoutPlan) -> dict[str, object]:
    return {
        **document(fetched),
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
