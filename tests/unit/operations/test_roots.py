"""Everything by which git keeps a commit keeps the versions that its pointers name."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from dver.errors import GitError, PathError, UnsupportedFormatError
from dver.objects.ids import VersionId
from dver.operations.roots import RootKind, Roots, collect_roots, versions_in
from tests.clones import Clone

_TEXT = '# dver pointer\nformat = 1\nkind = "file"\nversion = "b3:{}"\nsize = 1\nfiles = 1\n'


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "repo")
    made.write("data/a", b"first")
    made.save(message="first")
    return made


def roots(clone: Clone, **options: float) -> Roots:
    with clone.open() as repo:
        return collect_roots(repo, **options)  # type: ignore[arg-type]


def named_by(clone: Clone, version: VersionId) -> set[str]:
    return {name.by for name in roots(clone).versions.get(version, ())}


def make(clone: Clone, text: bytes, *, commit: bool = True) -> VersionId:
    """Make a version, and return it."""
    clone.write("data/a", text)
    if commit:
        clone.save(message=text.decode())
    else:
        clone.add()
    return clone.version()


def take_back(clone: Clone, *, reflog: bool = False) -> None:
    """Return to the first commit, as if nothing else had ever been."""
    clone.git("reset", "--quiet", "--hard", "HEAD~1" if clone.git("rev-list", "--count", "HEAD") != "1\n" else "HEAD")
    clone.checkout(force=True)
    if not reflog:
        clone.forget_past()


def test_what_nothing_names_is_no_root(clone: Clone) -> None:
    gone = make(clone, b"second")
    take_back(clone)
    assert set(roots(clone).versions) == {clone.version()}
    assert gone != clone.version()


def test_head_index_pointers_and_data_here_are_roots(clone: Clone) -> None:
    names = roots(clone).versions[clone.version()]
    assert {name.kind for name in names} >= {RootKind.HEAD, RootKind.INDEX, RootKind.WORKING_TREE, RootKind.BASE}
    assert {name.dataset for name in names} == {"data"}


def test_all_of_history_is_a_root(clone: Clone) -> None:
    first = clone.version()
    make(clone, b"second")
    clone.forget_past()
    assert first in roots(clone).versions


def test_a_version_that_is_only_staged_is_a_root(clone: Clone) -> None:
    staged = make(clone, b"staged", commit=False)
    clone.git("checkout", "HEAD", "--", "data.dver")
    clone.checkout(force=True)
    clone.forget_stat_cache()
    assert staged not in roots(clone).versions
    staged = make(clone, b"staged", commit=False)
    first = clone.git("show", "HEAD:data.dver")
    (clone.root / "data.dver").write_text(first)
    clone.checkout(force=True)
    assert named_by(clone, staged) == {"index"}


def test_a_pointer_that_git_does_not_know_is_a_root(clone: Clone) -> None:
    text = _TEXT.format("ab" * 32)
    (clone.root / "new.dver").write_text(text)
    assert named_by(clone, VersionId(b"\xab" * 32)) == {"working tree"}


def test_the_base_of_working_data_is_a_root(clone: Clone) -> None:
    second = make(clone, b"second")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.forget_past()
    assert named_by(clone, second) == {"base"}


@pytest.mark.parametrize(
    ("commands", "name"),
    [
        (["branch topic"], "branch topic"),
        (["tag v1"], "tag v1"),
        (["tag -a -m tagged v1"], "tag v1"),
        (["update-ref refs/remotes/origin/main HEAD"], "remote branch origin/main"),
        (
            ["update-ref refs/replace/1111111111111111111111111111111111111111 HEAD"],
            "reference refs/replace/" + "1" * 40,
        ),
        (["update-ref refs/original/x HEAD"], "reference refs/original/x"),
        (["tag tree HEAD^{tree}"], "tag tree"),
    ],
)
def test_a_commit_that_only_this_names_keeps_its_version(clone: Clone, commands: list[str], name: str) -> None:
    second = make(clone, b"second")
    for command in commands:
        clone.git(*command.split())
    take_back(clone)
    assert named_by(clone, second) == {name}


@pytest.mark.parametrize("place", ["MERGE_HEAD", "CHERRY_PICK_HEAD", "rebase-merge/orig-head", "rebase-merge/done"])
def test_an_unfinished_operation_of_git_keeps_its_commits(clone: Clone, place: str) -> None:
    second = make(clone, b"second")
    commit = clone.git("rev-parse", "--short" if place.endswith("done") else "HEAD", "HEAD").split()[0]
    take_back(clone)
    path = clone.root / ".git" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"pick {commit} second\n" if place.endswith("done") else f"{commit}\n")
    assert named_by(clone, second) == {f"operation {place.partition('/')[0]}"}


def test_a_stash_keeps_its_version(clone: Clone) -> None:
    stashed = make(clone, b"stashed", commit=False)
    clone.git("stash")
    clone.checkout(force=True)
    clone.git("reflog", "expire", "--expire=now", "HEAD")
    (clone.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    assert named_by(clone, stashed) == {"stash"}


def test_an_older_stash_keeps_its_version(clone: Clone) -> None:
    stashed = make(clone, b"stashed", commit=False)
    clone.git("stash")
    clone.checkout(force=True)
    make(clone, b"stashed later", commit=False)
    clone.git("stash")
    clone.checkout(force=True)
    assert named_by(clone, stashed) == {"stash"}


def test_a_reflog_keeps_its_versions(clone: Clone) -> None:
    second = make(clone, b"second")
    take_back(clone, reflog=True)
    (clone.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    assert all(name.startswith("reflog") for name in named_by(clone, second))
    assert named_by(clone, second)


def test_the_head_index_and_files_of_a_linked_work_tree_are_roots(clone: Clone, tmp_path: Path) -> None:
    linked = Clone(tmp_path / "linked")
    clone.git("worktree", "add", "--quiet", "--detach", str(linked.root))
    linked.checkout()
    second = make(linked, b"second")
    third = make(linked, b"third", commit=False)
    (linked.root / "new.dver").write_text(_TEXT.format("ab" * 32))
    clone.forget_past()
    assert {second, third, VersionId(b"\xab" * 32)} <= set(roots(clone).versions)
    shutil.rmtree(linked.root)
    assert {second, third} <= set(roots(clone).versions), "what git keeps of it"


def test_the_sides_of_a_merge_conflict_are_roots(clone: Clone) -> None:
    clone.git("branch", "side")
    ours = make(clone, b"ours")
    clone.git("checkout", "--quiet", "side")
    clone.checkout(force=True)
    theirs = make(clone, b"theirs")
    clone.git("checkout", "--quiet", "-")
    subprocess.run(["git", "merge", "--quiet", "side"], cwd=clone.root, check=False, capture_output=True)
    found = roots(clone).versions
    assert {ours, theirs} <= set(found)
    assert any(name.kind is RootKind.WORKING_TREE for name in found[theirs]), "the marks in the pointer"


def test_the_lists_of_packages_in_records_are_roots(clone: Clone) -> None:
    line = '{"format":1,"id":"b3:00","environment":{"packages":"b3:%s"}}\n' % ("cd" * 32)
    (clone.root / ".dver" / "lineage.jsonl").write_text(line)
    assert named_by(clone, VersionId(b"\xcd" * 32)) == {"record"}
    clone.commit("the record")
    (clone.root / ".dver" / "lineage.jsonl").unlink()
    assert named_by(clone, VersionId(b"\xcd" * 32)) == {"record"}


def test_a_pointer_that_cannot_be_read_keeps_all_that_it_mentions() -> None:
    first, second = VersionId(b"\1" * 32), VersionId(b"\2" * 32)
    text = f"<<<<<<<\n{_TEXT.format(first.hex())}=======\n{_TEXT.format(second.hex())}>>>>>>>\n"
    assert versions_in(text.encode(), "it") == [first, second]
    assert versions_in(_TEXT.format(first.hex()).replace("files", "filed").encode(), "it") == [first]
    assert versions_in(b"no pointer at all", "it") == []
    with pytest.raises(UnsupportedFormatError):
        versions_in(_TEXT.format(first.hex()).replace("format = 1", "format = 9").encode(), "it")


def test_a_pointer_of_a_newer_dver_in_history_is_an_error(clone: Clone) -> None:
    (clone.root / "data.dver").write_text(_TEXT.format("ab" * 32).replace("format = 1", "format = 9"))
    clone.commit()
    with pytest.raises(UnsupportedFormatError, match=r"data\.dver"):
        roots(clone)


def test_a_missing_commit_is_an_error(clone: Clone) -> None:
    make(clone, b"second")
    parent = clone.git("rev-parse", "HEAD~1").strip()
    (clone.root / ".git" / "objects" / parent[:2] / parent[2:]).unlink()
    with pytest.raises(GitError):
        roots(clone)


def test_an_entry_of_a_reflog_that_git_let_go_is_passed_over(clone: Clone) -> None:
    make(clone, b"second")
    second = clone.git("rev-parse", "HEAD").strip()
    take_back(clone, reflog=True)
    (clone.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    (clone.root / ".git" / "objects" / second[:2] / second[2:]).unlink()
    assert set(roots(clone).versions) == {clone.version()}


def test_a_stat_cache_that_cannot_be_read_is_an_error_and_stays(clone: Clone) -> None:
    state = clone.root / ".dver" / "state.db"
    for path in state.parent.glob("state.db-*"):
        path.unlink()
    state.write_bytes(b"this is no database" * 100)
    with pytest.raises(PathError, match=r"state\.db"):
        roots(clone)
    assert state.read_bytes().startswith(b"this is no database")


def test_only_the_last_versions_of_history_count_if_so_asked(clone: Clone) -> None:
    made = [clone.version(), *(make(clone, f"number {number}".encode()) for number in range(4))]
    clone.forget_past()
    found = roots(clone, keep_last=2)
    assert set(found.versions) == set(made[-2:])
    assert set(found.old) == set(made[:-2])
    clone.git("tag", "v0", "HEAD~4")
    assert set(roots(clone, keep_last=2).versions) == {made[0], *made[-2:]}, "a tag names it directly"


def test_only_the_days_that_are_asked_for_count(clone: Clone) -> None:
    first = clone.version()
    subprocess.run(
        ["git", "commit", "--quiet", "--amend", "--no-edit"],
        cwd=clone.root,
        check=True,
        env={"GIT_COMMITTER_DATE": f"{time.time() - 40 * 86400:.0f} +0000", "PATH": "/usr/bin:/bin", **_identity()},
    )
    second = make(clone, b"second")
    clone.forget_past()
    assert set(roots(clone, keep_days=30).versions) == {second}
    assert set(roots(clone, keep_days=30).old) == {first}
    assert set(roots(clone, keep_days=50).versions) == {first, second}
    assert set(roots(clone, keep_days=30, keep_last=2).versions) == {first, second}, "what either keeps"


def _identity() -> dict[str, str]:
    return {f"GIT_{who}_{what}": "x@y.z" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def test_a_version_says_in_which_commit_it_was_last(clone: Clone) -> None:
    first = clone.version()
    where = clone.git("rev-parse", "HEAD").strip()
    make(clone, b"second")
    clone.forget_past()
    (name,) = roots(clone).versions[first]
    assert (name.dataset, name.kind, name.commit) == ("data", RootKind.HISTORY, where)
