"""What the benchmarks ran on: processor, memory, kernel, file system and versions."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

_GIB = 1 << 30


def describe(work: Path) -> dict[str, str]:
    """Return the facts of this machine, by name; `work` is where the repositories lie."""
    facts = {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / _GIB:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _file_system(work),
        "Python": platform.python_version(),
    }
    return {name: value for name, value in facts.items() if value}


def version_of(command: Sequence[str], environment: dict[str, str]) -> str | None:
    """Return the first line that a version command prints, None when there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError:
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines and not done.returncode else None


def _field(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(
        (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name), None
    )


def _file_system(path: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    found = [(len(point), kind) for _, point, kind, *_ in mounts if path.resolve().is_relative_to(point)]
    # Of mounts at the same place the last one is in force.
    return max(enumerate(found), key=lambda item: (item[1][0], item[0]))[1][1] if found else ""
