"""The Parquet workload: the table of orders in columns, in several files that are compressed in themselves.

It needs pyarrow, which writes the same bytes in one version of it only: the versions of the page name that.
"""

import csv
import io
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.bench.table import HEADER, Edited, rows

# So many rows are some 64 MiB as Parquet, compressed by zstd.
_FILE_ROWS = 1_275_000
_FILES = 8
_GROUP_ROWS = 50_000
_CLUSTER_ROWS = 200
_V1_TIME, _V2_TIME = 1_700_000_000, 1_700_100_000


def build_parquet(v1: Path, v2: Path, scale: float) -> Edited:
    """v2: 1 % of the rows of one file edited, in clusters, and one new file. RuntimeError without pyarrow."""
    count = max(2_000, int(_FILE_ROWS * scale))
    changed = 0
    for number in range(_FILES):
        name = f"orders-{number}.parquet"
        _write(v1 / name, number, count, _V1_TIME)
        if number == _FILES // 2:
            _write(v2 / name, number, count, _V2_TIME, edit_every=100 * _CLUSTER_ROWS)
            changed += (v2 / name).stat().st_size
        else:
            os.link(v1 / name, v2 / name)
    new = v2 / f"orders-{_FILES}.parquet"
    _write(new, _FILES, count, _V2_TIME)
    return Edited(changed + new.stat().st_size, 0)


def _write(path: Path, number: int, count: int, time: int, edit_every: int = 0) -> None:
    try:
        # Only this workload needs it, and only to make the data.
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as exc:
        raise RuntimeError("pyarrow is not installed, which writes the Parquet files") from exc
    writer = None
    for first in range(0, count, _GROUP_ROWS):
        lines = rows("order", number * count + first, min(_GROUP_ROWS, count - first))
        for start in range(0, len(lines), _CLUSTER_ROWS) if edit_every else ():
            if (first + start) % edit_every == 0:
                stretch = slice(start, start + _CLUSTER_ROWS)
                lines[stretch] = rows("edited", number * count + first + start, len(lines[stretch]))
        table = arrow.table(_columns(lines))
        writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=_GROUP_ROWS)
    assert writer is not None
    writer.close()
    os.utime(path, (time, time))


def _columns(lines: Sequence[bytes]) -> dict[str, list[int] | list[float] | list[str]]:
    parsed = csv.reader(io.StringIO(b"".join(lines).decode()))
    columns = dict(zip(HEADER.decode().strip().split(","), zip(*parsed, strict=True), strict=True))
    return {name: _typed(name, list(values)) for name, values in columns.items()}


def _typed(name: str, values: list[str]) -> list[int] | list[float] | list[str]:
    if name in ("order", "customer", "quantity"):
        return [int(value) for value in values]
    if name in ("amount", "score", "latitude", "longitude"):
        return [float(value) for value in values]
    return values
