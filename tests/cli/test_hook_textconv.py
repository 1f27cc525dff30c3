"""`dver hook textconv`."""

import os
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand

CONFLICT = b"<<<<<<< ours\nformat = 1\n=======\nformat = 1\n>>>>>>> theirs\n"


def shown(cli: Cli, pointer: str | Path = "data.dver") -> list[str]:
    return cli.ok("hook", "textconv", pointer).splitlines()


def without_marks(lines: list[str]) -> list[str]:
    return [line[:-8] for line in lines]


def test_shows_a_line_a_file_with_its_size_first(dataset: Cli) -> None:
    header, *rows = shown(dataset)
    assert header == "directory, 3 files, 43 bytes"
    assert without_marks(rows) == ["   21 bytes  a.csv", "   10 bytes  b.txt", "   12 bytes  deep/c.txt"]
    assert all(len(row[-6:]) == 6 and int(row[-6:], 16) >= 0 for row in rows)


def test_tells_executables_links_and_empty_folders(cli: Cli) -> None:
    cli.write("data/run.sh", "#!").chmod(0o755)
    (cli.folder / "data/latest").symlink_to("run.sh")
    (cli.folder / "data/later").mkdir()
    cli.ok("add", "data")
    _, empty, link, executable = shown(cli)
    assert (empty, link) == ("      empty  later/", "       link  latest  -> run.sh")
    assert executable.startswith("    2 bytes  run.sh  (executable)  ")


def test_names_of_any_bytes_take_one_line_each(cli: Cli) -> None:
    for name in (b"line\nbreak", b"not-\xff-utf8", b"tab\there", "ünï".encode(), b"\x1b[31mred", b" spaces "):
        cli.write(b"data/" + name, "x")
    (cli.folder / "data/link").symlink_to("to\nnowhere")
    cli.ok("add", "data")
    result = cli("hook", "textconv", "data.dver")
    assert result.out_bytes.decode() == result.out
    _, *rows = result.out.splitlines()
    assert [row[13:].rpartition("  ")[0] for row in rows] == [
        r'"\x1b[31mred"',
        '" spaces "',
        r'"line\nbreak"',
        "link",
        r'"not-\xff-utf8"',
        r'"tab\there"',
        "ünï",
    ]
    assert rows[3].endswith(r'-> "to\nnowhere"')


def test_a_dataset_that_is_one_file_has_no_path_to_show(cli: Cli) -> None:
    cli.write("one.csv", "1,2\n")
    cli.ok("add", "one.csv")
    header, row = shown(cli, "one.csv.dver")
    assert header == "file, 4 bytes"
    assert row[:-6] == "    4 bytes  "


def test_many_files_are_summed_up_by_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.cli.hooks.textconv._MOST_LINES", 3)
    for number in range(4):
        cli.write(f"data/deep/{number}", "12")
    cli.write("data/top", "1")
    cli.ok("add", "data")
    header, *rows = shown(cli)
    assert header == "directory, 5 files, 9 bytes"
    assert without_marks(rows) == ["    8 bytes  deep/  4 files", "     1 byte  top"]


def test_a_version_that_is_not_here_has_its_totals_and_what_brings_it(clone: Cli) -> None:
    header, why = shown(clone)
    assert header == "directory, 4 files, 55 bytes"
    assert why.startswith("version b3:")
    assert why.endswith("…: not in the cache; dver fetch --all brings it")
    assert len(why) < 80
    clone.ok("fetch", "--all")
    assert len(shown(clone)) == 5


def test_two_versions_that_are_not_here_differ(clone: Cli, git: GitCommand, tmp_path: Path) -> None:
    old = tmp_path / "old.dver"
    old.write_text(git("show", "first:data.dver"))
    assert shown(clone)[1] != shown(clone, old)[1]


def test_settings_that_cannot_be_read_are_a_line_and_no_error(dataset: Cli) -> None:
    (dataset.folder / ".dver/config.toml").write_bytes(CONFLICT)
    header, why = shown(dataset)
    assert header == "directory, 3 files, 43 bytes"
    assert why.startswith("version b3:")
    assert ".dver/config.toml" in why


def test_outside_of_what_dver_is_set_up_in_only_the_totals_are_shown(dataset: Cli, tmp_path: Path) -> None:
    pointer = dataset.folder / "data.dver"
    elsewhere = Cli(tmp_path)
    assert shown(elsewhere, pointer)[0] == "directory, 3 files, 43 bytes"
    assert shown(elsewhere, pointer)[1].endswith("dver is not set up here")


@pytest.mark.parametrize(
    "content",
    [b"", b"settings of another tool\r\n", b"# dver pointer: cut sh", CONFLICT, b"\xff\xfe", b"x" * 200_000],
    ids=["empty", "foreign", "broken", "conflict", "not UTF-8", "large"],
)
def test_what_is_no_pointer_is_shown_as_it_is(cli: Cli, content: bytes) -> None:
    cli.write("x.dver", content)
    result = cli("hook", "textconv", "x.dver")
    assert (result.code, result.out_bytes, result.err) == (0, content, "")


def test_a_binary_file_is_one_line_that_changes_with_it(cli: Cli) -> None:
    lines = set()
    for end in (b"1", b"2"):
        cli.write("x.dver", b"\x7fELF\0\0" + end)
        (line,) = shown(cli, "x.dver")
        assert line.startswith("binary file, 7 bytes  ")
        lines.add(line)
    assert len(lines) == 2


def test_a_file_that_cannot_be_read_is_an_error(cli: Cli) -> None:
    assert "gone.dver: No such file" in cli.fails(3, "hook", "textconv", "gone.dver")
    os.mkdir(cli.folder / "folder.dver")
    assert "folder.dver: Is a directory" in cli.fails(3, "hook", "textconv", "folder.dver")
