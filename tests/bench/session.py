"""Measure one run of a tool on a workload.

Each run starts from nothing: a fresh repository, remote and home, and an empty S3 server. What a checkout or pull wrote
is compared with the data outside of the measured time; a tool that gave wrong files, or failed, has that said in its
sample, and what builds on that is left out.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from tests.bench import cloud
from tests.bench.cloud import Cloud, Way
from tests.bench.growth import plain_bytes
from tests.bench.measure import Command, Sandbox, Usage
from tests.bench.results import Growth, Sample, StoreSize, Traffic
from tests.bench.tools import DATA, GIT_CONFIG, NEEDS, NETWORK, STARTUP, Operation, Tool, environment
from tests.bench.workloads import Data

STARTUP_NAME = "startup"

_ADDS = {Operation.ADD_V1: "v1", Operation.ADD_V2: "v2"}
_CHECKOUTS = (Operation.CHECKOUT_V1, Operation.CHECKOUT_AGAIN, Operation.CHECKOUT_ALL)
_PULLS = (Operation.PULL, Operation.PULL_AGAIN, Operation.PULL_S3, Operation.PULL_S3_AGAIN, Operation.PULL_LINK)
# Others go on when one of these fails, because nothing builds on what it does.
_SIDELINES = frozenset({*NEEDS, *NETWORK, Operation.PUSH, Operation.DIFF, Operation.LOG, Operation.LIST})
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        work: folder for the repositories.
        lfs: the git-lfs program, by path; its folder is put on PATH.
        runs: how often.
        seconds: when a command is given up.
        skip: operations to leave out.
        keep: leave the repository of the last run in `work`, to look at.
        folder: the one in `work` that a run is done in.
    """

    work: Path
    lfs: Path = Path("git-lfs")
    runs: int = 3
    seconds: float = 1800.0
    skip: frozenset[Operation] = frozenset()
    keep: bool = False
    folder: str = "sandbox"


@dataclass(slots=True)
class Findings:
    """What was measured so far."""

    samples: list[Sample] = field(default_factory=list)
    sizes: list[StoreSize] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)


