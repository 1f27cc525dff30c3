"""What a run of the benchmarks will take, said beforehand: minutes, and space at its fullest.

Rough on purpose: seconds for each MiB and each thousand files on two cores, for everything that one run of a tool does
on a workload. They decide nothing that is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import cloud
from tests.bench.tools import NETWORK, Operation

_GIB = 1 << 30
# Seconds for a MiB and for a thousand files: making the data, and one run of a tool with all near operations.
_MAKING = (0.12, 0.12)
_RUN = {
    "dver": (0.02, 0.8),
    "dvc": (0.045, 4.0),
    "git lfs": (0.06, 5.0),
    "restic": (0.08, 0.8),
    "borg": (0.035, 1.5),
    "git": (0.05, 1.5),
}
_OTHER = (0.001, 0.8)
# The network, for those that use it: over S3 on this machine, and over the link beside the time of the bytes.
_S3 = {"dver": (0.04, 0.3), "dvc": (0.1, 18.0), "restic": (0.05, 0.5)}
_LINK = {"dver": (0.0, 0.3), "dvc": (0.0, 50.0), "restic": (0.0, 0.5)}


@dataclass(frozen=True, slots=True)
class Size:
    """How large the first version of a workload is at full size: files and MiB."""

    files: int
    mib: int


SIZES = {
    "csv": Size(1, 1024),
    "small": Size(50_000, 510),
    "images": Size(5_000, 1024),
    "parquet": Size(8, 520),
    "blob": Size(1, 4096),
    "million": Size(1_000_000, 1_000),
}
# The blocks that a small file takes at least.
_BLOCK_MIB = 4096 / (1 << 20)


def minutes(size: Size, tools: Sequence[str], operations: Sequence[Operation], runs: int) -> float:
    """Return the minutes that a workload takes, its data included."""
    seconds = _cost(_MAKING, size)
    for tool in tools:
        seconds += runs * _cost(_RUN.get(tool, _OTHER), size)
        if Operation.PUSH_S3 in operations and tool in _S3:
            seconds += _cost(_S3[tool], size)
        if Operation.PUSH_LINK in operations and tool in _LINK:
            seconds += _cost(_LINK[tool], size) + 2 * size.mib * (1 << 20) / cloud.LINK_RATE
    return seconds / 60


def gigabytes(size: Size, operations: Sequence[Operation]) -> float:
    """Return the GiB that are needed at once: data, working tree, store, and remote, clone and server if there are."""
    here = max(size.mib, size.files * _BLOCK_MIB)
    copies = 4.2
    if Operation.PUSH in operations:
        copies += 3
    if any(operation in NETWORK for operation in operations):
        copies += 1
    return copies * here / 1024


def scaled(size: Size, scale: float) -> Size:
    """Return the size at a scale."""
    return Size(max(1, int(size.files * scale)), max(1, int(size.mib * scale)))


def _cost(rates: tuple[float, float], size: Size) -> float:
    return rates[0] * size.mib + rates[1] * size.files / 1000
