"""What a progress bar shows: counts that any thread adds to, and the pace and time left that follow from them."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dver.cli.wording import count_text, size_text

_PACE_SECONDS = 5.0
_MIN_PACE_SECONDS = 0.5
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Measure:
    """A task at one moment; `total` is None while it is not known how much there is."""

    label: str
    done: int
    total: int | None
    amount: str
    rate: str
    left: str


class Counter:
    """A running piece of work. `advance` and `expect` may be called from any thread, `measure` from one."""

    def __init__(self, label: str, *, expected_bytes: int, expected_files: int) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._bytes = self._files = 0
        self._expected_bytes = expected_bytes
        self._expected_files = expected_files
        self._history: deque[tuple[float, int]] = deque()

    def advance(self, *, bytes: int = 0, files: int = 0) -> None:
        """Count work that was done."""
        with self._lock:
            self._bytes += bytes
            self._files += files

    def expect(self, *, bytes: int = 0, files: int = 0) -> None:
        """Count work that came to light."""
        with self._lock:
            self._expected_bytes += bytes
            self._expected_files += files

    def measure(self, now: float) -> Measure:
        """Return how things stand at `now`, in seconds of a monotonic clock."""
        with self._lock:
            bytes_done, bytes_expected = self._bytes, max(self._bytes, self._expected_bytes)
            files_done, files_expected = self._files, max(self._files, self._expected_files)
        # Where no size is known at all, files are what there is to measure by.
        done, total = (bytes_done, bytes_expected) if bytes_expected else (files_done, files_expected)
        pace = self._pace(now, done)
        rate = ""
        if pace:
            rate = f"{size_text(round(pace))}/s" if bytes_expected else f"{count_text(round(pace), 'file')}/s"
        words = []
        if bytes_expected:
            words.append(_progress_text(bytes_done, bytes_expected, size_text))
        if files_expected:
            words.append(_progress_text(files_done, files_expected, _files_text))
        left = _duration_text((total - done) / pace) if pace and total > done else ""
        return Measure(self._label, done, total or None, ", ".join(words), rate, left)

    def _pace(self, now: float, done: int) -> float:
        """Return what was done in a second, lately."""
        history = self._history
        history.append((now, done))
        while now - history[0][0] > _PACE_SECONDS:
            history.popleft()
        start, before = history[0]
        return (done - before) / (now - start) if now - start >= _MIN_PACE_SECONDS else 0.0


def _files_text(count: int) -> str:
    return count_text(count, "file")


def _progress_text(done: int, expected: int, text: Callable[[int], str]) -> str:
    return text(done) if done == expected else f"{text(done).partition(' file')[0]} of {text(expected)}"


def _duration_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
