"""The commits that changed one file, as `git log --follow` finds them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from heapq import heappop, heappush

import pygit2
from pygit2.enums import DeltaStatus, DiffFind

from dver.git.objects import CommitId, ObjectReader

_RENAME_SIMILARITY = 50
_RENAME_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A commit in which a followed file changed.

    Attributes:
        path: its name there.
        blob: its content there, None where the commit deleted it.
        before: its content in the commit's first parent that is followed, None where it was not there.
    """

    commit: CommitId
    author: str
    when: datetime
    subject: str
    path: str
    blob: bytes | None
    before: bytes | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A commit and the content, None for none, that the followed file has there under its name of that time."""

    commit: pygit2.Commit
    path: str
    blob: pygit2.Oid | None


def walk_history(reader: ObjectReader, path: str, start: CommitId) -> Iterator[HistoryItem]:
    """Yield the commits that changed the file at `path`, newest first, from `start` backwards."""
    first = reader.commit(start)
    queue = [(-first.commit_time, 0, _Place(first, path, reader.find_blob(first.tree, path)))]
    seen = {(first.id, path)}
    while queue:
        place = heappop(queue)[2]
        origins, changed = _origins(reader, place)
        if changed:
            yield _history_item(reader, place, origins[0].blob if origins else None)
        for origin in origins:
            if (origin.commit.id, origin.path) not in seen:
                seen.add((origin.commit.id, origin.path))
                heappush(queue, (-origin.commit.commit_time, len(seen), origin))


def _origins(reader: ObjectReader, place: _Place) -> tuple[list[_Place], bool]:
    """Return where the file comes from, in the parents to follow, and whether this commit changed it."""
    parents = reader.parents(place.commit)
    origins = [_Place(parent, place.path, reader.find_blob(parent.tree, place.path)) for parent in parents]
    if not origins:
        return [], place.blob is not None
    same = [origin for origin in origins if origin.blob == place.blob]
    if same:
        return same[:1], False
    origins = [_before_rename(place, origin) for origin in origins]
    same = [origin for origin in origins if origin.blob == place.blob]
    # A rename is news in an ordinary commit; a merge only repeats the news of the side that renamed.
    return (same[:1], False) if same and len(origins) > 1 else (origins, True)


def _before_rename(place: _Place, origin: _Place) -> _Place:
    """Return `origin` under the name the file had there, if `place` has it only since a rename."""
    if place.blob is None or origin.blob is not None:
        return origin
    diff = origin.commit.tree.diff_to_tree(place.commit.tree)
    suffix = os.path.splitext(place.path)[1]
    gone = {
        os.fsdecode(delta.old_file.raw_path): delta.old_file.id
        for delta in diff.deltas
        if delta.status == DeltaStatus.DELETED and os.fsdecode(delta.old_file.raw_path).endswith(suffix)
    }
    if not gone:
        return origin
    name = os.path.basename(place.path)
    exact = sorted((os.path.basename(path) != name, path) for path, blob in gone.items() if blob == place.blob)
    source = exact[0][1] if exact else _similar(diff, place.path)
    return _Place(origin.commit, source, gone[source]) if source in gone else origin


def _history_item(reader: ObjectReader, place: _Place, before: pygit2.Oid | None) -> HistoryItem:
    commit = place.commit
    message = commit.raw_message.decode(errors="replace").strip()
    return HistoryItem(
        commit=CommitId(str(commit.id)),
        author=commit.author.raw_name.decode(errors="replace"),
        when=_aware(commit.author.time, commit.author.offset),
        subject=" ".join(message.partition("\n\n")[0].split("\n")),
        path=place.path,
        blob=None if place.blob is None else reader.content(place.blob),
        before=None if before is None else reader.content(before),
    )


def _similar(diff: pygit2.Diff, path: str) -> str:
    """Return the name that git's similarity detection pairs with `path`, or "" for none."""
    diff.find_similar(DiffFind.FIND_RENAMES, rename_threshold=_RENAME_SIMILARITY, rename_limit=_RENAME_LIMIT)
    for delta in diff.deltas:
        if delta.status == DeltaStatus.RENAMED and os.fsdecode(delta.new_file.raw_path) == path:
            return os.fsdecode(delta.old_file.raw_path)
    return ""


def _aware(seconds: int, offset_minutes: int) -> datetime:
    """Return a commit's time in its own zone; damaged commits hold zones and years that do not exist."""
    try:
        return datetime.fromtimestamp(seconds, timezone(timedelta(minutes=offset_minutes)))
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
