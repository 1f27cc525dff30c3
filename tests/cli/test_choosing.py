"""`--include`, `--exclude` and `--whole` of checkout, pull and fetch, and what status says then."""

import pytest

from tests.cli.runner import Cli


def files(cli: Cli) -> list[str]:
    return sorted(str(path.relative_to(cli.folder)) for path in cli.folder.glob("data/**/*") if path.is_file())


def test_pulls_what_fits_and_says_how_much_is_here(clone: Cli) -> None:
    said = clone.ok("pull", "--include", "*.txt", "--exclude", "deep/", "data")

    assert "checked out data: 2 files written, 14 bytes" in said
    assert files(clone) == ["data/new.txt", "data/renamed.txt"]
    status = clone.ok("status")
    assert status.startswith("Partly here, by choice:\n  (dver checkout keeps to the choice; dver checkout PATH brings")
    assert "        data  2 of 4 files: *.txt, not deep/\n" in status
    assert clone("status", "--exit-code", "-q").code == 0


def test_status_tells_deleted_from_absent(clone: Cli) -> None:
    clone.ok("pull", "--include", "*.txt", "data")
    (clone.folder / "data/new.txt").unlink()

    assert "        data  1 deleted (partly here: 2 of 4 files: *.txt)\n" in clone.ok("status")
    (found,) = clone("status", "--json").json["datasets"]
    assert (found["state"], found["partial"], found["files_here"]) == ("modified", True, 2)
    assert found["choice"] == [{"wanted": True, "path": "", "pattern": "*.txt"}]
    assert found["changes"]["deleted"] == ["new.txt"]


def test_a_choice_is_kept_until_the_whole_is_asked_for(clone: Cli) -> None:
    clone.ok("pull", "--include", "*.txt", "data")

    assert "up to date" in clone.ok("pull")
    assert clone.ok("checkout") == "nothing to do: the one dataset is up to date\n"
    assert clone.ok("fetch") == "Everything up to date: what is wanted of 1 version is in the cache\n"
    assert "1 file written" in clone.ok("pull", "--whole")
    assert clone.ok("status") == "nothing to do: the one dataset is unchanged\n"


def test_checkout_narrows_what_is_here(dataset: Cli) -> None:
    assert dataset.ok("checkout", "--dry-run", "--exclude", "*.txt", "data").splitlines() == [
        "would delete  data/b.txt",
        "would delete  data/deep/c.txt",
    ]

    assert dataset.ok("checkout", "--exclude", "*.txt", "data") == "checked out data: 2 files deleted\n"

    assert files(dataset) == ["data/a.csv"]
    assert "1 of 3 files: everything, not *.txt" in dataset.ok("status")
    assert dataset.ok("checkout", "data/deep") == "checked out data: 1 file written, 12 bytes\n"
    assert "2 of 3 files: everything, not *.txt, deep" in dataset.ok("status")


def test_patterns_go_with_a_revision(two_versions: Cli) -> None:
    two_versions.ok("checkout", "first", "--include", "b.*", "--", "data")

    assert files(two_versions) == ["data/b.txt"]


def test_fetch_brings_a_part_without_a_choice(clone: Cli) -> None:
    assert clone.ok("fetch", "--include", "*.csv").startswith("fetched part of a version from origin")

    assert files(clone) == []
    assert "Not checked out" in clone.ok("status")
    assert "is not in the dataset data" in clone.fails(3, "fetch", "data/nothing")


@pytest.mark.parametrize("command", ["checkout", "pull", "fetch"])
@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--include", "*.parquet"), 3, "*.parquet: matches nothing in data"),
        (("--include", "data/deep/*"), 3, "hint: patterns are relative to the dataset: --include 'deep/*'"),
        (("--include", ""), 2, "is no pattern"),
        (("--exclude", "!a"), 2, "--include and --exclude do that"),
        (("--include", "a", "--whole"), 2, "--whole leaves nothing out"),
    ],
)
def test_wrong_words_are_named(clone: Cli, command: str, options: tuple[str, ...], code: int, reason: str) -> None:
    assert reason in clone.fails(code, command, *options, "data")
    assert files(clone) == []


def test_a_side_of_a_merge_is_no_choice(dataset: Cli) -> None:
    assert "another matter" in dataset.fails(2, "checkout", "--ours", "--include", "*.csv")


def test_a_file_is_added_and_removed_without_the_rest(clone: Cli) -> None:
    clone.write("data/deep/more.txt", "more\n")

    assert clone.ok("add", "data/deep/more.txt").startswith("updated data: 5 files")
    assert clone.ok("rm", "data/a.csv").startswith("removed data/a.csv from data\n")
    assert "1 of 4 files: deep/more.txt" in clone.ok("status")
    assert "pushed 1 version" in clone.ok("push")
    assert files(clone) == ["data/deep/more.txt"]


def test_an_origin_is_of_whole_datasets(dataset: Cli) -> None:
    assert "lies within the dataset data" in dataset.fails(3, "add", "--note", "mine", "data/a.csv")
