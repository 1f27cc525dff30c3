"""`dver gc`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from dver.cli.command import Command
from dver.cli.gc_remote import remote_gc_json, show_remote_gc
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.cli.wording import count_text, path_json, path_text, size_text, table_lines, version_text
from dver.errors import UsageError
from dver.objects.ids import format_version
from dver.operations.gc import GcResult, gc
from dver.operations.gc_plan import GcOptions, GcPlan, Leaving, Why
from dver.operations.gc_remote import GRACE_DAYS, RemoteGcOptions, gc_remote
from dver.operations.neighbours import Absent
from dver.operations.roots import RootName
from dver.storage.registrations import FOLDER as ROOTS
from dver.storage.registrations import Registration

_MOST_NAMES = 3
_MOST_DAYS = 36_500

_EXAMPLES = {
    "dver gc --dry-run": "see what would go, and how much space that frees",
    "dver gc": "delete from the cache what no commit, stash, reflog or pointer names",
    "dver gc --keep-last 3": "of history keep only the three latest versions of each dataset",
    "dver gc --pushed --keep-days 30": "also let go of what the remote has, but for the last month",
    "dver gc --forget ~/old-clone": "stop keeping data for a clone that was deleted",
    "dver gc --remote origin": "clean a remote: list what nothing names, delete what was listed two weeks ago",
    "dver gc --remote origin --undelete": "take back what is listed on a remote and not deleted yet",
}


class _Days(click.FloatRange):
    name = "number"


class _Count(click.IntRange):
    name = "whole number"


@click.command("gc", cls=Command, examples=_EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--keep-days",
    type=_Days(min=0),
    metavar="N",
    help="Of history, keep only what commits of the last N days name.",
)
@click.option(
    "--keep-last",
    type=_Count(min=1),
    metavar="N",
    help="Of history, keep only the N latest versions of each dataset.",
)
@click.option("--pushed", is_flag=True, help="Delete also what a remote surely has, and nothing here needs.")
@click.option(
    "-r",
    "--remote",
    metavar="[REMOTE]",
    is_flag=False,
    flag_value="",
    shell_complete=complete_remote,
    help="Clean this remote, or the default one, instead of the cache; with --pushed and --keep: ask it.",
)
@click.option("--force", is_flag=True, help="With --keep-days and --keep-last, delete also what no remote has.")
@click.option(
    "--forget",
    multiple=True,
    metavar="PATH",
    help="Stop keeping data for a clone that was at PATH and is gone; or for a repository that pushed here, by its id.",
)
@click.option(
    "--grace",
    type=_Days(min=0, max=_MOST_DAYS),
    metavar="DAYS",
    help="With --remote: how long what is listed now stays at least; 14 by default.",
)
@click.option("--undelete", is_flag=True, help="With --remote: take back what is listed there and not deleted yet.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, /, dry_run: bool, as_json: bool, forget: tuple[str, ...], **given: Any) -> int:
    """Free disk space: delete from the cache what nothing names.

    Kept is every version that is named by HEAD, git's index, the pointers here, any branch, tag, remote-tracking
    branch, stash or reflog, in all linked work trees, and by all clones that use the same cache; and what the data here
    goes back to. Data that another dver is storing at the moment is waited for.

    --keep-days and --keep-last leave old history out; with both, what either keeps is kept. What branches, tags and
    stashes name directly stays. A version goes only if the remote surely has it, unless --force is given.

    A clone that cannot be found keeps everything from being deleted, until --forget says that it is gone for good. What
    repositories name that push to the cache as to a remote is kept too.

    With --remote alone, a remote is cleaned, in two steps: what no repository that pushes to it names is listed there,
    and the first dver gc --remote after 14 days deletes what is garbage still. --undelete takes the lists back.
    """
    is_remote = given["remote"] is not None and not (given["pushed"] or _cuts(given))
    _check(given, forget, is_remote=is_remote)
    name, grace, undelete = given.pop("remote") or None, given.pop("grace"), given.pop("undelete")
    if is_remote:
        options = RemoteGcOptions(GRACE_DAYS if grace is None else grace, forget, undelete)
        return _clean_remote(session, name, options, dry_run=dry_run, as_json=as_json)
    paths = tuple(os.path.abspath(os.path.join(session.start, os.path.expanduser(path))) for path in forget)
    with session.repo() as repo:
        local = GcOptions(forget=paths, remote=name, **given)
        result = gc(repo, local, dry_run=dry_run, progress=session.console)
    if as_json:
        session.console.document(_document(result, dry_run=dry_run))
    else:
        _show(session, result, dry_run=dry_run)
    return 1 if result.plan.absent else 0


def _clean_remote(session: Session, name: str | None, options: RemoteGcOptions, *, dry_run: bool, as_json: bool) -> int:
    session.when_interrupted = "run the same command again to go on from there"
    with session.repo() as repo:
        result = gc_remote(repo, name, options, dry_run=dry_run, progress=session.console)
    if as_json:
        session.console.document(remote_gc_json(result, dry_run=dry_run))
    else:
        show_remote_gc(session, result, dry_run=dry_run)
    return 1 if result.in_the_way else 0


def _cuts(given: Mapping[str, Any]) -> bool:
    return given["keep_days"] is not None or bool(given["keep_last"])


def _check(given: Mapping[str, Any], forget: Sequence[str], *, is_remote: bool) -> None:
    """Refuse options that say nothing together."""
    if given["force"] and not _cuts(given):
        raise UsageError(
            "--force gives up old history that no remote has, and all history is to be kept",
            hint="dver gc --keep-last N --force, or --keep-days N; dver gc alone deletes what nothing names",
        )
    if not is_remote and (given["grace"] is not None or given["undelete"]):
        raise UsageError(
            "--grace and --undelete are about what is listed on a remote",
            hint="dver gc --remote NAME, without --pushed, --keep-days and --keep-last",
        )
    if given["grace"] is not None and given["undelete"]:
        raise UsageError("--undelete lists nothing, so there is no --grace", hint="dver gc --remote NAME --undelete")
    if given["undelete"] and forget:
        raise UsageError("--undelete asks no repository, so none can be forgotten", hint="run the one, then the other")


def _show(session: Session, result: GcResult, *, dry_run: bool) -> None:
    console, plan = session.console, result.plan
    for clone in plan.forgotten:
        root = clone.key if clone.place is None else str(clone.place.root)
        console.out(f"{'would forget' if dry_run else 'forgot'} the clone at {path_text(root)}")
    for said in plan.unregistered:
        console.out(f"{'would forget' if dry_run else 'forgot'} the repository {_said_text(said)}, which pushes here")
    verb = "would delete" if dry_run else "deleted"
    rows = [[verb, version_text(one.version), _what(session, one), _size(one), _why(one)] for one in plan.leaving]
    for line in table_lines(rows, "<<<><"):
        console.out(line)
    _show_packs(session, plan)
    for absent in plan.absent:
        console.out(console.style(f"in the way    {_absent_text(absent)}", "red"))
    for pusher in plan.pushers:
        if pusher.only:
            console.note(
                f"{count_text(pusher.only, 'version')} kept for the repository {_said_text(pusher.said)}, to which this"
                f" cache is a remote; if it is gone for good: dver gc --forget {pusher.said.key}"
            )
    _show_way_out(session, plan)
    if plan.unproven:
        them = "it" if plan.unproven == 1 else "them"
        console.note(f"{count_text(plan.unproven, 'version')} stayed, for the remote does not surely have {them}")
    console.done(_summary(result))
    if plan.leaving and plan.waiting > plan.frees:
        console.note(
            f"{size_text(plan.waiting)} of garbage stay in packs that hold other data too: a pack is packed anew when a"
            " quarter of it is garbage"
        )


def _show_way_out(session: Session, plan: GcPlan) -> None:
    """Say what helps where it is not known of some repository what it needs."""
    clones = [one for one in plan.absent if not one.is_remote]
    words = [one for one in plan.absent if one.is_remote and one.path.startswith(ROOTS)]
    rescues = [one for one in plan.absent if one.is_remote and one not in words]
    if clones:
        session.console.note(
            "nothing was deleted that such a clone may need; if it is gone for good: dver gc --forget"
            f" {path_text(clones[0].path)}"
        )
    if words:
        session.console.note(
            "nothing was deleted that such a repository may need; dver push there says anew what it names; if it is"
            f" gone for good: dver gc --forget {path_text(words[0].path)}"
        )
    if rescues:
        session.console.note(
            f"nothing was deleted that such a push may need; if none is at work, delete {path_text(rescues[0].path)}"
            " in the cache"
        )


def _show_packs(session: Session, plan: GcPlan) -> None:
    census = plan.census
    if census.unreadable:
        session.console.note(f"{count_text(len(census.unreadable), 'damaged pack')} left alone; dver fsck says more")
    if census.lost:
        session.console.note(f"{count_text(len(census.lost), 'pack')} missing from the cache; dver fsck says more")


def _summary(result: GcResult) -> str:
    plan, swept = result.plan, result.swept
    kept = f"{count_text(plan.kept, 'version')} kept"
    if swept is None:
        if not plan.frees and not plan.leaving:
            return f"nothing to free in the cache: {kept}"
        census = plan.census
        packs = f"{count_text(len(census.dead), 'pack')} deleted, {len(census.due):,} packed anew"
        return f"would free {size_text(plan.frees)} in the cache: {packs}; {kept}"
    freed = swept.deleted_bytes - swept.written_bytes
    if not freed and not plan.leaving:
        return f"nothing to free in the cache: {kept}"
    return f"freed {size_text(max(0, freed))} in the cache; {kept}"


def _what(session: Session, one: Leaving) -> str:
    if one.datasets:
        shown = ", ".join(session.shown(path) for path in one.datasets[:_MOST_NAMES])
        more = len(one.datasets) - _MOST_NAMES
        return f"{shown} and {more} more" if more > 0 else shown
    if one.sample:
        return f"a dataset with {', '.join(map(path_text, one.sample))}"
    return "a dataset"


def _size(one: Leaving) -> str:
    return "" if one.size is None else size_text(one.size)


def _why(one: Leaving) -> str:
    match one.why:
        case Why.UNNAMED:
            return "named by nothing"
        case Why.OLD:
            return f"old: {one.names[0].by}" if one.names else "old"
    return "on the remote"


def _said_text(said: Registration) -> str:
    name = path_text(said.by.name) if said.by.name else said.by.id
    return f"{name} on {path_text(said.by.host)}" if said.by.host else name


def _absent_text(absent: Absent) -> str:
    host = f" on {absent.host}" if absent.host else ""
    if absent.is_remote:
        name = f"the repository {path_text(absent.name)}{host}" if absent.name else "a repository that pushes here"
        return f"{name} ({path_text(absent.path)}): {absent.reason}"
    return f"the clone at {path_text(absent.path)}{host}: {absent.reason}"


def _document(result: GcResult, *, dry_run: bool) -> dict[str, object]:
    plan, swept = result.plan, result.swept
    census = plan.census
    return {
        "dry_run": dry_run,
        "versions": [
            {
                "version": format_version(one.version),
                "why": one.why.value,
                "datasets": [path_json(path) for path in one.datasets],
                "files": one.files,
                "size": one.size,
                "names": [_name_document(name) for name in one.names],
            }
            for one in plan.leaving
        ],
        "kept_versions": plan.kept,
        "unproven_versions": plan.unproven,
        "packs": {
            "deleted": len(census.dead),
            "repacked": len(census.due),
            "kept": len(census.kept),
            "damaged": len(census.unreadable),
            "missing": len(census.lost),
        },
        "bytes": {"before": census.size, "to_free": census.freed},
        "freed": None if swept is None else max(0, swept.deleted_bytes - swept.written_bytes),
        "clones_in_the_way": [
            {"path": path_json(one.path), "host": one.host, "reason": one.reason} for one in plan.absent
        ],
        "pushing_here": [
            {"key": one.said.key, "name": one.said.by.name, "host": one.said.by.host, "only_versions": one.only}
            for one in plan.pushers
        ],
        "forgotten": [
            *(path_json(clone.key if clone.place is None else str(clone.place.root)) for clone in plan.forgotten),
            *(said.key for said in plan.unregistered),
        ],
    }


def _name_document(name: RootName) -> dict[str, object]:
    return {"kind": name.kind.value, "name": name.name or None, "commit": name.commit}