def talk(text: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def measure_run(data: Data, operations: Sequence[Operation], tool: Tool, settings: Settings, run: int) -> Findings:
    """Measure one run of a tool, from nothing; the network only in the first run."""
    wanted = [item for item in operations if item in tool.commands and item not in settings.skip]
    with ExitStack() as stack:
        sky = None
        if any(item in NETWORK for item in wanted) and run == 0 and cloud.is_available():
            sky = stack.enter_context(cloud.running())
        else:
            wanted = [item for item in wanted if item not in NETWORK]
        measured = _ToolRun(tool, data, settings, run, sky=sky)
        measured.measure(wanted)
    return measured.findings


def measure_startup(tools: Sequence[Tool], data: Data, settings: Settings) -> dict[str, Findings]:
    """Measure what costs little but is done all the time: each tool once a run, in a small repository.

    Return what was found by tool. RuntimeError when a tool cannot make that repository.
    """
    data = replace(data, name=STARTUP_NAME)
    started: list[tuple[Tool, Sandbox]] = []
    for tool in tools:
        if any(operation in tool.commands for operation in STARTUP):
            run = _ToolRun(tool, data, replace(settings, folder=f"startup-{len(started)}"), 0)
            run.set_up([item for item in (Operation.INIT, Operation.ADD_V1) if item in tool.commands])
            started.append((tool, run.sandbox))
    found = {tool.name: Findings() for tool, _ in started}
    # The run before the first fills the caches.
    for number in range(-1, settings.runs):
        for (tool, sandbox), operation in product(started, STARTUP):
            if operation in tool.commands:
                usage = sandbox.measure(tool.commands[operation], settings.seconds)
                if number >= 0:
                    found[tool.name].samples.append(sample_of(STARTUP_NAME, tool, operation, number, usage))
    for _, sandbox in started:
        shutil.rmtree(sandbox.root)
    return found


def make_sandbox(settings: Settings, folder: str = "sandbox") -> Sandbox:
    """Return an empty sandbox, in the place of the one before."""
    root = settings.work / folder
    shutil.rmtree(root, ignore_errors=True)
    home = root / "home"
    home.mkdir(parents=True)
    (root / "repo").mkdir()
    config = home / ".gitconfig"
    config.write_text(GIT_CONFIG)
    return Sandbox(root, {**environment(home, settings.lfs), "GIT_CONFIG_GLOBAL": str(config)})


class _ToolRun:
    """One run of one tool on one workload."""

    def __init__(
        self,
        tool: Tool,
        data: Data,
        settings: Settings,
        run: int,
        *,
        sky: Cloud | None = None,
    ) -> None:
        self._tool = tool
        self._data = data
        self._settings = settings
        self._run = run
        self.findings = Findings()
        self._plain = (0, 0)
        self._sky = sky
        self.sandbox = make_sandbox(settings, settings.folder)

    def measure(self, operations: Sequence[Operation]) -> None:
        """Measure `operations` in order, leave out what cannot be done after a failure, and remove the sandbox."""
        failed: set[Operation] = set()
        for operation in operations:
            if NEEDS.get(operation) in failed:
                failed.add(operation)
                continue
            usage = self._step(operation)
            sample = sample_of(self._data.name, self._tool, operation, self._run, usage)
            self.findings.samples.append(replace(sample, traffic=self._traffic(operation)))
            talk(f"{self._data.name}  run {self._run + 1}  {self._tool.name:8}  {operation:30} {usage.wall:8.2f} s")
            if usage.problem:
                talk(f"    {usage.problem}")
                failed.add(operation)
                if operation not in _SIDELINES:
                    break
        if not self._settings.keep:
            shutil.rmtree(self.sandbox.root)

    def _traffic(self, operation: Operation) -> Traffic | None:
        if self._sky is None or operation not in NETWORK:
            return None
        return self._way(operation).traffic()

    def _way(self, operation: Operation) -> Way:
        assert self._sky is not None
        return self._sky.link if operation in (Operation.PUSH_LINK, Operation.PULL_LINK) else self._sky.plain

    def set_up(self, operations: Sequence[Operation]) -> None:
        """Do `operations` without measuring them; RuntimeError when one fails."""
        for operation in operations:
            problem = self._step(operation).problem
            if problem:
                raise RuntimeError(f"{self._tool.name}, {operation}: {problem}")

    def _step(self, operation: Operation) -> Usage:
        try:
            self._stage(operation)
            self.sandbox.run(self._fill(self._tool.before, operation))
            # What was done unmeasured went the same way.
            self._traffic(operation)
            usage = self.sandbox.measure(self._fill(self._tool.commands, operation), self._settings.seconds)
            if not usage.problem:
                self.sandbox.run(self._fill(self._tool.after, operation))
        except RuntimeError as error:
            return Usage(0.0, 0.0, 0, None, str(error))
        if usage.problem:
            return usage
        if operation in _ADDS:
            self._weigh(operation)
        wrong = None
        if operation in _CHECKOUTS:
            wrong = difference(self._data.v1, self.sandbox.repo / DATA)
        elif operation in _PULLS:
            wrong = difference(self._data.v1, self.sandbox.clone / DATA)
        return Usage(usage.wall, usage.cpu, usage.rss, usage.others, f"wrong result: {wrong}") if wrong else usage

    def _stage(self, operation: Operation) -> None:
        """Bring the working tree to where the operation starts."""
        working = self.sandbox.repo / DATA
        if operation is Operation.ADD_V1:
            lay(self._data.v1, working)
        elif operation is Operation.ADD_V2:
            advance(self._data, working)
        elif operation is Operation.CHECKOUT_ALL:
            shutil.rmtree(working)
        elif operation is Operation.STATUS_TOUCHED:
            touch(working)

    def _weigh(self, operation: Operation) -> None:
        """Note how large the store is now, and for dver how much of it is new."""
        if self._tool.store is None:
            return
        store = self.sandbox.repo / self._tool.store
        stored = sum(path.lstat().st_size for path in store.rglob("*") if path.is_file())
        size = StoreSize(self._data.name, self._tool.name, self._run, _ADDS[operation], stored)
        self.findings.sizes.append(size)
        if self._tool.name != "dver":
            return
        before, self._plain = self._plain, plain_bytes(store)
        if operation is Operation.ADD_V2 and self._run == 0:
            edited = self._data.edited
            data, nodes = (now - then for now, then in zip(self._plain, before, strict=True))
            growth = Growth(self._data.name, "v1 to v2", edited.changed, edited.regions, data, nodes)
            self.findings.growth.append(growth)

    def _fill(self, commands: Mapping[Operation, tuple[Command, ...]], operation: Operation) -> list[Command]:
        places: dict[str, Path | str] = {
            "{remote}": self.sandbox.remote,
            "{v1}": self._data.v1,
            "{clone}": self.sandbox.clone,
            "{scratch}": self.sandbox.root,
        }
        if self._sky is not None:
            places |= {"{s3}": self._sky.plain.url, "{link}": self._sky.link.url}
        return [tuple(_replaced(word, places) for word in command) for command in commands.get(operation, ())]


def lay(source: Path, target: Path) -> None:
    """Copy a folder, modification times included."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def touch(folder: Path) -> None:
    """Give every file another modification time and leave its content as it is."""
    for name in _files(folder):
        status = (folder / name).stat()
        os.utime(folder / name, (status.st_atime + 1, status.st_mtime + 1))


def advance(data: Data, working: Path) -> None:
    """Turn a working copy of v1 into one of v2, touching only the files that differ."""
    wanted, present = _files(data.v2), _files(data.v1)
    for name in present - wanted:
        (working / name).unlink()
    for name in wanted:
        if name in present and os.path.samefile(data.v1 / name, data.v2 / name):
            continue
        target = working / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # A tool may have linked the file to its store.
        target.unlink(missing_ok=True)
        shutil.copy2(data.v2 / name, target)


def difference(wanted: Path, found: Path) -> str | None:
    """Return the first file in which two folders differ, and how; None when they are equal."""
    expected, present = _files(wanted), _files(found)
    if expected != present:
        name = min(expected ^ present)
        return f"{name} is {'missing' if name in expected else 'too many'}"
    return next((f"{name} differs" for name in sorted(expected) if not _same(wanted / name, found / name)), None)


def _same(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        while block := one.read(_BLOCK):
            if block != other.read(_BLOCK):
                return False
    return True


def _files(folder: Path) -> set[str]:
    return {os.path.relpath(os.path.join(root, name), folder) for root, _, names in os.walk(folder) for name in names}


def _replaced(word: str, places: Mapping[str, Path | str]) -> str:
    for placeholder, path in places.items():
        word = word.replace(placeholder, str(path))
    return word


def sample_of(workload: str, tool: Tool, operation: Operation, run: int, usage: Usage) -> Sample:
    """Return what a command took as a sample."""
    return Sample(workload, tool.name, operation, run, usage.wall, usage.cpu, usage.rss, usage.others, usage.problem)
