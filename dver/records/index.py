"""Answers to questions about records, from a SQLite copy of what the lineage file says.

The copy finds the lines, and the answer is read from the file itself. Every question first brings the copy up to date,
which costs a look at the file's size and times where nothing changed.

Invariant: what is returned was read from the file as it is, has the id that was looked for, and was checked as a whole.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from dver.errors import FormatError, LockedError, UsageError
from dver.objects.ids import VERSION_PREFIX
from dver.records.catalog import INPUT, OUTPUT, STATES, Catalog, mark, microseconds, raw_id, raw_text, tag_text
from dver.records.journal import Journal, Line, LineReader, read_line
from dver.records.record import LINE_ENDS, Artifact, Record, State, decode_record

_ATTEMPTS = 3
_ID_DIGITS = 64
_ID_PREFIX = re.compile(rf"[0-9a-f]{{1,{_ID_DIGITS}}}")
_SHOWN_DIGITS = 12
_SHOWN_IDS = 3


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
        self,
        *,
        name: str | None = None,
        state: State | None = None,
        tags: Mapping[str, str] | None = None,
        since: datetime | None = None,
        path: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Return the records that fit all that is given; where `limit` cuts, the last ones of the file.

        Args:
            tags: names and values that they must have.
            since: when they started at the earliest, with its time zone.
            path: of something that went in or came out, or of a folder around it; "" is around everything.
            limit: how many at most.
        """
        # A plus keeps SQLite from an index, or an order, that is of no use: without a limit all that fit are wanted
        # anyhow, and with one the end of the file is likely to have enough of them.
        question = _Question()
        if name is not None:
            question.add("name IN (SELECT number FROM texts WHERE text = ?)", raw_text(name))
        if state is not None:
            question.add("state = ?", STATES.index(state))
        for tag in (tags or {}).items():
            question.add(
                "number IN (SELECT record FROM tags WHERE tag IN (SELECT number FROM texts WHERE text = ?))",
                raw_text(tag_text(*tag)),
            )
        if since is not None:
            question.add("started >= ?" if limit is None else "+started >= ?", microseconds(since))
        if path:
            question.add(
                "number IN (SELECT record FROM uses WHERE place IN"
                " (SELECT number FROM texts WHERE text = ? OR text > ? AND text < ?))",
                *(raw_text(path), raw_text(path) + b"/", raw_text(path) + b"0"),
            )
        if limit is None:
            return self._answer(f"{question.clause} ORDER BY +number", question.values)
        return self._answer(f"{question.clause} ORDER BY number DESC LIMIT ?", [*question.values, limit])[::-1]

    def producers(self, path: str, version: str) -> list[Record]:
        """Return the records that made this version at this path."""
        return [record for record in self._users(path, version, OUTPUT) if _holds(record.outputs, path, version)]

    def producers_of_version(self, version: str) -> list[Record]:
        """Return the records that made this version, wherever it was."""
        found = self._answer(
            f"WHERE number IN (SELECT record FROM uses WHERE version = ? AND role = {OUTPUT}) ORDER BY number",
            [mark(version)],
        )
        return [
            record
            for record in found
            if any(version in (artifact.version, artifact.dataset_version) for artifact in record.outputs)
        ]

    def consumers(self, path: str, version: str) -> list[Record]:
        """Return the records that this version at this path went into."""
        return [record for record in self._users(path, version, INPUT) if _holds(record.inputs, path, version)]

    def latest_producer(self, path: str) -> Record | None:
        """Return the record that started last of those that made something at this path and did not fail."""
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
            "WHERE number IN (SELECT record FROM uses WHERE place = (SELECT number FROM texts WHERE text = ?)"
            " AND version = ? AND role = ?) ORDER BY number",
            [raw_text(path), mark(version), role],
        )

    def _answer(self, clause: str, values: Sequence[object]) -> list[Record]:
        """Return the records that a clause finds, read from the file."""
        for _ in range(_ATTEMPTS):
            with self.journal.opened() as file:
                self._catalog.follow(file)
                rows = self._catalog.query(f"SELECT offset, length, id FROM records {clause}", values)
                found = [_read(file, *row) for row in rows]
                records = [record for record in found if record is not None]
                if len(records) == len(found):
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
