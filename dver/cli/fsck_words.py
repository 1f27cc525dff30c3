"""What `dver fsck` found, in words and as JSON."""

from collections.abc import Iterable, Iterator, Sequence

from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_json, path_text, size_text, version_text
from dver.errors import first_of
from dver.objects.ids import format_version
from dver.operations.fsck_results import LINEAGE, POINTER, SHOWN_DIGITS, Damage, Effect, FsckResult
from dver.storage.audit_findings import Counts, Depth

_MOST_PATHS = 5
_MOST_COMMITS = 3
_MOST_NAMES = 3
_FILES = (POINTER, LINEAGE)
_DEPTHS = {Depth.STRUCTURE: "structure", Depth.RECORDS: "checksums", Depth.CONTENT: "content"}


def damage_lines(session: Session, damages: Iterable[Damage], *, with_remedy: bool = True) -> Iterator[str]:
    """Yield what is wrong, with what it touches and, but for what is being repaired anyway, what helps."""
    for damage in damages:
        name = session.shown(damage.name) if damage.thing in _FILES else escape_text(damage.name)
        where = f", {damage.where}" if damage.where else ""
        head = session.console.style(f"{damage.thing} {damage.problem}", "red")
        yield f"{head}: {name}{where}: {escape_text(damage.detail)}{_lost_text(damage)}"
        if damage.extent:
            yield f"    touches {escape_text(damage.extent)}"
        for effect in damage.effects:
            yield from _effect_lines(session, effect)
        if with_remedy:
            yield f"    to repair: {escape_text(damage.remedy)}"


def repair_lines(session: Session, result: FsckResult) -> Iterator[str]:
    """Yield what a repair did, and what is left."""
    if result.repaired is None:
        return
    done = result.repaired.mended
    for source, count in done.restored.items():
        yield f"restored {count_text(count, 'object')} from {escape_text(source)}"
    if done.indexes:
        yield f"made {count_text(done.indexes, 'index file')} true"
    if done.marked:
        yield f"marked {count_text(len(done.marked), 'version')} as whole"
    for key in done.aside:
        yield f"set aside: {escape_text(key)}"
    for problem in done.trouble:
        yield f"could not be asked: {escape_text(problem.message)}"
    if result.repaired.left:
        yield session.console.style("Not repaired:", "bold")
        yield from damage_lines(session, result.repaired.left)


def summary(result: FsckResult) -> str:
    """Return what was looked at and how it is, in one line."""
    counts = result.counts
    looked = ", ".join(
        [
            count_text(counts.packs, "pack"),
            count_text(counts.objects, "object"),
            count_text(counts.versions, "version"),
            f"{size_text(counts.bytes)} read",
            *_remembered(counts),
        ]
    )
    return f"checked {escape_text(result.store)} ({looked}): {_verdict(result)}"


def fsck_json(result: FsckResult) -> dict[str, object]:
    """Return a result for JSON."""
    counts = result.counts
    return {
        "store": result.store,
        "location": result.location,
        "remote": result.remote,
        "depth": _DEPTHS[result.depth],
        "sound": result.is_sound,
        "checked": {
            "packs": counts.packs,
            "packs_read": counts.read,
            "packs_remembered": counts.remembered,
            "bytes": counts.bytes,
            "objects": counts.objects,
            "nodes": counts.nodes,
            "indexes": counts.indexes,
            "versions": counts.versions,
        },
        "findings": [_damage_json(damage) for damage in result.damages],
        "notes": list(result.notes),
        "repair": None if result.repaired is None else _repair_json(result),
    }


def _repair_json(result: FsckResult) -> dict[str, object]:
    assert result.repaired is not None
    done = result.repaired.mended
    return {
        "restored": [{"source": source, "objects": count} for source, count in done.restored.items()],
        "indexes": done.indexes,
        "marked": [format_version(version) for version in done.marked],
        "unmarked": [format_version(version) for version in done.unmarked],
        "set_aside": list(done.aside),
        "unreachable": [problem.message for problem in done.trouble],
        "left": [_damage_json(damage) for damage in result.repaired.left],
    }


def _damage_json(damage: Damage) -> dict[str, object]:
    return {
        "thing": damage.thing,
        "problem": damage.problem,
        "name": path_json(damage.name),
        "where": damage.where or None,
        "detail": damage.detail,
        "lost": damage.lost,
        "touched": [_effect_json(effect) for effect in damage.effects],
        "extent": damage.extent or None,
        "remedy": damage.remedy,
    }


def _effect_json(effect: Effect) -> dict[str, object]:
    return {
        "dataset": path_json(effect.dataset) if effect.dataset else None,
        "version": None if effect.version is None else format_version(effect.version),
        "paths": [path_json(path) for path in effect.paths],
        "files": effect.files,
        "more_unknown": effect.unknown,
        "commits": list(effect.commits),
        "commit_count": effect.commit_count,
        "named_by": list(effect.named_by),
    }


def _effect_lines(session: Session, effect: Effect) -> Iterator[str]:
    dataset = session.shown(effect.dataset) if effect.dataset else "a dataset that no commit here names"
    commits = _commits_text(effect)
    named = escape_text(first_of(effect.named_by, _MOST_NAMES))
    where = f"{f', in {commits}' if commits else ''}{f', named by {named}' if named else ''}"
    version = "" if effect.version is None else f" at {version_text(effect.version)}"
    yield f"    touches {dataset}{version}{where}"
    paths = [path_text(path) for path in effect.paths[:_MOST_PATHS] if path]
    more = effect.files - min(effect.files, _MOST_PATHS)
    if paths:
        yield f"        {', '.join(paths)}{f' and {more:,} more' if more else ''}"
    if effect.unknown:
        yield "        and what a part of its manifest would tell, which is lost too"


def _commits_text(effect: Effect) -> str:
    shown = [commit[:SHOWN_DIGITS] for commit in effect.commits[:_MOST_COMMITS]]
    if not shown:
        return ""
    more = effect.commit_count - len(shown)
    noun = "commit" if effect.commit_count == 1 else "commits"
    return f"{noun} {', '.join(shown)}{f' and {more:,} more' if more > 0 else ''}"


def _lost_text(damage: Damage) -> str:
    if damage.thing != "pack":
        return ""
    return f"; {count_text(damage.lost, 'object')} lost with it" if damage.lost else "; all of it can still be had"


def _remembered(counts: Counts) -> Sequence[str]:
    return [f"{count_text(counts.remembered, 'pack')} checked before"] if counts.remembered else []


def _verdict(result: FsckResult) -> str:
    found = count_text(len(result.damages), "finding")
    if result.repaired is None:
        return found if result.damages else "sound"
    if not result.repaired.left:
        return f"{found}, all repaired" if result.damages else "sound"
    return f"{found}, {len(result.repaired.left):,} not repaired"
