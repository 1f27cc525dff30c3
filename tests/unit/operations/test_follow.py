"""Data that follows its pointer, where what is on record is incomplete, wrong or in the way."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dver.errors import (
    BackendError,
    BackendProblem,
    DataLossError,
    FormatError,
    IntegrityError,
    PathError,
    VersionNotFoundError,
)
from dver.operations.follow import Followed, follow
from dver.operations.unfollowed import Hook, Move, move_of
from tests.clones import Clone, everything_but_dvers_own, noise
from tests.unit.operations.watched import Remote

ZERO = "0" * 40
ONE, TWO = "1" * 40, "2" * 40
NOTHING_KNOWN = Move()


def run(clone: Clone, move: Move = NOTHING_KNOWN) -> list[Followed]:
    with clone.open() as repo:
        return follow(repo, move)


def after(clone: Clone, *git: str) -> list[Followed]:
    """Run git, and then what the hook after a checkout does."""
    before = clone.git("rev-parse", "HEAD").strip()
    clone.git(*git)
    return run(clone, Move(before))


def brought(done: Sequence[Followed]) -> list[str]:
    assert [one.problem for one in done if one.problem] == []
    return [one.dataset for one in done if one.plan]


def removed(done: Sequence[Followed]) -> dict[str, int]:
    assert [one.problem for one in done if one.problem] == []
    return {one.dataset: one.removed for one in done if one.removed}


@pytest.fixture
def versions(clone: Clone) -> Clone:
    """`data` in two versions, on the branches `first` and `main`; `extra` and the file `single` on `main` alone."""
    clone.write("data/a", b"1")
    clone.write("data/b", b"1")
    clone.save()
    clone.git("branch", "first")
    clone.write("data/a", b"2")
    clone.write("extra/deep/x", b"x")
    clone.write("folder/single", b"s")
    clone.save("data", "extra", "folder/single")
    return clone


@pytest.mark.parametrize(
    ("hook", "arguments", "move"),
    [
        (Hook.CHECKOUT, [ZERO, ONE, "1"], Move(fresh=True)),
        (Hook.CHECKOUT, [ONE, TWO, "1"], Move(ONE)),
        (Hook.CHECKOUT, [ONE, ONE, "0"], Move(ONE, files=True)),
        (Hook.MERGE, ["0"], Move("ORIG_HEAD")),
        (Hook.MERGE, ["1"], Move("ORIG_HEAD", files=True)),
        (Hook.REWRITE, ["rebase"], Move("ORIG_HEAD", ends_rebase=True)),
        (Hook.REWRITE, ["amend"], Move("HEAD@{1}", commits=True)),
        (Hook.COMMIT, [], Move("HEAD@{1}", commits=True)),
        # What git does not give is as if nothing were known.
        (None, [], Move()),
        (None, [ONE, TWO, "1"], Move()),
        (Hook.CHECKOUT, [], Move()),
        (Hook.CHECKOUT, ["", TWO, "1"], Move()),
        (Hook.CHECKOUT, [ONE], Move()),
        (Hook.CHECKOUT, [ONE, TWO], Move()),
        (Hook.MERGE, [], Move()),
        (Hook.REWRITE, [], Move("HEAD@{1}")),
    ],
)
def test_the_arguments_of_a_hook_say_what_git_did(hook: Hook | None, arguments: list[str], move: Move) -> None:
    assert move_of(hook, arguments) == move


@pytest.mark.parametrize(
    "before", ["", ONE, "no-such-revision", "HEAD@{99}", "refs/heads/gone", "-x", "HEAD:data.dver"]
)
def test_what_was_before_need_not_be_known(versions: Clone, before: str) -> None:
    versions.git("switch", "--quiet", "first")
    done = run(versions, Move(before))
    assert brought(done) == ["data"]
    assert versions.data() == {b"a": ("file", b"1"), b"b": ("file", b"1")}
    # Without the pointer anywhere, its version is that of the data here, which a branch still names.
    assert removed(done) == {"extra": 1, "folder/single": 1}
    assert run(versions, Move(before)) == []


def test_before_the_first_commit_a_changed_pointer_is_followed(clone: Clone) -> None:
    assert run(clone, Move(fresh=True)) == []
    clone.write("data/a", b"1")
    clone.add()
    first = clone.pointer_text()
    clone.write("data/a", b"2")
    clone.add()
    assert run(clone) == []
    clone.write("data.dver", first.encode())
    assert brought(run(clone, Move("HEAD@{1}"))) == ["data"]
    assert clone.data() == {b"a": ("file", b"1")}


def test_a_forgotten_stat_cache_costs_nothing_but_time(versions: Clone) -> None:
    versions.forget_stat_cache()
    versions.write("extra/mine", b"not added")
    done = after(versions, "switch", "--quiet", "first")
    assert brought(done) == ["data"]
    assert removed(done) == {"extra": 1, "folder/single": 1}
    assert everything_but_dvers_own(versions).keys() - {b".gitignore"} == {
        *(b"data.dver", b"data/a", b"data/b", b"extra/mine"),
    }
    assert brought(after(versions, "switch", "--quiet", "main")) == ["data", "extra", "folder/single"]
    assert (versions.root / "extra/mine").read_bytes() == b"not added"


def test_a_forgotten_stat_cache_does_not_hide_changes(versions: Clone) -> None:
    versions.write("data/a", b"changed")
    versions.write("extra/deep/x", b"changed")
    versions.forget_stat_cache()
    done = after(versions, "switch", "--quiet", "first")
    problems = {one.dataset: one.problem for one in done}
    assert isinstance(problems.pop("data"), DataLossError)
    assert isinstance(problems.pop("extra"), DataLossError)
    assert problems == {"folder/single": None}
    assert (versions.root / "data/a").read_bytes() == b"changed"
    assert (versions.root / "extra/deep/x").read_bytes() == b"changed"


def test_a_deleted_file_is_no_change_to_be_kept(versions: Clone) -> None:
    (versions.root / "data/b").unlink()
    shutil.rmtree(versions.root / "extra/deep")
    done = after(versions, "switch", "--quiet", "first")
    assert brought(done) == ["data"]
    assert versions.data()[b"a"] == ("file", b"1")
    assert after(versions, "switch", "--quiet", "main")
    assert (versions.root / "data/a").read_bytes() == b"2"


def test_a_pointer_that_a_user_deleted_or_put_away_is_not_gits_doing(versions: Clone) -> None:
    (versions.root / "extra.dver").unlink()
    assert run(versions, Move("HEAD~1")) == []
    versions.git("rm", "--quiet", "--cached", "extra.dver")
    assert run(versions, Move("HEAD")) == []
    versions.git("commit", "--quiet", "--message", "without")
    assert removed(run(versions, Move("HEAD~1"))) == {"extra": 1}


def test_data_whose_version_nothing_names_any_more_is_left(versions: Clone) -> None:
    versions.write("extra/deep/x", b"only ever added")
    versions.add("extra")
    done = after(versions, "switch", "--quiet", "--discard-changes", "first")
    (problem,) = [one.problem for one in done if one.dataset == "extra"]
    assert isinstance(problem, DataLossError)
    assert "no branch or tag names its version" in problem.message
    assert (versions.root / "extra/deep/x").read_bytes() == b"only ever added"


def test_a_dataset_that_gives_way_to_one_within_it_or_around_it(versions: Clone) -> None:
    versions.git("switch", "--quiet", "--create", "within")
    versions.git("rm", "--quiet", "extra.dver")
    with versions.open() as repo:
        repo.stat_cache.forget("extra")
    versions.write(".gitignore", (versions.root / ".gitignore").read_bytes().replace(b"/extra\n", b""))
    versions.save("extra/deep")
    assert brought(after(versions, "switch", "--quiet", "main")) == ["extra"]
    assert versions.data("extra") == {b"deep/x": ("file", b"x")}
    done = after(versions, "switch", "--quiet", "within")
    assert removed(done) == {"extra": 1}
    assert brought(done) == ["extra/deep"]
    assert versions.data("extra/deep") == {b"x": ("file", b"x")}
    assert versions.status("extra/deep").state == "unchanged"


def test_a_dataset_that_becomes_a_file_and_back(versions: Clone) -> None:
    versions.git("switch", "--quiet", "--create", "other")
    shutil.rmtree(versions.root / "extra")
    versions.write("extra", b"a file")
    versions.save("extra")
    assert brought(after(versions, "switch", "--quiet", "main")) == ["extra"]
    assert versions.data("extra") == {b"deep/x": ("file", b"x")}
    assert brought(after(versions, "switch", "--quiet", "other")) == ["extra"]
    assert versions.data("extra") == {b"": ("file", b"a file")}
    versions.write("extra", b"changed")
    (left,) = after(versions, "switch", "--quiet", "main")
    assert isinstance(left.problem, DataLossError)
    assert left.problem.paths == ("extra",)


def test_an_interrupted_checkout_is_completed(versions: Clone) -> None:
    with versions.open() as repo:
        repo.stat_cache.begin_checkout("data")
    (versions.root / "data/a").unlink()
    versions.git("switch", "--quiet", "first")
    assert brought(run(versions)) == ["data"]
    assert versions.status().state == "unchanged"


@pytest.mark.parametrize(
    "content", [b"<<<<<<< ours\n", b"# dver pointer\n", b"# dver pointer\nformat = 99\n", b"\xff" * 70_000]
)
def test_a_broken_pointer_keeps_no_other_back(versions: Clone, content: bytes) -> None:
    versions.git("switch", "--quiet", "--create", "broken", "first")
    versions.write("extra.dver", content)
    versions.git("add", "extra.dver")
    versions.git("commit", "--quiet", "--message", "broken")
    versions.git("switch", "--quiet", "main")
    problems = {one.dataset: one.problem for one in after(versions, "switch", "--quiet", "broken")}
    assert isinstance(problems.pop("extra"), FormatError)
    assert problems == {"data": None, "folder/single": None}
    assert (versions.root / "extra/deep/x").read_bytes() == b"x"
    assert versions.data()[b"a"] == ("file", b"1")


def test_a_link_in_the_place_of_a_folder_above_is_not_followed(versions: Clone, tmp_path: Path) -> None:
    versions.git("switch", "--quiet", "first")
    run(versions)
    (tmp_path / "elsewhere").mkdir()
    (versions.root / "folder").symlink_to(tmp_path / "elsewhere")
    versions.write("extra", b"in the way")
    before = versions.git("rev-parse", "HEAD").strip()
    versions.git("symbolic-ref", "HEAD", "refs/heads/main")
    versions.git("checkout", "HEAD", "--", "data.dver", "extra.dver", ".gitignore")
    shutil.copy(versions.root / "extra.dver", tmp_path / "elsewhere" / "single.dver")
    problems = {one.dataset: one.problem for one in run(versions, Move(before))}
    assert isinstance(problems["folder/single"], PathError)
    assert isinstance(problems["extra"], DataLossError)
    assert problems["data"] is None
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["single.dver"]


@pytest.mark.parametrize(
    ("folder", "todo", "is_in_rebase"),
    [
        ("rebase-apply", None, True),
        ("rebase-merge", "pick 1 one\n", True),
        ("rebase-merge", "# a comment\n\nbreak\n", True),
        ("rebase-merge", "noop\n\n# a comment\n", False),
        ("rebase-merge", "", False),
        ("rebase-merge", None, False),
    ],
)
def test_in_a_rebase_nothing_is_done_before_its_end(
    versions: Clone, folder: str, todo: str | None, is_in_rebase: bool
) -> None:
    versions.git("switch", "--quiet", "first")
    (versions.root / ".git" / folder).mkdir()
    if todo is not None:
        (versions.root / ".git" / folder / "git-rebase-todo").write_text(todo)
    done = run(versions, Move("main"))
    assert bool(done) != is_in_rebase
    if is_in_rebase:
        assert versions.data()[b"a"] == ("file", b"2")
        assert brought(run(versions, Move("main", ends_rebase=True))) == ["data"]


def spoil(pack: Path) -> None:
    pack.chmod(0o600)
    pack.write_bytes(bytes(byte ^ 0x10 for byte in pack.read_bytes()))


@pytest.mark.parametrize(("harm", "kind"), [(spoil, IntegrityError), (Path.unlink, VersionNotFoundError)])
def test_a_lost_or_damaged_version_leaves_the_data(
    versions: Clone, harm: Callable[[Path], object], kind: type[Exception]
) -> None:
    for pack in list((versions.root / ".dver/cache/packs").rglob("*.pack")):
        harm(pack)
    done = after(versions, "switch", "--quiet", "first")
    assert {one.dataset: type(one.problem) for one in done}["data"] is kind
    assert versions.data() == {b"a": ("file", b"2"), b"b": ("file", b"1")}


def test_a_remote_that_failed_is_not_asked_for_what_comes_after(team: Clone, remote: Remote) -> None:
    names = ("one", "two", "three")
    for name in names:
        team.write(f"{name}/x", noise(100))
    team.save(*names)
    team.push()
    team.git("switch", "--quiet", "--detach", "HEAD~1")
    run(team, Move("main"))
    team.delete_cache()
    asked = []

    def fail(verb: str, key: str) -> None:
        asked.append((verb, key))
        raise BackendError("the remote", BackendProblem.TIMEOUT, "no answer", transient=True)

    remote.before = fail
    done = after(team, "switch", "--quiet", "main")
    assert [one.dataset for one in done if isinstance(one.problem, BackendError)] == sorted(names)
    assert len(asked) == 1
    remote.before = lambda _verb, _key: None
    assert brought(run(team, Move("HEAD~1"))) == sorted(names)
