"""What `dver gc --remote` says: garbage that is listed on a remote, garbage that was swept, and who keeps what."""

from collections.abc import Mapping, Sequence

from dver.cli.session import Session
from dver.cli.wording import (
    count_text,
    moment_json,
    moment_text,
    path_json,
    path_text,
    size_text,
    table_lines,
    version_text,
)
from dver.objects.ids import format_version
from dver.operations.gc_remote import DAY, RemoteGcResult, SweptList
from dver.storage.condemned import CondemnedList, CondemnedVersion
from dver.storage.registrations import Registration, short_ids

_QUIET_DAYS = 90.0
_MOST_VERSIONS = 20


def show_remote_gc(session: Session, result: RemoteGcResult, *, dry_run: bool) -> None:
    """Say what a garbage collection of a remote found and did."""
    console = session.console
    shown = short_ids([one.by.id for one in (*result.repositories, *result.forgotten)])
    for one in result.forgotten:
        console.out(f"forgot {_repository_text(one, shown)}")
    for withdrawn in result.withdrawn:
        verb = "would take back" if dry_run else "took back"
        console.out(f"{verb} the list of {withdrawn.day}: {count_text(len(withdrawn.versions), 'version')}")
    for swept in result.swept:
        _show_versions(session, "would delete" if dry_run else "deleted", swept.versions)
        if swept.spared:
            console.note(f"{count_text(swept.spared, 'version')} stayed, being named again")
    if result.condemned is not None:
        _show_versions(session, "would list" if dry_run else "listed", result.condemned.versions)
    for rescued in result.rescued:
        console.note(f"the list of {rescued.day} stays for now: a push at work may need what is in it")
    for unclear in result.in_the_way:
        console.out(console.style(f"in the way    {_repository_text(unclear, shown)}: {unclear.problem}", "red"))
        console.note(
            f"dver push there says anew what it names; if it is gone for good: {_forget(result, unclear, shown)}"
        )
    _show_repositories(session, result, shown)
    for line in _summary(result, dry_run=dry_run):
        console.done(line)


def remote_gc_json(result: RemoteGcResult, *, dry_run: bool) -> dict[str, object]:
    """Return the same as a document."""
    return {
        "dry_run": dry_run,
        "remote": result.remote,
        "kept_versions": result.kept,
        "listed": [] if result.condemned is None else [_list_json(result.condemned)],
        "waiting": [_list_json(one) for one in result.waiting],
        "rescued": [one.name for one in result.rescued],
        "withdrawn": [one.name for one in result.withdrawn],
        "swept": [_swept_json(one) for one in result.swept],
        "freed": None if dry_run else result.freed,
        "repositories": [_repository_json(one, result.now) for one in result.repositories],
        "forgotten": [one.by.id for one in result.forgotten],
    }


def _summary(result: RemoteGcResult, *, dry_run: bool) -> Sequence[str]:
    kept = f"{count_text(result.kept, 'version')} kept"
    if result.in_the_way:
        return ["nothing was listed and nothing deleted, for not all that is needed is known"]
    if result.only_undeletes and not result.withdrawn:
        return [f"nothing is listed on {result.remote}"]
    if result.withdrawn:
        return ["what was listed stays" if not dry_run else "what was listed would stay"]
    lines = []
    if result.swept:
        lists = count_text(len(result.swept), "list")
        did = f"would sweep {lists}" if dry_run else f"freed {size_text(result.freed)} on {result.remote}"
        lines.append(f"{did}; {kept}")
    if result.condemned is not None:
        amount = size_text(result.condemned.garbage)
        verb = "would list" if dry_run else "listed"
        lines.append(f"{verb} {amount} on {result.remote}; nothing of it is deleted before {_due(result.condemned)}")
    waiting = [*result.waiting, *result.rescued]
    if waiting:
        amount = size_text(sum(one.garbage for one in waiting))
        first = min(waiting, key=lambda one: one.due)
        lines.append(f"{amount} listed earlier; the first may go after {_due(first)} (dver gc --remote, then)")
    return lines or [f"nothing to free on {result.remote}: {kept}"]


def _show_versions(session: Session, verb: str, versions: Sequence[CondemnedVersion]) -> None:
    rows = [
        [verb, version_text(one.version), "" if one.size is None else size_text(one.size), "named by nothing"]
        for one in versions[:_MOST_VERSIONS]
    ]
    for line in table_lines(rows, "<<><"):
        session.console.out(line)
    if len(versions) > _MOST_VERSIONS:
        session.console.out(f"{verb} {len(versions) - _MOST_VERSIONS:,} more")


def _show_repositories(session: Session, result: RemoteGcResult, shown: Mapping[str, str]) -> None:
    """Tell of repositories that have said nothing for long: what they name stays."""
    for one in result.repositories:
        days = _age_days(one, result.now)
        if days is not None and days > _QUIET_DAYS and one.key not in result.own:
            session.console.note(
                f"{_repository_text(one, shown)} said nothing new for {days:,.0f} days and keeps"
                f" {count_text(len(one.versions), 'version')}; if it is gone: {_forget(result, one, shown)}"
            )


def _repository_text(one: Registration, shown: Mapping[str, str]) -> str:
    name = f"{path_text(one.by.name)} on {path_text(one.by.host)}" if one.by.name else "a repository"
    return f"{name} ({shown[one.by.id]})"


def _forget(result: RemoteGcResult, one: Registration, shown: Mapping[str, str]) -> str:
    return f"dver gc --remote {result.remote} --forget {shown[one.by.id]}"


def _age_days(one: Registration, now: float) -> float | None:
    return None if one.modified is None else max(0.0, now - one.modified) / DAY


def _due(one: CondemnedList) -> str:
    return moment_text(one.due)


def _list_json(one: CondemnedList) -> dict[str, object]:
    return {
        "name": one.name,
        "by": one.by,
        "due": moment_json(one.due),
        "versions": [_version_json(version) for version in one.versions],
        "packs": len(one.packs),
        "garbage": one.garbage,
    }


def _version_json(one: CondemnedVersion) -> dict[str, object]:
    return {"version": format_version(one.version), "files": one.files, "size": one.size}


def _swept_json(one: SweptList) -> dict[str, object]:
    return {"name": one.name, "versions": [_version_json(version) for version in one.versions], "spared": one.spared}


def _repository_json(one: Registration, now: float) -> dict[str, object]:
    days = _age_days(one, now)
    return {
        "id": one.by.id,
        "name": path_json(one.by.name),
        "host": one.by.host,
        "versions": len(one.versions),
        "days": None if days is None else round(days, 1),
        "problem": one.problem or None,
    }
