"""What holds for every command: options around its name, exit codes, and what is said when things go wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dver
from dver.cli import status as status_module
from tests.cli.runner import Cli, on_terminals
from tests.commands import DverCommand


def test_version_is_the_packages(cli: Cli) -> None:
    assert cli.ok("--version") == f"dver {dver.__version__}\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_starts_without_the_heavy_packages(tmp_path: Path, arguments: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dver", *arguments], capture_output=True, text=True, check=True
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in shown.splitlines()}
    assert "dver.cli.main" in imported
    assert not imported & {"rich", "pygit2", "blake3", "fsspec", "xxhash", "zstandard", "dver.repo"}
    if arguments == ["--version"]:
        assert "click" not in imported


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing command"),
        (["stauts"], "did you mean dver status?"),
        (["frobnicate"], "dver --help lists them"),
        (["commit"], "git commit records the version"),
        (["clone"], "git clone URL, then dver pull"),
        (["status", "--nonsense"], "hint: dver status --help"),
        (["--nonsense", "status"], "no such option"),
    ],
)
def test_a_mistake_in_the_command_line_is_2(cli: Cli, arguments: list[str], message: str) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


def test_a_folder_that_is_not_there_is_named(cli: Cli) -> None:
    assert "-C nothing: there is no such folder" in cli.fails(2, "-C", "nothing", "status")


def test_folders_add_up(cli: Cli) -> None:
    (cli.folder / "a/b").mkdir(parents=True)
    cli.write("a/b/x", "1")
    assert "added x" in cli.ok("-C", "a", "-C", "b", "add", "x")


def test_errors_have_one_form(git_repo: Path) -> None:
    assert (
        Cli(git_repo).fails(3, "status") == f"dver: error: {git_repo}: dver is not set up here yet\n  hint: dver init\n"
    )
    assert "\x1b[31;1mdver: error:\x1b[0m" in on_terminals(git_repo, "status")[2]


def test_verbose_shows_where_an_error_came_from(git_repo: Path) -> None:
    for arguments in (["-v", "status"], ["status", "-v"]):
        result = Cli(git_repo)(*arguments)
        assert result.code == 3
        assert "Traceback" in result.err
        assert "NotARepositoryError" in result.err


def test_odd_names_in_errors_stay_on_one_line(cli: Cli) -> None:
    err = cli.fails(3, "add", "two\nlines\x1b[1m")
    assert "two\\nlines\\x1b[1m" in err


def test_a_failure_that_nobody_expected_leaves_a_report(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise LookupError("surprise")

    monkeypatch.setattr(status_module, "status", fail)
    (cli.folder / ".dver/tmp").mkdir(exist_ok=True)
    err = cli.fails(3, "status", "secret-argument")
    assert "LookupError" in err
    assert "please report this as a bug" in err
    (log,) = (cli.folder / ".dver/tmp").glob("dver-crash-*.log")
    assert str(log) in err
    assert "surprise" in log.read_text()
    assert "secret-argument" not in log.read_text()


def test_a_failure_of_the_system_is_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(28, os.strerror(28), "/some/place")

    monkeypatch.setattr(status_module, "status", fail)
    assert cli.fails(3, "status") == (
        "dver: error: /some/place: No space left on device\n  hint: free some space there, then run the command again\n"
    )


def test_an_interrupt_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status_module, "status", interrupt)
    assert cli.fails(130, "status") == "interrupted; run the same command again to continue\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_long_add_ends_in_good_order_and_goes_on_later(
    cli: Cli, run_dver: DverCommand, number: signal.Signals, code: int
) -> None:
    with (cli.folder / "big").open("wb") as file:
        file.truncate(2 << 30)
    process = subprocess.Popen(
        [*run_dver.command, "add", "big"],
        cwd=cli.folder,
        env={**os.environ, **run_dver.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (cli.folder / ".dver/cache/dver-store.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert "interrupted; run the same command again" in process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert not (cli.folder / "big.dver").exists()
    leftovers = [path for path in (cli.folder / ".dver").rglob("*") if path.name.startswith(".tmp-")]
    assert leftovers == []
    os.truncate(cli.folder / "big", 1000)
    cli.ok("add", "big")


def test_a_reader_that_stops_is_no_error(dataset: Cli, run_dver: DverCommand) -> None:
    dataset.write("data/large", os.urandom(400_000))
    dataset.ok("add", "data")
    command = " ".join(run_dver.command)
    done = subprocess.run(
        ["bash", "-c", f"{command} cat data/large | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"],
        cwd=dataset.folder,
        env={**os.environ, **run_dver.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_full_disk_under_the_output_is_an_error(dataset: Cli, run_dver: DverCommand) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*run_dver.command, "ls"],
            cwd=dataset.folder,
            env={**os.environ, **run_dver.environment},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith("dver: error: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "closed", "code"),
    [
        ("status", ">&-", 0),
        ("status", "2>&-", 0),
        ("status", "<&- >&- 2>&-", 0),
        ("cat data/a.csv", ">&-", 0),
        ("--version", ">&-", 0),
        ("--help", ">&-", 0),
        ("status nothing", "2>&-", 3),
    ],
)
def test_closed_streams_do_no_harm(dataset: Cli, run_dver: DverCommand, arguments: str, closed: str, code: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(run_dver.command)} {arguments} {closed}"],
        cwd=dataset.folder,
        env={**os.environ, **run_dver.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert "Traceback" not in done.stdout


def test_files_do_not_take_the_place_of_closed_streams(cli: Cli, run_dver: DverCommand) -> None:
    cli.write("data/x", "1")
    script = f"{' '.join(run_dver.command)} add data <&- >&- 2>&-"
    environment = {**os.environ, **run_dver.environment}
    subprocess.run(["bash", "-c", script], cwd=cli.folder, env=environment, check=True)
    assert cli.ok("cat", "data/x") == "1"


def test_help_is_a_command_too(cli: Cli) -> None:
    assert cli.ok("help") == cli.ok("--help")
    assert cli.ok("help", "add") == cli.ok("add", "--help")
    assert cli.ok("help", "remote", "add") == cli.ok("remote", "add", "--help")
    assert "no command 'nothing'" in cli.fails(2, "help", "nothing")


def test_any_locale_will_do(cli: Cli, run_dver: DverCommand) -> None:
    cli.write("data/übung", "1")
    cli.write(b"data/\xff", "1")
    cli.ok("add", "data")
    out = run_dver.at(cli.folder).ok("ls", "data", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert "data/\\xfcbung" in out
    assert '"data/\\xff"' in out
