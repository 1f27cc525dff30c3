"""`dver repro`."""

from collections.abc import Iterator, Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.records import NO_RUNS, report_damage, short_run, time_text, title
from dver.cli.run import FAILED, show_plan, show_result
from dver.cli.session import Session
from dver.cli.stale import reason_text
from dver.operations.repro import Begun, Ended, Fresh, Stale, preview_repro, repro
from dver.operations.repro_plan import ReproPlan, plan_repro
from dver.records.record import State
from dver.repo import Repo

_EXAMPLES = {
    "dver repro": "bring all that runs made up to date",
    "dver repro metrics.json": "one dataset, with all that leads to it",
    "dver repro --downstream data/raw": "all that is made from a dataset",
    "dver repro --dry-run": "only say what would run, and why",
}


@click.command("repro", cls=Command, examples=_EXAMPLES)
@click.argument("targets", metavar="[TARGET]...", nargs=-1, type=PATH)
@click.option("--downstream", is_flag=True, help="Also run what uses the targets, and what uses that, and so on.")
@click.option("--dry-run", is_flag=True, help="Only say what would run, and why.")
@click.pass_obj
def command(session: Session, targets: Sequence[str], downstream: bool, dry_run: bool) -> int:
    """Run again what is stale, from the records of dver run.

    The latest run that made a TARGET, a dataset or a path in one, says how it is made, and so for its inputs, back to
    what no run made. With no TARGET, all datasets that runs made are meant. Each of these steps is looked at in order:
    if its inputs, code and parameters are as recorded, its outputs are here, and their pointers name what it made, it
    is passed over. Else it is run as dver run does it, with parameters read anew from their files; what an earlier run
    made of the same is restored instead.

    The first failure ends it with the exit code of that command; what was done until then stays. The commands are
    those in .dver/lineage.jsonl, so look at them with --dry-run first if you do not know who wrote them.
    """
    with session.repo() as repo:
        plan = plan_repro(repo, session.paths(repo, targets), downstream=downstream)
        report_damage(session, repo)
        if not plan.steps:
            session.console.note("nothing here was made by a run" if repo.lineage.count() else NO_RUNS)
            return 0
        if dry_run:
            session.console.lines(_preview_lines(session, repo, plan))
            return 0
        return _carry_out(session, repo, plan)


def _preview_lines(session: Session, repo: Repo, plan: ReproPlan) -> Iterator[str]:
    for one in preview_repro(repo, plan, session.env, progress=session.console):
        if isinstance(one, Fresh):
            yield f"up to date: {title(one.step)}"
            continue
        if one.hit is None:
            yield f"would run: {title(one.step)}"
        else:
            served = f"run {short_run(one.hit.id)} of {time_text(one.hit.started)}"
            yield f"would reuse {served}: {title(one.step)}"
        yield from (f"    {why}" for why in _why(session, one))


def _why(session: Session, stale: Stale) -> Iterator[str]:
    for reason in stale.reasons:
        yield reason_text(reason, session.shown)
    for path in stale.remade:
        yield f"its input {session.shown(path)} would be made anew"
    for path in stale.outputs:
        yield f"its output {session.shown(path)} is not here as it was made"


def _carry_out(session: Session, repo: Repo, plan: ReproPlan) -> int:
    for one in repro(repo, plan, session.env, progress=session.console):
        if isinstance(one, Fresh):
            session.console.note(f"up to date: {title(one.step)}")
        elif isinstance(one, Begun):
            session.console.note(title(one.step))
            show_plan(session, one.plan)
            session.console.flush()
        else:
            show_result(session, one.plan, one.result)
            code = _exit_code(one)
            if code:
                return code
    return 0


def _exit_code(ended: Ended) -> int:
    return ended.result.exit_code or (FAILED if ended.result.state is State.FAILED else 0)
