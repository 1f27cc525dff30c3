"""`dver ls`."""

import json
import os
import shutil

from tests.cli.runner import Cli, on_terminals


def test_lists_datasets_with_kind_size_and_files(dataset: Cli) -> None:
    dataset.write("sub/x", b"x" * 3000)
    dataset.ok("add", "sub/x")
    assert dataset.ok("ls") == (
        "dataset  43 bytes  3 files  data\n"
        "dataset   2.9 KiB   1 file  sub/x\n"
    )  # fmt: skip


def test_lists_one_level_of_a_dataset(dataset: Cli) -> None:
    (dataset.folder / "data/link").symlink_to("b.txt")
    dataset.write("data/run.sh", "#!\n").chmod(0o755)
    dataset.ok("add", "data")
    assert dataset.ok("ls", "data").splitlines() == [
        "file        21 bytes          data/a.csv",
        "file        10 bytes          data/b.txt",
        "directory   12 bytes  1 file  data/deep",
        "link         0 bytes          data/link -> b.txt",
        "executable   3 bytes          data/run.sh",
    ]


def test_lists_all_below_if_told(dataset: Cli) -> None:
    paths = [line.split()[-1] for line in dataset.ok("ls", "-R", "data").splitlines()]
    assert paths == ["data/a.csv", "data/b.txt", "data/deep/c.txt"]


def test_lists_a_revision_without_a_checkout(two_versions: Cli) -> None:
    shutil.rmtree(two_versions.folder / "data")
    assert "data/b.txt" in two_versions.ok("ls", "first:data")
    assert "data/b.txt" not in two_versions.ok("ls", "data")
    assert "data" in two_versions.ok("ls", "first:")


def test_takes_paths_from_the_current_folder(dataset: Cli) -> None:
    assert dataset.at("data").ok("ls", "deep").endswith(" deep/c.txt\n")
    assert dataset.at("data").ok("ls", "HEAD:deep").endswith(" deep/c.txt\n")
    assert dataset.ok("ls", "data.dver") == dataset.ok("ls", "data")


def test_takes_a_dataset_whose_name_has_a_colon(cli: Cli) -> None:
    cli.write("a:b/x", "1")
    cli.ok("add", "a:b")
    assert cli.ok("ls", "a:b").endswith(" a:b/x\n")
    shutil.rmtree(cli.folder / "a:b")
    assert cli.ok("ls", "a:b/x").endswith(" a:b/x\n")


def test_shows_odd_names_on_one_line(cli: Cli) -> None:
    for name in (b"new\nline", b"\xff", b"esc\x1b[1m", "übung 中".encode(), b" first", b"last ", b"in between"):
        cli.write(b"data/" + name, "1")
    cli.ok("add", "data")
    shown = [line.split("  ")[-1] for line in cli.ok("ls", "data").splitlines()]
    assert shown == [
        '"data/ first"',
        '"data/esc\\x1b[1m"',
        "data/in between",
        '"data/last "',
        '"data/new\\nline"',
        "data/übung 中",
        '"data/\\xff"',
    ]


def test_writes_json(dataset: Cli) -> None:
    (dataset.folder / "data/link").symlink_to(os.fsdecode(b"\xfe"))
    dataset.ok("add", "data")
    document = dataset("ls", "--json", "data").json
    assert document["revision"] is None
    assert document["entries"][0] == {"path": "data/a.csv", "kind": "file", "size": 21, "files": 1, "target": None}
    assert document["entries"][-1] == {"path": "data/link", "kind": "link", "size": 0, "files": 1, "target": "\\xfe"}
    assert dataset("ls", "--json", "HEAD:").json["revision"] == "HEAD"


def test_says_so_to_a_person_when_there_is_nothing(cli: Cli) -> None:
    assert cli.ok("ls") == ""
    assert "no datasets yet" in on_terminals(cli.folder, "ls")[2]


def test_names_what_is_not_there(dataset: Cli) -> None:
    assert "nothing: no dataset is there" in dataset.fails(3, "ls", "nothing")
    assert "data/nothing: is not in the dataset data" in dataset.fails(3, "ls", "data/nothing")
    assert "hint: dver ls HEAD:data\n" in dataset.fails(3, "ls", "HEAD:data/nothing")
    assert "hint: dver ls HEAD: lists the datasets of that revision" in dataset.fails(3, "ls", "HEAD")
    assert "no commit, branch or tag named 'nothing'" in dataset.fails(3, "ls", "nothing:data")
    assert "HEAD:data is the last commit's" in dataset.fails(2, "ls", ":data")


def test_a_long_listing_is_the_same_document_as_a_short_one(cli: Cli) -> None:
    for number in range(3000):
        cli.write(f"data/{number % 7}/ü{number}", "1" * (number % 30))
    (cli.folder / "data/link").symlink_to("0/ü0")
    cli.ok("add", "data")

    written = cli.ok("ls", "-R", "--json", "data")

    document = json.loads(written)
    assert written == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert len(document["entries"]) == 3001
    assert document["entries"][-1] == {"path": "data/link", "kind": "link", "size": 0, "files": 1, "target": "0/ü0"}
    assert len({line.index("data/") for line in cli.ok("ls", "-R", "data").splitlines()}) == 1
