import random
from pathlib import Path

import pytest

from dver.objects.ids import ChunkId
from dver.storage.objectset import ObjectSet


def ids(count: int, seed: int = 1) -> list[ChunkId]:
    dice = random.Random(seed)
    return [ChunkId(dice.randbytes(32)) for _ in range(count)]


@pytest.mark.parametrize("run_length", [3, 10, 1000])
def test_holds_what_was_added_once_and_in_order(tmp_path: Path, run_length: int) -> None:
    some = ids(500)
    with ObjectSet(tmp_path, run_length=run_length) as found:
        found.update(some[:300])
        found.update(some[100:])
        assert list(found) == sorted(some)
        assert len(found) == 500
        assert all(one in found for one in some)
        assert not any(one in found for one in ids(100, seed=2))
        assert found.intersection([*some[:2], *ids(3, seed=2)]) == set(some[:2])


def test_an_empty_set_holds_nothing() -> None:
    with ObjectSet() as found:
        assert list(found) == []
        assert len(found) == 0
        assert ids(1)[0] not in found


def test_leaves_no_file_behind_even_while_it_is_in_use(tmp_path: Path) -> None:
    with ObjectSet(tmp_path, run_length=10) as found:
        found.update(ids(1000))
        assert len(found) == 1000
        assert list(tmp_path.iterdir()) == []
