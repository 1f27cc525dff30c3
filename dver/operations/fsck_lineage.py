"""Lines of the lineage file that are no records: in the working tree, in what is staged, and at branches and tags.

Each content is read once, and a line that was found good is not looked at again. What is passed over, for there is too
much of it, is said. A line with its number and what is wrong with it is one finding, with all the places that have it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from dver.errors import DverError, FormatError, PathError, first_of
from dver.git import CommitId
from dver.objects.ids import checksum
from dver.operations.datasets import typed
from dver.operations.fsck_results import LINEAGE, SHOWN_DIGITS, Damage
from dver.records.journal import Journal, LineReader, read_line
from dver.repo import LINEAGE_FILE, LINEAGE_NAME, Repo
from dver.storage.audit_findings import Problem

MOST_BLOBS = 1000
MOST_LINES = 1000
_MOST_BYTES = 256 * 1024 * 1024
_MOST_PLACES = 5
_EXTENT = "the record on that line only: no data"
_HERE = "the working tree"
_BRANCH = "branch "


@dataclass(slots=True)
class BadLines:
    """What is wrong with the lineage file.

    Attributes:
        notes: what was not looked at.
    """

    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_bad_lines(repo: Repo, tips: dict[CommitId, str]) -> BadLines:
    """Return the lines that are no records; `tips` are the commits to look at, with what is there, in words."""
    finder = _Finder(repo)
    finder.look_at_working_tree()
    finder.look_at_blobs(tips)
    return finder.result()


class _Finder:
    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._head = repo.git.head_commit()
        self._good: set[tuple[int, int]] = set()
        self._places: dict[tuple[str, str, str | None], list[str]] = {}
        self._switch: dict[str, str] = {}
        self._notes: list[str] = []
        self._is_full = False

    def look_at_working_tree(self) -> None:
        try:
            with Journal(self._repo.dver_dir / LINEAGE_NAME).opened() as file:
                for line, reason, hint in () if file is None else self._bad_lines(file, None):
                    self._note(line, reason, hint, _HERE)
        except PathError as exc:
            self._note("", exc.reason, exc.hint, _HERE)

    def look_at_blobs(self, tips: dict[CommitId, str]) -> None:
        room = _MOST_BYTES
        blobs = self._blobs(tips)
        for number, (blob, places) in enumerate(blobs.items()):
            size = self._repo.git.blob_size(blob)
            if number >= MOST_BLOBS or size is None or size > room:
                left = len(blobs) - number
                self._notes.append(f"{LINEAGE_FILE} has very many states on branches and tags: {left:,} not looked at")
                return
            room -= size
            content = self._repo.git.read_blob(blob)
            for line, reason, hint in self._bad_lines(io.BytesIO(content), len(content)):
                for place in places:
                    self._note(line, reason, hint, place)

    def result(self) -> BadLines:
        if self._is_full:
            self._notes.append(
                f"{LINEAGE_FILE} has more than {MOST_LINES:,} lines that are no records: not all are told of"
            )
        damages = []
        for (line, reason, hint), places in self._places.items():
            where = first_of(places, _MOST_PLACES)
            remedy = hint or self._remedy(places)
            shown = f"{line} in {where}" if line else where
            damages.append(Damage(LINEAGE, Problem.DAMAGED.value, LINEAGE_FILE, shown, reason, 0, (), remedy, _EXTENT))
        return BadLines(damages, self._notes)

    def _blobs(self, tips: dict[CommitId, str]) -> dict[str, list[str]]:
        """Return the contents with the places that have them, those at hand first."""
        found: dict[str, list[str]] = {}
        staged = self._repo.git.staged_file(LINEAGE_FILE)
        if staged is not None:
            found[staged.blob_id] = ["what is staged"]
        for commit in sorted(tips, key=lambda one: one != self._head):
            blob = self._repo.git.blob_at(commit, LINEAGE_FILE)
            if blob is not None:
                place = f"{tips[commit]} at {commit[:SHOWN_DIGITS]}"
                found.setdefault(blob, []).append(place)
                if commit != self._head and tips[commit].startswith(_BRANCH):
                    self._switch[place] = f"git switch {typed(tips[commit].removeprefix(_BRANCH))}, then "
        return found

    def _bad_lines(self, file: BinaryIO, size: int | None) -> Iterator[tuple[str, str, str | None]]:
        for text in LineReader(file, size=size):
            key = (checksum(text.text), len(text.text)) if text.text is not None else None
            if key in self._good:
                continue
            problem = read_line(text).problem
            if problem is not None:
                yield text.where, _reason(problem), problem.hint
            elif key is not None:
                self._good.add(key)

    def _note(self, line: str, reason: str, hint: str | None, place: str) -> None:
        key = (line, reason, hint)
        if key not in self._places and len(self._places) >= MOST_LINES:
            self._is_full = True
            return
        self._places.setdefault(key, []).append(place)

    def _remedy(self, places: list[str]) -> str:
        switch = self._switch.get(places[0], "")
        shows = f"git log -p {LINEAGE_FILE} shows what it was; take the line out or put it right"
        return f"{switch}{shows}, then git add {LINEAGE_FILE} and git commit"


def _reason(problem: DverError) -> str:
    return problem.reason if isinstance(problem, FormatError) else problem.message
