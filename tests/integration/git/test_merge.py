"""git merge: by path where it can be, and with git's own conflict state where it cannot."""

import json

import pytest

from tests.integration.git.project import CONFLICTS, Project


@pytest.fixture
def conflicted(project: Project) -> Project:
    """A project in the midst of merging clash into main."""
    said = project.git.fails("merge", "clash")
    assert all(path in said for path in CONFLICTS)
    assert "dver checkout" in said
    assert project.git("diff", "--name-only", "--diff-filter=U") == "data.dver\n"
    assert project.files() == project.data_at("main")
    assert project.dver("status", "--exit-code").returncode == 1
    return project


def finish(project: Project) -> None:
    """Make the merge commit, and check that it has both parents."""
    project.git("commit", "--quiet", "--no-edit")
    assert len(project.git("rev-parse", "HEAD^@").split()) == 2
    project.assert_clean()


def test_changes_to_different_paths_merge(project: Project) -> None:
    merged = project.git.run("merge", "--quiet", "--no-edit", "side")
    assert merged.returncode == 0, str(merged)
    project.assert_data(project.merged("main", "side"))
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]
    assert b"side.py" in project.tree()
    assert len(project.git("rev-parse", "HEAD^@").split()) == 2


def test_both_directions_give_the_same_version(project: Project) -> None:
    project.git("merge", "--quiet", "--no-edit", "side")
    one = (project.root / "data.dver").read_bytes()
    project.git("switch", "--quiet", "side")
    project.git("merge", "--quiet", "--no-edit", "main~1")
    assert (project.root / "data.dver").read_bytes() == one
    project.assert_data(project.merged("main", "side"))


def test_the_lineage_file_has_the_lines_of_both(project: Project) -> None:
    project.git("merge", "--quiet", "--no-edit", "side")
    lines = (project.root / ".dver" / "lineage.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == ["first", "main", "side"]


def test_a_fast_forward_brings_the_data(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "behind", "v1")
    project.assert_at("first")
    project.git("merge", "--quiet", "--ff-only", "side")
    project.assert_at("side")


@pytest.mark.parametrize(
    "arguments", [("--squash",), ("--no-commit", "--no-ff")], ids=lambda arguments: arguments[0].strip("-")
)
def test_a_merge_that_is_yet_to_be_committed(project: Project, arguments: tuple[str, ...]) -> None:
    project.git("merge", "--quiet", *arguments, "side")
    # git runs no hook after a merge without commit.
    project.dver.ok("checkout")
    assert project.files() == project.merged("main", "side")
    project.git("commit", "--quiet", "--message", "both")
    project.assert_data(project.merged("main", "side"))


def test_three_branches_merge_at_once(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "third", "v1")
    project.write("data/third.txt", "of third")
    project.commit("third", "data")
    project.git("switch", "--quiet", "main")
    project.git("merge", "--quiet", "--no-edit", "side")
    project.git("merge", "--quiet", "--no-edit", "third")
    expected = {**project.merged("main", "side"), b"third.txt": ("file", b"of third")}
    project.assert_data(expected)


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("paths", [(), ("data",)], ids=["all", "dataset"])
def test_a_side_is_taken_for_all_conflicts(conflicted: Project, side: str, paths: tuple[str, ...]) -> None:
    conflicted.dver.ok("checkout", f"--{side}", *paths)
    order = ("main", "clash") if side == "theirs" else ("clash", "main")
    assert conflicted.files() == conflicted.merged(*order)
    assert conflicted.git("diff", "--name-only", "--diff-filter=U") == ""
    finish(conflicted)
    assert conflicted.files() == conflicted.merged(*order)


def test_sides_are_taken_path_by_path(conflicted: Project) -> None:
    left = conflicted.dver.fails(1, "checkout", "--ours", "data/a.csv")
    assert "data/nested/c.bin" in left
    assert "data/a.csv" not in left
    assert conflicted.git("diff", "--name-only", "--diff-filter=U") == "data.dver\n"
    conflicted.dver.ok("checkout", "--theirs", "data/nested")
    expected = conflicted.merged("main", "clash")
    expected[b"a.csv"] = conflicted.data_at("main")[b"a.csv"]
    assert conflicted.files() == expected
    finish(conflicted)
    conflicted.assert_data(expected)


def test_conflicts_end_by_editing_the_data_and_adding_it(conflicted: Project) -> None:
    assert "dver checkout" in conflicted.dver.fails(3, "add", "data")
    conflicted.dver.fails(1, "checkout")
    assert conflicted.files() == {**conflicted.data_at("clash"), **conflicted.data_at("main")}
    conflicted.write("data/a.csv", "of both")
    conflicted.dver.ok("add", "data")
    finish(conflicted)
    expected = {**conflicted.data_at("clash"), **conflicted.data_at("main"), b"a.csv": ("file", b"of both")}
    conflicted.assert_data(expected)


def test_status_names_the_conflict_and_what_ends_it(conflicted: Project) -> None:
    said = conflicted.dver("status").stdout
    assert "conflict" in said.lower()
    assert "dver checkout --ours" in said


def test_a_merge_can_be_given_up(conflicted: Project) -> None:
    conflicted.git("merge", "--abort")
    conflicted.assert_at("main")


def test_a_dataset_that_a_given_up_merge_brought_is_taken_back(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "extra", "v1")
    project.write("new/x", "1")
    project.commit("extra", "new")
    project.git("switch", "--quiet", "main")
    project.git("merge", "--quiet", "--no-commit", "--no-ff", "extra")
    project.dver.ok("checkout")
    assert (project.root / "new/x").exists()
    project.git("merge", "--abort")
    assert "removed new: its pointer is gone; 1 file deleted" in project.dver("checkout").stderr
    project.assert_at("main")


def test_a_merge_can_be_given_up_after_some_of_it_was_resolved(conflicted: Project) -> None:
    conflicted.dver.ok("checkout", "--theirs")
    conflicted.git("merge", "--abort")
    conflicted.dver.ok("checkout")
    conflicted.assert_at("main")


def test_marks_of_a_conflict_are_not_committed(conflicted: Project) -> None:
    conflicted.git("add", "data.dver")
    said = conflicted.git.fails("commit", "--no-edit")
    assert "data.dver" in said
    assert "dver checkout --ours" in said or "dver checkout" in said
    # What git was told is settled is not: the marks are still there.
    conflicted.dver.ok("checkout", "--ours")
    finish(conflicted)
    conflicted.assert_data(conflicted.merged("clash", "main"))


def test_a_single_file_conflicts_as_a_whole(project: Project) -> None:
    project.write("model.bin", "a model of main")
    project.commit("model", "model.bin")
    project.git.fails("merge", "side")
    assert project.git("diff", "--name-only", "--diff-filter=U") == "model.bin.dver\n"
    assert (project.root / "model.bin").read_text() == "a model of main"
    project.dver.ok("checkout", "--theirs", "model.bin")
    # The other dataset merged, and what git merged by itself is not yet in the data.
    project.dver.ok("checkout")
    finish(project)
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]
    project.assert_data(project.merged("main", "side"))


