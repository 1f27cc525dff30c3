"""The commits that changed one file, across renames, merges and the border of a shallow clone."""

from datetime import timedelta
from pathlib import Path

import pytest

from dver.errors import GitError
from dver.git import GitRepo
from dver.git.history import HistoryItem
from tests.commands import GitCommand
from tests.unit.git.workbench import FIRST_SECOND, Workbench, odd_name

LINES = [f"line {number} of a file\n" for number in range(20)]
TEXT = "".join(LINES)
EDITED = "".join([*LINES[:-2], "something else\n", "and more\n"])


def _history(bench: Workbench, path: str, root: Path | None = None) -> list[HistoryItem]:
    repo = GitRepo.find(root or bench.root)
    return list(repo.history(path, start=repo.resolve("HEAD")))


def _subjects(bench: Workbench, path: str, root: Path | None = None) -> list[str]:
    return [item.subject for item in _history(bench, path, root)]


def test_history_lists_changes_newest_first_and_nothing_else(bench: Workbench) -> None:
    first = bench.commit("one", {"d/f.dver": "1"})
    bench.commit("elsewhere", {"other": "x"})
    third = bench.commit("three", {"d/f.dver": "3"})
    bench.commit("elsewhere again", {"other": "y"})
    items = _history(bench, "d/f.dver")
    assert [(item.commit, item.subject, item.path, item.blob) for item in items] == [
        (third, "three", "d/f.dver", b"3"),
        (first, "one", "d/f.dver", b"1"),
    ]


def test_history_items_say_who_and_when(bench: Workbench) -> None:
    bench.commit("A subject\nof two lines\n\nThe body.", {"f": "1"})
    (item,) = _history(bench, "f")
    assert item.author == "A Tester"
    assert item.subject == "A subject of two lines"
    assert item.when.timestamp() == FIRST_SECOND
    assert item.when.utcoffset() == timedelta(hours=2)


def test_history_survives_commits_with_damaged_fields(bench: Workbench) -> None:
    tree = bench.git("write-tree").strip()
    bench.commit("root")
    bench.write("f", "1")
    bench.git("add", "f")
    tree = bench.git("write-tree").strip()
    body = b"author \xff\xfe <a@b> 99999999999999 +9999\ncommitter C <c@d> 1 +0000\nencoding no-such\n\n\xff subject\n"
    raw = bench.root.parent / "raw"
    raw.write_bytes(f"tree {tree}\nparent {bench.head()}\n".encode() + body)
    bench.git("reset", "--quiet", "--soft", bench.git("hash-object", "-w", "--literally", "-t", "commit", raw).strip())
    (item,) = _history(bench, "f")
    assert item.author == "\ufffd\ufffd"
    assert item.subject == "\ufffd subject"
    assert item.when.tzinfo is not None


