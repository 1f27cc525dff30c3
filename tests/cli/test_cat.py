"""`dver cat`."""

import os

from tests.cli.runner import Cli


def test_writes_the_bytes_of_the_pointers_version(dataset: Cli) -> None:
    content = os.urandom(300_000)
    dataset.write("data/a.csv", content)
    dataset.ok("add", "data")
    dataset.write("data/a.csv", "changed since")
    assert dataset("cat", "data/a.csv").out_bytes == content


def test_writes_a_file_as_it_was_in_a_revision(two_versions: Cli) -> None:
    assert two_versions.ok("cat", "first:data/b.txt") == "some text\n"
    assert two_versions.at("data", "deep").ok("cat", "first:../b.txt") == "some text\n"


def test_takes_a_single_file_and_its_pointer(cli: Cli) -> None:
    cli.write("x", "content")
    cli.ok("add", "x")
    assert cli.ok("cat", "x") == cli.ok("cat", "x.dver") == "content"


def test_reads_from_the_remote_without_a_fetch(clone: Cli) -> None:
    assert clone.ok("cat", "data/new.txt") == "new\n"


def test_names_what_cannot_be_written(dataset: Cli) -> None:
    err = dataset.fails(3, "cat", "data/deep")
    assert "is a directory" in err
    assert "dver ls data" in err
    assert "data/nothing: is not in the dataset data" in dataset.fails(3, "cat", "data/nothing")
    assert "nothing: no dataset is there" in dataset.fails(3, "cat", "nothing")
    assert dataset.fails(3, "cat", "HEAD:") == "dver: error: HEAD:: names no file\n  hint: dver ls HEAD:\n"
    assert dataset.fails(3, "cat", ".") == "dver: error: .: names no file\n  hint: dver ls .\n"
    assert "hint: dver ls HEAD:data/deep\n" in dataset.fails(3, "cat", "HEAD:data/deep")
    assert "hint: dver ls HEAD: lists the datasets of that revision" in dataset.fails(3, "cat", "HEAD")
    assert "missing argument" in dataset.fails(2, "cat")
