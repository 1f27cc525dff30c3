"""Runs the command line inside the test's process, which is many times faster than one process a command."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dver.cli.main import main


@dataclass(frozen=True, slots=True)
class CliResult:
    """How a run ended. `out` and `err` are text in which bytes that are not UTF-8 are surrogates."""

    code: int
    out: str
    err: str
    out_bytes: bytes

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it is."""
        assert self.out.endswith("}\n")
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line as if started in a folder."""

    folder: Path

    def __call__(self, *arguments: str | Path) -> CliResult:
        """Run dver, and return how it ended."""
        out, err = io.BytesIO(), io.BytesIO()
        streams = [io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in (out, err)]
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            code = main(["-C", str(self.folder), *map(str, arguments)])
        shown, said = (stream.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err))
        return CliResult(code, shown, said, out.getvalue())

    def ok(self, *arguments: str | Path) -> str:
        """Run dver, require that it succeeds without a word of complaint, and return its output."""
        result = self(*arguments)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def fails(self, code: int, *arguments: str | Path) -> str:
        """Run dver, require this exit code, and return what it says on standard error."""
        result = self(*arguments)
        assert result.code == code, result
        assert "Traceback" not in result.err
        return result.err

    def at(self, *parts: str) -> "Cli":
        """Return the command line for a folder below."""
        return Cli(self.folder.joinpath(*parts))

    def write(self, path: str | bytes, content: str | bytes) -> Path:
        """Write a file with the folders above it."""
        file = self.folder / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal and keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        """Say yes."""
        return True

    @property
    def text(self) -> str:
        """What was written."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def on_terminals(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run dver as if both of its outputs were terminals; return exit code, standard output and standard error."""
    out, err = Terminal(), Terminal()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        code = main(["-C", str(folder), *arguments])
    finally:
        sys.stdout, sys.stderr = before
    return code, out.text, err.text
