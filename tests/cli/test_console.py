"""Progress bars, and what is left of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from dver.cli.console import Console
from tests.cli.runner import Terminal


@contextmanager
def _terminal(monkeypatch: pytest.MonkeyPatch, *, after: float = 0.0) -> Iterator[Terminal]:
    """Make standard error a terminal, where bars are drawn so many seconds after work began."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("dver.cli.console._DRAW_AFTER_SECONDS", after)
    monkeypatch.setattr("dver.cli.console._DRAW_EVERY_SECONDS", 0.01)
    terminal = Terminal()
    with redirect_stderr(terminal):
        yield terminal


def _wait_for(terminal: Terminal, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in terminal.text:
        assert time.monotonic() < deadline, terminal.text
        time.sleep(0.01)


def test_a_bar_shows_what_is_done_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        _terminal(monkeypatch) as terminal,
        Console({"TERM": "xterm"}).task("adding data", bytes=2048, files=2) as task,
    ):
        task.advance(bytes=1024, files=1)
        _wait_for(terminal, "1.0 KiB of 2.0 KiB, 1 of 2 files")
    assert "adding data" in terminal.text
    # The last thing that happens is that the line is emptied and the cursor shown again.
    assert terminal.text.endswith("\r\x1b[2K\x1b[?25h\r"), repr(terminal.text[-60:])


def test_lines_are_written_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console({"TERM": "xterm"})
    with _terminal(monkeypatch) as terminal, console.task("pushing", bytes=10) as task:
        task.advance(bytes=1)
        _wait_for(terminal, "pushing")
        console.note("trying again")
        _wait_for(terminal, "dver: trying again")


def test_two_tasks_have_a_bar_each(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console({"TERM": "xterm"})
    with _terminal(monkeypatch) as terminal, console.task("outer", bytes=10), console.task("inner", files=10) as inner:
        inner.expect(files=5)
        inner.advance(files=3)
        _wait_for(terminal, "3 of 15 files")
        _wait_for(terminal, "outer")


def test_there_is_no_bar_for_short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with _terminal(monkeypatch, after=60.0) as terminal, Console({"TERM": "xterm"}).task("adding", bytes=10) as task:
        task.advance(bytes=10)
    assert terminal.text == ""


@pytest.mark.parametrize("how", ["quiet", "dumb", "pipe"])
def test_there_is_no_bar_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    console = Console({"TERM": "dumb" if how == "dumb" else "xterm"})
    console.quiet = how == "quiet"
    with _terminal(monkeypatch) as terminal:
        if how == "pipe":
            monkeypatch.setattr(terminal, "isatty", lambda: False)
        with console.task("adding", bytes=10) as task:
            task.advance(bytes=5)
            time.sleep(0.05)
    assert terminal.text == ""
