"""Answers to questions about records, from a SQLite copy of what the lineage file says.

The copy finds the lines, and the answer is read from the file itself. Every question first brings the copy up to date,
which costs a look at the file's size and times where nothing changed.

Invariant: what is returned was read from the file as it is, has the id that was looked for, and was checked as a whole.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypedDict, Unpack

from dver.errors import FormatError, LockedError, UsageError
from dver.objects.ids import VERSION_PREFIX
from dver.records.catalog import (
    INPUT,
    OUTPUT,
    STATES,
    USE_BITS,
    Catalog,
    mark,
    microseconds,
    raw_id,
    raw_text,
    tag_text,
)
from dver.records.journal import Journal, Line, LineReader, read_line
from dver.records.record import LINE_ENDS, Artifact, Record, State, decode_record

_ATTEMPTS = 3
_ID_DIGITS = 64
_ID_PREFIX = re.compile(rf"[0-9a-f]{{1,{_ID_DIGITS}}}")
_SHOWN_DIGITS = 12
_SHOWN_IDS = 3
# Of what so many records have, the newest are found sooner by going through the records than by going through it.
_COMMON = 10_000
# How many records are looked at in one go where a choice is made outside the copy: few first, for they may be enough.
_FIRST_PAGE = 1_000
_LARGEST_PAGE = 64_000
_LATEST = (1 << 63) - 1
_TEXT_NUMBER = "(SELECT number FROM texts WHERE text = ?)"
_BELOW = "(text = ? OR text > ? AND text < ?)"
# The same question, to be answered once for all records, and for each record as it comes.
_USED = f"number IN (SELECT uses.number >> {USE_BITS} FROM texts JOIN uses ON place = texts.number WHERE {_BELOW})"
_USED_BY_ROW = (
    f"EXISTS (SELECT 1 FROM uses JOIN texts ON texts.number = place WHERE uses.number BETWEEN"
    f" records.number << {USE_BITS} AND (records.number << {USE_BITS}) + {(1 << USE_BITS) - 1} AND {_BELOW})"
)
_NEWEST = "ORDER BY started DESC, number DESC"


class Which(TypedDict, total=False):
    """Which records are meant: those that fit all that is given and not None.

    Attributes:
        tags: names and values that they must have.
        since: when they started at the earliest, with its time zone.
        path: of something that went in or came out, or of a folder around it; "" is around everything.
    """

    name: str | None
    state: State | None
    tags: Mapping[str, str] | None
    since: datetime | None
    path: str | None


class LineageIndex:
    """Answers about the records of a lineage file; every answer is up to date with the file.

    Records are in the order of the file unless a method says otherwise, and duplicates count once. A part of a dataset
    also counts as that dataset.
    """

    def __init__(self, path: Path | None, journal: Journal) -> None:
        """Open or make the copy at `path`, which may be deleted at any time; None keeps it in memory."""
        self.journal = journal
        self._catalog = Catalog(path)

    def close(self) -> None:
        """Close the copy."""
        self._catalog.close()

    def count(self) -> int:
        """Return how many records there are."""
        with self.journal.opened() as file:
            self._catalog.follow(file)
            [(count,)] = self._catalog.query("SELECT count(*) FROM records")
        return int(count)

    def problems(self) -> list[Line]:
        """Return the lines that are no records."""
        with self.journal.opened() as file:
            self._catalog.follow(file)
            if file is None:
                return []
            places = self._catalog.query("SELECT offset, number FROM problems ORDER BY number")
            found = [read_line(line) for place in places for line in islice(LineReader(file, *place), 1)]
            return [line for line in found if line.problem]

    def record(self, text: str) -> Record | None:
        """Return the record with this id, or the only one whose id begins so, with or without `b3:`; None for none.

        Raises:
            UsageError: several begin so.
        """
        digits = text.removeprefix(VERSION_PREFIX).lower()
        if not _ID_PREFIX.fullmatch(digits):
            return None
        ends = [bytes.fromhex(digits.ljust(_ID_DIGITS, fill)) for fill in "0f"]
        found = self._answer("WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", [*ends, _SHOWN_IDS + 1])
        if len(found) > 1:
            shown = [record.id[: len(VERSION_PREFIX) + max(_SHOWN_DIGITS, len(digits) + 1)] for record in found]
            more = ", …" if len(found) > _SHOWN_IDS else ""
            raise UsageError(
                f"{text}: several records begin so: {', '.join(shown[:_SHOWN_IDS])}{more}", hint="give more digits"
            )
        return found[0] if found else None

    def records(
        self, *, limit: int | None = None, keep: Callable[[Record], bool] | None = None, **which: Unpack[Which]
    ) -> list[Record]:
        """Return the records that fit all that is given; where `limit` cuts, those that started last.

        With `limit` or `keep` they are in the order of time.

        Args:
            limit: how many at most.
            keep: whether one that fits all else is wanted; it is asked about the newest first, until there are enough.
        """
        question = self._question(which, is_limited=limit is not None)
        if keep is not None:
            return self._choose(question, keep, limit)
        if limit is None:
            # A plus keeps SQLite from an order by an index: all that fit are wanted anyhow.
            return self._answer(f"{question.clause} ORDER BY +number", question.values)
        return self._answer(f"{question.clause} {_NEWEST} LIMIT ?", [*question.values, limit])[::-1]

    def producers(self, path: str, version: str) -> list[Record]:
        """Return the records that made this version at this path."""
        return [record for record in self._users(path, version, OUTPUT) if _holds(record.outputs, path, version)]

    def producers_of_version(self, version: str) -> list[Record]:
        """Return the records that made this version, wherever it was."""
        return [record for record in self._users_of_version(version, OUTPUT) if _has_version(record.outputs, version)]

    def consumers(self, path: str, version: str) -> list[Record]:
        """Return the records that this version at this path went into."""
        return [record for record in self._users(path, version, INPUT) if _holds(record.inputs, path, version)]

    def consumers_of_version(self, version: str) -> list[Record]:
        """Return the records that this version went into, wherever it was."""
        return [record for record in self._users_of_version(version, INPUT) if _has_version(record.inputs, version)]

    def latest_producer(self, path: str) -> Record | None:
        """Return the record that started last of those that made something at this path and did not fail.

        What a run was only seen to write it did not make.
        """
        found = self._answer(
            "WHERE number = (SELECT record FROM makers WHERE place = (SELECT number FROM texts WHERE text = ?)"
            " ORDER BY started DESC, record DESC LIMIT 1)",
            [raw_text(path)],
        )
        return found[0] if found else None

    def by_key(self, key: str) -> list[Record]:
        """Return the complete records with this cache key, the one that started last first."""
        found = self._answer(
            f"WHERE key = ? AND state = {STATES.index(State.COMPLETE)} ORDER BY started DESC, number DESC", [mark(key)]
        )
        return [record for record in found if record.key == key]

    def _users(self, path: str, version: str, role: int) -> list[Record]:
        return self._answer(
            f"WHERE number IN (SELECT number >> {USE_BITS} FROM uses WHERE"
            " place = (SELECT number FROM texts WHERE text = ?) AND version = ? AND role = ?) ORDER BY number",
            [raw_text(path), mark(version), role],
        )

    def _users_of_version(self, version: str, role: int) -> list[Record]:
        return self._answer(
            f"WHERE number IN (SELECT number >> {USE_BITS} FROM uses WHERE version = ? AND role = ?) ORDER BY number",
            [mark(version), role],
        )

    def _question(self, which: Which, *, is_limited: bool) -> "_Question":
        """Return what is asked for as conditions; how tags and paths are put depends on how many records have them."""
        question = _Question()
        name, state, since, path = which.get("name"), which.get("state"), which.get("since"), which.get("path")
        if name is not None:
            question.add(f"name = {_TEXT_NUMBER}", raw_text(name))
        if state is not None:
            question.add("state = ?", STATES.index(state))
        if since is not None:
            question.add("started >= ?", microseconds(since))
        with self.journal.opened() as file:
            self._catalog.follow(file)
            for tag in (which.get("tags") or {}).items():
                having = f"FROM tags WHERE tag = {_TEXT_NUMBER}"
                question.add(
                    f"EXISTS (SELECT 1 {having} AND record = records.number)"
                    if is_limited and self._is_common(having, [raw_text(tag_text(*tag))])
                    else f"number IN (SELECT record {having})",
                    raw_text(tag_text(*tag)),
                )
            if path:
                raw = raw_text(path)
                below = [raw, raw + b"/", raw + b"0"]
                is_common = is_limited and self._is_common(
                    f"FROM texts JOIN uses ON place = texts.number WHERE {_BELOW}", below
                )
                question.add(_USED_BY_ROW if is_common else _USED, *below)
        return question

    def _is_common(self, rows: str, values: Sequence[object]) -> bool:
        [(count,)] = self._catalog.query(f"SELECT count(*) FROM (SELECT 1 {rows} LIMIT {_COMMON})", values)
        return int(count) == _COMMON

    def _answer(self, clause: str, values: Sequence[object]) -> list[Record]:
        """Return the records that a clause finds, read from the file."""
        return self._settled(
            lambda file: self._read_all(file, f"SELECT offset, length, id FROM records {clause}", values)
        )

    def _choose(self, question: "_Question", keep: Callable[[Record], bool], limit: int | None) -> list[Record]:
        """Return those of the records that a question finds that are to be kept, in the order of time."""

        def choose(file: BinaryIO | None) -> list[Record] | None:
            found: list[Record] = []
            last, page = (_LATEST, _LATEST), _FIRST_PAGE
            while True:
                rows = self._catalog.query(
                    f"SELECT started, number, offset, length, id FROM records {question.clause}"
                    f" AND (started, number) < (?, ?) {_NEWEST} LIMIT ?",
                    [*question.values, *last, page],
                )
                for *_, offset, length, identity in rows:
                    if len(found) == limit:
                        return found[::-1]
                    record = _read(file, offset, length, identity)
                    if record is None:
                        return None
                    if keep(record):
                        found.append(record)
                if len(rows) < page:
                    return found[::-1]
                last, page = rows[-1][:2], min(4 * page, _LARGEST_PAGE)

        return self._settled(choose)

    def _read_all(self, file: BinaryIO | None, sql: str, values: Sequence[object]) -> list[Record] | None:
        found = [_read(file, *row) for row in self._catalog.query(sql, values)]
        records = [record for record in found if record is not None]
        return records if len(records) == len(found) else None

    def _settled(self, read: Callable[[BinaryIO | None], list[Record] | None]) -> list[Record]:
        """Return what is read from the file once the copy fits it; `read` returns None where a line does not."""
        for _ in range(_ATTEMPTS):
            with self.journal.opened() as file:
                self._catalog.follow(file)
                records = read(file)
                if records is not None:
                    return records
                # The file was changed in a way that its size and times do not show, or is being changed right now.
                self._catalog.forget()
        raise LockedError(
            f"{self.journal.path}: changes while it is being read",
            hint="wait until nothing writes to it, then run the command again",
        )


class _Question:
    """Collects the conditions of a query, and the values that they have marks for."""

    def __init__(self) -> None:
        self.clause = "WHERE TRUE"
        self.values: list[object] = []

    def add(self, condition: str, *values: object) -> None:
        """Add a condition and its values."""
        self.clause += f" AND {condition}"
        self.values.extend(values)


def _read(file: BinaryIO | None, offset: int, length: int, identity: bytes) -> Record | None:
    """Return the record of a line, or None if it is not there any more."""
    if file is None:
        return None
    try:
        record = decode_record(os.pread(file.fileno(), length, offset).rstrip(LINE_ENDS), f"byte {offset:,}")
    except FormatError:
        return None
    return record if raw_id(record.id) == identity else None


def _holds(artifacts: Sequence[Artifact], path: str, version: str) -> bool:
    return any(
        (path, version) in ((artifact.path, artifact.version), (artifact.dataset, artifact.dataset_version))
        for artifact in artifacts
    )


def _has_version(artifacts: Sequence[Artifact], version: str) -> bool:
    return any(version in (artifact.version, artifact.dataset_version) for artifact in artifacts)
