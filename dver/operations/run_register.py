"""The register of runs that are at work, by which one that was killed can be told.

Each run has a folder in `.dver/tmp/runs`, made before anything is moved or started, and removed when all is settled. In
it are a note of what runs, what was set aside, and a file `owner`. dver holds a lock on that file for as long as it
lives, and one on the note that its command inherits: so it can be told whether dver is at it, only the command is left,
or nobody. Whoever adds or removes a folder holds the lock of the working tree. The notes are local files that anybody
may have written, so they are checked like any input.
"""

import fcntl
import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import Any

from dver.errors import FormatError, unwritable_place
from dver.objects.entry import check_path
from dver.objects.ids import checksum
from dver.operations.datasets import overlap
from dver.workspace.scratch import RUNS_FOLDER

_NOTE = "run.json"
_OWNER = "owner"
_FORMAT = 1
_MAX_NOTE = 1 << 24


class Life(StrEnum):
    """Who is still at a registered run."""

    AT_WORK = "at work"
    COMMAND_ONLY = "command only"
    ELSEWHERE = "elsewhere"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class RunNote:
    """What runs. Paths are relative to the repository.

    Attributes:
        command: as it may be recorded, without secrets.
        started: when, as records have it.
        host: where; `pid` is the process of dver there.
    """

    name: str
    command: tuple[str, ...]
    shell: bool
    folder: str
    outputs: tuple[str, ...]
    started: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run in the register.

    Attributes:
        place: its folder.
        command_pid: the process of its command; None where it was not started.
    """

    place: Path
    note: RunNote
    life: Life
    command_pid: int | None = None


class RegisteredRun:
    """A run of this process as it stands in the register.

    Attributes:
        place: its folder.
        held: the number of the open file that the command is to inherit.
    """

    def __init__(self, place: Path, owner: FileIO, note: FileIO) -> None:
        self.place = place
        self.held = note.fileno()
        self._owner = owner
        self._note = note

    def started(self, pid: int) -> None:
        """Take note that the command runs."""
        self._note.write(_line({"command_pid": pid}))

    def remove(self) -> None:
        """Take the run out of the register, with what is left in its folder."""
        remove_entry(self.place)
        self._note.close()
        self._owner.close()


def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def register(dver_dir: Path, note: RunNote) -> RegisteredRun:
    """Make the entry of a run, safe from a loss of power; the caller holds the lock of the working tree."""
    runs = dver_dir / "tmp" / RUNS_FOLDER
    try:
        runs.mkdir(parents=True, exist_ok=True)
        place = _new_folder(runs, note)
        owner = FileIO(place / _OWNER, "w")
        fcntl.flock(owner, fcntl.LOCK_EX)
        file = FileIO(place / _NOTE, "w")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(_line(_fields(note)))
        os.fsync(file.fileno())
    except OSError as exc:
        raise unwritable_place(runs, exc) from exc
    return RegisteredRun(place, owner, file)


def found_runs(dver_dir: Path) -> list[FoundRun]:
    """Return the runs in the register, the first that was started first."""
    try:
        with os.scandir(dver_dir / "tmp" / RUNS_FOLDER) as entries:
            places = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [run for place in places if (run := _read(place)) is not None]


def remove_entry(place: Path) -> None:
    """Remove the folder of a run, its note first, so that nobody takes the rest for a run."""
    with suppress(OSError):
        (place / _NOTE).unlink()
    shutil.rmtree(place, ignore_errors=True)


def aside_place(place: Path, output: str) -> Path:
    """Return where in the folder of a run an output is set aside."""
    return place / f"{checksum(os.fsencode(output)):016x}"


def overlapping(run: FoundRun, paths: Sequence[str]) -> str | None:
    """Return the first of these paths that is in, or around, an output of a run."""
    return next((path for path in paths for output in run.note.outputs if overlap(path, output)), None)


def _new_folder(runs: Path, note: RunNote) -> Path:
    stamp = "".join(letter for letter in note.started if letter.isdigit())[:14]
    for number in itertools.count(1):
        place = runs / f"{stamp}-{note.pid}-{number}"
        with suppress(FileExistsError):
            place.mkdir()
            return place
    raise AssertionError


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii") + b"\n"


def _fields(note: RunNote) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "name": note.name,
        "command": list(note.command),
        "shell": note.shell,
        "folder": note.folder,
        "outputs": list(note.outputs),
        "started": note.started,
        "host": note.host,
        "pid": note.pid,
    }


def _read(place: Path) -> FoundRun | None:
    """Return a run; None for a folder that is none, be it that its note was not yet written or removed again."""
    try:
        with (place / _NOTE).open("rb") as file:
            lines = file.read(_MAX_NOTE).splitlines()
        note = _note(json.loads(lines[0]), str(place))
        command_pid = _command_pid(lines[1:])
        return FoundRun(place, note, _life(place, note), command_pid)
    # Brackets within brackets go deeper than Python can follow.
    except (OSError, ValueError, IndexError, KeyError, FormatError, RecursionError):
        return None


def _note(fields: Any, where: str) -> RunNote:
    """Return a note from its fields; KeyError, ValueError or FormatError for what is none."""
    if not isinstance(fields, dict) or fields["format"] != _FORMAT:
        raise ValueError(where)
    texts = [fields[name] for name in ("name", "folder", "started", "host")]
    words, outputs = fields["command"], fields["outputs"]
    if not isinstance(words, list) or not isinstance(outputs, list) or type(fields["pid"]) is not int:
        raise ValueError(where)
    if not all(isinstance(text, str) for text in (*texts, *words, *outputs)):
        raise ValueError(where)
    for path in outputs:
        check_path(path.encode("utf-8", "surrogateescape"), where)
        if path.partition("/")[0] == ".dver":
            raise ValueError(where)
    name, folder, started, host = texts
    return RunNote(
        name, tuple(words), fields["shell"] is True, folder, tuple(outputs), started, host, int(fields["pid"])
    )


def _command_pid(lines: Sequence[bytes]) -> int | None:
    fields = None
    with suppress(ValueError, RecursionError):  # written in a single step, and yet by somebody who was killed
        fields = json.loads(lines[0]) if lines else None
    pid = fields.get("command_pid") if isinstance(fields, dict) else None
    return pid if type(pid) is int else None


def _life(place: Path, note: RunNote) -> Life:
    if _is_locked(place / _OWNER):
        return Life.AT_WORK
    if _is_locked(place / _NOTE):
        return Life.COMMAND_ONLY
    # Not every shared file system tells one machine of the locks of another.
    return Life.KILLED if note.host == this_host() else Life.ELSEWHERE


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def ended_places(dver_dir: Path) -> Iterator[Path]:
    """Yield the folders of runs that ended but for removing these; the caller holds the lock of the working tree."""
    with suppress(FileNotFoundError):
        for place in sorted((dver_dir / "tmp" / RUNS_FOLDER).iterdir()):
            if not (place / _NOTE).exists():
                yield place
