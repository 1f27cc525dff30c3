"""Bringing a working copy from v1 to v2, and comparing folders after a checkout."""

from pathlib import Path

import pytest

from tests.bench.session import advance, difference, lay
from tests.bench.workloads import WORKLOADS, Data, prepare


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """A small workload in which files change, come and go."""
    return prepare(WORKLOADS["small"], tmp_path / "data", 0.01)


def test_advanced_copy_equals_the_second_version(data: Data, tmp_path: Path) -> None:
    working = tmp_path / "working"
    lay(data.v1, working)
    assert difference(data.v1, working) is None
    advance(data, working)
    assert difference(data.v2, working) is None


def test_difference_names_a_file_that_is_missing(data: Data, tmp_path: Path) -> None:
    lay(data.v1, tmp_path / "working")
    gone = min((tmp_path / "working").rglob("*.txt"))
    gone.unlink()
    assert difference(data.v1, tmp_path / "working") == f"{gone.relative_to(tmp_path / 'working')} is missing"


def test_difference_names_a_file_that_is_too_many(data: Data, tmp_path: Path) -> None:
    lay(data.v1, tmp_path / "working")
    (tmp_path / "working" / "extra").touch()
    assert difference(data.v1, tmp_path / "working") == "extra is too many"


def test_difference_sees_one_byte_in_a_file_of_equal_length(data: Data, tmp_path: Path) -> None:
    lay(data.v1, tmp_path / "working")
    victim = min((tmp_path / "working").rglob("*.bin"))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    assert difference(data.v1, tmp_path / "working") == f"{victim.relative_to(tmp_path / 'working')} differs"
