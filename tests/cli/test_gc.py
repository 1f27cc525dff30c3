"""`dver gc`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dver.objects.ids import checksum
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
    assert left.ok("gc") == "nothing to free in the cache: 1 version kept\n"
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


@pytest.fixture
def shared(dataset: Cli, git: GitCommand) -> Cli:
    """A dataset whose remote has a version that nothing names any more."""
    dataset.ok("remote", "add", "origin", str(dataset.folder.parent / "there"))
    git("commit", "--quiet", "--all", "-m", "A remote")
    _push_and_drop(dataset, git)
    return dataset


def _push_and_drop(dataset: Cli, git: GitCommand) -> str:
    """Push a version and take its commit out of the world; return the version."""
    dataset.ok("push")
    dataset.write("data/b.txt", "something else " * 1000)
    dataset.ok("add", "data")
    git("commit", "--quiet", "--all", "-m", "More")
    dataset.ok("push")
    version = str(dataset("log", "data", "--json").json["versions"][0]["version"])
    git("reset", "--quiet", "--hard", "HEAD~1")
    dataset.ok("checkout", "--force", "data")
    git("reflog", "expire", "--expire=now", "--all")
    (dataset.folder / ".git" / "ORIG_HEAD").unlink()
    return version


def test_a_remote_is_cleaned_in_two_steps(shared: Cli) -> None:
    planned = shared.ok("gc", "--remote", "--dry-run")
    assert "would list  b3:" in planned
    assert "nothing of it is deleted before" in planned
    listed = shared.ok("gc", "--remote", "origin", "--grace", "0")
    assert "listed  b3:" in listed
    assert "would delete  b3:" in shared.ok("gc", "-r", "origin", "--dry-run")
    swept = shared.ok("gc", "--remote", "origin")
    assert "deleted  b3:" in swept
    assert "on origin; 1 version kept" in swept
    assert shared.ok("gc", "--remote") == "nothing to free on origin: 1 version kept\n"
    assert shared("fsck", "--remote", "origin", "--json").json["sound"]


def test_what_is_listed_waits_and_can_be_taken_back(shared: Cli) -> None:
    shared.ok("gc", "--remote")
    assert "listed earlier; the first may go after 20" in shared.ok("gc", "--remote")
    assert "would take back the list of 20" in shared.ok("gc", "--remote", "--undelete", "--dry-run")
    assert "took back the list of 20" in shared.ok("gc", "--remote", "--undelete")
    assert "would list" in shared.ok("gc", "--remote", "--dry-run")


def test_json_of_a_remote_has_lists_repositories_and_what_was_freed(shared: Cli) -> None:
    (listed,) = shared("gc", "--remote", "--grace", "0", "--json").json["listed"]
    done = shared("gc", "--remote", "--json").json
    assert [one["name"] for one in done["swept"]] == [listed["name"]]
    assert done["swept"][0]["versions"] == listed["versions"]
    assert done["freed"] > 0
    assert [(one["name"], one["versions"]) for one in done["repositories"]] == [(shared.folder.name, 1)]


@pytest.mark.parametrize(
    "words",
    [
        ["gc", "--undelete"],
        ["gc", "--pushed", "--remote", "origin", "--grace", "3"],
        ["gc", "--remote", "--undelete", "--grace", "3"],
        ["gc", "--remote", "--force"],
        ["gc", "--remote", "--grace", "-1"],
        ["gc", "--remote", "--forget", "4917"],
    ],
)
def test_options_that_say_nothing_together_are_refused(shared: Cli, words: list[str]) -> None:
    shared.fails(2, *words)


def test_a_repository_that_is_gone_is_told_of_and_forgotten(shared: Cli) -> None:
    (other,) = (shared.folder.parent / "there/roots").iterdir()
    identity = "ab" * 16 + "-" + "cd" * 8
    text = other.read_text().replace(other.name[:49], identity).replace(shared.folder.name, "elsewhere")
    path = other.with_name(f"{identity}-{checksum(text.encode()):016x}.json")
    path.write_text(text)
    os.utime(path, (0, path.stat().st_mtime - 100 * 86_400))
    said = shared("gc", "--remote").err
    assert "elsewhere on " in said
    assert "said nothing new for 100 days" in said
    assert "dver gc --remote origin --forget abababababab" in said
    assert "forgot elsewhere on" in shared.ok("gc", "--remote", "origin", "--forget", "abababababab")
    assert not path.exists()


def test_a_copy_and_its_original_are_told_apart(shared: Cli) -> None:
    (other,) = (shared.folder.parent / "there/roots").iterdir()
    for place in ("11" * 8, "22" * 8):
        identity = f"{other.name[:32]}-{place}"
        text = other.read_text().replace(other.name[:49], identity).replace('"problem": ""', '"problem": "bad"')
        path = other.with_name(f"{identity}-{checksum(text.encode()):016x}.json")
        path.write_text(text)
        os.utime(path, (0, path.stat().st_mtime - 100 * 86_400))
    assert "is several" in shared.fails(2, "gc", "--remote", "--forget", other.name[:12])
    assert "is this one" in shared.fails(2, "gc", "--remote", "--forget", other.name[:49])
    for place in ("11" * 8, "22" * 8):
        result = shared("gc", "--remote", "--dry-run")
        assert f"in the way    {shared.folder.name} on " in result.out
        command = f"dver gc --remote origin --forget {other.name[:32]}-{place}"
        assert command in result.err
        shared(*command.split()[1:])
    assert shared.ok("gc", "--remote", "--dry-run")


def test_an_encrypted_remote_is_cleaned_and_shows_nothing_of_it(
    dataset: Cli, git: GitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVER_PASSPHRASE", "correct horse battery")
    top = dataset.folder.parent / "sealed"
    dataset.ok("remote", "add", "sealed", str(top), "--encrypt")
    dataset.ok("remote", "default", "sealed")
    git("commit", "--quiet", "--all", "--allow-empty", "-m", "A remote")
    gone = _push_and_drop(dataset, git)

    dataset.ok("gc", "--remote", "--grace", "0")

    files = [path for path in top.rglob("*") if path.is_file()]
    assert {path.relative_to(top).parts[0] for path in files} >= {"gc", "roots"}
    shown = b"".join(os.fsencode(path.relative_to(top)) + path.read_bytes() for path in files)
    for word in (gone.removeprefix("b3:"), '"versions"', '"packs"', '"host"'):
        assert word.encode() not in shown
    assert f"deleted  {gone[:15]}" in dataset.ok("gc", "--remote")


def test_undelete_and_forget_are_two_questions(cli: Cli) -> None:
    assert "none can be forgotten" in cli.fails(2, "gc", "--remote", "--undelete", "--forget", "0")


def test_where_nothing_is_listed_there_is_nothing_to_take_back(two_versions: Cli, tmp_path: Path) -> None:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    two_versions.ok("push", "--all")
    assert two_versions.ok("gc", "--remote", "--undelete") == "nothing is listed on origin\n"


def test_says_who_pushes_to_the_cache_and_keeps_what(two_versions: Cli, tmp_path: Path) -> None:
    cache = two_versions.folder / ".dver" / "cache"
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "cb")], check=True)
    other = Cli(tmp_path / "cb")
    other.ok("init")
    (other.folder / "data").write_text("theirs")
    other.ok("add", "data")
    other.ok("remote", "add", "ca", str(cache))
    other.ok("push")
    (said,) = (cache / "roots").iterdir()

    result = two_versions("gc", "--dry-run")
    assert result.code == 0
    assert "1 version kept for the repository cb on " in result.err
    assert f"dver gc --forget roots/{said.name}" in result.err
    (shown,) = two_versions("gc", "--json").json["pushing_here"]
    assert (shown["key"], shown["name"], shown["only_versions"]) == (f"roots/{said.name}", "cb", 1)

    said.chmod(0o644)
    said.write_text("damaged")
    result = two_versions("gc")
    assert result.code == 1
    assert f"in the way    a repository that pushes here (roots/{said.name}): its file cannot be read" in result.out
    assert "dver push there says anew" in result.err
    damaged = two_versions("fsck")
    assert f"dver gc --forget roots/{said.name}, then dver push in that repository" in damaged.out
    forgot = two_versions.ok("gc", "--forget", f"roots/{said.name}")
    assert "forgot the repository" in forgot
    assert "named by nothing" in forgot
