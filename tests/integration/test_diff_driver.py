"""What git shows of pointers when `dver hook textconv` is its diff driver for them."""

import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import DverCommand, GitCommand, installed_dver
from tests.templates import copy_template, make_repository

MANY = 30_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    root = make_repository(folder)
    git, dver = GitCommand(root), installed_dver(root, warm=True)
    git("config", "diff.dver.textconv", f"{shlex.join(dver.command)} hook textconv")
    (root / ".gitattributes").write_text("*.dver diff=dver\n")
    write(root / "data/a.csv", "1,2\n")
    write(root / "data/sub/b.csv", "3,4\n")
    write(root / "data/old.csv", "5\n")
    dver.ok("init")
    dver.ok("add", "data")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    return folder


@pytest.fixture
def work(
    template: Path, tmp_path: Path, run_dver: DverCommand, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, DverCommand]:
    """A repository with the driver set up by hand, and one commit of a dataset of three files."""
    # git starts the driver with the environment that the test has.
    for name, value in run_dver.environment.items():
        monkeypatch.setenv(name, value)
    copy_template(template, tmp_path)
    return tmp_path / "repo", replace(run_dver.at(tmp_path / "repo"), warm=True)


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def change(root: Path) -> None:
    """Change a file at equal size, add one and delete one."""
    write(root / "data/a.csv", "1,9\n")
    write(root / "data/new.csv", "7,8,9\n")
    (root / "data/old.csv").unlink()


def changed_rows(text: str) -> list[str]:
    """Return the rows with a plus or minus, without the marks at their ends; the totals are left out."""
    rows = [line for line in text.splitlines() if line.startswith(("+ ", "- "))]
    return [row[:1] + " ".join(row[1:].split("  ")[:-1]).strip() for row in rows]


CHANGES = ["-4 bytes a.csv", "-2 bytes old.csv", "+4 bytes a.csv", "+6 bytes new.csv"]


def test_every_way_to_look_at_a_change_shows_the_files_and_no_hashes(work: tuple[Path, DverCommand]) -> None:
    root, dver = work
    git = GitCommand(root)
    change(root)
    dver.ok("add", "data")
    views = [git("diff", "--cached"), git("diff", "HEAD")]
    git("restore", "--staged", "data.dver")
    views.append(git("diff"))
    views.append(git("diff", cwd=root / "data" / "sub"))
    git("commit", "--quiet", "--all", "--message", "second")
    views += [git("show"), git("log", "-p", "-1"), git("diff", "HEAD~1"), git("diff", "HEAD~1", "HEAD", "--", "*.dver")]
    views.append(git("log", "-p", "-1", cwd=root / "data"))
    for view in views:
        assert changed_rows(view) == CHANGES, view
        assert "+directory, 3 files, 14 bytes\n" in view
        assert "version =" not in view
    assert "+version =" in git("show", "--no-textconv")


def test_a_new_and_a_deleted_dataset_are_shown_whole(work: tuple[Path, DverCommand]) -> None:
    root, _ = work
    git = GitCommand(root)
    git("rm", "--quiet", "data.dver")
    git("commit", "--quiet", "--message", "second")
    added, deleted = (git("log", "-p", "--format=", rev, "-1", "--", "data.dver") for rev in ("HEAD~1", "HEAD"))
    names = ["4 bytes a.csv", "2 bytes old.csv", "4 bytes sub/b.csv"]
    assert "+directory, 3 files, 10 bytes\n" in added
    assert [line[1:] for line in changed_rows(added)] == names
    assert "-directory, 3 files, 10 bytes\n" in deleted
    assert [line[1:] for line in changed_rows(deleted)] == names


def test_a_linked_worktree_shows_the_same(work: tuple[Path, DverCommand], tmp_path: Path) -> None:
    root, _ = work
    git = GitCommand(root)
    git("worktree", "add", "--quiet", "--detach", tmp_path / "linked")
    assert "a.csv" in git("log", "-p", cwd=tmp_path / "linked")


