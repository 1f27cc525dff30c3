"""Observes any program by its system calls, as strace writes them down.

strace watches from aside (`-D`), so that the command is dver's own child: signals and exit codes are the command's, and
what it leaves running keeps nobody waiting. Only calls that succeeded count. Paths are made absolute with the folder
that the process was in then, and what strace says of descriptors.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dver.operations.observe_hook import LISTED, READ, REMOVED, UPDATED, WRITTEN
from dver.operations.observe_traces import Event

PROGRAM = "strace"
_CALLS = (
    "execve execveat fork vfork clone clone3 chdir fchdir open openat openat2 creat truncate rename renameat renameat2"
    " link linkat symlink symlinkat unlink unlinkat"
)
_PATIENCE = 10.0
_POLL_SECONDS = 0.01
_END_LINE = rb"^%b +\+\+\+ "
_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?", re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PLACE = re.compile(r"(?:AT_FDCWD|-?\d+)(?:<((?:[^>\\]|\\.)*)>)?")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b", b"e": b"\x1b"}
# What is done to a link with these is done to what it points to.
_FOLLOWED = (READ, UPDATED)
_SHARED_FOLDER = "CLONE_FS"


def find_strace(env: Mapping[str, str]) -> str | None:
    """Return the strace of a PATH, or None."""
    return shutil.which(PROGRAM, path=env.get("PATH", os.defpath))


def works(strace: str, env: Mapping[str, str], folder: Path) -> bool:
    """Whether strace may do here what it is needed for; a container may forbid it."""
    log = folder / "probe"
    try:
        words = straced(strace, log, ["/bin/sh", "-c", "exit 3"])
        done = subprocess.run(
            words, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
        return done.returncode == 3 and bool(read_log(log, str(folder)))  # noqa: PLR2004
    except (OSError, subprocess.SubprocessError):
        return False


def straced(strace: str, log: Path, command: Sequence[str]) -> list[str]:
    """Return a command that runs another one, and writes its system calls into a file."""
    # A question mark lets strace pass over calls that this machine does not have.
    calls = ",".join(f"?{call}" for call in _CALLS.split())
    options = ["-D", "-f", "-q", "-y", "-e", f"trace={calls}", "-o", str(log)]
    return [strace, *options, "--", *command]


def read_log(log: Path, folder: str) -> list[Event]:
    """Return the events of a command that has ended and was started in `folder`; none if strace wrote nothing."""
    try:
        return list(parse_log(_whole(log), folder))
    except FileNotFoundError:
        return []


def _whole(log: Path) -> str:
    """Return the text of a log once it says that the command ended, which strace may write a moment later."""
    patience_ends = time.monotonic() + _PATIENCE
    text = bytearray()
    with log.open("rb") as file:
        while not _has_end(text, file.read()) and text and time.monotonic() <= patience_ends:
            time.sleep(_POLL_SECONDS)
    return text.decode("utf-8", "surrogateescape")


def _has_end(text: bytearray, more: bytes) -> bool:
    """Add what came to a log; return whether the end of the first process is in it, and not in what was there."""
    new = text.rfind(b"\n") + 1
    text += more
    first = text[: text.find(b" ")]
    return first.isdigit() and re.compile(_END_LINE % first, re.MULTILINE).search(text, new) is not None


def parse_log(text: str, folder: str) -> Iterator[Event]:
    """Yield what the lines of strace say was done, by a first process in `folder` and those that it started."""
    yield from _Parser(text.split("\n"), folder).events()


class _Folder:
    """The current folder of a process; threads share one."""

    def __init__(self, path: str) -> None:
        self.path = path


class _Parser:
    """Goes through a log once, and keeps for each process in which folder it is."""

    def __init__(self, lines: Sequence[str], folder: str) -> None:
        self._lines = lines
        self._folders: dict[str, _Folder] = {}
        self._first = _Folder(folder)
        self._parents: dict[str, str] = {}
        self._begun: dict[str, str] = {}

    def events(self) -> Iterator[Event]:
        self._find_parents()
        for number, line in enumerate(self._lines):
            for process, call in self._calls(line):
                self._enter(process)
                for mark, place in self._read(process, call):
                    yield Event(mark, number, place)

    def _find_parents(self) -> None:
        """Find who started whom: a process may be heard of before the call that started it has returned."""
        for line in self._lines:
            for process, call in self._calls(line):
                if call[1] in _STARTS and call[3] != "0":
                    self._parents[call[3]] = process
        self._begun.clear()

    def _calls(self, line: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Yield the call that ends with a line, if one does and succeeded, and its process."""
        found = _LINE.match(line)
        if found is None:
            return
        process, rest = found.groups()
        if rest.endswith(_UNFINISHED):
            self._begun[process] = rest.removesuffix(_UNFINISHED)
            return
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            rest = self._begun.pop(process, "") + resumed[2]
        call = _CALL.match(rest)
        if call is not None and not call[3].startswith("-"):
            yield process, call

    def _enter(self, process: str) -> None:
        """Give a process its folder when it is first heard of: that of its parent."""
        if process not in self._folders:
            parent = self._folders.get(self._parents.get(process, ""), self._first)
            self._folders[process] = _Folder(parent.path)

    def _read(self, process: str, call: re.Match[str]) -> Iterator[tuple[str, str]]:
        name, arguments, result, opened = call.groups()
        if name in _STARTS:
            self._start(process, result, arguments)
            return
        read = _READERS.get(name)
        if read is None:
            return
        paths = list(self._paths(process, arguments))
        if name.endswith("chdir"):
            if paths:
                self._folders[process].path = paths[0]
            return
        # What strace says of the new descriptor is where the file is, links and all.
        if opened is not None and paths:
            paths = [_unescaped(opened), *paths[1:]]
        yield from read(arguments, paths)

    def _start(self, process: str, child: str, arguments: str) -> None:
        mine = self._folders[process]
        if _SHARED_FOLDER in arguments:
            self._folders[child] = mine
        else:
            self._folders.setdefault(child, _Folder(mine.path))

    def _paths(self, process: str, arguments: str) -> Iterator[str]:
        """Yield the paths in the arguments of a call, absolute; a text is below the descriptor in front of it."""
        start = self._folders[process].path
        at = 0
        for text in _TEXT.finditer(arguments):
            places = list(_PLACE.finditer(arguments, at, text.start()))
            folder = _unescaped(places[-1][1]) if places and places[-1][1] else start
            at = text.end()
            yield _absolute(folder, _unescaped(text[1]))
        if not at:
            # fchdir has a descriptor alone.
            yield from (_unescaped(place[1]) for place in _PLACE.finditer(arguments) if place[1])


