"""Tour: the main job of dver, done for real with small data in a folder that stays for a look around.

Every command is run as a user would run it, in a process of its own, without the settings of whoever started the tour:
git gets a fixed identity and none of its variables or user configuration, dver none of its variables.
"""

import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from blake3 import blake3

from dver.errors import DverError, GitError, PathError, os_hint

ROWS = 60_000
SMALL_FILES = 40
DATASET = "data"
_TABLE = "measurements.csv"
_SEED = 2026
_KIB = 1024
_GIT_OPTIONS = (
    "-c",
    "user.name=A Visitor",
    "-c",
    "user.email=visitor@example.org",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "core.autocrlf=false",
)
_FOREIGN_VARIABLES = ("GIT_", "DVER_")


class TourKind(StrEnum):
    """What a line of the tour is."""

    TEXT = "text"
    COMMAND = "command"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class TourLine:
    """Something to show: a text, a command that is about to run, or what it said."""

    kind: TourKind
    text: str


Show = Callable[[TourLine], None]


def tour(folder: Path, *, env: Mapping[str, str], show: Show) -> None:
    """Do the tour in an empty or missing `folder`; each line is shown when it happens.

    Raises:
        PathError: the folder is not empty, or cannot be made.
        GitError: git is missing.
        DverError: a command failed; its output was shown.
    """
    if shutil.which("git", path=env.get("PATH")) is None:
        raise GitError("git is not installed, or not on PATH", hint="install git, then run dver tour again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PathError(str(folder), "is not empty", hint="dver tour makes a folder of its own if none is named")
    except OSError as exc:
        raise PathError(str(folder), f"cannot be used: {exc.strerror}", hint=os_hint(exc)) from exc
    guide = _Guide(folder, _clean(env, folder), show)
    original = _store_two_versions(guide)
    _share(guide)
    _come_back(guide, original)


class _Guide:
    """Shows and runs commands, and remembers the folder they run in."""

    def __init__(self, folder: Path, env: Mapping[str, str], show: Show) -> None:
        self.folder = folder
        self._env = env
        self._show = show
        self._here = folder

    def say(self, text: str) -> None:
        """Show a text."""
        self._show(TourLine(TourKind.TEXT, text))

    def enter(self, name: str) -> None:
        """Go to another of the tour's folders."""
        self._show(TourLine(TourKind.COMMAND, f"cd {os.path.relpath(self.folder / name, self._here)}"))
        self._here = self.folder / name

    def run(self, line: str) -> None:
        """Show and run one command of git or dver."""
        self._show(TourLine(TourKind.COMMAND, line))
        program, *arguments = shlex.split(line)
        # -P: the dver that runs the tour, never a folder named dver where the command runs.
        start = ["git", *_GIT_OPTIONS] if program == "git" else [sys.executable, "-P", "-m", "dver"]
        done = subprocess.run(
            [*start, *arguments],
            cwd=self._here,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.stdout.strip():
            self._show(TourLine(TourKind.OUTPUT, done.stdout.rstrip("\n")))
        if done.returncode:
            raise DverError(
                f"`{line}` failed with exit code {done.returncode}", hint=f"look around in {self._here} for the reason"
            )


def _clean(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in env.items() if not name.startswith(_FOREIGN_VARIABLES)}
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        # Not in the home folder: all that the tour makes is in its own.
        "DVER_INDEX_DIR": str(folder / ".index"),
        "PYTHONUTF8": "1",
    }


def _store_two_versions(guide: _Guide) -> dict[str, bytes]:
    """Make, store, change and store the dataset; return the digests of its first version's files."""
    project = guide.folder / "project"
    data = project / DATASET
    rows = _make_dataset(data)
    original = _digests(data)
    guide.say(
        f"A project with a folder of data: a table of {ROWS:,} rows and {SMALL_FILES} smaller files,"
        f" {_size(data) / _KIB / _KIB:.1f} MiB in all."
    )
    guide.enter("project")
    guide.run("git init --quiet")
    guide.run("dver init")
    guide.run(f"dver add {DATASET}")
    guide.run('git commit --quiet -m "Add the data"')
    guide.run("git tag first")
    cache = project / ".dver" / "cache"
    first = _size(cache)
    guide.say("git holds a pointer of a few lines; the data is in the store, and git ignores it.")
    guide.run(f"git show HEAD:{DATASET}.dver")
    _change_dataset(data, rows)
    guide.say("Now rows in the middle of the table change, some are put in, many are appended, and one file is new.")
    guide.run("dver status")
    guide.run("dver diff")
    guide.run(f"dver add {DATASET}")
    guide.run('git commit --quiet -m "Correct and extend the data"')
    second = _size(cache) - first
    guide.say(
        f"The first version took {first / _KIB:,.0f} KiB in the store, the second only {second / _KIB:,.0f} KiB more."
        f" A whole copy for each version, compressed in the same way, would have taken {2 * first / _KIB:,.0f} KiB."
    )
    return original


def _share(guide: _Guide) -> None:
    guide.say("A remote can be a bucket; here it is a folder. git carries the pointers, dver carries the data.")
    guide.run("dver remote add origin ../store")
    guide.run('git commit --quiet -a -m "Name the remote"')
    guide.run("dver push --all")


def _come_back(guide: _Guide, original: Mapping[str, bytes]) -> None:
    guide.say("Somewhere else: a clone has the pointers at once, and the data when it asks for it.")
    guide.enter(".")
    guide.run("git clone --quiet project clone")
    guide.enter("clone")
    guide.run("dver status")
    guide.run("dver pull")
    guide.run(f"dver log {DATASET}")
    guide.say("And back to the first version, as the tag has it.")
    guide.run("dver checkout first")
    found = _digests(guide.folder / "clone" / DATASET)
    if found != original:
        raise DverError("the data in the clone is not what was added", hint=f"compare the folders in {guide.folder}")
    guide.say(f"All {len(found)} files were compared with the first version: every byte is the same.")
    guide.run("dver status")


def _make_dataset(data: Path) -> list[str]:
    """Write the first version and return the rows of its table."""
    source = random.Random(_SEED)
    rows = [_row(source, number) for number in range(ROWS)]
    (data / "samples").mkdir(parents=True)
    (data / _TABLE).write_text("".join(["number,station,celsius,hectopascal,note\n", *rows]))
    for number in range(SMALL_FILES):
        content = source.randbytes(source.randrange(2 * _KIB, 20 * _KIB))
        (data / "samples" / f"{number:03}.bin").write_bytes(content)
    return rows


def _change_dataset(data: Path, rows: list[str]) -> None:
    source = random.Random(_SEED + 1)
    middle = len(rows) // 2
    edited = [
        *rows[:middle],
        *(_row(source, number) for number in range(middle, middle + 20)),
        *(_row(source, number) for number in range(ROWS, ROWS + 5)),
        *rows[middle + 20 :],
        *(_row(source, number) for number in range(ROWS + 5, ROWS + 505)),
    ]
    (data / _TABLE).write_text("".join(["number,station,celsius,hectopascal,note\n", *edited]))
    (data / "samples" / "extra.bin").write_bytes(source.randbytes(8 * _KIB))


def _row(source: random.Random, number: int) -> str:
    station = f"station-{source.randrange(40):02}"
    note = source.choice(("ok", "ok", "ok", "checked by hand", "instrument replaced"))
    return f"{number},{station},{source.gauss(12, 8):.3f},{source.gauss(1013, 9):.2f},{note}\n"


def _digests(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): blake3(path.read_bytes()).digest() for path in _files(folder)}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
