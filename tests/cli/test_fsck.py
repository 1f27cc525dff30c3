"""`dver fsck`: what it prints, what it exits with, and the document that it writes."""

import shutil
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand
from tests.unit.operations.damage import damage, store_files


def pack_in(top: Path) -> Path:
    return max(store_files(top, "packs"), key=lambda file: file.stat().st_size)


@pytest.fixture
def cache(shared: Cli) -> Path:
    return shared.folder / ".dver" / "cache"


@pytest.fixture
def store(shared: Cli, tmp_path: Path) -> Path:
    """The remote's folder."""
    assert shared.folder.is_dir()
    return tmp_path / "store"


def test_a_sound_store_is_one_line(shared: Cli) -> None:
    assert shared.ok("fsck").startswith("checked the cache (2 packs, ")
    out = shared.ok("fsck", "--remote", "origin", "--full")
    assert out.startswith("checked remote origin (")
    assert out.endswith(": sound\n")
    assert shared.ok("fsck", "-q") == ""


def test_a_finding_says_what_is_damaged_what_it_touches_and_what_helps(
    shared: Cli, cache: Path, git: GitCommand
) -> None:
    for pack in store_files(cache, "packs"):
        damage(pack, "deleted")
    result = shared("fsck")
    assert result.code == 1
    lines = result.out.splitlines()
    (first, *_) = (line for line in lines if line.startswith("pack missing: packs/"))
    assert "objects lost with it" in first
    commits = {line[:7] for line in git("log", "--format=%H").splitlines()}
    touched = [line for line in lines if line.startswith("    touches data at b3:")]
    assert touched
    assert any(commit in line for line in touched for commit in commits)
    assert "    to repair: dver fsck --repair" in lines
    assert lines[-1].endswith(": 2 findings")


def test_a_repair_says_what_came_from_where(shared: Cli, cache: Path, store: Path) -> None:
    pack = pack_in(cache)
    damage(pack, "deleted")
    shutil.rmtree(shared.folder / "data")
    result = shared("fsck", "--repair")
    assert result.code == 0
    assert "to repair:" not in result.out
    assert f"objects from remote origin ({store})\n" in result.out
    assert "made 1 index file true\n" in result.out
    assert result.out.endswith(": 1 finding, all repaired\n")
    assert shared.ok("fsck").endswith(": sound\n")


def test_what_cannot_be_repaired_is_listed_and_exits_with_1(shared: Cli, cache: Path, store: Path) -> None:
    shutil.rmtree(store)
    shutil.rmtree(shared.folder / "data")
    for pack in store_files(cache, "packs"):
        damage(pack, "cut in half")
    result = shared("fsck", "--repair")
    assert result.code == 1
    assert "Not repaired:\nversion incomplete: b3:" in result.out
    assert "set aside: quarantine/packs/" in result.out
    assert result.out.endswith("not repaired\n")


def test_the_document_has_findings_and_the_repair(shared: Cli, cache: Path) -> None:
    assert shared("fsck", "--json").json["sound"] is True
    damage(pack_in(cache), "flipped in the middle")
    found = shared("fsck", "--json")
    assert found.code == 1
    (finding,) = found.json["findings"]
    assert (finding["thing"], finding["problem"], finding["remedy"]) == ("pack", "damaged", "dver fsck --repair")
    assert found.json["repair"] is None
    repaired = shared("fsck", "--repair", "--json").json
    assert (repaired["sound"], len(repaired["findings"]), repaired["repair"]["left"]) == (True, 1, [])


def test_what_was_checked_lately_is_left_out_with_max_age(shared: Cli) -> None:
    assert shared("fsck", "--json").json["checked"]["packs_read"] == 2
    again = shared("fsck", "--max-age", "1h", "--json").json["checked"]
    assert (again["packs_read"], again["packs_remembered"], again["bytes"]) == (0, 2, 0)
    # A closer look was not taken yet.
    assert shared("fsck", "--full", "--max-age", "1h", "--json").json["checked"]["packs_read"] == 2
    assert shared("fsck", "--max-age", "1h", "--json").json["checked"]["packs_read"] == 0


def test_a_sample_reads_a_part_and_another_one_the_next_time(shared: Cli) -> None:
    for _ in range(2):
        assert shared("fsck", "--sample", "50%", "--json").json["checked"]["packs_read"] == 1
    assert shared("fsck", "--max-age", "1h", "--json").json["checked"]["packs_read"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quick", "--full"],
        ["--sample", "0%"],
        ["--sample", "101%"],
        ["--sample", "x"],
        ["--max-age", "7"],
        ["--from", "."],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(shared: Cli, arguments: list[str]) -> None:
    assert shared.fails(2, "fsck", *arguments)


def test_a_remote_that_is_not_there_is_an_error(shared: Cli, store: Path) -> None:
    assert "there is no remote named 'other'" in shared.fails(3, "fsck", "--remote", "other")
    shutil.rmtree(store)
    assert "there is no store" in shared.fails(3, "fsck", "--remote", "origin")


def test_a_pointer_is_named_from_where_the_user_is(shared: Cli) -> None:
    shared.write("deep/x", "x")
    shared.write("data.dver", "# dver pointer: of nothing\n")
    out = shared.at("deep")("fsck").out
    assert "pointer damaged: ../data.dver, working tree: not a dver pointer" in out


def test_a_repair_looks_in_a_folder_that_is_named_from_where_the_user_is(shared: Cli, cache: Path, store: Path) -> None:
    store.rename(store.parent / "moved")
    shutil.rmtree(shared.folder / "data")
    for pack in store_files(cache, "packs"):
        pack.unlink()
    assert shared("fsck", "--repair").code == 1
    shared.write("deep/x", "x")
    out = shared.at("deep").ok("fsck", "--repair", "--from", "../../" + str((store.parent / "moved").name))
    assert f"from another store ({store.parent / 'moved'})" in out