def test_a_dataset_deleted_here_and_changed_there(project: Project) -> None:
    project.git("rm", "--quiet", "model.bin.dver")
    project.git("commit", "--quiet", "--message", "no model")
    project.git.fails("merge", "side")
    assert "UD model.bin.dver" in project.git("status", "--porcelain") or "DU" in project.git("status", "--porcelain")
    project.dver.ok("checkout", "--theirs", "model.bin")
    project.dver.ok("checkout")
    finish(project)
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]
    project.assert_data(project.merged("main", "side"))


def test_the_same_dataset_added_on_two_branches(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "one")
    project.write("set/one.txt", "one")
    project.write("set/both.txt", "both")
    project.commit("one", "set")
    project.git("switch", "--quiet", "--create", "two", "main")
    project.write("set/two.txt", "two")
    project.write("set/both.txt", "both")
    project.commit("two", "set")
    merged = project.git.run("merge", "--no-edit", "one")
    assert merged.returncode == 0, str(merged)
    assert sorted(path.name for path in (project.root / "set").iterdir()) == ["both.txt", "one.txt", "two.txt"]
    project.assert_clean()


def test_two_clones_merge_by_pull(project: Project) -> None:
    project.git("clone", "--quiet", project.hub, "../clone")
    clone = project.at(project.root.parent / "clone")
    clone.dver.ok("install")
    clone.dver.ok("pull")
    clone.write("data/clone.txt", "of the clone")
    clone.commit("in the clone", "data")
    clone.dver.ok("push")
    clone.git("push", "--quiet")

    project.write("data/here.txt", "of here")
    project.commit("here", "data")
    project.git("pull", "--quiet", "--no-rebase", "--no-edit")

    new = {b"clone.txt": ("file", b"of the clone"), b"here.txt": ("file", b"of here")}
    project.assert_data({**project.data_at("main"), **new})


def test_a_clone_without_the_driver_resolves_by_checkout(project: Project) -> None:
    project.dver.ok("uninstall")
    project.git("restore", ".gitattributes")
    project.git.fails("merge", "side")
    project.dver.ok("checkout")
    finish(project)
    project.assert_data(project.merged("main", "side"))
