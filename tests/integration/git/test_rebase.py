"""git rebase, cherry-pick, revert and amend: commits that are made anew, and data that follows."""

from tests.integration.git.project import CONFLICTS, Project


def test_a_rebase_merges_and_brings_the_data_at_its_end(project: Project) -> None:
    project.git("rebase", "--quiet", "side")
    project.assert_data(project.merged("main", "side"))
    assert project.git("rev-parse", "HEAD^") == project.git("rev-parse", "side")
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]


def test_a_rebase_of_several_commits(project: Project) -> None:
    for number in range(3):
        project.write(f"data/{number}.txt", str(number))
        project.commit(f"number {number}", "data")
    expected = {**project.merged("main", "side"), **{f"{n}.txt".encode(): ("file", b"%d" % n) for n in range(3)}}
    project.git("rebase", "--quiet", "side")
    project.assert_data(expected)
    project.git("switch", "--quiet", "--detach", "HEAD~3")
    project.assert_data(project.merged("main", "side"))


def test_a_rebase_that_only_moves_forward(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "behind", "v1")
    project.git("rebase", "--quiet", "side")
    project.assert_at("side")


def test_a_rebase_with_a_conflict_goes_on_when_it_is_resolved(project: Project) -> None:
    said = project.git.fails("rebase", "clash")
    assert all(path in said for path in CONFLICTS)
    # In a rebase, the commit that is being moved is theirs.
    project.dver.ok("checkout", "--theirs")
    project.git("-c", "core.editor=true", "rebase", "--continue")
    project.assert_data(project.merged("clash", "main"))
    assert project.git("rev-parse", "HEAD^") == project.git("rev-parse", "clash")


def test_a_rebase_is_given_up(project: Project) -> None:
    project.git.fails("rebase", "clash")
    project.git("rebase", "--abort")
    project.assert_at("main")


def test_a_rebase_is_given_up_after_a_resolution(project: Project) -> None:
    project.git.fails("rebase", "clash")
    project.dver.ok("checkout", "--ours")
    project.git("rebase", "--abort")
    project.dver.ok("checkout")
    project.assert_at("main")


def test_a_conflicting_commit_is_skipped(project: Project) -> None:
    project.git.fails("rebase", "clash")
    project.git("rebase", "--skip")
    project.dver.ok("checkout")
    project.assert_at("clash")


def test_commits_are_melted_into_one(project: Project) -> None:
    for number in range(2):
        project.write(f"data/{number}.txt", str(number))
        project.commit(f"number {number}", "data")
    before = project.tree()
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i -e '2s/^pick/fixup/'", "GIT_EDITOR": "true"}
    project.git("rebase", "--quiet", "--interactive", "HEAD~2", env=editor)
    assert project.tree() == before
    project.assert_clean()
    assert project.git("rev-parse", "HEAD^") == project.git("rev-parse", "origin/main")


def test_a_commit_is_dropped_from_the_midst(project: Project) -> None:
    for number in range(2):
        project.write(f"data/{number}.txt", str(number))
        project.commit(f"number {number}", "data")
    project.git("rebase", "--quiet", "--interactive", "HEAD~2", env={"GIT_SEQUENCE_EDITOR": "sed -i -e 1d"})
    project.assert_data({**project.data_at("main"), b"1.txt": ("file", b"1")})


def test_a_commit_is_picked(project: Project) -> None:
    project.git("cherry-pick", "side")
    project.assert_data(project.merged("main", "side"))
    assert project.tree()[b"model.bin"] == project.trees["side"][b"model.bin"]


def test_a_commit_is_picked_with_a_conflict(project: Project) -> None:
    said = project.git.fails("cherry-pick", "clash")
    assert all(path in said for path in CONFLICTS)
    project.dver.fails(1, "checkout", "--theirs", CONFLICTS[0])
    project.dver.ok("checkout", "--ours", CONFLICTS[1])
    project.git("-c", "core.editor=true", "cherry-pick", "--continue")
    expected = project.merged("main", "clash")
    expected[b"nested/c.bin"] = project.data_at("main")[b"nested/c.bin"]
    project.assert_data(expected)


def test_a_commit_is_taken_back(project: Project) -> None:
    project.git("revert", "--no-edit", "HEAD")
    project.assert_data(project.data_at("first"))


def test_a_commit_in_the_midst_is_taken_back(project: Project) -> None:
    project.write("data/later.txt", "later")
    project.commit("later", "data")
    project.git("revert", "--no-edit", "HEAD~1")
    project.assert_data({**project.data_at("first"), b"later.txt": ("file", b"later")})


def test_a_merge_is_taken_back(project: Project) -> None:
    project.git("merge", "--quiet", "--no-edit", "side")
    project.git("revert", "--no-edit", "--mainline", "1", "HEAD")
    project.assert_data(project.data_at("main"))


def test_a_commit_is_amended_with_data(project: Project) -> None:
    project.write("data/late.txt", "forgotten at first")
    project.dver.ok("add", "data")
    project.git("commit", "--quiet", "--amend", "--no-edit")
    project.assert_data({**project.data_at("main"), b"late.txt": ("file", b"forgotten at first")})
    assert project.git("rev-parse", "HEAD^") == project.git("rev-parse", "v1^{commit}")


def test_a_message_is_amended(project: Project) -> None:
    amended = project.git.run("commit", "--quiet", "--amend", "--message", "in other words")
    assert (amended.returncode, amended.stderr) == (0, "")
    project.assert_at("main")


def test_a_hard_reset_is_followed_by_checkout(project: Project) -> None:
    project.git("reset", "--quiet", "--hard", "v1")
    # git runs no hook after a reset.
    assert project.dver("status", "--exit-code").returncode == 1
    project.dver.ok("checkout")
    project.assert_at("first")
