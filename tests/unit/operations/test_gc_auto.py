"""A cache with many small packs and index files is made tidy by itself."""

from pathlib import Path

import pytest

from dver.config import set_value
from dver.operations.gc_auto import MANY_INDEX_FILES, tidy
from dver.storage.cachelock import writing
from dver.storage.packs import list_packs
from tests.clones import Clone, noise
from tests.faults.killing import check_store


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "repo")
    for number in range(6):
        made.write("data/a", noise(5000, number))
        made.add()
    return made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few be many."""
    monkeypatch.setattr("dver.operations.gc_auto.MANY_PACKS", 3)
    monkeypatch.setattr("dver.operations.gc_auto.MANY_INDEX_FILES", 3)


def counts(clone: Clone) -> tuple[int, int]:
    with clone.open() as repo:
        return len(list_packs(repo.cache.backend)), len(repo.cache.index.file_sizes())


def run(clone: Clone) -> bool:
    with clone.open() as repo:
        return tidy(repo)


def test_few_are_left_as_they_are(clone: Clone) -> None:
    assert MANY_INDEX_FILES > 6
    assert not run(clone)
    assert counts(clone) == (6, 6)


@pytest.mark.usefixtures("few")
def test_many_become_one_and_all_versions_stay(clone: Clone) -> None:
    with clone.open() as repo:
        before = check_store(repo.cache)
    assert run(clone)
    assert counts(clone) == (1, 1)
    with clone.open() as repo:
        assert check_store(repo.cache) == before
        assert len(before) == 6
    assert not run(clone)


@pytest.mark.usefixtures("few")
def test_the_setting_turns_it_off(clone: Clone) -> None:
    set_value(clone.root / ".dver", "gc.auto", "false", local=True)
    assert not run(clone)


@pytest.mark.usefixtures("few")
def test_nobody_at_work_is_disturbed(clone: Clone) -> None:
    with clone.open() as other, writing(other.cache):
        assert not run(clone)
    assert counts(clone) == (6, 6)


@pytest.mark.usefixtures("few")
def test_it_ends_when_its_time_is_over(clone: Clone) -> None:
    ticks = iter(range(0, 10_000, 1000))
    with clone.open() as repo:
        before = check_store(repo.cache)
        tidy(repo, clock=lambda: float(next(ticks)))
        assert check_store(repo.cache) == before
