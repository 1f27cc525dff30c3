"""`dver rm`."""

from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_removes_dataset_pointer_and_ignore_rule(dataset: Cli, git: GitCommand) -> None:
    assert dataset.ok("rm", "data") == "removed data\n"
    assert not (dataset.folder / "data").exists()
    assert git("status", "--short").splitlines() == ["D  .gitignore", "D  data.dver"]
    dataset.ok("checkout", "HEAD", "--", "data")
    assert (dataset.folder / "data/b.txt").read_text() == "some text\n"


def test_keeps_the_files_if_told(dataset: Cli) -> None:
    assert dataset.ok("rm", "--keep", "data.dver") == "removed data; its files are kept\n"
    assert (dataset.folder / "data/b.txt").exists()
    assert not (dataset.folder / "data.dver").exists()


def test_tells_a_person_that_kept_files_stay_ignored(dataset: Cli, git: GitCommand) -> None:
    tip = "the data stays ignored by git; edit .gitignore to let git see it"
    assert tip not in on_terminals(dataset.folder, "rm", "--keep", "data/b.txt")[2]
    assert tip in on_terminals(dataset.folder, "rm", "--keep", "data")[2]
    assert git("check-ignore", "data/a.csv") == "data/a.csv\n"


def test_removes_a_path_from_a_dataset(dataset: Cli) -> None:
    assert dataset.at("data").ok("rm", "deep") == "removed deep from .\n"
    assert not (dataset.folder / "data/deep").exists()
    assert "nothing to do" in dataset.ok("status")


def test_keeps_data_that_is_stored_nowhere_unless_forced(dataset: Cli) -> None:
    dataset.write("data/a.csv", "precious")
    err = dataset.fails(3, "rm", "data")
    assert "1 file whose content is stored nowhere" in err
    assert "    data/a.csv\n" in err
    assert (dataset.folder / "data/b.txt").exists()
    dataset.ok("rm", "--force", "data")
    assert not (dataset.folder / "data").exists()


def test_names_what_is_no_dataset(dataset: Cli) -> None:
    assert "nothing: no dataset is there" in dataset.fails(3, "rm", "nothing")
    assert "name a dataset" in dataset.fails(3, "rm", ".")
    dataset.fails(2, "rm")
