"""Parts of datasets that are chosen by patterns: what comes, what goes, what is remembered, and what is refused."""

from pathlib import Path

import pytest

from dver.errors import DataLossError, PathError
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.push import TransferResult, fetch, wanted_versions
from dver.operations.resolve import checkout_merging
from dver.operations.selection import check_fetched, choose_wanted
from dver.operations.status import State
from dver.workspace.choice import Choice, Patterns, Rule
from tests.clones import Clone, noise

CSV = Patterns(("*.csv",))


@pytest.fixture
def tables(tmp_path: Path) -> Clone:
    """A repository with a remote that has a dataset of tables and other files, and one that is a single file."""
    made = Clone.make(tmp_path / "first", remote=tmp_path / "remote")
    for name in ("a.csv", "b.bin", "old/a.csv", "old/b.bin", "new/a.csv"):
        made.write(f"data/{name}", noise(3000, len(name)) + name.encode())
    made.write("one.csv", b"single")
    made.save("data", "one.csv", message="first")
    made.push()
    return made


@pytest.fixture
def other(tables: Clone, tmp_path: Path) -> Clone:
    """A clone without data."""
    return tables.clone(tmp_path / "other")


def narrow(clone: Clone, patterns: Patterns, *paths: str, force: bool = False) -> CheckoutPlan:
    with clone.open() as repo:
        return checkout(repo, None, paths, options=CheckoutOptions(force=force, patterns=patterns))


def fetch_part(clone: Clone, patterns: Patterns, *paths: str) -> TransferResult:
    with clone.open() as repo:
        wanted = choose_wanted(repo, wanted_versions(repo, paths), patterns, is_named=bool(paths))
        result = fetch(repo, wanted)
        check_fetched(repo, wanted, patterns)
        return result


def names(clone: Clone) -> list[str]:
    return [path.decode() for path in sorted(clone.data())]


def test_only_what_fits_comes(other: Clone) -> None:
    narrow(other, Patterns(("*.csv",), ("old/",)))

    assert names(other) == ["a.csv", "new/a.csv"]
    # A dataset that is one file has no part to choose.
    assert not (other.root / "one.csv").exists()
    found = other.status()
    assert (found.state, found.partial, found.files_here) == (State.UNCHANGED, True, 2)
    assert found.choice == Choice((Rule(True, b"", "*.csv"), Rule(False, b"", "old/")))


def test_only_what_fits_is_fetched(other: Clone, tables: Clone) -> None:
    fetched = fetch_part(other, Patterns(("new/*",)), "data")
    narrow(other, Patterns(("new/*",)), "data")

    whole = tables.clone(other.root.parent / "third").fetch("data")
    assert fetched.sent.bytes < whole.sent.bytes / 2
    assert fetch_part(other, Patterns(("new/*",)), "data").sent.objects == 0
    # A fetch is no choice.
    assert other.status().choice == Choice((Rule(True, b"", "new/*"),))


def test_a_new_version_brings_what_the_choice_covers_and_nothing_else(tables: Clone, other: Clone) -> None:
    narrow(other, CSV, "data")
    for name in ("a.csv", "b.bin", "more.csv", "more.bin"):
        tables.write(f"data/{name}", noise(3000, 9) + name.encode())
    (tables.root / "data" / "old" / "a.csv").unlink()
    tables.save(message="second")
    tables.push()
    other.git("pull", "--quiet")

    fetched = fetch_part(other, Patterns())
    other.checkout()

    assert names(other) == ["a.csv", "more.csv", "new/a.csv"]
    assert other.data()[b"a.csv"] == tables.data()[b"a.csv"]
    assert fetched.parts == 1
    assert other.status().state is State.UNCHANGED
    other.checkout("HEAD~1")
    assert names(other) == ["a.csv", "new/a.csv", "old/a.csv"]


def test_a_whole_dataset_is_narrowed_and_made_whole_again(tables: Clone) -> None:
    before = tables.data()

    plan = narrow(tables, CSV, "data").datasets[0]

    assert sorted(plan.deletes) == [b"b.bin", b"old/b.bin"]
    assert names(tables) == ["a.csv", "new/a.csv", "old/a.csv"]
    assert tables.status().state is State.UNCHANGED
    tables.checkout()
    assert names(tables) == ["a.csv", "new/a.csv", "old/a.csv"]
    tables.checkout(None, "data")
    assert tables.data() == before
    assert tables.status().choice is None


