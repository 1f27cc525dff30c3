"""`dver drop`."""

from pathlib import Path

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_says_what_went_and_who_has_it(dataset: Cli, git: GitCommand) -> None:
    assert dataset.ok("drop", "data") == "dropped data: 3 files, 43 bytes; the cache has it\n"
    assert not (dataset.folder / "data").exists()
    assert git("status", "--short") == ""
    assert "Not checked out" in dataset.ok("status")
    dataset.ok("checkout", "data")
    assert (dataset.folder / "data/b.txt").read_text() == "some text\n"


def test_a_part_from_within(dataset: Cli) -> None:
    inside = dataset.at("data")
    assert inside.ok("drop", "deep", "b.txt") == "dropped deep, b.txt: 2 files, 22 bytes; the cache has it\n"
    assert [path.name for path in (dataset.folder / "data").iterdir()] == ["a.csv"]
    assert inside.ok("drop", "deep") == "nothing to drop: deep is not here\n"
    assert dataset("status", "--exit-code").code == 0


def test_of_many_paths_only_the_first_are_named(dataset: Cli) -> None:
    for number in range(12):
        dataset.write(f"data/many{number:02}", "x")
    dataset.ok("add", "data")
    said = dataset.ok("drop", *(f"data/many{number:02}" for number in range(12)))
    assert "data/many09 and 2 more: 12 files" in said
    assert "data/many10" not in said


def test_a_remote_is_named(shared: Cli) -> None:
    for path in sorted((shared.folder / ".dver/cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert shared.ok("drop", "data") == "dropped data: 4 files, 55 bytes; remote origin has it\n"
    shared.ok("checkout", "data")
    assert (shared.folder / "data/new.txt").read_text() == "new\n"


def test_a_dry_run_says_what_would_go_and_what_is_in_the_way(dataset: Cli) -> None:
    assert dataset.ok("drop", "--dry-run", "data/deep").splitlines() == [
        "would drop    data/deep",
        "              1 file, 12 bytes; the cache has it",
    ]
    dataset.write("data/new.txt", "new")
    result = dataset("drop", "--dry-run", ".")
    assert result.code == 1
    assert result.out.splitlines() == [
        "would drop    data",
        "              3 files, 43 bytes; the cache has it",
        "in the way    data/new.txt  (it is not in the version)",
    ]
    assert (dataset.folder / "data/deep/c.txt").exists()


def test_keeps_changes_unless_forced(dataset: Cli) -> None:
    dataset.write("data/b.txt", "precious")
    err = dataset.fails(3, "drop", "data")
    assert "1 file that is not in its version; nothing was dropped" in err
    assert "    data/b.txt\n" in err
    assert "dver add data" in err
    dataset.ok("drop", "data/a.csv")
    assert dataset.ok("drop", "--force", "data") == "dropped data: 2 files, 20 bytes, 1 of them stored nowhere\n"
    assert not (dataset.folder / "data").exists()


def test_keeps_what_is_stored_nowhere(dataset: Cli, tmp_path: Path) -> None:
    (dataset.folder / ".dver/cache").rename(tmp_path / "away")
    assert "neither all in the cache nor on a remote" in dataset.fails(3, "drop", "data")
    result = dataset("drop", "--dry-run", "data")
    assert result.code == 1
    assert "in the way    it is neither all in the cache nor on a remote" in result.out
    assert (dataset.folder / "data/b.txt").exists()


def test_json_says_the_same(dataset: Cli) -> None:
    dataset.write("data/new.txt", "new")
    plan = dataset("drop", "--dry-run", "--json", "data")
    assert plan.code == 1
    assert plan.json["dry_run"]
    assert plan.json["dropped"] == [
        {
            "dataset": "data",
            "parts": [],
            "files": 3,
            "size": 43,
            "stored_in": "cache",
            "remote": None,
            "changed": ["data/new.txt"],
            "safe": False,
        }
    ]
    done = dataset("drop", "--json", "data/deep").json
    assert (done["dry_run"], done["dropped"][0]["parts"]) == (False, ["deep"])
    assert not (dataset.folder / "data/deep").exists()


def test_names_what_is_no_dataset(dataset: Cli) -> None:
    assert "nothing: no dataset is there" in dataset.fails(3, "drop", "nothing")
    assert "is not in the dataset data" in dataset.fails(3, "drop", "data/nothing")
    dataset.fails(2, "drop")
