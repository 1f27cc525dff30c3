"""`dver repro`."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.filters import Count
from dver.cli.records import no_runs_text, report_damage, short_version, time_text, title
from dver.cli.run import FAILED, show_plan, show_result
from dver.cli.session import Session
from dver.cli.stale import reason_text
from dver.cli.unfinished import alive_text, show_recovered
from dver.cli.wording import escape_text
from dver.errors import DverError, UsageError
from dver.operations.repro import Begun, Beside, Ended, Fresh, Progression, Remark, Stale, preview_repro, repro
from dver.operations.repro_outputs import MovedAway
from dver.operations.repro_plan import ReproPlan, plan_repro
from dver.operations.run_command import LineSink
from dver.operations.run_recover import Recovered, recover
from dver.operations.staleness import declared_outputs
from dver.records.record import Record, State, short_id
from dver.repo import Repo

_EXAMPLES = {
    "dver repro": "bring all that runs made up to date",
    "dver repro metrics.json": "one dataset, with all that leads to it",
    "dver repro --downstream data/raw": "all that is made from a dataset",
    "dver repro --downstream clean.py": "all that is made with a program",
    "dver repro -j 4": "with up to four steps side by side",
    "dver repro --dry-run": "only say what would run, and why",
    "dver repro --recover": "put back what killed runs had set aside, and run nothing",
}
_WIDEST_LABEL = 20
_JOBS = Count("-j", "without -j one step runs after the other")


@click.command("repro", cls=Command, examples=_EXAMPLES)
@click.argument("targets", metavar="[TARGET]...", nargs=-1, type=PATH)
@click.option("--downstream", is_flag=True, help="Also run what uses the targets, and what uses that, and so on.")
@click.option(
    "-j", "--jobs", metavar="N", type=_JOBS, default=1, help="Run up to N steps side by side; 1 if not given."
)
@click.option("--dry-run", is_flag=True, help="Only say what would run, and why.")
@click.option("--recover", "only_recover", is_flag=True, help="Only put back what killed runs had set aside.")
@click.pass_obj
def command(session: Session, /, targets: Sequence[str], jobs: int, **given: Any) -> int:
    """Run again what is stale, from the records of dver run.

    The latest run that made a TARGET, a dataset or a path in one, says how it is made, and so for its inputs, back to
    what no run made. With no TARGET, all datasets that runs made are meant; with --downstream, a TARGET may be a file
    that git tracks. Each of these steps is looked at in order:
    if its inputs, code and parameters are as recorded, its outputs are here, and their pointers name what it made, it
    is passed over. Else it is run as dver run does it, with parameters read anew from their files; what an earlier run
    made of the same is restored instead. An output that was changed by hand is not replaced unless a commit has it.

    With -j, steps that do not need each other run side by side. Each line that their commands write then begins with
    the name of the step, and they get no input.

    The first failure ends it with the exit code of that command, after the commands beside it have ended; what was done
    until then stays. The commands are those in .dver/lineage.jsonl, so look at them with --dry-run first if you do not
    know who wrote them.
    """
    if given["only_recover"] and (given["downstream"] or given["dry_run"]):
        raise UsageError("--recover runs nothing, and goes with no other option", hint="dver repro --recover TARGET")
    with session.repo() as repo:
        paths = session.paths(repo, targets)
        if given["only_recover"]:
            return _recover(session, repo, paths)
        plan = plan_repro(repo, paths, downstream=given["downstream"])
        damaged = report_damage(session, repo)
        if not plan.steps:
            session.console.note("nothing here was made by a run" if repo.lineage.count() else no_runs_text(damaged))
            return 0
        if given["dry_run"]:
            session.console.lines(_preview_lines(session, repo, plan))
            return 0
        return _carry_out(session, repo, plan, jobs)


def _recover(session: Session, repo: Repo, paths: Sequence[str]) -> int:
    """Clear up after killed runs; 1 if the command of one still runs."""
    done, alive = recover(repo, [] if "" in paths else paths, progress=session.console)
    show_recovered(session, done)
    for run in alive:
        session.console.error(alive_text(run))
    if not done and not alive:
        session.console.note("no run was killed; there is nothing to put back")
    return 1 if alive else 0


def _preview_lines(session: Session, repo: Repo, plan: ReproPlan) -> Iterator[str]:
    for one in preview_repro(repo, plan, session.env, progress=session.console):
        if isinstance(one, Fresh):
            yield f"up to date: {title(one.step)}"
            continue
        if one.hit is None:
            yield f"would run: {title(one.step)}"
        else:
            served = f"run {short_id(one.hit.id)} of {time_text(one.hit.started)}"
            yield f"would reuse {served}: {title(one.step)}"
        yield from (f"    {why}" for why in _why(session, one))


def _why(session: Session, stale: Stale) -> Iterator[str]:
    for reason in stale.why.reasons:
        yield reason_text(reason, session.shown)
    for path in stale.why.remade:
        yield f"its input {session.shown(path)} would be made anew"
    for path in stale.why.outputs:
        yield f"its output {session.shown(path)} is not here as it was made"
    for remark in stale.remarks:
        yield _remark_text(session, remark)


def _remark_text(session: Session, remark: Remark) -> str:
    if isinstance(remark, MovedAway):
        now, path = session.shown(remark.now), session.shown(remark.path)
        return f"{path}, which is {now} now, comes back beside it: that is where recorded commands have it"
    return f"replaces {session.shown(remark.path)} {short_version(remark.version)}, which no run made"


def _carry_out(session: Session, repo: Repo, plan: ReproPlan, jobs: int) -> int:
    labels = _Labels(plan)
    beside = Beside(jobs, lambda step: _sink(session, labels.padded(step))) if jobs > 1 else None
    code = 0
    try:
        # Closed here, and not when nobody needs it any more: commands may still run.
        with closing(repro(repo, plan, session.env, beside=beside, progress=session.console)) as progressions:
            for one in progressions:
                if beside is None or isinstance(one, Recovered):
                    _show(session, one)
                else:
                    with session.console.about(labels.of(one.step)):
                        _show(session, one, is_beside=True)
                code = code or (_exit_code(one) if isinstance(one, Ended) else 0)
    except DverError as exc:
        if not code:
            raise
        # Of what went wrong side by side, the first says how it ends.
        session.console.error(exc.message, hint=exc.hint)
    return code


def _show(session: Session, one: Progression, *, is_beside: bool = False) -> None:
    if isinstance(one, Recovered):
        show_recovered(session, [one])
    elif isinstance(one, Fresh):
        session.console.note(f"up to date{'' if is_beside else f': {title(one.step)}'}")
    elif isinstance(one, Begun):
        if not is_beside:
            session.console.note(title(one.step))
        for remark in one.remarks:
            session.console.note(_remark_text(session, remark))
        show_plan(session, one.plan)
        session.console.flush()
    else:
        show_result(session, one.plan, one.result)


class _Labels:
    """What steps are called where several run at a time: by their names, or by what they make."""

    def __init__(self, plan: ReproPlan) -> None:
        self._labels: dict[str, str] = {}
        taken: set[str] = set()
        for step in plan.steps:
            made = next((artifact.path for artifact in declared_outputs(step)), "")
            label = escape_text(step.name or made) or short_id(step.id)
            if label in taken:
                label = f"{label} {escape_text(made) or short_id(step.id)}"
            taken.add(label)
            self._labels[step.id] = label
        self._width = min(_WIDEST_LABEL, max(map(len, taken), default=0))

    def of(self, step: Record) -> str:
        """Return the label of a step."""
        return self._labels[step.id]

    def padded(self, step: Record) -> str:
        """Return the label, as wide as those of the others."""
        return self.of(step).ljust(self._width)


def _sink(session: Session, label: str) -> LineSink:
    prefix = f"{label} | ".encode("utf-8", "backslashreplace")
    is_open = True

    def take(line: bytes, is_error: bool) -> None:
        nonlocal is_open
        try:
            if is_open:
                session.console.pass_on(prefix + line, is_error=is_error)
        except OSError:
            # Nobody reads any more, which is no reason for the command to fail.
            is_open = False

    return take


def _exit_code(ended: Ended) -> int:
    return ended.result.exit_code or (FAILED if ended.result.state is State.FAILED else 0)
