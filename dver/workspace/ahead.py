"""Looking, on all cores, at the folders of datasets that are known, before a scan walks through them.

What a scan of unchanged files takes is one call to the system for each file. Threads would wait for each other in
Python, so copies of this process look at a share of the folders each, and write which are as they were to a pipe. A
copy touches nothing but its pipe and what it looks at, and is made only while this process has a single thread.

All of this may fail, or be out of date a moment later, without harm: who scans looks at a folder himself if it is not
in the answer, and reaches those in the answer by the folders around them only.
"""

import gc
import marshal
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, TypeAlias

from dver.errors import DverError
from dver.workspace.ignore import IgnoreRules
from dver.workspace.statcache import Fingerprint, count_files
from dver.workspace.walk import BLOCK_FILES, Folder, Listing, Seen, is_filled, list_folder

# Copying the process takes as long as looking at a few thousand files, and it is not worth it for a gain of less.
LEAST_SHARE = 10_000
_FOLDER_WEIGHT = 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIZE_BYTES = 8


class _Work(NamedTuple):
    """A folder of a place to look at: all of it, or, if it has very many files, some blocks of them."""

    place: int
    prefix: bytes
    first: int = 0
    end: int | None = None


class _Piece(NamedTuple):
    """What was found in some blocks of a folder, in which there are `names` files altogether."""

    place: int
    prefix: bytes
    first: int
    digests: list[int]
    files: int
    names: int
    folders: list[bytes]
    has_rules: bool


# Folders that are as they were: place, prefix, the folders in it, and whether it has rules.
_Whole: TypeAlias = "tuple[int, bytes, list[bytes], bool]"
# What marshal takes: pieces are plain tuples there.
_Answer: TypeAlias = "tuple[list[_Whole], list[tuple[Any, ...]]]"


@dataclass(frozen=True, slots=True)
class Place:
    """A dataset that is known.

    Attributes:
        directory: where its files are.
        rules: those in force around it.
        marks: the fingerprints of its folders by prefix.
    """

    directory: bytes
    rules: IgnoreRules
    marks: Mapping[bytes, bytes]


def look_ahead(places: Sequence[Place], jobs: int) -> list[dict[bytes, Seen]]:
    """Return, for each place, the folders whose fingerprints are what they were, by prefix.

    They are none where it is not worth it to look with several processes, `jobs` at most, or not safe.
    """
    seen: list[dict[bytes, Seen]] = [{} for _ in places]
    shares = _shares(places, min(jobs, _cores()))
    if not shares or not _may_fork():
        return seen
    pieces: dict[tuple[int, bytes], list[_Piece]] = {}
    for wholes, some in _answers(places, shares):
        for number, prefix, folders, has_rules in wholes:
            seen[number][prefix] = Seen(folders, has_rules)
        for piece in map(_Piece._make, some):
            pieces.setdefault((piece.place, piece.prefix), []).append(piece)
    for (number, prefix), found in pieces.items():
        if _put_together(found) == places[number].marks[prefix]:
            seen[number][prefix] = Seen(found[0].folders, found[0].has_rules)
    return seen


def _put_together(pieces: Sequence[_Piece]) -> bytes | None:
    """Return the fingerprint of a folder from pieces that several processes looked at; None if they do not fit."""
    digests = [digest for piece in sorted(pieces) for digest in piece.digests]
    files = sum(piece.files for piece in pieces)
    one = pieces[0]
    if any(piece[-3:] != (files, one.folders, one.has_rules) for piece in pieces):
        return None
    return Fingerprint(digests, files).finish(one.folders)


