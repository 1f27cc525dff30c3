"""`dver hook merge`, as git's merge driver and by itself."""

import shutil
from pathlib import Path

from tests.cli.branching import OURS, THEIRS, Branches, Edit, both, delete, write


def test_rebase_cherry_pick_revert_and_stash_merge_too(branches: Branches) -> None:
    branches.diverge(write("data/ours", "1\n"), write("data/theirs", "2\n"))
    assert branches.merge("cherry-pick", "other").returncode == 0
    branches.cli.ok("checkout")
    assert (branches.read("data/ours"), branches.read("data/theirs")) == ("1\n", "2\n")
    assert branches.merge("revert", "--no-edit", "HEAD~1").returncode == 0
    branches.cli.ok("checkout")
    assert (branches.read("data/ours"), branches.read("data/theirs")) == (None, "2\n")
    branches.cli.write("data/stashed", "3\n")
    branches.cli.ok("add", "data")
    branches.git("stash")
    branches.cli.write("data/committed", "4\n")
    branches.cli.ok("checkout")
    branches.cli.ok("add", "data")
    branches.git("commit", "--quiet", "--all", "-m", "More")
    assert branches.merge("stash", "pop").returncode == 0
    branches.cli.ok("checkout")
    assert (branches.read("data/stashed"), branches.read("data/committed")) == ("3\n", "4\n")


def test_a_file_of_the_users_own_is_merged_as_text(branches: Branches) -> None:
    lines = "".join(f"{number}\n" for number in range(20))
    branches.cli.write("notes.dver", lines)
    branches.git("add", "--all")
    branches.git("commit", "--quiet", "-m", "Notes")
    branches.diverge(
        write("notes.dver", lines.replace("1\n2\n", "1\nours\n")), write("notes.dver", lines.replace("18\n", "x\n"))
    )
    assert branches.merge().returncode == 0
    assert branches.read("notes.dver") == lines.replace("1\n2\n", "1\nours\n").replace("18\n", "x\n")
    branches.git("reset", "--quiet", "--hard", "HEAD~1")
    branches.cli.write("notes.dver", lines.replace("18\n", "y\n"))
    branches.git("commit", "--quiet", "--all", "-m", "Other notes")
    assert branches.merge().returncode == 1
    assert "<<<<<<< ours\ny\n=======\nx\n>>>>>>> theirs\n" in (branches.read("notes.dver") or "")


def test_the_driver_leaves_a_conflict_where_dver_is_not_set_up(branches: Branches, tmp_path: Path) -> None:
    branches.diverge(OURS, THEIRS)
    shutil.rmtree(branches.cli.folder / ".dver")
    for name, rev in {"base": "main~1", "ours": "main", "theirs": "other"}.items():
        (tmp_path / name).write_text(branches.git("show", f"{rev}:data.dver"))
    err = branches.cli.fails(1, "hook", "merge", *(tmp_path / name for name in ("base", "ours", "theirs")), "data.dver")
    assert "data.dver cannot be merged now" in err
    assert "<<<<<<< ours" in (tmp_path / "ours").read_text()


def test_the_driver_names_the_sides_as_it_is_told(branches: Branches, tmp_path: Path) -> None:
    branches.diverge(OURS, THEIRS)
    for name, rev in {"ours": "main", "theirs": "other"}.items():
        (tmp_path / name).write_text(branches.git("show", f"{rev}:data.dver"))
    (tmp_path / "none").write_text("")
    branches.cli.fails(
        1,
        *("hook", "merge", "--ours-label", "HEAD", "--theirs-label", "a branch"),
        *(tmp_path / name for name in ("none", "ours", "theirs")),
        "data.dver",
    )
    text = (tmp_path / "ours").read_text()
    assert "\n<<<<<<< HEAD\n" in text
    assert text.endswith("\n>>>>>>> a branch\n")
    assert "added on both sides" in text
    assert "|||||||" not in text


