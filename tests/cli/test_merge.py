"""Merging branches that changed the same dataset, with real git: what is decided, how, and by whom."""

import shutil

import pytest

from tests.cli.branching import OURS, THEIRS, Branches, both, delete, write


def test_changes_to_different_paths_merge_without_a_word(branches: Branches) -> None:
    branches.diverge(write("data/ours", "1\n"), both(write("data/theirs", "2\n"), delete("data/b.txt")))
    done = branches.merge()
    assert (done.returncode, done.stderr) == (0, "")
    assert branches.is_merged()
    assert branches.read("data/theirs") is None
    assert branches.cli.ok("checkout").startswith("checked out data: 1 file written, 2 bytes; 1 file deleted")
    assert (branches.read("data/ours"), branches.read("data/theirs"), branches.read("data/b.txt")) == (
        "1\n",
        "2\n",
        None,
    )
    assert branches.cli.ok("status").startswith("nothing to do")


def test_a_path_changed_differently_is_a_conflict_that_names_it(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    err = branches.conflict()
    assert "dver: error: both sides changed 1 path of data differently\n    data/a.csv  changed on both sides\n" in err
    assert "dver checkout --ours PATH or --theirs PATH" in err
    assert '# conflict "a.csv": changed on both sides\n<<<<<<< ours\n' in branches.pointer
    assert branches.read("data/a.csv") == "ours\n"


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_side_for_a_dataset_decides_its_conflicts_and_keeps_the_rest_of_both(branches: Branches, side: str) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    assert branches.cli.ok("checkout", f"--{side}", "data").startswith("resolved data: 1 conflict decided; ")
    assert branches.is_merged()
    assert [branches.read(f"data/{name}") for name in ("a.csv", "b.txt", "ours", "theirs", "keep")] == [
        f"{side}\n",
        "changed\n",
        "1\n",
        "2\n",
        None,
    ]
    assert branches.cli.ok("status").startswith("nothing to do")
    branches.git("commit", "--quiet", "--no-edit")
    assert branches.cli.ok("push", "--help")


def test_paths_are_decided_one_by_one(branches: Branches) -> None:
    branches.diverge(
        both(OURS, write("data/sub/x", "ours\n"), write("data/sub/y", "ours\n")),
        both(THEIRS, write("data/sub/x", "theirs\n"), write("data/sub/y", "theirs\n")),
    )
    branches.conflict()
    left = branches.cli.at("data/sub").fails(1, "checkout", "--theirs", "x")
    assert "both sides changed 2 paths of data differently" in left
    assert "    ../a.csv  changed on both sides\n    y         added on both sides\n" in left
    assert branches.read("data/sub/x") == "ours\n"
    assert '# theirs "sub/x"\n' in branches.pointer
    assert "data.dver  2 paths in conflict" in branches.cli.ok("status")
    branches.cli.fails(1, "checkout", "--ours", "data/sub/x")
    assert '# theirs "sub/x"\n' not in branches.pointer
    branches.cli.fails(1, "checkout", "--theirs", "data/sub")
    assert '# ours "sub/x"\n' not in branches.pointer
    branches.cli.ok("checkout", "--ours", "data/a.csv")
    assert branches.is_merged()
    assert [branches.read(f"data/{name}") for name in ("a.csv", "sub/x", "sub/y", "theirs")] == [
        "ours\n",
        "theirs\n",
        "theirs\n",
        "2\n",
    ]


def test_all_conflicts_are_decided_without_paths(branches: Branches) -> None:
    cli = branches.cli
    cli.write("single", "base")
    cli.ok("add", "single")
    branches.git("commit", "--quiet", "--all", "-m", "Add a file")
    branches.diverge(
        both(
            OURS, lambda one: one.ok("checkout", "single"), write("single", "ours"), lambda one: one.ok("add", "single")
        ),
        both(THEIRS, write("single", "theirs"), lambda one: one.ok("add", "single")),
    )
    done = branches.merge()
    assert "    single  changed on both sides\n" in done.stderr
    assert cli.ok("checkout", "--theirs").splitlines() == [
        "resolved data: 1 conflict decided; 3 files written, 17 bytes",
        "resolved single: 1 conflict decided; 1 file written, 6 bytes",
    ]
    assert branches.is_merged()
    assert (branches.read("single"), branches.read("data/a.csv")) == ("theirs", "theirs\n")
    assert cli.ok("checkout", "--theirs") == "nothing to do: no dataset is in a merge conflict\n"


def test_data_can_be_edited_and_added_once_the_other_side_is_in_it(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    branches.cli.write("data/a.csv", "both\n")
    refused = branches.cli.fails(3, "add", "data")
    assert "the data here lacks what the other side changed" in refused
    assert "dver checkout data brings that" in refused
    err = branches.cli.fails(1, "checkout")
    assert "both sides changed 1 path of data differently" in err
    assert (branches.read("data/theirs"), branches.read("data/a.csv")) == ("2\n", "both\n")
    assert "<<<<" in branches.pointer
    assert branches.cli("add", "data").out.startswith("updated data: ")
    assert branches.is_merged()
    assert branches.cli.ok("status").startswith("nothing to do")
    assert branches.read("data/a.csv") == "both\n"


def test_adding_by_force_gives_the_other_side_up(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    assert "is settled with the data as it is here" in branches.cli("add", "--force", "data").err
    assert branches.is_merged()
    assert branches.git("show", ":data.dver") == branches.git("show", "HEAD:data.dver")


def test_without_the_driver_checkout_merges_what_git_could_not(plain: Branches) -> None:
    plain.diverge(write("data/ours", "1\n"), write("data/theirs", "2\n"))
    plain.conflict()
    assert "data.dver  no path in conflict" in plain.cli.ok("status")
    plain.cli.write("other", "1")
    plain.cli.ok("add", "other")
    assert plain.cli.ok("checkout") == "merged data: nothing conflicts; 1 file written, 2 bytes\n"
    assert plain.is_merged()
    assert (plain.read("data/ours"), plain.read("data/theirs")) == ("1\n", "2\n")


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_marks_that_git_made_are_understood_without_its_index(plain: Branches, style: str) -> None:
    plain.git("config", "merge.conflictStyle", style)
    plain.diverge(OURS, THEIRS)
    plain.conflict()
    plain.git("add", "data.dver")
    assert "path in conflict" in plain.cli.ok("status").replace("paths", "path")
    plain.cli.ok("checkout", "--theirs", "data")
    assert plain.is_merged()
    assert plain.read("data/a.csv") == "theirs\n"
    assert plain.read("data/theirs") == "2\n"


def test_other_datasets_are_checked_out_beside_one_in_conflict(branches: Branches) -> None:
    cli = branches.cli
    cli.write("second/x", "1\n")
    cli.ok("add", "second")
    branches.git("commit", "--quiet", "--all", "-m", "Add another")
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    (cli.folder / "second/x").unlink()
    result = cli("checkout")
    assert result.code == 1
    assert "checked out second: 1 file written" in result.out
    assert branches.read("second/x") == "1\n"


def test_status_names_the_conflict_for_people_and_programs(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    assert branches.cli.ok("status").startswith("Merge conflicts:\n  (dver checkout --ours PATH ")
    assert branches.cli("status", "--exit-code").code == 1
    (found,) = branches.cli("status", "--json").json["datasets"]
    assert (found["state"], found["version"], found["problem"]) == ("conflict", None, None)
    assert found["conflicts"] == [{"path": "a.csv", "kind": "both_changed"}]


def test_what_is_not_in_conflict_is_named(branches: Branches) -> None:
    assert branches.cli.ok("checkout", "--ours") == "nothing to do: no dataset is in a merge conflict\n"
    assert "data: is not in a merge conflict" in branches.cli.fails(3, "checkout", "--ours", "data")
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    before = branches.pointer
    assert "data/b.txt: is not in conflict" in branches.cli.fails(3, "checkout", "--ours", "data/b.txt")
    assert "lies in a dataset with a merge conflict" in branches.cli.fails(3, "checkout", "data/b.txt")
    assert "no dataset is there" in branches.cli.fails(3, "checkout", "--ours", "nothing")
    assert "there may be 0 revisions, not 1" in branches.cli.fails(2, "checkout", "--ours", "HEAD", "--", "data")
    assert branches.pointer == before


def test_changed_data_is_not_overwritten(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    branches.cli.write("data/a.csv", "edited\n")
    assert "would overwrite or delete 1 file" in branches.cli.fails(3, "checkout", "--theirs", "data")
    assert not branches.is_merged()
    branches.cli.ok("checkout", "--theirs", "--force", "data")
    assert branches.read("data/a.csv") == "theirs\n"


def test_a_dry_run_changes_nothing(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    before = branches.pointer
    out = branches.cli.ok("checkout", "--dry-run", "--theirs")
    assert "would write   data/a.csv  7 bytes" in out
    assert "would write   data.dver" in out
    assert branches.cli("checkout", "--dry-run").code == 1
    assert branches.cli("checkout", "--dry-run", "--ours", "data/a.csv").code == 0
    assert (branches.pointer, branches.read("data/a.csv"), branches.read("data/theirs")) == (before, "ours\n", None)


def test_a_dataset_deleted_on_one_side_is_kept_or_ended(plain: Branches) -> None:
    plain.git("switch", "--quiet", "--create", "other")
    plain.git("rm", "--quiet", "data.dver")
    plain.git("commit", "--quiet", "-m", "Remove data")
    plain.git("switch", "--quiet", "main")
    plain.cli.write("data/ours", "1\n")
    plain.cli.ok("add", "data")
    plain.git("commit", "--quiet", "--all", "-m", "Change data")
    assert plain.merge().returncode == 1
    out = plain.cli.ok("status")
    assert "Merge conflicts:\n" in out
    assert "        data.dver  theirs deleted or renamed it, so there is nothing to merge\n" in out
    (found,) = plain.cli("status", "--json").json["datasets"]
    assert (found["state"], found["conflicts"]) == ("conflict", [])
    err = plain.cli.fails(1, "checkout")
    assert "data is in a merge conflict: theirs deleted or renamed it" in err
    assert "dver checkout --ours data keeps it; dver rm data ends tracking it" in err
    err = plain.cli.fails(3, "checkout", "--theirs", "data")
    assert "theirs deleted or renamed it" in err
    assert "dver rm data ends tracking it" in err
    assert plain.cli.ok("checkout", "--ours", "data").startswith("resolved data: 1 conflict decided")
    assert plain.is_merged()
    assert plain.cli.ok("status").startswith("nothing to do")
    assert plain.git("check-ignore", "data/a.csv") == "data/a.csv\n"


def test_a_dataset_added_on_both_sides_is_merged(branches: Branches) -> None:
    branches.git("switch", "--quiet", "--create", "other")
    for branch, name in [("other", "theirs"), ("main", "ours")]:
        branches.git("switch", "--quiet", branch)
        shutil.rmtree(branches.cli.folder / "new", ignore_errors=True)
        branches.cli.write("new/same", "same\n")
        branches.cli.write(f"new/{name}", name)
        branches.cli.ok("add", "new")
        branches.git("commit", "--quiet", "--all", "-m", "Add new")
    assert branches.merge().returncode == 0
    branches.cli.ok("checkout")
    assert sorted(path.name for path in (branches.cli.folder / "new").iterdir()) == ["ours", "same", "theirs"]


def test_versions_out_of_reach_leave_a_conflict_that_a_side_still_decides(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    shutil.rmtree(branches.cli.folder / ".dver/cache")
    err = branches.conflict()
    assert "data.dver cannot be merged now: version b3:" in err
    assert "its versions were out of reach" in branches.pointer
    assert "data.dver  unknown, as version b3:" in branches.cli.ok("status")
    assert branches.cli("status", "--json").json["datasets"][0]["conflicts"] is None
    assert "data is in a merge conflict: version b3:" in branches.cli.fails(1, "checkout")
    assert "dver add --force data" in branches.cli.fails(3, "add", "data")
    result = branches.cli("checkout", "--theirs")
    assert (result.code, result.out) == (0, "resolved data: theirs as it is\n")
    assert "theirs was taken as it is, without what ours changed" in result.err
    assert "dver pull data brings the data" in result.err
    assert branches.pointer == branches.git("show", "other:data.dver")
    assert branches.is_merged()
