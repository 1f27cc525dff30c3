"""`dver lineage verify`."""

from collections.abc import Sequence
from functools import partial

import click

from dver.cli.command import PATH, Command
from dver.cli.filters import DEPTH, refuse_empty
from dver.cli.records import no_runs_text, report_damage, short_version, title
from dver.cli.run_words import named_place, run_or_path
from dver.cli.session import Session
from dver.cli.verify_words import finding_lines, rerun_lines, summary_lines, verification_json
from dver.errors import UsageError
from dver.operations.lineage import ArtifactId, find_start
from dver.operations.verify import Verdict, Verification, verify
from dver.operations.verify_rerun import Rerun, rerun, to_rerun
from dver.records.record import Record, short_id
from dver.repo import Repo

_EXAMPLES = {
    "dver lineage verify": "all that is recorded",
    "dver lineage verify metrics.json": "what led to the version here",
    "dver lineage verify v1.0:models/best": "what led to the version in a tag",
    "dver lineage verify --depth 1 --rerun metrics.json": "run again what made it, and compare",
}


@click.command("verify", cls=Command, examples=_EXAMPLES)
@click.argument("word", metavar="[RUN|[REV:]PATH]", required=False, type=PATH)
@click.option(
    "--depth", metavar="N", type=DEPTH, help="Check at most N runs one after the other, from the last one back."
)
@click.option(
    "--rerun", "again", is_flag=True, help="Run the commands again in a scratch tree, and compare what they make."
)
@click.option("--keep", is_flag=True, help="With --rerun, keep the scratch trees.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document, with what is well too.")
@click.pass_obj
def command(session: Session, word: str | None, depth: int | None, again: bool, keep: bool, as_json: bool) -> int:
    """Check that what is recorded holds, and that what it names can still be had.

    Checked are a run, or the runs that made the version which the pointer of PATH names, here or in REV, and all that
    led to it; everything without an argument. Each version must be in the cache, on the default remote or in git, and
    the data here what the pointers say; commits must be there; versions that were used must be raw data, or made by a
    run. Only findings are shown. Exits with 1 if there are any.

    With --rerun, each command is then run again in a scratch tree with the recorded versions of its inputs, code and
    parameters, and what it makes is compared. The working tree and the lineage file stay as they are. The commands are
    those of .dver/lineage.jsonl, so look at them first if you do not know who wrote them.
    """
    refuse_empty(word, "the run or path", hint="without one, all that is recorded is checked")
    if keep and not again:
        raise UsageError("--keep keeps what --rerun makes", hint="dver lineage verify --rerun --keep")
    if depth is not None and word is None:
        raise UsageError("--depth counts from a run or a path", hint=f"dver lineage verify --depth {depth} PATH")
    with session.repo() as repo:
        target = None if word is None else _target(session, repo, word)
        found = verify(repo, target, depth=depth, progress=session.console)
        damaged = report_damage(session, repo)
        reruns = _rerun(session, repo, found, keep=keep) if again else []
        if as_json:
            session.console.document({**verification_json(found, reruns), "damaged_lines": damaged})
        else:
            session.console.lines(finding_lines(session, found))
            session.console.lines(rerun_lines(session, reruns))
            if found.artifacts or found.records or damaged:
                session.console.lines(summary_lines(found, reruns, damaged))
            _say_what_is_left(session, found, target, damaged)
    is_well = found.verdict is Verdict.OK and not damaged and not any(one.is_finding for one in reruns)
    return 0 if is_well else 1


def _target(session: Session, repo: Repo, word: str) -> Record | ArtifactId:
    """Return the record or the version that a word means."""
    by_id = run_or_path(session, repo, word, command="dver lineage verify")
    if by_id is not None:
        return by_id
    with named_place(session, repo, word) as (revision, path):
        start = find_start(repo, revision, path)
    if start.part:
        whole = session.shown(start.artifact.path)
        session.console.note(
            f"{session.shown(f'{start.artifact.path}/{start.part}')} is part of {whole}, which is checked"
        )
    return start.artifact


def _rerun(session: Session, repo: Repo, found: Verification, *, keep: bool) -> Sequence[Rerun]:
    reruns = []
    for record in to_rerun(repo, [checked.record for checked in found.records]):
        say = partial(_say_what_runs, session, record)
        one = rerun(repo, record, session.env, keep=keep, on_start=say, progress=session.console)
        reruns.append(one)
        if one.folder is not None:
            where = session.shown(str(one.folder.relative_to(repo.root)))
            session.console.note(f"the scratch tree of run {short_id(record.id)} is kept in {where}")
    return reruns


def _say_what_runs(session: Session, record: Record) -> None:
    session.console.note(f"running again: {title(record)}")
    session.console.flush()


def _say_what_is_left(
    session: Session, found: Verification, target: Record | ArtifactId | None, damaged: Sequence[int]
) -> None:
    if found.is_cut:
        session.console.note("there are runs further back, which --depth left out")
    if found.records:
        return
    if isinstance(target, ArtifactId):
        version = short_version(target.version)
        session.console.note(f"no run that is recorded made {session.shown(target.path)} at {version}")
    else:
        session.console.note(no_runs_text(damaged))