def _absolute(folder: str, path: str) -> str:
    above, name = os.path.split(os.path.normpath(os.path.join(folder, path)))
    return os.path.join(os.path.realpath(above), name)


def _unescaped(text: str) -> str:
    """Return a path as the file system knows it."""

    def letter(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1] in b"01234567":
            return bytes([int(code, 8) & 0xFF])
        if len(code) > 1:
            return bytes([int(code[1:], 16)])
        return _NAMED.get(code, code)

    return os.fsdecode(_ESCAPE.sub(letter, text.encode("utf-8", "surrogateescape")))


def _opened(arguments: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    flags = _TEXT.sub("", arguments)
    if "O_PATH" in flags:
        return
    if "O_DIRECTORY" in flags:
        mark = LISTED
    elif "O_WRONLY" in flags or ("O_RDWR" in flags and ("O_TRUNC" in flags or "O_EXCL" in flags)):
        mark = WRITTEN
    else:
        mark = UPDATED if "O_RDWR" in flags else READ
    for path in paths[:1]:
        yield mark, path


def _marking(*marks: str) -> Callable[[str, Sequence[str]], Iterator[tuple[str, str]]]:
    """Return what reads the paths of a call, the first as the first mark says, and so on; "" passes one over."""

    def read(_arguments: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        for mark, path in zip(marks, paths, strict=False):
            if mark:
                yield mark, os.path.realpath(path) if mark in _FOLLOWED else path

    return read


_STARTS = ("fork", "vfork", "clone", "clone3")
_READERS: dict[str, Callable[[str, Sequence[str]], Iterator[tuple[str, str]]]] = {
    "chdir": _marking(),
    "fchdir": _marking(),
    "execve": _marking(READ),
    "execveat": _marking(READ),
    "open": _opened,
    "openat": _opened,
    "openat2": _opened,
    "creat": _marking(WRITTEN),
    "truncate": _marking(UPDATED),
    "rename": _marking(REMOVED, WRITTEN),
    "renameat": _marking(REMOVED, WRITTEN),
    "renameat2": _marking(REMOVED, WRITTEN),
    "link": _marking("", WRITTEN),
    "linkat": _marking("", WRITTEN),
    "symlink": _marking("", WRITTEN),
    "symlinkat": _marking("", WRITTEN),
    "unlink": _marking(REMOVED),
    "unlinkat": _marking(REMOVED),
}
