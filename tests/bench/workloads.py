"""The data sets: each a folder in two versions, the same on every machine.

Everything comes from `random.Random` with fixed seeds. A made data set lies in `<data>/<name>-<scale>/` as `v1` and
`v2`; a file that both versions share is one file with two names, so "changed" is "not the same inode" and nothing may
be edited in place. Modification times lie in the past, as those of real data do.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from tests.bench.parquet import build_parquet
from tests.bench.results import Extent
from tests.bench.table import HEADER, ROW_LENGTH, Edited, prose, rows
from tests.bench.tools import ALL, FEW, NEAR, Operation

# Part of the cache's folder names: raise it when a builder changes what it makes.
_GENERATION = 1
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_V1_TIME, _V2_TIME = 1_700_000_000, 1_700_100_000
_BLOCK_ROWS = 40_000
_CLUSTER_ROWS = 200
_IMAGE_SIZES = (150 * _KIB, 250 * _KIB)


@dataclass(frozen=True, slots=True)
class Workload:
    """A data set, and the operations that are measured on it.

    Attributes:
        build: makes both versions in two given folders, at a scale, and says what was edited.
    """

    name: str
    title: str
    build: Callable[[Path, Path, float], Edited]
    operations: Sequence[Operation] = ALL


@dataclass(frozen=True, slots=True)
class Data:
    """A data set on disk; `name` is the workload's."""

    name: str
    v1: Path
    v2: Path
    edited: Edited
    extents: dict[str, Extent]


