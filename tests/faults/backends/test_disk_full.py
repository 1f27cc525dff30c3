"""A disk that fills up, or a file that may not grow, during a write: a sentence, and nothing left behind."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem
from dver.storage.backend import BlobInfo
from dver.storage.local import LocalBackend
from tests.faults.disks import SmallDisk

LIMIT = 64 * 1024


def test_a_full_disk_leaves_no_part_of_a_file(small_disk: SmallDisk) -> None:
    backend = LocalBackend(small_disk.folder / "store")
    backend.write("packs/aa/small", [b"x" * 1000])
    with pytest.raises(BackendError) as caught:
        backend.write("packs/aa/large", [bytes(100_000)] * 20)
    assert caught.value.problem is BackendProblem.NO_SPACE
    assert caught.value.hint is not None
    assert "free" in caught.value.hint
    assert [*backend.list("")] == [BlobInfo("packs/aa/small", 1000)]
    assert [path.name for path in (small_disk.folder / "store/packs/aa").iterdir()] == ["small"]
    backend.write("packs/aa/fits", [bytes(10_000)])


_WRITER = """
import sys
from pathlib import Path
from dver.errors import BackendError
from dver.storage.local import LocalBackend

try:
    LocalBackend(Path(sys.argv[1])).write("packs/aa/large", [bytes(10_000)] * 100)
except BackendError as exc:
    sys.exit(exc.problem.value)
"""


def test_a_file_that_may_not_grow_leaves_no_part_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WRITER, str(tmp_path / "store")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.stderr.strip() == "no space left"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
