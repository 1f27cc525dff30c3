"""The rows of the CSV workload: a table of orders with numbers, words and free text.

A row is a function of its number and a seed, so that a version of the table is made block by block and an edited
row needs nothing but another seed. Made without numpy, at some 300,000 rows a second.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

HEADER = b"order,customer,time,amount,score,latitude,longitude,quantity,state,channel,note\n"
# The mean length of a row at seven-digit numbers, so that a size can be turned into a number of rows.
ROW_LENGTH = 122

_FIELDS = struct.Struct("<IIIIIHHBBBB")
_STATES = (b"paid", b"paid", b"paid", b"open", b"open", b"returned", b"cancelled", b"disputed")
_CHANNELS = (b"web", b"web", b"phone", b"store")
_LETTERS = ("bcdfghklmnprstvz", "aeiou")
_ROW = b"%d,%d,2025-%02d-%02dT%02d:%02d:%02d,%d.%02d,0.%06d,%d.%05d,%d.%05d,%d,%s,%s,%s\n"


@dataclass(frozen=True, slots=True)
class Edited:
    """What the second version has that the first has not: bytes, and places within files. See `results.Growth`."""

    changed: int
    regions: int


@cache
def words() -> tuple[str, ...]:
    """Return two thousand made-up words of two to eight letters."""
    random = Random("words")
    return tuple(
        "".join(random.choice(kind) for _ in range(random.randint(1, 4)) for kind in _LETTERS) for _ in range(2000)
    )


def prose(random: Random, count: int) -> str:
    """Return `count` words in which, as in real text, few words are frequent."""
    vocabulary = words()
    top = len(vocabulary)
    return " ".join(vocabulary[int(top * random.random() ** 3)] for _ in range(count))


@cache
def _notes() -> tuple[bytes, ...]:
    random = Random("notes")
    return tuple(prose(random, random.randint(3, 9)).encode() for _ in range(4096))


def rows(seed: str, first: int, count: int) -> list[bytes]:
    """Return `count` rows numbered from `first`; the same seed and place give the same rows."""
    return list(_rows(seed, first, count))


def _rows(seed: str, first: int, count: int) -> Iterator[bytes]:
    notes = _notes()
    drawn = Random(f"{seed} {first}").randbytes(_FIELDS.size * count)
    for number, fields in enumerate(_FIELDS.iter_unpack(drawn), first):
        customer, amount, score, north, east, note, clock, hour, month, kind, quantity = fields
        yield _ROW % (
            number,
            customer % 2_000_000,
            1 + month % 12,
            1 + clock % 28,
            hour % 24,
            clock // 28 % 60,
            clock // 1680 % 60,
            amount % 2000,
            amount // 2000 % 100,
            score % 1_000_000,
            north % 90,
            north // 90 % 100_000,
            east % 180,
            east // 180 % 100_000,
            1 + quantity % 40,
            _STATES[kind % 8],
            _CHANNELS[kind // 8 % 4],
            notes[note % 4096],
        )