def test_a_merge_in_conflict_and_a_combined_diff_are_shown(work: tuple[Path, DverCommand]) -> None:
    root, dver = work
    git = GitCommand(root)
    git("switch", "--quiet", "--create", "side")
    write(root / "data/side.csv", "s\n")
    dver.ok("add", "data")
    git("commit", "--quiet", "--message", "side")
    git("switch", "--quiet", "main")
    dver.ok("checkout")
    change(root)
    dver.ok("add", "data")
    git("commit", "--quiet", "--message", "main")
    with pytest.raises(AssertionError, match="CONFLICT"):
        git("merge", "side")
    assert "<<<<<<<" in git("diff")
    write(root / "data/side.csv", "s\n")
    dver.ok("add", "--force", "data")
    git("commit", "--quiet", "--message", "merged")
    assert "side.csv" in git("show", "-c")
    assert "side.csv" in git("log", "-p", "-m", "-1", "--first-parent")


def test_versions_that_are_not_here_do_not_keep_the_log_from_being_shown(
    work: tuple[Path, DverCommand], tmp_path: Path
) -> None:
    root, dver = work
    git = GitCommand(root)
    # An address where nobody answers: whoever asked there would fail or wait.
    dver.ok("remote", "add", "origin", "s3://bucket/none")
    dver.ok("remote", "set", "origin", "endpoint_url", "http://127.0.0.1:9")
    change(root)
    dver.ok("add", "data")
    git("add", "--all")
    git("commit", "--quiet", "--message", "second")
    shutil.rmtree(root / ".dver" / "cache")
    log = git("log", "-p", "--", "data.dver")
    assert log.count("not in the cache; dver fetch --all brings it") == 3
    assert "first" in log
    assert "second" in log


def test_whatever_else_ends_in_dver_is_shown_as_git_would(work: tuple[Path, DverCommand]) -> None:
    root, _ = work
    git = GitCommand(root)
    pointer = root / "data.dver"
    pointer.write_text(pointer.read_text().replace('kind = "directory"', 'kind = "broken'))
    (root / "notes.dver").write_bytes(b"one\r\ntw\xf6\n")
    (root / "tool.dver").write_bytes(b"\0\1\2")
    git("add", "--all")
    git("commit", "--quiet", "--message", "second")
    (root / "notes.dver").write_bytes(b"one\r\nthree\n")
    (root / "tool.dver").write_bytes(b"\0\1\3")
    log = git("log", "-p")
    assert '+kind = "broken\n' in log
    assert "+one\n+tw\udcf6\n" in log
    assert log.count("+binary file, 3 bytes  ") == 1
    diff = git("diff")
    assert "-tw\udcf6\n+three\n" in diff
    assert diff.count("binary file, 3 bytes  ") == 2


def test_names_of_any_bytes_are_one_line_each(work: tuple[Path, DverCommand]) -> None:
    root, dver = work
    for name in (b"line\nbreak", b"not-\xff-utf8", b"tab\there", "ünï cödé".encode(), b"-dash", b"+plus"):
        Path(os.fsdecode(os.fsencode(root / "data") + b"/" + name)).write_text("x")
    dver.ok("add", "data")
    assert changed_rows(GitCommand(root)("diff", "--cached")) == [
        "+1 byte +plus",
        "+1 byte -dash",
        r'+1 byte "line\nbreak"',
        r'+1 byte "not-\xff-utf8"',
        r'+1 byte "tab\there"',
        "+1 byte ünï cödé",
    ]


def test_a_version_of_many_files_is_shown_by_folder(work: tuple[Path, DverCommand]) -> None:
    root, dver = work
    git = GitCommand(root)
    for folder in range(MANY // 300):
        (root / f"many/{folder:03}").mkdir(parents=True)
        for number in range(300):
            (root / f"many/{folder:03}/{number}").touch()
    write(root / "many/label.txt", "x\n")
    dver.ok("add", "many")
    assert len(git("diff", "--cached", "--", "many.dver").splitlines()) < 120
    git("commit", "--quiet", "--message", "many")
    write(root / "many/042/7", "changed")
    dver.ok("add", "many")
    assert changed_rows(git("diff", "--cached")) == ["-0 bytes 042/ 300 files", "+7 bytes 042/ 300 files"]
