"""Changing bytes at random so that what comes out is nearly, but not quite, what a parser wants."""

import random
from collections.abc import Sequence

_NUMBERS = [
    0,
    1,
    2,
    3,
    15,
    16,
    17,
    31,
    32,
    33,
    127,
    128,
    255,
    256,
    4095,
    4096,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
]
_LARGE = [2**32, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
_LONGEST = 64 * 1024


class Mutator:
    """Makes inputs from good ones; the same seed makes the same ones."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> None:
        """`words` are pieces that mean something in the format."""
        self._seeds = seeds
        self._words = words or [b"\0"]
        self._rng = rng

    def next(self) -> bytes:
        """Return another input."""
        rng = self._rng
        data = bytearray(rng.choice(self._seeds))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 8, 13))):
            rng.choice(_CHANGES)(self, data)
        return bytes(data[:_LONGEST])

    def _place(self, data: bytearray) -> int:
        # Heads and ends say most.
        size = len(data)
        near = self._rng.choice((size, size, min(size, 16), min(size, 64)))
        at = self._rng.randrange(near + 1)
        return at if self._rng.random() < 0.8 else size - at

    def flip(self, data: bytearray) -> None:
        """Change one bit."""
        if data:
            data[min(self._place(data), len(data) - 1)] ^= 1 << self._rng.randrange(8)

    def set_byte(self, data: bytearray) -> None:
        """Change one byte."""
        if data:
            data[min(self._place(data), len(data) - 1)] = self._rng.randrange(256)

    def set_number(self, data: bytearray) -> None:
        """Write a number of some width over what is there."""
        width = self._rng.choice((1, 2, 4, 8))
        number = self._rng.choice(_NUMBERS + (_LARGE if width == 8 else [])) % (1 << 8 * width)
        at = self._place(data)
        data[at : at + width] = number.to_bytes(width, self._rng.choice(("little", "big")))

    def cut(self, data: bytearray) -> None:
        """Take a piece out."""
        at = self._place(data)
        del data[at : at + self._rng.choice((1, 2, 8, 36, 1 << 20))]

    def repeat(self, data: bytearray) -> None:
        """Put a piece there many times."""
        at = self._place(data)
        piece = data[at : at + self._rng.choice((1, 2, 8, 36, 200))]
        data[at:at] = piece * self._rng.choice((1, 2, 3, 50, 2000))

    def insert_word(self, data: bytearray) -> None:
        """Put in a piece that means something, perhaps many times."""
        at = self._place(data)
        data[at:at] = self._rng.choice(self._words) * self._rng.choice((1, 1, 1, 2, 3, 100, 3000))

    def replace_word(self, data: bytearray) -> None:
        """Put one piece that means something in the place of another."""
        word, other = self._rng.choice(self._words), self._rng.choice(self._words)
        at = data.find(word)
        if word and at >= 0:
            data[at : at + len(word)] = other

    def insert_noise(self, data: bytearray) -> None:
        """Put in anything."""
        at = self._place(data)
        data[at:at] = self._rng.randbytes(self._rng.choice((1, 3, 16, 500)))

    def splice(self, data: bytearray) -> None:
        """Go on as another input does."""
        other = self._rng.choice(self._seeds)
        data[self._place(data) :] = other[self._rng.randrange(len(other) + 1) :]

    def swap(self, data: bytearray) -> None:
        """Exchange two pieces."""
        size = self._rng.choice((1, 8, 32, 56))
        first, second = sorted((self._place(data), self._place(data)))
        if first + size <= second:
            data[first : first + size], data[second : second + size] = (
                data[second : second + size],
                data[first : first + size],
            )


_CHANGES = (
    *(Mutator.flip, Mutator.set_byte, Mutator.set_number, Mutator.cut, Mutator.repeat, Mutator.insert_word),
    *(Mutator.replace_word, Mutator.insert_noise, Mutator.splice, Mutator.swap),
)