@dataclass(slots=True)
class _Pair:
    """Writes small files into both versions, and adds up what differs."""

    v1: Path
    v2: Path
    changed: int = 0
    _folders: set[Path] = field(default_factory=set)

    def keep(self, name: str, content: bytes) -> None:
        self._put(self.v1 / name, content, _V1_TIME)
        (self.v2 / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(self.v1 / name, self.v2 / name)

    def change(self, name: str, old: bytes, new: bytes) -> None:
        self._put(self.v1 / name, old, _V1_TIME)
        self.add(name, new)

    def remove(self, name: str, old: bytes) -> None:
        self._put(self.v1 / name, old, _V1_TIME)

    def add(self, name: str, new: bytes) -> None:
        self._put(self.v2 / name, new, _V2_TIME)
        self.changed += len(new)

    def _put(self, path: Path, content: bytes, time: int) -> None:
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        path.write_bytes(content)
        os.utime(path, (time, time))


def prepare(workload: Workload, data: Path, scale: float) -> Data:
    """Return a workload's data, made now unless it was before."""
    folder = data / f"{workload.name}-{scale:g}-g{_GENERATION}"
    facts = folder / "facts.json"
    if not facts.exists():
        partial = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        for version in ("v1", "v2"):
            (partial / version).mkdir(parents=True)
        edited = workload.build(partial / "v1", partial / "v2", scale)
        made = {version: asdict(_extent(partial / version)) for version in ("v1", "v2")}
        (partial / "facts.json").write_text(json.dumps({"edited": asdict(edited), "extents": made}))
        partial.rename(folder)
    known = json.loads(facts.read_text())
    extents = {version: Extent(**extent) for version, extent in known["extents"].items()}
    return Data(workload.name, folder / "v1", folder / "v2", Edited(**known["edited"]), extents)


def random_blocks(seed: str, size: int, block: int = 8 * _MIB) -> Iterable[bytes]:
    """Yield incompressible bytes, `size` in all."""
    random = Random(seed)
    for start in range(0, size, block):
        yield random.randbytes(min(block, size - start))


def _extent(folder: Path) -> Extent:
    sizes = [(Path(root) / name).stat().st_size for root, _, names in os.walk(folder) for name in names]
    return Extent(len(sizes), sum(sizes))


def _build_csv(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: 1 % of the rows edited in clusters, 1,000 rows inserted in the middle, 5 % appended."""
    total = max(4_000, int(_GIB * scale) // ROW_LENGTH)
    slots = total // _CLUSTER_ROWS
    clusters = {slot * _CLUSTER_ROWS for slot in Random("clusters").sample(range(slots), max(1, slots // 100))}
    middle = total // 2 // _BLOCK_ROWS * _BLOCK_ROWS
    changed = 0
    with (v1 / "orders.csv").open("wb") as old, (v2 / "orders.csv").open("wb") as new:
        old.write(HEADER)
        new.write(HEADER)
        for first in range(0, total, _BLOCK_ROWS):
            block = rows("order", first, min(_BLOCK_ROWS, total - first))
            old.writelines(block)
            if first == middle:
                changed += new.write(b"".join(rows("inserted", 2 * total, 1000)))
            for start in sorted(clusters & set(range(first, first + len(block), _CLUSTER_ROWS))):
                edited = rows("edited", start, min(_CLUSTER_ROWS, first + len(block) - start))
                block[start - first : start - first + len(edited)] = edited
                changed += sum(map(len, edited))
            new.writelines(block)
        for first in range(total, total + total // 20, _BLOCK_ROWS):
            changed += new.write(b"".join(rows("order", first, min(_BLOCK_ROWS, total + total // 20 - first))))
    _date(v1 / "orders.csv", _V1_TIME)
    _date(v2 / "orders.csv", _V2_TIME)
    return Edited(changed, len(clusters) + 2)


def _build_small(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: 1 % of the files changed, 0.4 % added, 0.2 % deleted."""
    count = max(100, int(50_000 * scale))
    return _build_files(_Pair(v1, v2), count, _small_file, (count // 100, count // 250, count // 500))


def _build_images(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: 1 % of the files changed, 1 % added."""
    count = max(20, int(5_000 * scale))
    share = max(1, count // 100)
    return _build_files(_Pair(v1, v2), count, _image, (share, share, 0))


def _build_million(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: a hundred files changed, fewer where there are few."""
    count = max(200, round(1_000_000 * scale))
    return _build_files(_Pair(v1, v2), count, _tiny_file, (max(2, min(100, count // 100)), 0, 0))


def _build_files(
    pair: _Pair, count: int, make: Callable[[int, int], tuple[str, bytes]], shares: tuple[int, int, int]
) -> Edited:
    """Write files that `make` gives for a number and a version; `shares`: how many change, come and go."""
    changes, additions, removals = shares
    picked = Random("picked").sample(range(count), changes + removals)
    changed, removed = set(picked[:changes]), set(picked[changes:])
    for number in range(count):
        name, content = make(number, 1)
        if number in changed:
            pair.change(name, content, make(number, 2)[1])
        elif number in removed:
            pair.remove(name, content)
        else:
            pair.keep(name, content)
    for number in range(count, count + additions):
        pair.add(*make(number, 2))
    return Edited(pair.changed, 0)


def _small_file(number: int, version: int) -> tuple[str, bytes]:
    random = Random(f"small {number} {version}")
    size = int(2 * _KIB * 15 ** random.random())
    if number % 2:
        return f"part-{number % 200:03d}/sample-{number:06d}.bin", random.randbytes(size)
    return f"part-{number % 200:03d}/sample-{number:06d}.txt", _text(random, size)


def _image(number: int, version: int) -> tuple[str, bytes]:
    random = Random(f"image {number} {version}")
    return f"class-{number % 25:02d}/image-{number:05d}.img", random.randbytes(random.randint(*_IMAGE_SIZES))


def _tiny_file(number: int, version: int) -> tuple[str, bytes]:
    random = Random(f"million {number} {version}")
    return f"shard-{number // 1000:04d}/label-{number:06d}.json", random.randbytes(
        random.randint(100, 900)
    ).hex().encode()


def _text(random: Random, size: int) -> bytes:
    # About six bytes a word; what is missing at the end does not matter.
    return prose(random, size // 5).encode()[:size]


def _build_blob(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: 1 MiB inserted at a third, 64 KiB overwritten at two thirds; less where the file is small."""
    size = max(4 * _MIB, int(4 * _GIB * scale))
    block = min(8 * _MIB, size // 4)
    random = Random("blob edits")
    inserted, overwritten = random.randbytes(min(_MIB, size // 16)), random.randbytes(64 * _KIB)
    third, place = size // block // 3, block * 3 // 7
    with (v1 / "model.bin").open("wb") as old, (v2 / "model.bin").open("wb") as new:
        for index, content in enumerate(random_blocks("blob", size, block)):
            old.write(content)
            if index == third:
                new.writelines((content[:place], inserted, content[place:]))
            elif index == 2 * third:
                new.writelines((content[:place], overwritten, content[place + len(overwritten) :]))
            else:
                new.write(content)
    _date(v1 / "model.bin", _V1_TIME)
    _date(v2 / "model.bin", _V2_TIME)
    return Edited(len(inserted) + len(overwritten), 2)


def _date(path: Path, time: int) -> None:
    os.utime(path, (time, time))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("csv", "One CSV file of 1 GiB", _build_csv),
        Workload("small", "50,000 files of 2 to 30 KiB", _build_small),
        Workload("images", "5,000 incompressible files of about 200 KiB", _build_images),
        Workload("parquet", "Eight Parquet files of 64 MiB", build_parquet),
        Workload("blob", "One incompressible file of 4 GiB", _build_blob, NEAR),
        Workload("million", "1,000,000 files of about 1 KiB", _build_million, FEW),
    )
}
