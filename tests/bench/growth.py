"""How much dver's store grows by a small edit: an incompressible file, edited in one place, added again.

Counted are the plain bytes of what the packs hold, read from their footers, so that compression hides nothing. Every
edit starts from the same first version. Edits are made at several places, because by chance a place lies in a long
chunk or a short one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from dver.objects.ids import PackId
from dver.objects.pack import TRAILER_LENGTH, Kind, PackEntry, decode_footer, decode_trailer
from tests.bench.measure import Command, Sandbox
from tests.bench.results import Growth
from tests.bench.tools import DATA, Operation, dver
from tests.bench.workloads import random_blocks

NAME = "edits"
TITLE = "One incompressible file of 256 MiB, edited in one place"
# The growth that is allowed: this much of what changed, and a chunk on each side of every edited region.
FACTOR = 1.3
AVERAGE_CHUNK = 64 * 1024

_KIB, _MIB = 1 << 10, 1 << 20
_FULL_SIZE = 256 * _MIB


def bound(changed: int, regions: int) -> float:
    """Return how many plain bytes an edit may add to the store."""
    return FACTOR * changed + 2 * AVERAGE_CHUNK * regions


def plain_bytes(store: Path) -> tuple[int, int]:
    """Return the plain bytes of the chunks and of the manifest nodes in a store on disk."""
    totals = {Kind.DATA: 0, Kind.NODE: 0}
    for path in store.rglob("*.pack"):
        for entry in _entries(path):
            totals[entry.kind] += entry.plain_length
    return totals[Kind.DATA], totals[Kind.NODE]


def _entries(path: Path) -> list[PackEntry]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size - TRAILER_LENGTH)
        length, checksum = decode_trailer(file.read(), size, path.name)
        file.seek(size - TRAILER_LENGTH - length)
        footer = file.read(length)
    return decode_footer(footer, checksum, PackId(bytes.fromhex(path.stem)), path.name)


def _overwrite(length: int) -> Callable[[bytes, int, Random], bytes]:
    def edit(content: bytes, place: int, random: Random) -> bytes:
        new = bytes(255 - byte for byte in content[place : place + length]) if length == 1 else random.randbytes(length)
        return content[:place] + new + content[place + length :]

    return edit


def _insert(content: bytes, place: int, random: Random) -> bytes:
    return content[:place] + random.randbytes(64 * _KIB) + content[place:]


def _delete(content: bytes, place: int, _: Random) -> bytes:
    return content[:place] + content[place + 64 * _KIB :]


# By name: bytes that are new or gone, and the edit.
_EDITS: dict[str, tuple[int, Callable[[bytes, int, Random], bytes]]] = {
    "1 byte overwritten": (1, _overwrite(1)),
    "4 KiB overwritten": (4 * _KIB, _overwrite(4 * _KIB)),
    "1 MiB overwritten": (_MIB, _overwrite(_MIB)),
    "64 KiB inserted": (64 * _KIB, _insert),
    "64 KiB deleted": (64 * _KIB, _delete),
}


def measure_growth(sandbox: Sandbox, scale: float, places: int) -> Iterator[Growth]:
    """Yield what each edit, at each of `places` places, adds to the store."""
    tool = dver()
    commands = tool.commands
    store = sandbox.repo / str(tool.store)
    init: Command = tuple(word.replace("{remote}", str(sandbox.remote)) for word in commands[Operation.INIT][0])
    add = commands[Operation.ADD_V1][:1]
    base = b"".join(random_blocks(NAME, max(4 * _MIB, int(_FULL_SIZE * scale))))
    working = sandbox.repo / DATA / "file.bin"
    working.parent.mkdir()
    working.write_bytes(base)
    sandbox.run([*tool.before[Operation.INIT], init, *add])
    before = plain_bytes(store)
    for name, (changed, edit) in _EDITS.items():
        random = Random(name)
        for _ in range(places):
            # Not at the very end: there is nothing beyond it to keep.
            place = random.randrange(len(base) - 2 * _MIB)
            working.write_bytes(edit(base, place, random))
            sandbox.run(add)
            after = plain_bytes(store)
            yield Growth(NAME, name, changed, 1, after[0] - before[0], after[1] - before[1])
            before = after
