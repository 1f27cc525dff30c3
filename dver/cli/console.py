"""The terminal: results to standard output, everything else to standard error, progress bars while work goes on.

The only module that imports rich, and it does so only when a bar is about to be drawn: on a terminal, not with `-q`,
and after work has gone on long enough to be worth one. What reports progress only adds to counters; one thread reads
them and draws, so reporting costs next to nothing from any number of threads.
"""

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from dver.cli.wording import escape_text, path_text
from dver.progress import NO_TASK, Task

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from dver.cli.counter import Counter

_DRAW_AFTER_SECONDS = 0.4
_DRAW_EVERY_SECONDS = 0.1
_BAR_WIDTH = 24
_STYLES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}
_LISTED_PATHS = 10
_ITEMS_AT_ONCE = 1000
_BRANCHES = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-", "…": "..."})


class Console:
    """Where a command says things, and the `Progress` that it hands to operations."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.quiet = False
        self.verbose = False
        dumb = env.get("TERM") == "dumb"
        self._plain = dumb or bool(env.get("NO_COLOR"))
        self._bars = None if dumb else _Bars(no_color=self._plain)
        self._about = ""
        self._stream_lock = threading.Lock()

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Let messages begin with what they are about, where several things go on at a time."""
        self._about = f"{subject}: "
        try:
            yield
        finally:
            self._about = ""

    def pass_on(self, line: bytes, *, is_error: bool) -> None:
        """Write a line that a command wrote to the stream that it was meant for; from any thread, and as it is."""
        stream = sys.stderr if is_error else sys.stdout
        if stream.isatty() and self._bars is not None and self._bars.print_above(line.decode(errors="replace")):
            return
        with self._stream_lock:
            stream.flush()
            stream.buffer.write(line + b"\n")
            stream.buffer.flush()

    def out(self, line: str = "") -> None:
        """Write one line of a result."""
        sys.stdout.write(line + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines of a result."""
        for line in lines:
            self.out(line)

    def tree(self, lines: Iterable[str]) -> None:
        """Write lines of a tree, with signs of ASCII for its branches where the stream has no others."""
        has_branches = _can_write(sys.stdout, "".join(map(chr, _BRANCHES)))
        self.lines(lines if has_branches else (line.translate(_BRANCHES) for line in lines))

    def done(self, line: str) -> None:
        """Write a line that says what was done, unless `-q` was given."""
        if not self.quiet:
            self.out(line)

    def document(self, value: object) -> None:
        """Write a result as one JSON document."""
        # Deferred: people do not read JSON.
        import json  # noqa: PLC0415

        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def long_document(self, head: Mapping[str, object], name: str, items: Iterable[object]) -> None:
        """Write a result as one JSON document whose last field is a list that may be too long for memory."""
        import json  # noqa: PLC0415

        def text(fields: Mapping[str, object]) -> str:
            return json.dumps(fields, indent=2, ensure_ascii=False)

        start, end = text({name: [0]}).split("0")
        head_end = "]\n}"
        sys.stdout.write(text({**head, name: []}).removesuffix(head_end))
        rest = iter(items)
        between = ""
        while some := list(islice(rest, _ITEMS_AT_ONCE)):
            sys.stdout.write(between + text({name: some})[len(start.rstrip()) : -len(end)])
            between = ","
        sys.stdout.write((end if between else head_end) + "\n")

    def raw(self) -> BinaryIO:
        """Return standard output for bytes."""
        sys.stdout.flush()
        return sys.stdout.buffer

    def flush(self) -> None:
        """Let what was written be seen now."""
        sys.stdout.flush()

    def style(self, text: str, *styles: str) -> str:
        """Return text for a result, in colours where standard output is a terminal that wants them."""
        return self._styled(sys.stdout, text, styles)

    def error(self, message: str, *, hint: str | None = None, paths: Sequence[str] = ()) -> None:
        """Say what went wrong, for which paths, and what helps."""
        start = self._styled(sys.stderr, "dver: error:", ("red", "bold"))
        self._say(f"{start} {self._about}{escape_text(message)}")
        for path in paths[:_LISTED_PATHS]:
            self._say(f"    {path_text(path)}")
        if len(paths) > _LISTED_PATHS:
            self._say(f"    and {len(paths) - _LISTED_PATHS:,} more")
        if hint:
            self._say(f"  {self._styled(sys.stderr, 'hint:', ('cyan',))} {escape_text(hint)}")

    def note(self, message: str) -> None:
        """Say one line that the user should see now, with or without a terminal."""
        if not self.quiet:
            self._say(f"dver: {self._about}{escape_text(message)}")

    def tip(self, message: str) -> None:
        """Say what to do next, to a person who watches: not into a pipe, nor with `-q`."""
        if sys.stderr.isatty() and sys.stdout.isatty() and not self.quiet:
            sys.stdout.flush()
            self._say(self._styled(sys.stderr, escape_text(message), ("dim",)))

    def say(self, text: str) -> None:
        """Write text of several lines to standard error as it is."""
        self._say(text.rstrip("\n"))

    @contextmanager
    def task(self, label: str, *, bytes: int | None = None, files: int | None = None) -> Iterator[Task]:
        """Open a task, which a bar shows if it takes long; see `dver.progress.Progress`."""
        if self._bars is None or self.quiet or not sys.stderr.isatty():
            yield NO_TASK
            return
        # Deferred, as is rich: only who watches is shown a bar.
        from dver.cli.counter import Counter  # noqa: PLC0415

        counter = Counter(escape_text(label), expected_bytes=bytes or 0, expected_files=files or 0)
        self._bars.add(counter)
        try:
            yield counter
        finally:
            self._bars.remove(counter)

    def _say(self, line: str) -> None:
        if self._bars is None or not self._bars.print_above(line):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def _styled(self, stream: TextIO, text: str, styles: Sequence[str]) -> str:
        if self._plain or not stream.isatty():
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"


class _Bars:
    """Draws the bars of all open tasks, from a thread that lives as long as there is one."""

    def __init__(self, *, no_color: bool) -> None:
        self._no_color = no_color
        self._lock = threading.Lock()
        self._counters: dict[Counter, TaskID | None] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._drawn: RichProgress | None = None

    def add(self, counter: "Counter") -> None:
        """Show a task from now on."""
        with self._lock:
            self._counters[counter] = None
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._stop,), name="dver-progress", daemon=True)
                self._thread.start()

    def remove(self, counter: "Counter") -> None:
        """Show a task no more; when this returns after the last one, the terminal is as if there had been none."""
        with self._lock:
            drawn = self._counters.pop(counter)
            if drawn is not None and self._drawn is not None:
                self._drawn.remove_task(drawn)
            ended = None
            if not self._counters:
                ended, self._thread = self._thread, None
                self._stop.set()
        if ended is not None:
            ended.join()

    def print_above(self, line: str) -> bool:
        """Write a line above the bars; return False, with nothing written, when none are drawn."""
        with self._lock:
            if self._drawn is None:
                return False
            self._drawn.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return True

    def _run(self, stop: threading.Event) -> None:
        if stop.wait(_DRAW_AFTER_SECONDS):
            return
        drawn = _open_bars(no_color=self._no_color)
        with self._lock:
            if stop.is_set():
                return
            self._drawn = drawn
            drawn.start()
        try:
            while True:
                self._draw(drawn)
                if stop.wait(_DRAW_EVERY_SECONDS):
                    return
        finally:
            with self._lock:
                self._drawn = None
                drawn.stop()

    def _draw(self, drawn: "RichProgress") -> None:
        now = time.monotonic()
        with self._lock:
            for counter, bar in self._counters.items():
                found = counter.measure(now)
                shown: dict[str, Any] = {"amount": found.amount, "rate": found.rate, "left": found.left}
                if bar is None:
                    self._counters[counter] = drawn.add_task(
                        found.label, total=found.total, completed=found.done, **shown
                    )
                else:
                    drawn.update(bar, total=found.total, completed=found.done, **shown)
            drawn.refresh()


def _open_bars(*, no_color: bool) -> "RichProgress":
    # Deferred: rich takes longer to import than most commands take to run.
    from rich.console import Console as RichConsole  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)),
        BarColumn(bar_width=_BAR_WIDTH, complete_style="cyan", finished_style="green"),
        TextColumn("{task.fields[amount]}", markup=False),
        TextColumn("{task.fields[rate]}", markup=False, style="cyan"),
        TextColumn("{task.fields[left]}", markup=False, style="dim"),
        console=RichConsole(stderr=True, no_color=no_color, force_terminal=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _can_write(stream: TextIO, letters: str) -> bool:
    try:
        letters.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
