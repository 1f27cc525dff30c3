"""Every finding of fsck says what it is about, what it touches, and a command that puts it right."""

import shlex
from pathlib import Path

import pytest

from dver.operations import fsck_extent, fsck_lineage
from dver.operations.fsck import fsck
from dver.operations.fsck_results import Damage, FsckOptions
from tests.clones import Clone, noise
from tests.unit.operations.damage import damage, store_files

_BAD = b"# dver pointer\nformat = 1\n"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "repo")
    for seed in (1, 2):
        made.write("data/a", noise(5000, seed))
        made.save(message=f"version {seed}")
    return made


def check(clone: Clone, *, repair: bool = False) -> list[Damage]:
    with clone.open() as repo:
        return list(fsck(repo, options=FsckOptions(repair=repair)).damages)


def cache(clone: Clone) -> Path:
    return clone.root / ".dver" / "cache"


def head(clone: Clone) -> str:
    return clone.git("rev-parse", "HEAD").strip()


def test_packs_in_no_index_file_are_named_with_the_datasets_that_need_them(clone: Clone) -> None:
    newest = max(store_files(cache(clone), "index"), key=lambda file: file.stat().st_mtime_ns)
    newest.unlink()
    (found,) = check(clone)
    packs = [str(file.relative_to(cache(clone))) for file in store_files(cache(clone), "packs")]
    assert (found.thing, found.problem) == ("index", "unlisted")
    assert sum(pack in found.detail for pack in packs) == 1
    assert [(one.dataset, one.commits) for one in found.effects] == [("data", (head(clone),))]
    assert found.remedy == "dver fsck --repair"


def test_of_many_packs_in_no_index_file_a_few_are_named_and_the_others_counted(clone: Clone) -> None:
    for seed in range(3, 9):
        clone.write("data/a", noise(5000, seed))
        clone.save(message=f"version {seed}")
    for file in store_files(cache(clone), "index"):
        file.unlink()
    (found,) = check(clone)
    assert found.detail.count("packs/") == 5
    assert found.detail.endswith("more")
    assert len(found.effects) == 8


def test_a_damaged_index_file_says_which_packs_nothing_else_lists(clone: Clone) -> None:
    newest = max(store_files(cache(clone), "index"), key=lambda file: file.stat().st_mtime_ns)
    damage(newest, "flipped in the middle")
    (found,) = check(clone)
    assert (found.thing, found.problem) == ("index", "damaged")
    assert "in no other index file: packs/" in found.detail
    assert [one.dataset for one in found.effects] == ["data"]


def test_of_very_many_versions_it_says_that_more_may_be_touched(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck_extent, "MOST_ASKED", 1)
    for file in store_files(cache(clone), "index"):
        file.unlink()
    (found,) = check(clone)
    assert (len(found.effects), found.extent) == (1, "these versions, and maybe some of 1 more")


def test_the_description_touches_everything_in_words(clone: Clone) -> None:
    damage(cache(clone) / "dver-store.json", "emptied")
    (found,) = check(clone)
    assert (found.thing, found.effects) == ("description", ())
    assert found.extent.startswith("everything in the store")


def run_each(clone: Clone, remedy: str) -> None:
    for command in remedy.split(", then "):
        _, *arguments = shlex.split(command)
        clone.git(*arguments, *(["--quiet", "-m", "mend"] if arguments == ["commit"] else []))


def test_a_damaged_pointer_of_head_is_named_with_the_commit_and_mended_by_the_remedy(clone: Clone) -> None:
    good, before = clone.pointer_text(), head(clone)
    clone.write("data.dver", _BAD)
    clone.commit("bad")
    clone.write("notes", b"more")
    clone.git("add", "notes")
    clone.commit("later")
    (found,) = check(clone)
    assert [(one.dataset, one.version, one.commits) for one in found.effects] == [("data", None, (head(clone),))]
    assert found.remedy == f"git checkout {before[:7]} -- data.dver, then git commit"
    run_each(clone, found.remedy)
    assert clone.pointer_text() == good
    assert check(clone) == []


def test_a_damaged_pointer_of_another_branch_is_mended_there(clone: Clone) -> None:
    before = head(clone)
    clone.git("switch", "--quiet", "-c", "side")
    clone.write("data.dver", _BAD)
    clone.commit("bad")
    tip = head(clone)
    clone.git("switch", "--quiet", "main")
    (found,) = check(clone)
    assert found.where == f"branch side at {tip[:7]}"
    assert found.remedy == f"git switch side, then git checkout {before[:7]} -- data.dver, then git commit"
    run_each(clone, found.remedy)
    assert check(clone) == []


def test_a_pointer_that_was_spoiled_in_the_working_tree_comes_back_from_the_last_commit(clone: Clone) -> None:
    clone.write("data.dver", _BAD)
    (found,) = check(clone)
    assert (found.where, found.remedy) == ("working tree", f"git checkout {head(clone)[:7]} -- data.dver")
    run_each(clone, found.remedy)
    assert check(clone) == []


def test_a_pointer_that_never_was_whole_is_to_be_made_anew(clone: Clone) -> None:
    clone.write("other dir/x.dver", _BAD)
    (found,) = check(clone)
    assert found.remedy == "rm 'other dir/x.dver', then dver add 'other dir/x'"


# The lineage file

_FILE = ".dver/lineage.jsonl"


def commit_lineage(clone: Clone, text: bytes) -> str:
    clone.write(_FILE, text)
    clone.git("add", "--force", _FILE)
    clone.commit("lineage")
    return head(clone)[:7]


def test_a_broken_line_is_found_wherever_it_is_and_told_of_once(clone: Clone) -> None:
    tip = commit_lineage(clone, b"no record\n")
    (found,) = check(clone)
    assert found.where == f"line 1 in the working tree, what is staged, branch main at {tip}"
    assert found.extent == "the record on that line only: no data"


def test_a_broken_line_on_another_branch_or_tag_is_named_with_the_commit(clone: Clone) -> None:
    clone.git("switch", "--quiet", "-c", "side")
    side = commit_lineage(clone, b"\nno record\n")
    clone.git("tag", "v1")
    clone.git("switch", "--quiet", "main")
    (found,) = check(clone)
    assert found.where in (f"line 2 in branch side at {side}", f"line 2 in tag v1 at {side}")
    clone.git("tag", "-d", "v1")
    (found,) = check(clone)
    assert found.remedy.startswith(f"git switch side, then git log -p {_FILE} ")
    clone.git("branch", "-D", "side")
    assert check(clone) == []


def test_a_broken_line_that_is_only_staged_is_found(clone: Clone) -> None:
    clone.write(_FILE, b"no record\n")
    clone.git("add", "--force", _FILE)
    (clone.root / _FILE).unlink()
    (found,) = check(clone)
    assert found.where == "line 1 in what is staged"


def test_a_lineage_file_with_very_many_broken_lines_or_states_is_not_told_of_for_ever(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsck_lineage, "MOST_LINES", 2)
    clone.write(_FILE, b"no record\n" * 5)
    with clone.open() as repo:
        result = fsck(repo)
    assert (len(result.damages), len(result.notes)) == (2, 1)
    (clone.root / _FILE).unlink()
    monkeypatch.setattr(fsck_lineage, "MOST_BLOBS", 0)
    commit_lineage(clone, b"")
    with clone.open() as repo:
        assert fsck(repo).notes == (f"{_FILE} has very many states on branches and tags: 1 not looked at",)
