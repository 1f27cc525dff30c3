"""`dver run`."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.observed import show_observed
from dver.cli.records import duration_text, report_damage, short_version, time_text
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, size_text
from dver.errors import UsageError
from dver.objects.pointer import DatasetKind
from dver.operations.add import Added
from dver.operations.datasets import typed
from dver.operations.descriptions import Words, parse_descriptions
from dver.operations.run import carry_out_run
from dver.operations.run_cache import Reason, ReasonKind
from dver.operations.run_params import ParamSource, parse_param
from dver.operations.run_plan import RunOptions, RunPlan, RunRequest, plan_run
from dver.operations.run_publish import RunResult, named_changes
from dver.operations.staleness import dataset_of
from dver.records.record import BLOB_PREFIX, Record, State, short_id, texts_apart
from dver.repo import LINEAGE_FILE, Repo

_EXAMPLES = {
    "dver run -d data/raw -o data/clean -- python clean.py": "run a command and record what it read and made",
    "dver run -n train -d data -p params.yaml:lr -o model -- ./train.py": "a named step with a parameter from a file",
    "dver run -d data/raw --code clean.py -o clean -- python clean.py": "a step that depends on its code too",
    "dver run -d in.csv -o out.csv --shell -- 'sort in.csv > out.csv'": "a line for the shell",
    "dver run --observe -d data/raw -o data/clean -- python clean.py": "name what else it reads and writes",
    "dver run --dry-run -d data/raw -o data/clean -- python clean.py": "only say whether it would run, and why",
}
FAILED = 3
_SIGNAL_BASE = 128
_FIXED = {
    ReasonKind.FORCED: "forced",
    ReasonKind.NO_CACHE: "without the cache",
    ReasonKind.NO_OUTPUTS: "a command without outputs always runs",
    ReasonKind.SECRET: "runs with a secret are never told to be the same",
    ReasonKind.FIRST: "first run",
    ReasonKind.FAILED: "the last try, run {record}, failed",
    ReasonKind.NOT_SERVING: "the last one, run {record}, cannot be reused",
    ReasonKind.UNREACHABLE: "the outputs of run {record} are neither in the cache nor on the remote",
    ReasonKind.NO_ANSWER: "the outputs of run {record} are not in the cache, and the remote cannot be asked: {new}",
    ReasonKind.NOT_OBSERVED: "the last one, run {record}, was not observed",
    ReasonKind.COMMAND: "command changed",
    ReasonKind.FOLDER: "folder changed: {old} → {new}",
}
_CHANGED = {
    ReasonKind.INPUT: "input",
    ReasonKind.CODE: "code",
    ReasonKind.ENV: "environment file",
    ReasonKind.IMAGE: "image",
    ReasonKind.PARAM: "parameter",
    ReasonKind.OUTPUT: "output",
}
_NO_PATHS = (ReasonKind.PARAM, ReasonKind.IMAGE)


@click.command("run", cls=Command, examples=_EXAMPLES, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-n", "--name", default="", metavar="NAME", help="What to call this step.")
@click.option(
    "-d",
    "--dep",
    "inputs",
    multiple=True,
    metavar="PATH",
    type=PATH,
    help="An input: a dataset, a path within one, or a file that git tracks.",
)
@click.option(
    "-o", "--out", "outputs", multiple=True, metavar="PATH", type=PATH, help="An output, which becomes a dataset."
)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="FILE:KEY|KEY=VALUE",
    help="A parameter: a dotted key of a YAML, TOML or JSON file, or a value.",
)
@click.option("--code", multiple=True, metavar="FILE", type=PATH, help="A file of code, which git tracks, as an input.")
@click.option(
    "--env",
    "env_files",
    multiple=True,
    metavar="FILE",
    type=PATH,
    help="The same for a file that says what the command runs on, such as a lock file or a Dockerfile.",
)
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag for the record.")
@click.option(
    "--kind", "kinds", multiple=True, metavar="[OUT=]KIND", help="What an output is: model, metrics or any other word."
)
@click.option("--prop", "props", multiple=True, metavar="[OUT:]KEY=VALUE", help="A property of an output.")
@click.option("--force", is_flag=True, help="Run the command even if the same was run before.")
@click.option("--no-cache", is_flag=True, help="Run it, and let no later run reuse this one.")
@click.option("--add-inputs", is_flag=True, help="Add inputs that are new or were changed, as dver add does.")
@click.option("--dry-run", is_flag=True, help="Only say whether the command would run, and why.")
@click.option("--observe", is_flag=True, help="See which other files it reads and writes, record and name them.")
@click.option("--shell", is_flag=True, help="The command is one line for the shell, in quotes.")
@click.pass_obj
def command(session: Session, /, words: Sequence[str], **given: Any) -> int:
    """Run a command, and record what it read and made.

    Inputs must be added and unchanged, so that the record names their exact versions. If the same command was run
    before with the same inputs, parameters and outputs, its outputs are restored from the cache or the default remote
    instead; else dver says what is new. Afterwards the outputs become datasets, and a record of the run is appended to
    .dver/lineage.jsonl, to be committed with them. A command without outputs always runs.

    The command runs in this folder, with the terminal, input and output that dver has, and dver ends with its exit
    code. If it fails, leaves an output out, or an input or parameter changes meanwhile, no output is published, which
    the record says.
    What looks like a password or an access key is masked in the record, and such a run is not reused.

    With --observe, files of the repository that the command reads and writes and that no option names are recorded as
    observed, and named with the options that would declare them. A later run is served from this one only while what it
    read is unchanged. Python needs nothing for this; other programs and --shell need strace.
    """
    options = RunOptions(given["force"], given["no_cache"], given["add_inputs"], given["dry_run"])
    with session.repo() as repo:
        request = _request(session, repo, words, given)
        plan = plan_run(repo, request, options, progress=session.console)
        if (repo.root / LINEAGE_FILE).exists():
            report_damage(session, repo)
        if options.dry_run:
            session.console.lines(f"would add {session.shown(path)}" for path in plan.to_add)
            session.console.out(escape_text(_decision_text(session, plan, would=True)))
            return 0
        show_plan(session, plan)
        session.console.flush()
        session.when_interrupted = "the run is not recorded, and its outputs are as they were before"
        result = carry_out_run(repo, plan, progress=session.console)
    show_result(session, plan, result)
    if result.exit_code:
        return result.exit_code
    return FAILED if result.state is State.FAILED else 0


def _request(session: Session, repo: Repo, words: Sequence[str], given: Mapping[str, Any]) -> RunRequest:
    outputs = tuple(session.paths(repo, given["outputs"]))
    described = Words(given["kinds"], given["props"])
    return RunRequest(
        tuple(words),
        repo.relative(os.path.realpath(session.start), session.start),
        session.env,
        name=given["name"],
        shell=given["shell"],
        inputs=tuple(session.paths(repo, given["inputs"])),
        code=tuple(session.paths(repo, given["code"])),
        env_files=tuple(session.paths(repo, given["env_files"])),
        outputs=outputs,
        params=tuple(_param(session, repo, text) for text in given["params"]),
        tags=_tags(given["tags"]),
        observe=given["observe"],
        descriptions=parse_descriptions(described, outputs, lambda word: repo.relative(word, session.start)),
    )


def _param(session: Session, repo: Repo, text: str) -> ParamSource:
    source = parse_param(text)
    return replace(source, file=repo.relative(source.file, session.start)) if source.file else source


def _tags(texts: Sequence[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"--tag {text}: is no tag", hint="--tag KEY=VALUE, such as --tag experiment=a")
        if key in tags:
            raise UsageError(f"--tag {text}: the tag {key} is given twice", hint="a tag has one value")
        tags[key] = value
    return tags


def show_plan(session: Session, plan: RunPlan) -> None:
    """Say what a run is about to do, and why."""
    if plan.recovered:
        # Deferred: hardly any run was ever killed.
        from dver.cli.unfinished import show_recovered  # noqa: PLC0415

        show_recovered(session, plan.recovered)
    for added in plan.added:
        session.console.note(f"added the input {session.relative_to_start(added.dataset)}")
    if plan.masked:
        session.console.note(
            f"masked in the record, for it looks like a secret: {', '.join(plan.masked)}; a variable of the environment"
            " would not be recorded"
        )
    if plan.decision.hit is None:
        session.console.note(_decision_text(session, plan, would=False))


def _decision_text(session: Session, plan: RunPlan, *, would: bool) -> str:
    hit = plan.decision.hit
    if hit is not None:
        return f"{'would reuse' if would else 'reused'} {_hit_text(hit)}"
    reasons = "; ".join(_reason_text(session, reason) for reason in plan.decision.reasons)
    return f"{'would run' if would else 'running'}: {reasons}"


def _hit_text(record: Record) -> str:
    return f"run {short_id(record.id)} of {time_text(record.started)}: same command, inputs and parameters"


def _reason_text(session: Session, reason: Reason) -> str:
    fixed = _FIXED.get(reason.kind)
    if fixed is not None:
        return fixed.format(record=short_id(reason.name), old=reason.old or ".", new=reason.new or ".")
    if reason.kind is ReasonKind.OBSERVED:
        end = "is gone" if reason.vanished else "changed"
        return f"input {session.shown(reason.name)}, which it was seen to read, {end}"
    what = _CHANGED[reason.kind]
    name = reason.name if reason.kind in _NO_PATHS else session.shown(reason.name)
    if reason.appeared or reason.vanished:
        return f"{what} {name} is {'new' if reason.appeared else 'gone'}"
    if reason.kind in (ReasonKind.CODE, ReasonKind.ENV):
        return f"{what} {name} changed"
    if reason.kind is ReasonKind.PARAM:
        return f"{what} {name}: {' → '.join(texts_apart(reason.old, reason.new))}"
    return f"{what} {name} changed: {short_version(str(reason.old))} → {short_version(str(reason.new))}"


def show_result(session: Session, plan: RunPlan, result: RunResult) -> None:
    """Say how a run ended, and what is to be done about what went wrong."""
    console = session.console
    recorded = f"recorded as run {short_id(result.record)}"
    if result.state is State.CACHED:
        console.note(f"{_decision_text(session, plan, would=False)}; {recorded}")
    if result.changed and result.exit_code:
        console.note(_changes_text(session, result))
    if result.state is State.COMPLETE:
        for added in result.added:
            console.note(_output_text(session, added))
        console.note(f"{recorded}, after {duration_text(result.seconds)}")
        if plan.uncommitted:
            names = ", ".join(map(session.relative_to_start, plan.uncommitted))
            console.note(f"commit {names}: what the record names of it is in no commit, and git deletes that in time")
    if result.state is State.FAILED:
        said = f"{_failure_text(session, result)}; no output was published, {recorded}"
        console.error(said, hint=_hint(session, plan, result))
    if result.observed is not None:
        show_observed(session, result.observed)


def _output_text(session: Session, added: Added) -> str:
    pointer = added.pointer
    size = size_text(pointer.size)
    if pointer.kind is DatasetKind.DIRECTORY:
        size = f"{count_text(pointer.files, 'file')}, {size}"
    verb = "made" if added.is_new else "updated" if added.changed else "unchanged"
    return f"{verb} {session.relative_to_start(added.dataset)}: {size}"


def _hint(session: Session, plan: RunPlan, result: RunResult) -> str | None:
    """Return what can be done about a failure."""
    is_kept = bool(result.changed) and not result.exit_code
    said = [_again_hint(session, plan, result)] if is_kept else []
    if result.leftovers is not None:
        where = session.shown(os.path.relpath(result.leftovers, session.root or session.start))
        until = ", which dver never deletes" if is_kept else " until the next failure"
        made = "made" if is_kept else "left"
        said.append(f"outputs are as they were before; what the command {made} is in {where}{until}")
    return "; ".join(said) or None


def _again_hint(session: Session, plan: RunPlan, result: RunResult) -> str:
    changed = [one for one in plan.step.inputs if one.path in result.changed_inputs]
    data = [one for one in changed if not one.version.startswith(BLOB_PREFIX)]
    if not data:
        return "run it again"
    paths = " ".join(typed(session.relative_to_start(one.path)) for one in data)
    if not any(os.path.lexists((session.root or session.start) / one.path) for one in data):
        return f"dver checkout --force {paths} brings back what is gone; then run it again"
    datasets = " ".join(typed(session.relative_to_start(path)) for path in dict.fromkeys(map(dataset_of, data)))
    return f"dver checkout --force {paths} undoes the change of data, dver add {datasets} keeps it; then run it again"


def _changes_text(session: Session, result: RunResult) -> str:
    inputs = [session.relative_to_start(path) for path in result.changed_inputs]
    return f"{named_changes(inputs, result.changed_params)} changed while the command ran"


def _failure_text(session: Session, result: RunResult) -> str:
    if result.exit_code:
        if result.exit_code > _SIGNAL_BASE and result.exit_code - _SIGNAL_BASE in set(signal.Signals):
            return f"the command ended by {signal.Signals(result.exit_code - _SIGNAL_BASE).name}"
        return f"the command failed with exit code {result.exit_code}"
    if result.changed:
        return _changes_text(session, result)
    if result.missing_outputs:
        return f"the command did not make its {_named(session, 'output', result.missing_outputs)}"
    return f"the outputs cannot be stored: {'' if result.problem is None else result.problem.message}"


def _named(session: Session, noun: str, paths: Sequence[str]) -> str:
    return f"{noun}{'s' * (len(paths) > 1)} {', '.join(session.relative_to_start(path) for path in paths)}"
