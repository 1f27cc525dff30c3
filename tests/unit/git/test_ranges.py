"""The commits that are new to somebody, what they change, and where two commits differ."""

import pytest

from dver.errors import GitError
from dver.git import CommitId
from tests.unit.git.workbench import Workbench, odd_name

NOTHING = "0" * 40


def brought(bench: Workbench, starts: list[str], known: list[str]) -> list[tuple[str, str, bytes, tuple[bytes, ...]]]:
    """Return what commits bring: subject, path, content, and contents before."""
    found = bench.repo.changes_leading_to(starts, known, suffix=".dver")
    return [
        (bench.git("log", "-1", "--format=%s", change.commit).strip(), change.path, change.content, change.before)
        for change in found
    ]


def test_only_commits_that_are_not_known_count_newest_first(bench: Workbench) -> None:
    bench.commit("one", {"f.dver": "1"})
    second = bench.commit("two", {"f.dver": "2"})
    bench.commit("three", {"f.dver": "3", "d/g.dver": "g"})
    last = bench.commit("four", {"d/g.dver": "h"})
    assert brought(bench, [last], [second]) == [
        ("four", "d/g.dver", b"h", (b"g",)),
        ("three", "d/g.dver", b"g", ()),
        ("three", "f.dver", b"3", (b"2",)),
    ]
    assert brought(bench, [second], [last]) == []


def test_a_first_commit_brings_all_that_it_has(bench: Workbench) -> None:
    first = bench.commit("one", {"f.dver": "1", "code.py": "x", "d/g.dver": "2", ".dver/h.dver": "3", "d/.dver": "4"})
    assert brought(bench, [first], []) == [("one", "d/g.dver", b"2", ()), ("one", "f.dver", b"1", ())]


def test_deletions_bring_nothing_and_links_are_no_files(bench: Workbench) -> None:
    first = bench.commit("one", {"f.dver": "1", "g.dver": "2"})
    (bench.root / "f.dver").unlink()
    (bench.root / "g.dver").unlink()
    (bench.root / "g.dver").symlink_to("elsewhere")
    last = bench.commit("gone")
    assert brought(bench, [last], [first]) == []
    assert bench.repo.changed_between(first, last, suffix=".dver") == {"f.dver", "g.dver"}


def test_a_changed_mode_brings_nothing(bench: Workbench) -> None:
    first = bench.commit("one", {"f.dver": "1"})
    (bench.root / "f.dver").chmod(0o755)
    last = bench.commit("mode")
    assert brought(bench, [last], [first]) == []
    assert bench.repo.changed_between(first, last, suffix=".dver") == set()


def test_a_merge_brings_only_what_no_parent_has(bench: Workbench) -> None:
    first = bench.commit("base", {"f.dver": "0", "g.dver": "0"})
    bench.git("switch", "--quiet", "-c", "side")
    side = bench.commit("side", {"f.dver": "side"})
    bench.git("switch", "--quiet", "main")
    main = bench.commit("main", {"g.dver": "main"})
    clean = bench.merge("side")
    assert brought(bench, [clean], [side, main]) == []
    bench.git("reset", "--quiet", "--hard", "HEAD~1")
    bench.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
    evil = bench.commit("evil", {"f.dver": "evil"})
    assert brought(bench, [evil], [side, main]) == [("evil", "f.dver", b"evil", (b"0", b"side"))]
    assert [subject for subject, *_ in brought(bench, [evil], [first])] == ["evil", "main", "side"]


def test_tags_stand_for_their_commits(bench: Workbench) -> None:
    first = bench.commit("one", {"f.dver": "1"})
    second = bench.commit("two", {"f.dver": "2"})
    bench.git("tag", "-a", "-m", "a tag", "old", first)
    bench.git("tag", "-a", "-m", "a tag", "new", second)
    old, new = (bench.git("rev-parse", name).strip() for name in ("old", "new"))
    assert old != first
    assert brought(bench, [new], [old]) == [("two", "f.dver", b"2", (b"1",))]


def test_what_is_not_here_or_no_commit_counts_for_nothing(bench: Workbench) -> None:
    bench.commit("one", {"f.dver": "1"})
    bench.git("tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}")
    tree = bench.git("rev-parse", "tree").strip()
    assert brought(bench, [tree, NOTHING, "no id at all"], []) == []
    assert len(brought(bench, [bench.head()], [tree, "1" * 40, NOTHING, "", "no id at all"])) == 1


def test_names_may_be_any_bytes(bench: Workbench) -> None:
    name = odd_name(b"bad\xff\n.dver")
    first = bench.commit("one", {"f": "1"})
    last = bench.commit("two", {name: "1"})
    assert [path for _, path, _, _ in brought(bench, [last], [first])] == [name]
    assert bench.repo.changed_between(first, last, suffix=".dver") == {name}


def test_a_shallow_clone_ends_where_its_history_does(bench: Workbench) -> None:
    for number in range(4):
        bench.commit(f"number {number}", {"f.dver": str(number), "g.dver": "same"})
    root = bench.root.parent / "shallow"
    bench.git("clone", "--quiet", "--depth=2", f"file://{bench.root}", root)
    shallow = Workbench(root, bench.git.at(root), bench.set_variable)
    assert [(subject, path) for subject, path, _, _ in brought(shallow, [shallow.head()], [])] == [
        ("number 3", "f.dver"),
        ("number 2", "f.dver"),
        ("number 2", "g.dver"),
    ]
    new = shallow.commit("mine", {"f.dver": "mine"})
    known: list[str] = [*shallow.repo.remote_heads("origin")]
    assert [subject for subject, *_ in brought(shallow, [new], known)] == ["mine"]


def test_unrelated_histories_have_nothing_in_common(bench: Workbench) -> None:
    first = bench.commit("one", {"f.dver": "1"})
    bench.git("switch", "--quiet", "--orphan", "other")
    last = bench.commit("other", {"f.dver": "2"})
    assert brought(bench, [last], [first]) == [("other", "f.dver", b"2", ())]


def test_commits_differ_in_files_that_changed_came_or_went(bench: Workbench) -> None:
    old = bench.commit("one", {"same.dver": "1", "changed.dver": "1", "d/gone.dver": "1", "code": "1"})
    (bench.root / "d/gone.dver").unlink()
    new = bench.commit("two", {"changed.dver": "2", "e/new.dver": "1", "code": "2", ".dver/x.dver": "1"})
    assert bench.repo.changed_between(old, new, suffix=".dver") == {"changed.dver", "d/gone.dver", "e/new.dver"}
    assert bench.repo.changed_between(new, new, suffix=".dver") == set()


def test_the_branches_of_one_remote_are_told_from_those_of_others(bench: Workbench) -> None:
    one = bench.commit("one")
    two = bench.commit("two")
    bench.git("update-ref", "refs/remotes/origin/main", one)
    bench.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    bench.git("update-ref", "refs/remotes/origin-2/main", two)
    assert bench.repo.remote_heads("origin") == [one]
    assert bench.repo.remote_heads("origin-2") == [two]
    assert set(bench.repo.remote_heads()) == {one, two}
    assert bench.repo.remote_heads("https://example.org/elsewhere.git") == []


def test_commits_that_are_missing_are_an_error_where_two_are_compared(bench: Workbench) -> None:
    first = bench.commit("one")
    with pytest.raises(GitError, match="cannot compare"):
        bench.repo.changed_between(CommitId("1" * 40), first, suffix=".dver")
