"""`dver diff`."""

import pytest

from dver.objects.ids import format_version
from dver.operations.datasets import pointers_at
from dver.repo import Repo
from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_says_nothing_when_nothing_differs(dataset: Cli) -> None:
    assert dataset.ok("diff") == ""
    assert "no differences" in on_terminals(dataset.folder, "diff")[2]


def test_compares_the_data_here_with_the_last_commit(dataset: Cli) -> None:
    dataset.write("data/a.csv", "id\n")
    dataset.write("data/new", b"x" * 2048)
    (dataset.folder / "data/b.txt").unlink()
    (dataset.folder / "data/deep/c.txt").rename(dataset.folder / "data/moved.txt")
    (dataset.folder / "data/deep").rmdir()
    head, *lines = dataset.ok("diff").splitlines()
    assert head.startswith("data: b3:")
    assert " → b3:" in head
    assert lines == [
        "  M  a.csv                   21 bytes → 3 bytes",
        "  D  b.txt                   10 bytes",
        "  R  deep/c.txt → moved.txt  12 bytes",
        "  A  new                     2.0 KiB",
    ]


def test_shows_how_much_the_size_changed_where_it_reads_the_same(cli: Cli, git: GitCommand) -> None:
    cli.write("x", b"x" * 1_048_000)
    cli.ok("add", "x")
    git("commit", "--quiet", "-m", "Add x")
    cli.write("x", b"x" * 1_048_020)
    assert "M  x  1023 KiB (+20 bytes)\n" in cli.ok("diff")


@pytest.mark.parametrize(
    "arguments", [("first", "HEAD"), ("first..HEAD",), ("first..",), ("first", "HEAD", "--"), ("first..", "--", "data")]
)
def test_compares_revisions_without_a_checkout(two_versions: Cli, arguments: tuple[str, ...]) -> None:
    two_versions.ok("checkout", "first")
    lines = two_versions.ok("diff", *arguments).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["M", "a.csv"], ["A", "new.txt"], ["R", "b.txt"]]


def test_compares_one_revision_with_the_data_here(two_versions: Cli) -> None:
    assert "A  new.txt" in two_versions.ok("diff", "first")
    assert two_versions.ok("diff", "HEAD") == ""


def test_shows_datasets_that_are_new_or_gone(two_versions: Cli, git: GitCommand) -> None:
    two_versions.write("other", "1")
    two_versions.ok("add", "other")
    two_versions.ok("rm", "data")
    out = two_versions.ok("diff")
    assert "data: gone, was b3:" in out
    assert "other: new, b3:" in out


def test_narrows_to_paths(two_versions: Cli) -> None:
    assert two_versions.ok("diff", "first", "HEAD", "--", "data/deep") == ""
    assert two_versions.ok("diff", "first", "HEAD", "data/new.txt").count("\n") == 2
    assert two_versions.at("data").ok("diff", "first", "HEAD", "new.txt").count("\n") == 2


def test_answers_with_its_exit_code_if_told(two_versions: Cli) -> None:
    assert two_versions("diff", "--exit-code").code == 0
    assert two_versions("diff", "--exit-code", "first").code == 1
    assert two_versions("diff", "first").code == 0


def _file(
    path: str, change: str, *, sizes: tuple[int | None, int | None], old_path: str | None = None
) -> dict[str, object]:
    old, new = sizes
    return {
        "path": path,
        "change": change,
        "old_path": old_path,
        "old_size": old,
        "new_size": new,
        "old_kind": None if old is None else "file",
        "new_kind": None if new is None else "file",
    }


def test_shows_what_became_another_thing(dataset: Cli, git: GitCommand) -> None:
    folder = dataset.folder / "data"
    (folder / "latest").symlink_to("a.csv")
    (folder / "other").symlink_to("a.csv")
    (folder / "target").symlink_to("a.csv")
    dataset.write("data/run.sh", "#!\n")
    dataset.write("data/stop.sh", "#!\n").chmod(0o755)
    dataset.write("data/edited.sh", "#!\n")
    dataset.ok("add", "data")
    git("commit", "--quiet", "-m", "Add links")
    for name in ("latest", "other", "target"):
        (folder / name).unlink()
    dataset.write("data/latest", "a file now")
    (folder / "other").mkdir()
    (folder / "target").symlink_to("b.txt")
    (folder / "run.sh").chmod(0o755)
    (folder / "stop.sh").chmod(0o644)
    dataset.write("data/edited.sh", "#?\n").chmod(0o755)
    (folder / "fresh").symlink_to("a.csv")
    (folder / "hollow").mkdir()
    assert dataset.ok("diff").splitlines()[1:] == [
        "  M  edited.sh  3 bytes (now executable)",
        "  A  fresh      link",
        "  A  hollow     empty folder",
        "  M  latest     (link → file)",
        "  M  other      (link → empty folder)",
        "  M  run.sh     (now executable)",
        "  M  stop.sh    (no longer executable)",
        "  M  target     (other target)",
    ]
    kinds = {
        file["path"]: (file["old_kind"], file["new_kind"])
        for file in dataset("diff", "--json").json["datasets"][0]["files"]
    }
    assert kinds["run.sh"] == ("file", "executable")
    assert kinds["latest"] == ("link", "file")
    assert kinds["other"] == ("link", "directory")
    assert kinds["fresh"] == (None, "link")


def test_writes_json(two_versions: Cli) -> None:
    with Repo.find(two_versions.folder) as repo:
        old, new = (pointers_at(repo, repo.git.resolve(rev))["data"].version for rev in ("first", "HEAD"))
    assert two_versions("diff", "first", "HEAD", "--json").json == {
        "old": "first",
        "new": "HEAD",
        "datasets": [
            {
                "dataset": "data",
                "change": "modified",
                "old_version": format_version(old),
                "new_version": format_version(new),
                "files": [
                    _file("a.csv", "modified", sizes=(21, 29)),
                    _file("new.txt", "added", sizes=(None, 4)),
                    _file("renamed.txt", "renamed", old_path="b.txt", sizes=(10, 10)),
                ],
                "lineage": None,
            }
        ],
    }


def test_writes_json_for_the_data_here(dataset: Cli) -> None:
    assert dataset("diff", "--json").json == {"old": "HEAD", "new": None, "datasets": []}


def test_refuses_what_is_neither_revision_nor_path(dataset: Cli) -> None:
    err = dataset.fails(3, "diff", "nothing")
    assert "nothing: is neither a revision nor a dataset" in err
    assert "git log --oneline" in err


def test_names_an_unknown_revision_before_the_separator(dataset: Cli) -> None:
    assert "no commit, branch or tag named 'nothing'" in dataset.fails(3, "diff", "nothing", "--")


def test_asks_which_is_meant_when_a_word_is_both(dataset: Cli, git: GitCommand) -> None:
    git("branch", "data")
    err = dataset.fails(2, "diff", "data")
    assert "data is both a revision and a dataset" in err
    assert "dver diff data -- for the revision, dver diff -- data for the dataset" in err
    assert dataset.ok("diff", "data", "--") == dataset.ok("diff", "--", "data") == ""


def test_refuses_more_than_two_revisions(two_versions: Cli) -> None:
    two_versions.fails(2, "diff", "first", "HEAD", "HEAD~1", "--")
    two_versions.fails(2, "diff", "first..HEAD", "HEAD~1")
