"""How dver's time and memory grow: with the number of files, with the size of a file, and with the store's index.

Each size is a workload of its own, `files-1000` and so on, and its samples are like any other's. The index is made up:
index files that list chunks of packs which are not there, beside a small dataset that is. What needs such a pack is not
done.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from blake3 import blake3

from dver.objects.ids import checksum, index_id
from dver.objects.indexfile import FORMAT, MAGIC
from tests.bench.measure import Command, Sandbox
from tests.bench.results import Extent, Sample, StoreSize
from tests.bench.session import Findings, Settings, make_sandbox, sample_of, talk
from tests.bench.tools import DATA, Operation, dver
from tests.bench.workloads import random_blocks

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
FILES, BYTES, INDEX = "files", "bytes", "index"
_FULL = {
    FILES: (1_000, 10_000, 100_000, 1_000_000),
    BYTES: (_GIB, 4 * _GIB, 16 * _GIB),
    INDEX: (1_000_000, 10_000_000, 50_000_000),
}
_TITLES = {FILES: "{:,} files of about 1 KiB", BYTES: "One file of {:,} bytes", INDEX: "An index of {:,} chunks"}
# What is measured, in the order in which it is done.
OPERATIONS = {
    FILES: (Operation.INIT, Operation.ADD_V1, Operation.STATUS, Operation.PUSH, Operation.CHECKOUT_ALL),
    BYTES: (Operation.INIT, Operation.ADD_V1, Operation.STATUS, Operation.PUSH, Operation.CHECKOUT_ALL),
    INDEX: (Operation.ADD_V1, Operation.ADD_V2, Operation.STATUS, Operation.PUSH, Operation.CHECKOUT_ALL),
}
# As many files as the smallest workload has.
_LEAST = 200
# Of an index file and of a pack in it, as dver itself makes them.
_PACK_CHUNKS, _FILE_PACKS = 512, 64
_CHUNK, _STORED = 64 * _KIB, 48 * _KIB


@dataclass(frozen=True, slots=True)
class Step:
    """One size of a series; `size` is files, bytes or chunks."""

    series: str
    size: int

    @property
    def name(self) -> str:
        """The workload's name."""
        return f"{self.series}-{self.size}"

    @property
    def title(self) -> str:
        """What is measured, in words."""
        return _TITLES[self.series].format(self.size)

    @property
    def room(self) -> int:
        """The bytes that are needed on the disk at once."""
        return self.size * {FILES: 20 * _KIB, BYTES: 3, INDEX: 260}[self.series] + _GIB // 4

    @property
    def minutes(self) -> float:
        """Roughly how long it takes."""
        return self.size * {FILES: 4e-3, BYTES: 12 / _GIB, INDEX: 3e-5}[self.series] / 60


def steps(series: str, scale: float) -> list[Step]:
    """Return the sizes of a series, a part of the full ones at a smaller scale."""
    return [Step(series, size) for size in dict.fromkeys(max(_LEAST, round(full * scale)) for full in _FULL[series])]


def measure_bytes(step: Step, settings: Settings) -> tuple[Findings, Extent]:
    """Measure one large file. It is made in the working tree, so that it is on the disk no more often than need be."""
    sandbox = make_sandbox(settings)
    working = sandbox.repo / DATA / "file.bin"
    wanted = blake3()
    findings = Findings()
    for operation in OPERATIONS[BYTES]:
        if operation is Operation.ADD_V1:
            working.parent.mkdir()
            with working.open("wb") as file:
                for block in random_blocks(step.name, step.size):
                    wanted.update(block)
                    file.write(block)
        elif operation is Operation.CHECKOUT_ALL:
            shutil.rmtree(working.parent)
        findings.samples.append(_measured(step, sandbox, operation, settings))
    if blake3().update_mmap(working).digest() != wanted.digest():
        raise RuntimeError("the checkout is not what was added")
    _clear(sandbox, settings)
    return findings, Extent(1, step.size)


def measure_index(step: Step, settings: Settings) -> tuple[Findings, Extent]:
    """Measure small changes beside a large index; the first of them meets the index for the first time."""
    sandbox = make_sandbox(settings)
    tool = dver()
    sandbox.run(_filled(sandbox, [*tool.before[Operation.INIT], *tool.commands[Operation.INIT]]))
    sandbox.run(tool.after[Operation.INIT])
    index = sandbox.repo / str(tool.store) / "index"
    index.mkdir(parents=True, exist_ok=True)
    for encoded in synthetic_index(step.size):
        (index / f"{index_id(encoded).hex()}.idx").write_bytes(encoded)
    findings = Findings()
    for operation in OPERATIONS[INDEX]:
        _change(sandbox.repo / DATA, operation)
        findings.samples.append(_measured(step, sandbox, operation, settings))
        if operation is Operation.ADD_V1:
            copies = (sandbox.root / "home").rglob("*")
            stored = sum(path.stat().st_size for path in copies if path.is_file())
            findings.sizes.append(StoreSize(step.name, tool.name, 0, "local copy of the index", stored))
    _clear(sandbox, settings)
    return findings, Extent(step.size, 0)


def synthetic_index(chunks: int) -> Iterator[bytes]:
    """Yield index files that list so many chunks of packs that do not exist."""
    random = Random("index")
    tails = [
        (16 + place * (_STORED + 52)).to_bytes(8, "little")
        + _STORED.to_bytes(4, "little")
        + _CHUNK.to_bytes(4, "little")
        # Kind data, codec zstd.
        + bytes((0, 1, 0, 0))
        for place in range(_PACK_CHUNKS)
    ]
    for first in range(0, chunks, _PACK_CHUNKS * _FILE_PACKS):
        counts = [
            min(_PACK_CHUNKS, chunks - start)
            for start in range(first, min(first + _PACK_CHUNKS * _FILE_PACKS, chunks), _PACK_CHUNKS)
        ]
        pieces = [MAGIC, bytes((FORMAT, 0, 0, 0)), len(counts).to_bytes(4, "little")]
        for count in counts:
            ids = random.randbytes(32 * count)
            pieces += (random.randbytes(32), (32 << 20).to_bytes(8, "little"), count.to_bytes(4, "little"))
            pieces += (part for place in range(count) for part in (ids[32 * place : 32 * place + 32], tails[place]))
        body = b"".join(pieces)
        yield body + checksum(body).to_bytes(8, "little")


def _change(working: Path, operation: Operation) -> None:
    if operation is Operation.CHECKOUT_ALL:
        shutil.rmtree(working)
    elif operation in (Operation.ADD_V1, Operation.ADD_V2):
        working.mkdir(exist_ok=True)
        (working / f"{operation}.bin").write_bytes(Random(operation).randbytes(_MIB))


def _measured(step: Step, sandbox: Sandbox, operation: Operation, settings: Settings) -> Sample:
    tool = dver()
    sandbox.run(_filled(sandbox, tool.before.get(operation, ())))
    usage = sandbox.measure(_filled(sandbox, tool.commands[operation]), settings.seconds)
    talk(f"{step.name}  {operation:30} {usage.wall:8.2f} s")
    if usage.problem:
        raise RuntimeError(f"{operation}: {usage.problem}")
    sandbox.run(_filled(sandbox, tool.after.get(operation, ())))
    return sample_of(step.name, tool, operation, 0, usage)


def _filled(sandbox: Sandbox, commands: Sequence[Command]) -> list[Command]:
    return [tuple(word.replace("{remote}", os.fspath(sandbox.remote)) for word in command) for command in commands]


def _clear(sandbox: Sandbox, settings: Settings) -> None:
    if not settings.keep:
        shutil.rmtree(sandbox.root)
