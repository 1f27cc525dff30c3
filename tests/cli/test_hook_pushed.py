"""`dver hook pushed`: who told it what is pushed, and what it says of wrong or missing input."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.runner import Cli, CliResult, Terminal
from tests.commands import DverCommand, GitCommand

ZERO = "0" * 40

Pushed = Callable[..., CliResult]


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Pushed:
    """Run the hook with some standard input, None for a terminal."""

    def run(cli: Cli, *arguments: str, stdin: bytes | None = b"") -> CliResult:
        stream = Terminal() if stdin is None else io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii")
        monkeypatch.setattr(sys, "stdin", stream)
        result = cli("hook", "pushed", *arguments)
        assert result.out == ""
        assert "Traceback" not in result.err
        return result

    return run


@pytest.fixture
def ahead(shared: Cli, git: GitCommand) -> Cli:
    """dver where a commit names a version that is not on the remote."""
    shared.write("data/ahead.txt", "1")
    shared.ok("add", "data")
    git("commit", "--quiet", "-m", "Ahead")
    return shared


@pytest.fixture
def line(ahead: Cli, git: GitCommand) -> bytes:
    """What git says of a push of that commit to an empty repository."""
    return f"refs/heads/main {git('rev-parse', 'HEAD').strip()} refs/heads/main {ZERO}\n".encode()


def is_refused(result: CliResult) -> bool:
    """Whether the hook said no because of the one version."""
    assert result.code in (0, 1), result
    if result.code == 0:
        assert result.err == ""
        return False
    assert result.err.startswith("dver: error: 1 version that this push names is not on origin\n    data  b3:")
    return True


def test_the_lines_of_git_say_what_is_pushed(ahead: Cli, pushed: Pushed, line: bytes, git: GitCommand) -> None:
    assert is_refused(pushed(ahead, "origin", "ssh://there", stdin=line))
    assert is_refused(pushed(ahead, "ssh://there", "ssh://there", stdin=line))
    assert is_refused(pushed(ahead, stdin=line))
    known = line.replace(ZERO.encode(), git("rev-parse", "HEAD").strip().encode())
    assert not is_refused(pushed(ahead, "origin", "ssh://there", stdin=known))
    assert not is_refused(pushed(ahead, "origin", "ssh://there", stdin=b""))
    assert not is_refused(pushed(ahead, "origin", stdin=f"(delete) {ZERO} refs/heads/x {'1' * 40}\n".encode()))
    odd = line.replace(b"refs/heads/main ", b":/the \xff bug\x00 ", 1)
    assert is_refused(pushed(ahead, "origin", stdin=odd))


@pytest.mark.parametrize(
    "text",
    [b"rubbish\n", b"\xff\xfe\x00\n", b"a b c d\n", b"refs/heads/main 1234 refs/heads/main 1234\n", b"x" * 100_000],
)
def test_other_input_is_refused_with_what_is_expected(ahead: Cli, pushed: Pushed, line: bytes, text: bytes) -> None:
    for stdin in (text, line + text):
        result = pushed(ahead, "origin", stdin=stdin)
        assert result.code == 2
        assert result.err.startswith("dver: error: not a line as git gives it to a pre-push hook: ")
        assert "hint: LOCAL_NAME LOCAL_ID REMOTE_NAME REMOTE_ID" in result.err
        assert len(result.err) < 1000


def test_too_many_arguments_or_unknown_options_are_refused(dataset: Cli, pushed: Pushed) -> None:
    for arguments in (("a", "b", "c"), ("--all",)):
        result = pushed(dataset, *arguments)
        assert result.code == 2
        assert "hint: dver hook pushed --help" in result.err


@pytest.mark.parametrize("stdin", [b"", b"\n", b" \n"])
def test_git_with_nothing_to_push_is_told_from_a_person(ahead: Cli, pushed: Pushed, stdin: bytes) -> None:
    assert not is_refused(pushed(ahead, "origin", "ssh://there", stdin=stdin))
    assert is_refused(pushed(ahead, stdin=stdin))


def test_at_a_terminal_head_is_looked_at_beyond_what_remotes_have(ahead: Cli, pushed: Pushed, git: GitCommand) -> None:
    assert is_refused(pushed(ahead, stdin=None))
    assert is_refused(pushed(ahead, "origin", stdin=None))
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert not is_refused(pushed(ahead, stdin=None))
    assert not is_refused(pushed(ahead, "origin", stdin=None))
    assert is_refused(pushed(ahead, "another", stdin=None))


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"PRE_COMMIT_TO_REF": "HEAD", "PRE_COMMIT_FROM_REF": "HEAD~1"}, True),
        ({"PRE_COMMIT_TO_REF": "HEAD", "PRE_COMMIT_FROM_REF": ZERO}, True),
        ({"PRE_COMMIT_TO_REF": "HEAD", "PRE_COMMIT_FROM_REF": "1" * 40}, True),
        ({"PRE_COMMIT_TO_REF": "HEAD"}, True),
        ({"PRE_COMMIT_TO_REF": "HEAD", "PRE_COMMIT_FROM_REF": "HEAD"}, False),
        ({"PRE_COMMIT_TO_REF": "HEAD~1", "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main"}, False),
        ({"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main"}, True),
        ({"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main", "PRE_COMMIT_REMOTE_NAME": "there"}, False),
        ({"PRE_COMMIT_REMOTE_NAME": "there"}, False),
        ({"PRE_COMMIT_REMOTE_NAME": "elsewhere"}, True),
    ],
)
def test_under_the_framework_its_variables_say_what_is_pushed(
    ahead: Cli,
    pushed: Pushed,
    git: GitCommand,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    refused: bool,
) -> None:
    git("update-ref", "refs/remotes/there/main", "HEAD")
    if "PRE_COMMIT_REMOTE_NAME" not in variables:
        git("update-ref", "-d", "refs/remotes/there/main")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_refused(pushed(ahead)) == refused


@pytest.mark.parametrize("name", ["PRE_COMMIT_TO_REF", "PRE_COMMIT_LOCAL_BRANCH"])
def test_a_variable_that_names_nothing_is_an_error(
    ahead: Cli, pushed: Pushed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "no-such-ref")
    result = pushed(ahead)
    assert result.code == 3
    assert result.err.startswith("dver: error: ")
    assert "no-such-ref" in result.err


def test_with_push_what_was_sent_is_said_and_not_again(ahead: Cli, pushed: Pushed, line: bytes) -> None:
    result = pushed(ahead, "--push", "origin", stdin=line)
    assert (result.code, result.err.count("\n")) == (0, 1)
    assert result.err.startswith("dver: pushed 1 version to origin: ")
    assert not is_refused(pushed(ahead, "--push", "origin", stdin=line))
    assert not is_refused(pushed(ahead, "origin", stdin=line))


def test_what_is_nowhere_is_refused_with_where_to_look(ahead: Cli, pushed: Pushed, line: bytes) -> None:
    shutil.rmtree(ahead.folder / ".dver/cache")
    assert is_refused(pushed(ahead, stdin=line))
    result = pushed(ahead, "--push", "origin", stdin=line)
    assert is_refused(result)
    assert "hint: dver push --all, run where they were added" in result.err
    assert "git push --no-verify pushes without the data\n" in result.err


def test_many_versions_are_counted(shared: Cli, pushed: Pushed, git: GitCommand) -> None:
    for number in range(23):
        shared.write(f"sets/{number:02}", f"{number}")
    shared.ok("add", *(f"sets/{number:02}" for number in range(23)))
    git("commit", "--quiet", "-m", "Many")
    result = pushed(shared)
    assert result.code == 1
    lines = result.err.splitlines()
    assert lines[0] == "dver: error: 23 versions that this push names are not on origin"
    assert lines[21] == "    and 3 versions more"
    assert lines[22] == "  hint: dver push; git push --no-verify pushes without the data"


def test_a_pointer_that_cannot_be_read_is_noted_and_no_reason_to_refuse(
    shared: Cli, pushed: Pushed, git: GitCommand
) -> None:
    shared.write("data.dver", "# dver pointer\n<<<<<<< ours\n")
    shared.write("notes.dver", "not dver's\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "Broken")
    result = pushed(shared)
    assert result.code == 0
    commit = git("rev-parse", "HEAD")[:8]
    assert result.err == f"dver: passed over: data.dver in commit {commit}: the pointer has merge conflict markers\n"
    assert pushed(shared, "-q").err == ""


def test_without_a_remote_for_data_there_is_a_way_out(dataset: Cli, pushed: Pushed, git: GitCommand) -> None:
    result = pushed(dataset)
    assert result.code == 3
    assert result.err.startswith(
        "dver: cannot tell whether the data is there; git push --no-verify pushes without asking"
    )
    assert "dver remote add NAME URL" in result.err
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert pushed(dataset).code == 0


def test_settings_that_cannot_be_read_are_an_error(ahead: Cli, pushed: Pushed, line: bytes) -> None:
    ahead.write(".dver/config.toml", "core.jobs = 'many'\n")
    result = pushed(ahead, stdin=line)
    assert result.code == 3
    assert "core.jobs" in result.err
    assert pushed(ahead, "origin", "https://example.org/x.git").code == 0


@pytest.mark.parametrize("stdin", [b"", b"rubbish\n", b"\xff", None])
def test_nothing_is_said_where_dver_is_not_set_up(
    tmp_path: Path, git_repo: Path, pushed: Pushed, stdin: bytes | None
) -> None:
    (tmp_path / "plain").mkdir()
    for folder in (git_repo, tmp_path / "plain"):
        result = pushed(Cli(folder), "origin", "ssh://there", stdin=stdin)
        assert (result.code, result.err) == (0, "")
    assert [path.name for path in git_repo.iterdir()] == [".git"]


def test_before_the_first_commit_nothing_is_pushed(cli: Cli, pushed: Pushed) -> None:
    cli.write("data/a", "1")
    cli.ok("add", "data")
    assert not is_refused(pushed(cli))


def test_all_of_a_long_input_is_read(ahead: Cli, run_dver: DverCommand, line: bytes) -> None:
    deletions = f"(delete) {ZERO} refs/heads/x {'1' * 40}\n" * 2000
    done = run_dver("hook", "pushed", "origin", cwd=ahead.folder, stdin=deletions + line.decode())
    assert done.returncode == 1, str(done)
    assert "1 version that this push names" in done.stderr
