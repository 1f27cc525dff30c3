"""Random bytes that any language can make again: SplitMix64, as little-endian 64-bit words."""

_MASK = (1 << 64) - 1


def splitmix_bytes(seed: int, length: int) -> bytes:
    """Return `length` bytes of SplitMix64 begun with `seed`."""
    words = []
    state = seed
    for _ in range(-(-length // 8)):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        words.append((z ^ (z >> 31)).to_bytes(8, "little"))
    return b"".join(words)[:length]
