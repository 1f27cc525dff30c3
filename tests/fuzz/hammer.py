"""`python -m tests.fuzz.hammer TARGET…`: throws mutated inputs at parsers, with little memory and a time limit.

The process gets no more than 256 MiB beyond what it has once everything is loaded, and 10 s of processor time for each
input. It ends at the first fault, and prints the input that made it, or how many inputs there were. `--all` stands for
all targets, and the number of inputs is shared out among them.
"""

import argparse
import random
import resource
import signal
import sys
import time
from collections.abc import Sequence

from dver.errors import DverError
from tests.fuzz import cleaning, files, formats, params, sealed
from tests.fuzz.mutations import Mutator
from tests.fuzz.target import Target, plausible

TARGETS: dict[str, Target] = {
    **formats.TARGETS,
    **files.TARGETS,
    **sealed.TARGETS,
    **cleaning.TARGETS,
    **params.TARGETS,
}
MEMORY = 256 * 1024 * 1024
SECONDS = 10.0
_SHOWN = 4000


class HangError(Exception):
    """A parser takes too long."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.hammer", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    names = list(TARGETS) if options.all else options.targets
    limit_memory()
    for name in names:
        count = -(-options.inputs // len(names))
        began = time.monotonic()
        accepted = hammer(TARGETS[name], count, random.Random(f"{name} {options.seed}"))
        print(f"{name}: {count} inputs, {accepted} accepted, {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
    return 0


def hammer(target: Target, count: int, rng: random.Random) -> int:
    """Parse mutated inputs, and return how many were accepted; whatever is no DverError comes through."""
    signal.signal(signal.SIGVTALRM, _ring)
    mutator = Mutator(target.seeds, target.words, rng)
    try:
        return sum(_is_accepted(target, plausible(target, mutator.next(), rng)) for _ in range(count))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _is_accepted(target: Target, data: bytes) -> bool:
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    accepted = None
    try:
        target.parse(data)
        accepted = True
    except DverError:
        accepted = False
    finally:
        if accepted is None:
            sys.stderr.write(f"the input was: {data!r}\n"[:_SHOWN])
    return accepted


def limit_memory() -> None:
    """Allow this process 256 MiB more than it has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))


def _ring(*_: object) -> None:
    raise HangError


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
