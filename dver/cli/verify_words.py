"""Puts into words and into JSON what a check of records found; for `dver lineage verify`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dver.cli.records import remarks, short_version, time_text, title
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_json
from dver.operations.verify import CheckedArtifact, CheckedRecord, Finding, Problem, Verification
from dver.operations.verify_rerun import ComparedOutput, Outcome, Rerun
from dver.operations.verify_tree import Approximation, Kind
from dver.records.record import Record, short_id

_COMMIT_DIGITS = 12
_PROBLEMS = {
    Problem.NOT_STORED: "it is in no store within reach",
    Problem.NOT_COMMITTED: "it is in no store within reach, and no commit here names it",
    Problem.BROKEN: "the cache says that it has it, but something of it is gone",
    Problem.LOST: "{detail} says that it has it, but something of it is gone",
    Problem.NO_ANSWER: "it is not in the cache, and the remote cannot be asked: {detail}",
    Problem.NO_PART: "this version of {detail} does not have it",
    Problem.NO_BLOB: "git does not have it; it may never have been committed or pushed",
    Problem.LOOSE: "neither dver nor git had it, and it is not here any more as it was",
    Problem.NO_COMMIT: "commit {commit} is not in git here; it may have been rewritten, or never pushed",
    Problem.NOT_FETCHED: "git does not have {what} here, as the clone is shallow or partial",
    Problem.CHANGED: "the pointer names it, but the data is not that: {detail}",
    Problem.NO_MAKER: "no record says where it came from, though runs made other versions of {detail}",
    Problem.NOT_REUSED: "run {run}, whose outputs it reused, made others",
    Problem.NOT_RECORDED: "run {run}, whose outputs it reused, is not recorded",
}


def finding_lines(session: Session, found: Verification) -> Iterator[str]:
    """Yield what is not as it should be, version by version, then run by run."""
    makers, users = _runs_by_artifact(found.records)
    hints: set[str] = set()
    for checked in found.artifacts:
        if checked.findings:
            one = checked.artifact
            name = (one.path, one.version)
            whose = f"made by {_run_text(makers[name][0])}" if name in makers else ""
            used = f"used by {_several(users[name])}" if name in users else ""
            said = "; ".join(filter(None, (whose, used)))
            yield f"{session.shown(one.path)}  {short_version(one.version)}{remarks(one)}  {said}".rstrip()
            yield from _finding_lines(session, checked.findings, hints)
    for record in found.records:
        if record.findings:
            yield _record_text(record.record)
            yield from _finding_lines(session, record.findings, hints)


def rerun_lines(session: Session, reruns: Iterable[Rerun]) -> Iterator[str]:
    """Yield which runs did not make the same again, and what may have been the reason."""
    for one in reruns:
        if one.is_finding:
            yield _record_text(one.record)
            yield from (f"    {text}" for text in _rerun_texts(session, one))
            if one.problem is not None and one.problem.hint is not None:
                yield f"    ({one.problem.hint})"
            yield from (f"    {_approximation_text(session, about)}" for about in one.approximations)


def summary_lines(found: Verification, reruns: Sequence[Rerun], damaged: Sequence[int]) -> Iterator[str]:
    """Yield how much was checked, and how it came out.

    What was not made the same again, and `damaged` lines of the lineage file, are findings too.
    """
    on_record = sum(len(one.findings) for one in found.artifacts) + sum(len(one.findings) for one in found.records)
    findings = on_record + sum(one.is_finding for one in reruns) + len(damaged)
    checked = f"{count_text(len(found.records), 'run')} and {count_text(len(found.artifacts), 'version')} checked"
    yield f"{checked}: {count_text(findings, 'finding') if findings else 'all is well'}"
    if reruns:
        counts = Counter(one.outcome for one in reruns)
        parts = [f"{counts[outcome]:,} {_COUNTED[outcome]}" for outcome in Outcome if counts[outcome]]
        yield f"run again: {', '.join(parts)}"


_COUNTED = {
    Outcome.SAME: "made the same",
    Outcome.DIFFERS: "made something else",
    Outcome.FAILED: "failed",
    Outcome.IMPOSSIBLE: "could not be run",
    Outcome.PASSED_OVER: "with nothing to compare",
}


def _finding_lines(session: Session, findings: Iterable[Finding], hints: set[str]) -> Iterator[str]:
    """Yield findings; `hints` are those that were given already, for what is wrong once is often wrong with much."""
    for finding in findings:
        yield f"    {finding.verdict}: {_finding_text(session, finding)}"
        if finding.hint is not None and finding.hint not in hints:
            hints.add(finding.hint)
            yield f"    ({finding.hint})"


def _finding_text(session: Session, finding: Finding) -> str:
    detail = escape_text(finding.detail)
    commit = f"{detail[:_COMMIT_DIGITS]}…"
    return _PROBLEMS[finding.problem].format(
        detail=session.shown(finding.detail) if finding.problem in _WITH_PATHS else detail,
        commit=commit,
        run=short_id(detail),
        what=f"commit {commit}" if finding.detail else "it",
    )


_WITH_PATHS = (Problem.NO_PART, Problem.NO_MAKER)


def _rerun_texts(session: Session, one: Rerun) -> Iterator[str]:
    if one.outcome is Outcome.IMPOSSIBLE and one.problem is not None:
        yield f"cannot be rerun: {one.problem.message}"
    elif one.problem is not None:
        yield f"failed: {one.problem.message}"
    elif one.exit_code:
        yield f"failed: exit code {one.exit_code}"
    for output in one.outputs:
        if not output.is_same:
            yield _output_text(session, output)


def _output_text(session: Session, output: ComparedOutput) -> str:
    path = session.shown(output.path)
    if output.found is None:
        return f"failed: {path} was not made"
    versions = f"{short_version(output.recorded)} → {short_version(output.found)}"
    if not output.first:
        return f"differs: {path}  {versions}"
    first = session.shown(f"{output.path}/{output.first}")
    return f"differs: {path}  {versions}: {count_text(output.files or 0, 'file')}, first {first}"


def _approximation_text(session: Session, about: Approximation) -> str:
    commit = f"commit {escape_text(about.name)[:_COMMIT_DIGITS]}…"
    if about.kind is Kind.DIRTY:
        return f"approximately: of the files that git tracks, some were not as in {commit}, which it ran on"
    if about.kind is Kind.COMMIT:
        where = f"those of {commit}" if about.name else "missing"
        return f"approximately: the commit that it ran on is not here; files that git tracks are {where}"
    if about.kind is Kind.PARAMS:
        where = f"commit {escape_text(about.source)[:_COMMIT_DIGITS]}…" if about.source else "the working tree"
        return f"approximately: {session.shown(about.name)} is from {where}, with the recorded values"
    return f"approximately: {session.shown(about.name)} is in no version, and was run from the working tree"


def _runs_by_artifact(
    records: Iterable[CheckedRecord],
) -> tuple[dict[tuple[str, str], list[Record]], dict[tuple[str, str], list[Record]]]:
    """Return the records that made each version, and those that used it."""
    makers: dict[tuple[str, str], list[Record]] = {}
    users: dict[tuple[str, str], list[Record]] = {}
    for checked in records:
        record = checked.record
        for found, artifacts in ((makers, record.outputs), (users, record.inputs)):
            for artifact in artifacts:
                found.setdefault((artifact.path, artifact.version), []).append(record)
    return makers, users


def _run_text(record: Record) -> str:
    return f"run {short_id(record.id)}" + (f" ({escape_text(record.name)})" if record.name else "")


def _several(records: Sequence[Record]) -> str:
    return _run_text(records[0]) + (f" and {len(records) - 1:,} more" if len(records) > 1 else "")


def _record_text(record: Record) -> str:
    return f"{title(record)}  [{short_id(record.id)}, {time_text(record.started)}]"


def verification_json(found: Verification, reruns: Iterable[Rerun]) -> dict[str, object]:
    """Return all that was checked, for JSON output."""
    return {
        "verdict": found.verdict.value,
        "records": [
            {
                "id": checked.record.id,
                "name": checked.record.name or None,
                "verdict": checked.verdict.value,
                "findings": [_finding_json(finding) for finding in checked.findings],
                "inputs": [_short_json(one) for one in checked.inputs],
                "outputs": [_short_json(one) for one in checked.outputs],
            }
            for checked in found.records
        ],
        "artifacts": [_artifact_json(checked) for checked in found.artifacts],
        "reruns": [_rerun_json(one) for one in reruns],
        "cut": found.is_cut,
    }


def _short_json(checked: CheckedArtifact) -> dict[str, object]:
    artifact = checked.artifact
    return {"path": path_json(artifact.path), "version": artifact.version, "verdict": checked.verdict.value}


def _artifact_json(checked: CheckedArtifact) -> dict[str, object]:
    artifact = checked.artifact
    return {
        **_short_json(checked),
        "dataset": path_json(artifact.dataset) if artifact.dataset else None,
        "dataset_version": artifact.dataset_version or None,
        "place": checked.place or None,
        "findings": [_finding_json(finding) for finding in checked.findings],
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "verdict": finding.verdict.value,
        "problem": finding.problem.value,
        "detail": path_json(finding.detail) or None,
        "hint": finding.hint,
    }


def _rerun_json(one: Rerun) -> dict[str, object]:
    return {
        "id": one.record.id,
        "outcome": one.outcome.value,
        "exit_code": one.exit_code,
        "seconds": round(one.seconds, 3),
        "outputs": [
            {
                "path": path_json(output.path),
                "recorded": output.recorded,
                "found": output.found,
                "files": output.files,
                "first": path_json(output.first) or None,
            }
            for output in one.outputs
        ],
        "approximations": [
            {"kind": about.kind.value, "name": path_json(about.name) or None, "source": about.source or None}
            for about in one.approximations
        ],
        "problem": None if one.problem is None else path_json(one.problem.message),
        "hint": None if one.problem is None else one.problem.hint,
        "folder": None if one.folder is None else path_json(str(one.folder)),
    }
