"""Observes Python programs from within, by what Python tells of itself to audit hooks (PEP 578).

Python loads a module `sitecustomize` before its program. A scratch folder with one comes first on PYTHONPATH, which
processes that the program starts inherit. The block of a program that records itself is observed in its own process,
by a hook that hears nothing outside of such blocks.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from dver.operations.observe_hook import END, HOOK_MODULE, Watch
from dver.operations.observe_traces import Event

_PATH = "PYTHONPATH"
_MODULE = "_dver_observe_hook"
_HOOKS, _LOG = "hooks", "log"
_START = """\
import sys
if sys.version_info >= (3, 8):
    from {module} import begin
    begin({root!r}, {log!r}, {hooks!r})
"""
# Options of Python that keep it from PYTHONPATH, or from loading anything before its program.
_SHUT = frozenset("IES")
_OPTIONS = re.compile(r"-([^-cmWX]*)([cmWX]?)(.*)", re.DOTALL)


def is_shut(words: Sequence[str]) -> bool:
    """Whether the options in a Python command keep a hook out."""
    is_value = False
    for word in words[1:]:
        if is_value or word.startswith("--"):
            is_value = False
            continue
        options = _OPTIONS.fullmatch(word)
        if options is None or word == "-":
            return False
        letters, last, value = options.groups()
        if _SHUT.intersection(letters):
            return True
        if last in ("c", "m"):
            return False
        is_value = bool(last) and not value
    return False


def hooked(env: Mapping[str, str], root: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which Python programs note in a scratch folder what they do below `root`."""
    hooks, log = folder / _HOOKS, folder / _LOG
    hooks.mkdir()
    log.mkdir()
    source = files("dver.operations").joinpath("observe_hook.py").read_bytes()
    (hooks / f"{_MODULE}.py").write_bytes(source)
    start = _START.format(module=_MODULE, root=str(root), log=str(log), hooks=str(hooks))
    (hooks / f"{HOOK_MODULE}.py").write_text(start, "utf-8")
    before = env.get(_PATH)
    return {**env, _PATH: os.pathsep.join([str(hooks), before] if before else [str(hooks)])}


def read_logs(folder: Path) -> list[Event] | None:
    """Return what programs noted in a scratch folder; None where none of them was Python with a hook."""
    logs = sorted((folder / _LOG).iterdir())
    return [event for log in logs for event in parse_log(log.read_bytes())] if logs else None


def parse_log(log: bytes) -> Iterator[Event]:
    """Yield the events of a log; what is torn, as by the end of the process, is passed over."""
    for line in log.split(END)[:-1]:
        mark, _, rest = line.partition(b" ")
        when, _, place = rest.partition(b" ")
        if place and when.isdigit():
            yield Event(mark.decode("ascii", "replace"), int(when), os.fsdecode(place))


class _Ears:
    """The one audit hook of this process, which Python has no way to take out again."""

    def __init__(self) -> None:
        self._watches: list[Watch] = []
        self._is_in = False

    def open(self, watch: Watch) -> None:
        """Let a watch hear from now on."""
        if not self._is_in:
            self._is_in = True
            sys.addaudithook(self._hear)
        self._watches.append(watch)

    def close(self, watch: Watch) -> None:
        """Let it hear nothing more."""
        self._watches.remove(watch)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        for watch in self._watches:
            watch(event, args)


_ears = _Ears()


@contextmanager
def listening(root: Path) -> Iterator[list[Event]]:
    """Observe what this process does below `root`, in all its threads; the list fills while it goes on."""
    events: list[Event] = []
    watch = Watch(str(root), lambda mark, when, place: events.append(Event(mark, when, place)))
    _ears.open(watch)
    try:
        yield events
    finally:
        _ears.close(watch)
