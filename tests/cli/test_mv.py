"""`dver mv`."""

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_renames_a_dataset_with_its_data(dataset: Cli, git: GitCommand) -> None:
    assert dataset.ok("mv", "data", "sub/moved") == "moved data to sub/moved\n"
    assert (dataset.folder / "sub/moved/b.txt").exists()
    assert "R  data.dver -> sub/moved.dver" in git("status", "--short")
    assert "nothing to do" in dataset.ok("status")


def test_takes_a_pointer_and_paths_from_the_current_folder(dataset: Cli) -> None:
    (dataset.folder / "sub").mkdir()
    assert dataset.at("sub").ok("mv", "../data.dver", ".") == "moved ../data to data\n"


def test_renames_a_path_within_a_dataset(dataset: Cli) -> None:
    dataset.ok("mv", "data/b.txt", "data/deep/b.txt")
    assert (dataset.folder / "data/deep/b.txt").exists()
    assert "nothing to do" in dataset.ok("status")


def test_refuses_what_cannot_be_moved(dataset: Cli) -> None:
    dataset.write("other", "1")
    assert "nothing: no dataset is there" in dataset.fails(3, "mv", "nothing", "x")
    assert "is there already" in dataset.fails(3, "mv", "data/b.txt", "data/a.csv")
    assert "is outside the repository" in dataset.fails(3, "mv", "data", "../data")
    assert "lies within the dataset data" in dataset.fails(3, "mv", "data", "data/inner")
    dataset.fails(2, "mv", "data")


def test_says_how_to_make_room(dataset: Cli) -> None:
    dataset.write("code.py", "pass")
    dataset.write("x", "1")
    dataset.ok("add", "x")
    assert "hint: choose another path, or move code.py away\n" in dataset.fails(3, "mv", "data", "code.py")
    assert "hint: choose another path, or dver rm x\n" in dataset.fails(3, "mv", "data", "x")
    dataset.write("data/stray", "1")
    err = dataset.fails(3, "mv", "data/b.txt", "data/stray")
    assert "hint: choose another path, or move data/stray away\n" in err
    err = dataset.fails(3, "mv", "data/b.txt", "data/a.csv")
    assert "hint: choose another path, or dver rm data/a.csv\n" in err
