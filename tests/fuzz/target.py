"""What is fuzzed: a parser, good inputs, pieces that mean something to it, and how damage to one is made plausible."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Mend: TypeAlias = Callable[[bytes], bytes]


def unchanged(data: bytes) -> bytes:
    """Mend nothing."""
    return data


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    Attributes:
        parse: raises nothing but DverError, whatever it is given, and uses what it accepts as a command would.
        seeds: good inputs, which it accepts.
        words: pieces that mean something in the format.
        mend: makes checksums and names fit, which would hide the rest of the parser.
    """

    parse: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    mend: Mend = unchanged


def plausible(target: Target, data: bytes, rng: random.Random) -> bytes:
    """Return an input, mended as often as not."""
    return target.mend(data) if rng.random() < 0.6 else data
