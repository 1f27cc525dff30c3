"""How a file that was edited many times checks out, beside the same bytes added at once.

The edited file's chunks lie in as many packs as it had versions. Both repositories hold the same file at the end, and
their checkouts take turns.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

from blake3 import blake3

from tests.bench.measure import Sandbox
from tests.bench.results import Extent
from tests.bench.session import Findings, Settings, make_sandbox, sample_of, talk
from tests.bench.tools import DATA, Operation, Tool, dver
from tests.bench.workloads import random_blocks

NAME = "fragments"
TITLE = "One file of 1 GiB after 100 small edits"
FRESH, EDITED = "dver, added once", "dver, added after each edit"
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_EDITS = 100
_INSERTED = 200
_CHECKOUT = Operation.CHECKOUT_ALL


def measure_fragments(scale: float, settings: Settings) -> tuple[Findings, Extent]:
    """Measure the checkouts of both."""
    size = max(4 * _MIB, int(_GIB * scale))
    tool = dver()
    edited, fresh = _started(tool, settings, "edited"), _started(tool, settings, "fresh")
    working = edited.repo / DATA / "file.bin"
    with working.open("wb") as file:
        file.writelines(random_blocks(NAME, size))
    add = tool.commands[Operation.ADD_V1][:1]
    edited.run(add)
    random = Random(NAME)
    for number in range(_EDITS):
        edit(working, random, number)
        edited.run(add)
    talk(f"{NAME}  edited {_EDITS} times")
    shutil.copyfile(working, fresh.repo / DATA / "file.bin")
    fresh.run(add)
    wanted = _digest(working)
    findings = Findings()
    for run in range(settings.runs):
        for name, sandbox in ((FRESH, fresh), (EDITED, edited)):
            shutil.rmtree(sandbox.repo / DATA)
            usage = sandbox.measure(tool.commands[_CHECKOUT], settings.seconds)
            sample = sample_of(NAME, tool, _CHECKOUT, run, usage)
            if usage.problem is None and _digest(sandbox.repo / DATA / "file.bin") != wanted:
                raise RuntimeError("the checkout is not what was added")
            findings.samples.append(replace(sample, tool=name))
            talk(f"{NAME}  run {run + 1}  {name:30} {usage.wall:8.2f} s")
    for sandbox in (edited, fresh):
        if not settings.keep:
            shutil.rmtree(sandbox.root)
    return findings, Extent(1, working_size(size))


def working_size(size: int) -> int:
    """Return how large the file is after the edits: every other one inserts."""
    return size + _EDITS // 2 * _INSERTED


def edit(path: Path, random: Random, number: int) -> None:
    """Make one small edit: a few KiB overwritten in place or, every other time, 200 bytes inserted."""
    size = path.stat().st_size
    place = random.randrange(size - 8 * _KIB)
    if number % 2 == 0:
        with path.open("r+b") as file:
            file.seek(place)
            file.write(random.randbytes(random.randint(1, 8 * _KIB)))
        return
    partial = path.with_name("partial")
    with path.open("rb") as old, partial.open("wb") as new:
        left = place
        while left:
            left -= new.write(old.read(min(left, 4 * _MIB)))
        new.write(random.randbytes(_INSERTED))
        shutil.copyfileobj(old, new, 4 * _MIB)
    partial.replace(path)


def _started(tool: Tool, settings: Settings, folder: str) -> Sandbox:
    sandbox = make_sandbox(settings, folder)
    init = [
        tuple(word.replace("{remote}", str(sandbox.remote)) for word in command)
        for command in tool.commands[Operation.INIT]
    ]
    sandbox.run([*tool.before[Operation.INIT], *init])
    (sandbox.repo / DATA).mkdir()
    return sandbox


def _digest(path: Path) -> bytes:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).digest()
