"""A cache with many small packs and index files is made tidy by itself."""

from collections.abc import Callable
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


def ending(after: int) -> Callable[[], float]:
    """Return a clock by which the time is over once it was looked at so many times, beside the first."""
    looks = iter([0.0] * (after + 1))
    return lambda: next(looks, 1000.0)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("groups", "left"), [(0, (6, 6)), (1, (5, 5)), (2, (4, 4)), (3, (3, 3))])
def test_it_ends_when_its_time_is_over(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, groups: int, left: tuple[int, int]
) -> None:
    # Two packs at a time.
    monkeypatch.setattr("dver.operations.gc_auto._AT_ONCE", 12_000)
    with clone.open() as repo:
        before = check_store(repo.cache)
        tidy(repo, clock=ending(groups))
        assert check_store(repo.cache) == before
    assert counts(clone) == left


@pytest.mark.parametrize(("groups", "left"), [(0, 6), (1, 5), (2, 4), (9, 3)])
def test_index_files_are_left_when_its_time_is_over(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, groups: int, left: int
) -> None:
    monkeypatch.setattr("dver.operations.gc_auto.MANY_INDEX_FILES", 3)
    with clone.open() as repo:
        before = check_store(repo.cache)
        # Two files at a time.
        largest = max(repo.cache.index.file_sizes().values())
        monkeypatch.setattr("dver.operations.gc_auto._INDEX_AT_ONCE", 2 * largest)
        tidy(repo, clock=ending(groups))
        assert check_store(repo.cache) == before
    assert counts(clone) == (6, left)


@pytest.mark.usefixtures("few")
def test_no_more_is_copied_in_one_go_than_may_be(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with clone.open() as repo:
        sizes = list_packs(repo.cache.backend).values()
    monkeypatch.setattr("dver.operations.gc_auto._MOST_BYTES", sum(sizes) - min(sizes))
    assert run(clone)
    # The one that is left stays, and the others became one.
    assert counts(clone)[0] == 2
