"""`dver checkout`."""

import errno
import os
import shutil

import pytest

from dver.workspace import reflink
from tests.cli.runner import Cli
from tests.clones import noise
from tests.commands import GitCommand


def test_brings_data_to_a_revision_and_back(two_versions: Cli) -> None:
    assert two_versions.ok("checkout", "first") == ("checked out data: 2 files written, 31 bytes; 2 files deleted\n")
    assert (two_versions.folder / "data/b.txt").read_text() == "some text\n"
    assert not (two_versions.folder / "data/new.txt").exists()
    two_versions.ok("checkout", "HEAD")
    assert (two_versions.folder / "data/new.txt").read_text() == "new\n"
    assert two_versions.ok("status").startswith("nothing to do")


def test_says_so_when_there_is_nothing_to_do(dataset: Cli, cli: Cli) -> None:
    assert dataset.ok("checkout") == "nothing to do: the one dataset is up to date\n"
    dataset.write("x", "1")
    dataset.ok("add", "x")
    assert dataset.ok("checkout") == "nothing to do: all 2 datasets are up to date\n"
    (dataset.folder / "x").unlink()
    assert dataset.ok("checkout").splitlines()[1] == "1 dataset already up to date"


def test_follows_the_pointers_after_git_moved_them(two_versions: Cli, git: GitCommand) -> None:
    git("checkout", "--quiet", "first")
    two_versions.ok("checkout")
    assert (two_versions.folder / "data/a.csv").read_text().endswith("two\n")


def test_takes_a_path_where_a_revision_could_be(dataset: Cli) -> None:
    (dataset.folder / "data/b.txt").unlink()
    assert dataset.ok("checkout", "data/b.txt") == "checked out data: 1 file written, 10 bytes\n"
    shutil.rmtree(dataset.folder / "data")
    assert "3 files written" in dataset.ok("checkout", "data.dver")


def test_takes_a_revision_and_paths(two_versions: Cli) -> None:
    two_versions.write("other", "1")
    two_versions.ok("add", "other")
    two_versions.ok("checkout", "first", "--", "data")
    assert (two_versions.folder / "data/b.txt").exists()
    two_versions.ok("checkout", "HEAD", "data")
    assert not (two_versions.folder / "data/b.txt").exists()


def test_asks_which_is_meant_when_a_word_is_both(dataset: Cli, git: GitCommand) -> None:
    git("branch", "data")
    assert "dver checkout -- data for the dataset" in dataset.fails(2, "checkout", "data")
    dataset.ok("checkout", "--", "data")
    dataset.ok("checkout", "data", "--")


def test_names_what_it_does_not_know(dataset: Cli) -> None:
    assert "nothing: is neither a revision nor a dataset" in dataset.fails(3, "checkout", "nothing")
    assert "no commit, branch or tag named" in dataset.fails(3, "checkout", "nothing", "--")
    assert "nothing: no dataset is there" in dataset.fails(3, "checkout", "HEAD", "nothing")
    assert "before -- there may be 1 revision, not 2" in dataset.fails(2, "checkout", "HEAD", "HEAD", "--")


def test_lists_up_to_ten_files_that_would_be_lost(two_versions: Cli) -> None:
    for number in range(12):
        two_versions.write(f"data/many/{number:02}", str(number))
    two_versions.ok("add", "data")
    for number in range(12):
        two_versions.write(f"data/many/{number:02}", f"changed {number}")
    err = two_versions.fails(3, "checkout", "first")
    assert "12 files whose content is stored nowhere" in err
    assert "    data/many/09\n    and 2 more\n" in err
    assert "data/many/10" not in err
    assert "dver checkout --force" in err
    assert (two_versions.folder / "data/many/11").read_text() == "changed 11"


def test_gives_changes_up_if_forced(dataset: Cli) -> None:
    dataset.write("data/b.txt", "changed")
    dataset.fails(3, "checkout", "data")
    dataset.ok("checkout", "--force", "data")
    assert (dataset.folder / "data/b.txt").read_text() == "some text\n"


def test_only_says_what_it_would_do_if_told(two_versions: Cli) -> None:
    out = two_versions.ok("checkout", "--dry-run", "first")
    assert out.splitlines() == [
        "would write   data/a.csv  21 bytes",
        "would write   data/b.txt  10 bytes",
        "would delete  data/new.txt",
        "would delete  data/renamed.txt",
        "would write   data.dver",
    ]
    assert (two_versions.folder / "data/new.txt").exists()
    assert two_versions.ok("checkout", "--dry-run") == "nothing to do\n"


def test_shows_what_is_in_the_way_of_a_dry_run(dataset: Cli) -> None:
    dataset.write("data/b.txt", "changed")
    result = dataset("checkout", "--dry-run")
    assert result.code == 1
    assert "in the way    data/b.txt  (its content is stored nowhere)" in result.out


def test_says_so_when_only_the_pointer_was_brought(dataset: Cli) -> None:
    pointer = dataset.folder / "data.dver"
    content = pointer.read_bytes()
    pointer.unlink()
    assert dataset.ok("checkout", "--dry-run", "HEAD") == "would write   data.dver\n"
    assert dataset.ok("checkout", "HEAD", "--", "data") == "checked out data: pointer restored\n"
    assert pointer.read_bytes() == content
    assert dataset.ok("checkout", "HEAD") == "nothing to do: the one dataset is up to date\n"


def test_verifies_if_told(two_versions: Cli) -> None:
    two_versions.ok("checkout", "--verify", "first")
    assert (two_versions.folder / "data/b.txt").read_text() == "some text\n"


def test_names_a_version_that_is_nowhere(two_versions: Cli) -> None:
    shutil.rmtree(two_versions.folder / ".dver/cache")
    err = two_versions.fails(3, "checkout", "first")
    assert "of data is not in the cache" in err
    assert "dver remote add origin URL" in err


def test_has_nothing_to_do_without_datasets(cli: Cli) -> None:
    assert cli.ok("checkout") == "nothing to do: there are no datasets\n"


@pytest.fixture
def twins(cli: Cli) -> Cli:
    """A dataset of two equal files that are large enough to share blocks, and not here."""
    for name in ("a", "b"):
        cli.write(f"data/{name}", noise(reflink.SMALLEST))
    cli.ok("add", "data")
    cli.ok("drop", "data")
    return cli


def test_says_what_shares_blocks(twins: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: int, target: int) -> None:
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)

    monkeypatch.setattr(reflink, "share_blocks", copy)
    written = "checked out data: 2 files written, 512 KiB"
    assert twins.ok("checkout", "--link", "reflink", "data") == f"{written}, 256 KiB of it in shared blocks\n"
    assert (twins.folder / "data/b").read_bytes() == noise(reflink.SMALLEST)
    twins.ok("drop", "data")
    assert twins.ok("checkout", "data") == f"{written}\n"


def test_reflink_where_blocks_cannot_be_shared_is_refused_with_what_helps(
    twins: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: int, _target: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(reflink, "share_blocks", refuse)
    err = twins.fails(3, "checkout", "--link", "reflink", "data")
    assert "files cannot share blocks on this file system" in err
    assert "--link auto" in err
    twins.ok("config", "set", "checkout.link", "reflink", "--local")
    twins.fails(3, "checkout", "data")
    assert not (twins.folder / "data").exists()
    twins.ok("checkout", "--link", "auto", "data")
    twins.fails(2, "checkout", "--link", "hardlink", "data")
    twins.fails(3, "config", "set", "checkout.link", "hardlink")
