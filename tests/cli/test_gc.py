"""`dver gc`."""

import shutil
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand


@pytest.fixture
def left(dataset: Cli, git: GitCommand) -> Cli:
    """A dataset with a version in the cache that nothing names."""
    before = (dataset.folder / "data" / "b.txt").read_bytes()
    dataset.write("data/b.txt", "something else " * 1000)
    dataset.ok("add", "data")
    git("reset", "--quiet", "--hard")
    (dataset.folder / "data" / "b.txt").write_bytes(before)
    dataset.ok("checkout", "data")
    (dataset.folder / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    return dataset


def test_a_dry_run_shows_versions_datasets_and_sizes(left: Cli) -> None:
    shown = left.ok("gc", "--dry-run")
    assert "would delete  b3:" in shown
    assert "data" in shown
    assert "named by nothing" in shown
    assert "would free" in shown
    assert left.ok("gc", "--dry-run") == shown


def test_deletes_says_what_and_then_finds_nothing(left: Cli) -> None:
    assert "deleted  b3:" in left.ok("gc")
    assert left.ok("gc") == "nothing to free: 1 version kept\n"
    shutil.rmtree(left.folder / "data")
    left.ok("checkout", "--force", "data")
    assert (left.folder / "data/b.txt").read_text() == "some text\n"


def test_json_says_the_same(left: Cli) -> None:
    planned = left("gc", "--dry-run", "--json").json
    assert [(one["why"], one["datasets"], one["names"]) for one in planned["versions"]] == [("unnamed", ["data"], [])]
    assert planned["freed"] is None
    done = left("gc", "--json").json
    assert done["versions"] == planned["versions"]
    assert done["freed"] == planned["bytes"]["to_free"] > 0


def test_old_history_is_not_given_up_without_a_remote_or_force(dataset: Cli, git: GitCommand) -> None:
    dataset.write("data/b.txt", "another\n")
    dataset.ok("add", "data")
    git("commit", "--quiet", "--all", "-m", "More")
    git("reflog", "expire", "--expire=now", "--all")
    refused = dataset.fails(3, "gc", "--keep-last", "1")
    assert "would be lost" in refused
    assert "dver push --all" in refused
    assert "old: " in dataset.ok("gc", "--keep-last", "1", "--force")


def test_a_clone_that_is_gone_is_named_and_forgotten_when_told(left: Cli, git: GitCommand, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    left.ok("config", "set", "cache.dir", cache, "--local")
    git("clone", "--quiet", str(left.folder), str(tmp_path / "other"))
    other = Cli(tmp_path / "other")
    other.ok("config", "set", "cache.dir", cache, "--local")
    for one in (left, other):
        one.write("data/b.txt", f"{one.folder}\n")
        one.ok("add", "--force", "data")
    shutil.rmtree(other.folder)
    result = left("gc")
    assert result.code == 1
    assert str(other.folder) in result.out
    assert "is not there any more" in result.out
    assert f"dver gc --forget {other.folder}" in result.err
    forgot = left.ok("gc", "--forget", str(other.folder))
    assert f"forgot the clone at {other.folder}" in forgot
    assert "deleted  b3:" in forgot
    assert "no repository that uses this cache" in left.fails(2, "gc", "--forget", str(other.folder))


def test_a_remote_without_a_question_is_refused(dataset: Cli) -> None:
    assert "dver gc --pushed" in dataset.fails(2, "gc", "-r", "origin")


def test_a_cache_in_a_bucket_is_refused_with_the_way(dataset: Cli) -> None:
    dataset.ok("config", "set", "cache.dir", "memory://a-bucket", "--local")
    assert "dver config set cache.dir NEW-PLACE" in dataset.fails(3, "gc")


def test_small_packs_are_merged_after_an_add_and_that_is_said(dataset: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.operations.gc_auto.MANY_INDEX_FILES", 2)
    said = ""
    for number in range(3):
        dataset.write("data/b.txt", f"number {number}\n")
        said += dataset("add", "data").err
    assert said.count("tidying the cache") == 1
    dataset.write("data/b.txt", "in a hook\n")
    monkeypatch.setattr("dver.operations.gc_auto.MANY_INDEX_FILES", 0)
    monkeypatch.setenv("GIT_INDEX_FILE", str(dataset.folder / ".git" / "index"))
    assert "tidying" not in dataset("add", "data").err


def test_force_without_old_history_is_refused(dataset: Cli) -> None:
    assert "dver gc --keep-last N --force" in dataset.fails(2, "gc", "--force")


def test_pushed_without_a_remote_is_refused_with_the_way(dataset: Cli) -> None:
    assert "dver remote add" in dataset.fails(2, "gc", "--pushed")


def test_a_word_for_a_number_is_refused_plainly(dataset: Cli) -> None:
    assert "'x' is not a valid whole number" in dataset.fails(2, "gc", "--keep-last", "x")
    assert "'x' is not a valid number" in dataset.fails(2, "gc", "--keep-days", "x")


def test_garbage_that_stays_in_a_pack_is_explained(
    dataset: Cli, git: GitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.storage.sweep.SMALL_PACK", 0)
    monkeypatch.setattr("dver.storage.sweep.GARBAGE_SHARE", 2)
    before = (dataset.folder / "data" / "b.txt").read_bytes()
    dataset.write("data/c.txt", "stays\n")
    dataset.write("data/b.txt", "goes\n")
    dataset.ok("add", "data")
    (dataset.folder / "data" / "b.txt").write_bytes(before)
    dataset.ok("add", "data")
    git("commit", "--quiet", "--all", "-m", "More")
    said = dataset("gc")
    assert "freed 0 bytes" in said.out
    assert "a pack is packed anew when a quarter of it is garbage" in said.err