def test_all_datasets_are_made_whole_without_naming_them(tables: Clone) -> None:
    narrow(tables, CSV, "data")

    with tables.open() as repo:
        checkout_merging(repo, options=CheckoutOptions(whole=True))

    assert len(names(tables)) == 5
    assert not tables.status().partial


def test_changed_files_do_not_go(tables: Clone) -> None:
    tables.write("data/b.bin", b"changed here")
    tables.write("data/mine.bin", b"new here")

    with pytest.raises(DataLossError) as caught:
        narrow(tables, CSV, "data")

    assert caught.value.paths == ("data/b.bin",)
    assert len(names(tables)) == 6
    narrow(tables, CSV, "data", force=True)
    assert names(tables) == ["a.csv", "mine.bin", "new/a.csv", "old/a.csv"]


def test_files_whose_content_is_nowhere_else_do_not_go(tables: Clone) -> None:
    tables.delete_cache()
    (tables.root.parent / "remote" / "versions").rename(tables.root.parent / "gone")

    with pytest.raises(DataLossError):
        narrow(tables, CSV, "data")

    assert len(names(tables)) == 5


def test_absent_files_are_in_no_danger(other: Clone) -> None:
    narrow(other, CSV, "data/new")
    other.write("data/new/mine.csv", b"not pushed")
    other.add()

    narrow(other, Patterns(("b.bin", "mine.*")), "data")

    assert names(other) == ["b.bin", "new/mine.csv", "old/b.bin"]


def test_a_folder_is_narrowed_by_itself(tables: Clone) -> None:
    narrow(tables, Patterns((), ("*.bin",)), "data/old")

    assert names(tables) == ["a.csv", "b.bin", "new/a.csv", "old/a.csv"]


def test_a_deleted_file_is_told_from_one_that_is_absent_by_choice(other: Clone) -> None:
    narrow(other, CSV, "data")
    (other.root / "data" / "new" / "a.csv").unlink()

    found = other.status()

    assert (found.state, found.changes.deleted, found.files_here) == (State.MODIFIED, ("new/a.csv",), 2)
    other.checkout()
    assert other.status().state is State.UNCHANGED


def test_a_choice_outlives_its_files(other: Clone) -> None:
    narrow(other, CSV, "data")
    for name in ("new", "old"):
        (other.root / "data" / name / "a.csv").unlink()
        (other.root / "data" / name).rmdir()
    (other.root / "data" / "a.csv").unlink()
    (other.root / "data").rmdir()
    assert other.status().state is State.NOT_CHECKED_OUT

    other.checkout()

    assert names(other) == ["a.csv", "new/a.csv", "old/a.csv"]


def test_a_file_made_here_outside_of_the_choice_follows_once_it_is_added(tables: Clone, other: Clone) -> None:
    narrow(other, CSV, "data")
    other.write("data/mine.bin", b"1")
    other.save(message="mine")
    other.push()
    tables.git("pull", "--quiet", str(other.root), "main")
    tables.pull()
    tables.write("data/mine.bin", b"2")
    tables.save(message="theirs")
    tables.push()
    other.git("pull", "--quiet", str(tables.root), "main")

    fetch_part(other, Patterns())
    other.checkout()

    assert other.data()[b"mine.bin"] == ("file", b"2")
    assert names(other) == ["a.csv", "mine.bin", "new/a.csv", "old/a.csv"]


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("*.parquet", "dver ls -R data"), ("data/old/*", "relative to the dataset: --include 'old/*'")],
)
def test_a_pattern_that_matches_nothing_is_refused(other: Clone, pattern: str, hint: str) -> None:
    for act in (narrow, fetch_part):
        with pytest.raises(PathError, match="matches nothing in data") as caught:
            act(other, Patterns((pattern,)), "data")
        assert caught.value.hint is not None
        assert hint in caught.value.hint
    assert other.status().state is State.NOT_CHECKED_OUT
    assert other.status().choice is None


def test_a_single_file_cannot_be_narrowed(other: Clone) -> None:
    for act in (narrow, fetch_part):
        with pytest.raises(PathError, match="single file"):
            act(other, CSV, "one.csv")


def test_a_path_that_is_in_no_version_cannot_be_fetched(other: Clone) -> None:
    with pytest.raises(PathError, match="is not in the dataset data"):
        fetch_part(other, Patterns(), "data/nothing")


def test_what_is_in_the_cache_needs_no_remote(other: Clone) -> None:
    narrow(other, CSV, "data")
    (other.root.parent / "remote").rename(other.root.parent / "gone")

    assert fetch_part(other, Patterns(), "data/new").sent.objects == 0
    other.checkout(None, "data/new")