def _may_fork() -> bool:
    """Whether this process has one thread only: what another one has locked would stay so in a copy."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/task")) == 1
    return False


def _cores() -> int:
    """Return the number of cores that this process may use; 1 where nothing is to be copied."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _shares(places: Sequence[Place], jobs: int) -> list[list[_Work]]:
    """Divide the folders evenly among processes; neighbours stay together. None, if one process is enough."""
    weighed = [each for number, place in enumerate(places) for each in _weigh(number, place)]
    total = sum(weight for _, weight in weighed)
    count = min(jobs, total // LEAST_SHARE)
    if count <= 1:
        return []
    shares: list[list[_Work]] = [[] for _ in range(count)]
    before = 0
    for work, weight in weighed:
        share = shares[before * count // total]
        before += weight
        if work.first and share and share[-1][:2] == work[:2]:
            share[-1] = share[-1]._replace(end=work.end)
        else:
            share.append(work)
    return [share for share in shares if share]


def _weigh(number: int, place: Place) -> Iterator[tuple[_Work, int]]:
    """Yield what is to be done for a place, with the time that it takes, in that of a file."""
    for prefix, mark in sorted(place.marks.items()):
        files = count_files(mark)
        if files <= BLOCK_FILES:
            yield _Work(number, prefix), files + _FOLDER_WEIGHT
            continue
        for block in range(-(-files // BLOCK_FILES)):
            yield _Work(number, prefix, block, block + 1), BLOCK_FILES


def _answers(places: Sequence[Place], shares: Sequence[Sequence[_Work]]) -> Iterator[_Answer]:
    copies: list[_Copy] = []
    try:
        with _signals_held() as unheld:
            for share in shares[1:]:
                with suppress(OSError):
                    copies.append(_Copy(places, share, unheld))
        yield _look(places, shares[0])
        for copy in copies:
            yield copy.answer()
    finally:
        for copy in copies:
            copy.end()


class _Copy:
    """A copy of this process that looks at a share of the folders."""

    def __init__(self, places: Sequence[Place], share: Sequence[_Work], mask: "set[signal.Signals | int]") -> None:
        """Make it. Signals have to be held back meanwhile; `mask` says which it is to hold back after."""
        self._is_done = False
        self._reading, writing = os.pipe()
        try:
            self._number = os.fork()
        except OSError:
            os.close(self._reading)
            os.close(writing)
            raise
        if not self._number:
            _be_copy(places, share, mask, self._reading, writing)
        os.close(writing)

    def answer(self) -> _Answer:
        """Wait for what it found; nothing, if it did not come to its end."""
        with open(self._reading, "rb", closefd=False) as pipe:
            written = pipe.read()
        answer = written[_SIZE_BYTES:]
        if len(written) < _SIZE_BYTES or int.from_bytes(written[:_SIZE_BYTES]) != len(answer):
            return [], []
        self._is_done = True
        found: _Answer = marshal.loads(answer)
        return found

    def end(self) -> None:
        """End it, if it is still at work."""
        os.close(self._reading)
        if not self._is_done:
            with suppress(ProcessLookupError):
                os.kill(self._number, signal.SIGKILL)
        # Somebody else in this process may have waited for all that end.
        with suppress(ChildProcessError):
            os.waitpid(self._number, 0)


def _be_copy(
    places: Sequence[Place], share: Sequence[_Work], mask: "set[signal.Signals | int]", reading: int, writing: int
) -> NoReturn:
    """Do a copy's work. It never returns, whatever happens, to what the copied process was about."""
    status = 1
    try:
        gc.disable()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reading)
        answer = marshal.dumps(_look(places, share), 2)
        with open(writing, "wb", closefd=False) as pipe:
            pipe.write(len(answer).to_bytes(_SIZE_BYTES) + answer)
        status = 0
    finally:
        os._exit(status)


@contextmanager
def _signals_held() -> "Iterator[set[signal.Signals | int]]":
    """Hold back signals, so that none is answered by a copy as if it were the process itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _look(places: Sequence[Place], share: Sequence[_Work]) -> _Answer:
    """Return which of the folders are as they were, and what is in pieces of others."""
    views = [_View(place) for place in places]
    wholes: list[_Whole] = []
    pieces: list[tuple[Any, ...]] = []
    for work in share:
        # Who scans will meet the same error, and say so.
        with suppress(OSError, DverError):
            if work.end is not None:
                pieces += (tuple(piece) for piece in views[work.place].look_at_piece(work))
            elif (seen := views[work.place].look(work.prefix)) is not None:
                wholes.append((work.place, work.prefix, [*seen.folders], seen.has_rules))
    return wholes, pieces


@dataclass(slots=True)
class _View:
    """Sees single folders of a place.

    Attributes:
        inside: the rules in force within folders, by prefix.
    """

    place: Place
    inside: dict[bytes, IgnoreRules] = field(default_factory=dict)

    def look(self, prefix: bytes) -> Seen | None:
        """Return what is to be known of a folder if it is as it was."""
        opened = self._open(prefix)
        if opened is None or fingerprint(opened[0]) != self.place.marks[prefix]:
            return None
        return Seen(opened[0].folders, opened[1].has_rules)

    def look_at_piece(self, work: _Work) -> Iterator[_Piece]:
        """Yield what is found in some blocks of a folder, if it is there."""
        opened = self._open(work.prefix)
        if opened is None:
            return
        folder, listing = opened
        made = Fingerprint()
        for names, stats in folder.blocks(work.first, work.end):
            made.add(names, stats)
        yield _Piece(
            work.place,
            work.prefix,
            work.first,
            made.digests,
            made.files,
            folder.size,
            [*folder.folders],
            listing.has_rules,
        )

    def _open(self, prefix: bytes) -> tuple[Folder, Listing] | None:
        directory = self._directory(prefix)
        listing = list_folder(directory, prefix, self._rules_around(prefix))
        if listing is None:
            return None
        marks = self.place.marks
        # What is known is not empty, or whoever scans will find that it is, for nobody saw it.
        filled = {
            name for name in listing.directories if prefix + name + b"/" in marks or is_filled(directory + b"/" + name)
        }
        return listing.folder(filled), listing

    def _directory(self, prefix: bytes) -> bytes:
        return self.place.directory + b"/" + prefix[:-1] if prefix else self.place.directory

    def _rules_around(self, prefix: bytes) -> IgnoreRules:
        if not prefix:
            return self.place.rules
        above = prefix[: prefix.rfind(b"/", 0, -1) + 1]
        rules = self.inside.get(above)
        if rules is None:
            rules = self._rules_around(above).entering(above, self._directory(above))
            self.inside[above] = rules
        return rules


def fingerprint(folder: Folder) -> bytes:
    """Return the fingerprint of a folder as it is now."""
    made = Fingerprint()
    for names, stats in folder.blocks():
        made.add(names, stats)
    return made.finish(folder.folders)