def test_history_of_an_unknown_path_is_empty(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    assert _history(bench, "nothing/here") == []


def test_history_has_deletions_and_earlier_lives(bench: Workbench) -> None:
    bench.commit("one", {"f": "1"})
    (bench.root / "f").unlink()
    bench.commit("gone")
    bench.commit("elsewhere", {"g": "x"})
    bench.commit("back", {"f": "2"})
    assert [(item.subject, item.blob) for item in _history(bench, "f")] == [
        ("back", b"2"),
        ("gone", None),
        ("one", b"1"),
    ]


@pytest.mark.parametrize("content", [TEXT, EDITED])
def test_history_follows_renames(bench: Workbench, content: str) -> None:
    bench.commit("one", {"old/f.dver": TEXT})
    bench.commit("decoy", {"old/g.dver": "unlike\n" * 30, "old/f.txt": TEXT})
    bench.git("rm", "--quiet", "old/g.dver", "old/f.txt", "old/f.dver")
    bench.commit("renamed", {"new/h.dver": content})
    bench.commit("later", {"new/h.dver": "all new"})
    assert [(item.subject, item.path) for item in _history(bench, "new/h.dver")] == [
        ("later", "new/h.dver"),
        ("renamed", "new/h.dver"),
        ("one", "old/f.dver"),
    ]


def test_history_prefers_the_same_name_among_equal_contents(bench: Workbench) -> None:
    bench.commit("twins", {"a/first.dver": TEXT, "b/second.dver": TEXT})
    bench.git("rm", "--quiet", "-r", "a", "b")
    bench.commit("moved", {"c/first.dver": TEXT, "c/second.dver": TEXT})
    assert [item.path for item in _history(bench, "c/second.dver")] == ["c/second.dver", "b/second.dver"]


def test_history_follows_names_that_are_not_utf8(bench: Workbench) -> None:
    old, new = odd_name(b"\xff.dver"), odd_name(b"caf\xe9/\xfe.dver")
    bench.commit("one", {old: TEXT})
    (bench.root / old).unlink()
    bench.commit("renamed", {new: EDITED})
    assert [item.path for item in _history(bench, new)] == [new, old]


def test_history_of_the_old_name_ends_in_a_deletion(bench: Workbench) -> None:
    bench.commit("one", {"old.dver": TEXT})
    bench.git("mv", "old.dver", "new.dver")
    bench.commit("renamed")
    assert [(item.subject, item.blob is None) for item in _history(bench, "old.dver")] == [
        ("renamed", True),
        ("one", False),
    ]


def test_history_follows_only_the_side_of_a_merge_that_has_the_content(bench: Workbench) -> None:
    bench.commit("base", {"f": "base"})
    bench.git("checkout", "--quiet", "-b", "side")
    bench.commit("on the side", {"f": "side"})
    bench.git("checkout", "--quiet", "main")
    bench.commit("on main", {"g": "x"})
    bench.merge("side")
    assert _subjects(bench, "f") == ["on the side", "base"]


def test_history_has_a_merge_that_made_new_content(bench: Workbench) -> None:
    bench.commit("base", {"f": TEXT})
    bench.git("checkout", "--quiet", "-b", "side")
    bench.commit("on the side", {"f": "begun\n" + TEXT})
    bench.git("checkout", "--quiet", "main")
    bench.commit("on main", {"f": TEXT + "ended\n"})
    bench.merge("side", "-m", "merged")
    assert _subjects(bench, "f") == ["merged", "on main", "on the side", "base"]


def test_history_agrees_with_git_on_merges(bench: Workbench) -> None:
    bench.commit("base", {"f": "base"})
    for round_number in range(3):
        bench.git("checkout", "--quiet", "-b", f"side{round_number}")
        bench.commit(f"side {round_number}", {"f": f"side {round_number}", "s": str(round_number)})
        bench.git("checkout", "--quiet", "main")
        bench.commit(f"main {round_number}", {"m": str(round_number)})
        bench.merge(f"side{round_number}")
        bench.commit(f"both {round_number}", {"f": f"both {round_number}"})
    expected = bench.git("log", "--format=%s", "--", "f").splitlines()
    assert _subjects(bench, "f") == expected


def test_history_follows_a_rename_on_one_side_of_a_merge(bench: Workbench) -> None:
    bench.commit("base", {"old.dver": TEXT})
    bench.git("checkout", "--quiet", "-b", "side")
    bench.commit("edited on the side", {"old.dver": EDITED})
    bench.git("checkout", "--quiet", "main")
    bench.git("mv", "old.dver", "new.dver")
    bench.commit("renamed on main")
    bench.merge("side")
    assert (bench.root / "new.dver").read_text() == EDITED
    contents = [item.blob for item in _history(bench, "new.dver")]
    assert contents == [EDITED.encode(), TEXT.encode()]


def test_history_ends_where_a_shallow_clone_does(bench: Workbench, tmp_path: Path, run_git: GitCommand) -> None:
    for number in range(5):
        bench.commit(f"number {number}", {"f": str(number)})
    run_git("clone", "--quiet", "--depth=2", f"file://{bench.root}", tmp_path / "shallow")
    assert _subjects(bench, "f", tmp_path / "shallow") == ["number 4", "number 3"]
    repo = GitRepo.find(tmp_path / "shallow")
    assert not repo.is_revision("HEAD~2")


def test_history_reports_a_missing_parent(bench: Workbench) -> None:
    lost = bench.commit("one", {"f": "1"})
    bench.commit("two", {"f": "2"})
    (bench.root / ".git/objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(GitError, match="missing") as caught:
        _history(bench, "f")
    assert "git fsck" in str(caught.value.hint)


def test_history_needs_a_commit_to_start_from(bench: Workbench) -> None:
    commit = bench.commit("one", {"f": "1"})
    (bench.root / ".git/objects" / commit[:2] / commit[2:]).unlink()
    with pytest.raises(GitError, match="cannot read the history of f"):
        list(bench.repo.history("f", start=commit))