def test_where_the_driver_does_not_run_nothing_of_either_side_is_dropped(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.git("config", "merge.dver.driver", "exit 1")
    branches.conflict()
    assert "<<<<" not in branches.pointer
    cli = branches.cli
    assert "data.dver  1 path in conflict" in cli.ok("status")
    assert cli("status", "--exit-code").code == 1
    assert "lacks what the other side changed" in cli.fails(3, "add", "data")
    assert "dver checkout data merges what does not conflict" in cli.fails(1, "hook", "status")
    cli.fails(1, "checkout")
    assert (branches.read("data/theirs"), branches.read("data/ours")) == ("2\n", "1\n")
    assert "<<<<" in branches.pointer
    cli.ok("checkout", "--ours")
    assert branches.is_merged()
    assert (branches.read("data/theirs"), branches.read("data/a.csv")) == ("2\n", "ours\n")


def test_a_pointer_taken_from_one_side_by_git_is_taken_for_decided(branches: Branches) -> None:
    branches.diverge(OURS, THEIRS)
    branches.conflict()
    branches.git("checkout", "--theirs", "data.dver")
    assert "both sides" not in branches.cli("checkout").err
    assert branches.read("data/a.csv") == "theirs\n"
    branches.cli.ok("add", "data")
    assert branches.is_merged()


def test_branches_that_were_merged_into_each_other_merge_again(branches: Branches) -> None:
    git, cli = branches.git, branches.cli

    def commit(edit: Edit) -> str:
        cli("checkout")
        edit(cli)
        cli.ok("add", "data")
        git("commit", "--quiet", "--all", "-m", "Change data")
        return git("rev-parse", "HEAD").strip()

    git("switch", "--quiet", "--create", "other")
    theirs = commit(write("data/new", "1\n"))
    git("switch", "--quiet", "main")
    ours = commit(write("data/other", "1\n"))
    git("merge", "--quiet", "--no-edit", theirs)
    git("switch", "--quiet", "other")
    git("merge", "--quiet", "--no-edit", ours)
    commit(both(delete("data/new"), write("data/a.csv", "theirs\n")))
    git("switch", "--quiet", "main")
    commit(write("data/more", "1\n"))
    done = branches.merge()
    assert (done.returncode, done.stderr) == (0, "")
    cli.ok("checkout")
    assert [branches.read(f"data/{name}") for name in ("new", "a.csv", "other", "more")] == [
        None,
        "theirs\n",
        "1\n",
        "1\n",
    ]


def test_what_conflicted_in_an_ancestor_is_a_conflict_again_and_said_once(branches: Branches) -> None:
    git, cli = branches.git, branches.cli
    branches.diverge(write("data/a.csv", "ours\n"), write("data/a.csv", "theirs\n"))
    ours, theirs = (git("rev-parse", name).strip() for name in ("main", "other"))
    for branch, merged, side in (("main", theirs, "--ours"), ("other", ours, "--theirs")):
        git("switch", "--quiet", branch)
        cli("checkout")
        git.run("merge", "--no-edit", merged)
        cli.ok("checkout", side)
        git("commit", "--quiet", "--no-edit")
    for branch, text in (("other", "theirs again\n"), ("main", "ours again\n")):
        git("switch", "--quiet", branch)
        cli("checkout")
        cli.write("data/a.csv", text)
        cli.ok("add", "data")
        git("commit", "--quiet", "--all", "-m", "Again")
    assert branches.conflict().count("dver: error:") == 1
    cli.ok("checkout", "--theirs")
    assert branches.read("data/a.csv") == "theirs again\n"


def test_a_dataset_whose_name_begins_with_a_dash_merges(branches: Branches) -> None:
    git, cli = branches.git, branches.cli
    cli.write("-q/base", "1\n")
    cli.ok("add", "--", "-q")
    git("commit", "--quiet", "--all", "-m", "Add -q")
    git("switch", "--quiet", "--create", "other")
    for branch in ("other", "main"):
        git("switch", "--quiet", branch)
        cli.ok("checkout")
        cli.write(f"-q/{branch}", "1\n")
        cli.ok("add", "--", "-q")
        git("commit", "--quiet", "--all", "-m", "Change -q")
    assert "main" in git("diff", "HEAD~1")
    assert branches.merge().returncode == 0
    cli.ok("checkout")
    assert sorted(path.name for path in (cli.folder / "-q").iterdir()) == ["base", "main", "other"]
