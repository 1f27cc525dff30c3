"""`dver hook checkout`: whatever goes wrong is a warning, for git is done by then."""

import shutil
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import DverCommand, GitCommand

ZERO = "0" * 40


def warned(cli: Cli, *arguments: str) -> str:
    """Run the hook, require that it warns and still ends well, and return what it says."""
    result = cli("hook", "checkout", *arguments)
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("dver: warning: ")
    assert "dver: error" not in result.err
    return result.err


def said(cli: Cli, *arguments: str) -> str:
    """Run the hook, which must end well, and return what it says."""
    result = cli("hook", "checkout", *arguments)
    assert (result.code, result.out) == (0, "")
    assert "warning" not in result.err
    return result.err


@pytest.fixture
def back(two_versions: Cli, git: GitCommand) -> Cli:
    """dver where git went back to the first version, and the data has not followed."""
    git("switch", "--quiet", "--detach", "first")
    return two_versions


def is_first(cli: Cli) -> bool:
    return sorted(path.name for path in (cli.folder / "data").iterdir()) == ["a.csv", "b.txt", "deep"]


@pytest.mark.parametrize("name", ["pre-commit", "checkout", "post_checkout", "", "POST-CHECKOUT", "main"])
def test_another_hook_is_refused_with_those_there_are(dataset: Cli, name: str) -> None:
    err = dataset.fails(2, "hook", "checkout", name)
    assert "'post-checkout', 'post-merge', 'post-rewrite', 'post-commit'" in err
    assert "hint: dver hook checkout --help" in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("post-checkout",),
        ("post-checkout", "rubbish"),
        ("post-checkout", "rubbish", "rubbish", "rubbish"),
        ("post-checkout", "--", "-x", "-y", "-z"),
        ("post-checkout", *4 * ["0"]),
        ("post-merge",),
        ("post-merge", "rubbish", "more"),
        ("post-rewrite",),
        ("post-rewrite", "rubbish"),
        ("post-commit", "rubbish"),
    ],
)
def test_arguments_that_git_does_not_give_do_no_harm(back: Cli, arguments: tuple[str, ...]) -> None:
    assert said(back, *arguments) == "dver: checked out data: 2 files written, 31 bytes; 2 files deleted\n"
    assert is_first(back)
    assert said(back, *arguments) == ""


def test_all_is_brought_where_nothing_was_before(clone: Cli) -> None:
    assert said(clone, "post-checkout", "main", "main", "1") == ""
    assert not (clone.folder / "data").exists()
    assert said(clone, "post-checkout", ZERO, "main", "1").startswith("dver: checked out data: 4 files written")
    assert said(clone, "post-checkout", ZERO, "main", "1") == ""


@pytest.mark.parametrize(
    ("variables", "brings"),
    [
        ({"PRE_COMMIT_CHECKOUT_TYPE": "1", "PRE_COMMIT_FROM_REF": ZERO, "PRE_COMMIT_TO_REF": "HEAD"}, True),
        ({"PRE_COMMIT_CHECKOUT_TYPE": "1", "PRE_COMMIT_FROM_REF": "first", "PRE_COMMIT_TO_REF": "HEAD"}, True),
        ({"PRE_COMMIT_CHECKOUT_TYPE": "0", "PRE_COMMIT_FROM_REF": "HEAD", "PRE_COMMIT_TO_REF": "HEAD"}, False),
        ({"PRE_COMMIT_CHECKOUT_TYPE": "", "PRE_COMMIT_FROM_REF": ZERO}, False),
        ({"PRE_COMMIT_IS_SQUASH_MERGE": "0"}, True),
        ({"PRE_COMMIT_REWRITE_COMMAND": "rebase"}, True),
        ({"PRE_COMMIT_REWRITE_COMMAND": "amend"}, False),
        ({"PRE_COMMIT": "1"}, False),
        ({}, False),
    ],
)
def test_under_the_framework_its_variables_say_what_git_did(
    clone: Cli, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], brings: bool
) -> None:
    GitCommand(clone.folder)("update-ref", "ORIG_HEAD", "first")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bool(said(clone)) == brings
    assert (clone.folder / "data").exists() == brings


def test_a_name_is_told_before_variables(clone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRE_COMMIT_CHECKOUT_TYPE", "1")
    monkeypatch.setenv("PRE_COMMIT_FROM_REF", ZERO)
    assert said(clone, "post-commit") == ""


@pytest.mark.parametrize("name", [(), ("post-checkout", ZERO, ZERO, "1"), ("post-commit",)])
def test_nothing_is_said_or_made_where_dver_is_not_set_up(
    tmp_path: Path, git_repo: Path, name: tuple[str, ...]
) -> None:
    (tmp_path / "plain").mkdir()
    for folder in (git_repo, tmp_path / "plain"):
        assert Cli(folder).ok("hook", "checkout", *name) == ""
    assert [path.name for path in git_repo.iterdir()] == [".git"]
    assert not list((tmp_path / "plain").iterdir())


def test_settings_that_cannot_be_read_are_a_warning(back: Cli) -> None:
    back.write(".dver/config.toml", "core.jobs = 'many'\n")
    assert "core.jobs" in warned(back)
    back.write(".dver/config.toml", "[[[\n")
    assert ".dver/config.toml" in warned(back, "post-merge", "0")


def test_a_repository_that_cannot_be_read_is_a_warning(back: Cli) -> None:
    back.write(".git/HEAD", "rubbish\n")
    warned(back)
    warned(back, "post-checkout", "first", "first", "1")
    assert not is_first(back)


def test_changed_files_are_named_from_the_top_wherever_git_was_called(back: Cli) -> None:
    back.write("data/a.csv", "changed")
    back.write("data/new.txt", "changed")
    (back.folder / "code").mkdir()
    message = (
        "dver: warning: data: its pointer changed, and its data was changed here; left as it is\n"
        "    data/a.csv\n    data/new.txt\n  hint: dver add --force data makes"
    )
    assert warned(back).startswith(message)
    err = warned(back.at("code"), "post-commit")
    assert err.startswith(message)
    assert "paths are from the top of the repository" in err
    assert (back.folder / "data/new.txt").read_text() == "changed"
    assert not is_first(back)


def test_more_than_a_few_changed_files_are_counted(dataset: Cli, git: GitCommand) -> None:
    names = [f"data/many/{number}" for number in range(9)]
    for name in names:
        dataset.write(name, "1")
    dataset.ok("add", "data")
    git("commit", "--quiet", "-m", "Many")
    for name in names:
        dataset.write(name, "2")
    git("switch", "--quiet", "--detach", "HEAD~1")
    err = warned(dataset)
    assert "    data/many/4\n    and 4 files more\n" in err
    assert "data/many/5" not in err


def test_a_warning_is_said_also_where_dver_is_to_be_quiet(back: Cli) -> None:
    back.write("data/a.csv", "changed")
    assert "data/a.csv" in back("-q", "hook", "checkout").err
    assert "data/a.csv" in back("hook", "checkout", "-q").err
    back.ok("checkout", "--force", "HEAD~0")
    GitCommand(back.folder)("switch", "--quiet", "main")
    assert back("-q", "hook", "checkout").err == ""
    assert (back.folder / "data/new.txt").exists()


def test_data_that_is_nowhere_or_behind_a_store_that_is_gone_names_what_helps(clone: Cli, tmp_path: Path) -> None:
    clone.ok("pull")
    GitCommand(clone.folder)("switch", "--quiet", "--detach", "first")
    shutil.rmtree(clone.folder / ".dver/cache")
    # The first commit knows of no remote.
    err = warned(clone)
    assert "there is no remote to fetch it from\n  hint: dver remote add origin URL" in err
    local = 'core.remote = "origin"\n[remotes.origin]\n'
    clone.write(".dver/config.local.toml", f'{local}url = "{tmp_path}/elsewhere"\n')
    assert "there is no store at" in warned(clone)
    clone.write(".dver/config.local.toml", f'{local}url = "s3://b/data"\nendpoint_url = "http://127.0.0.1:9"\n')
    assert "dver remote trust origin" in warned(clone)
    clone.ok("remote", "trust")
    err = warned(clone)
    assert err.startswith("dver: warning: data was not brought: ")
    assert "  hint: dver pull data, once it can be reached\n" in err
    assert (clone.folder / "data/new.txt").exists()


def test_standard_input_is_left_alone(back: Cli, run_dver: DverCommand) -> None:
    done = run_dver("hook", "checkout", "post-rewrite", "rebase", cwd=back.folder, stdin="rubbish\n\0")
    assert done.returncode == 0, str(done)
    assert is_first(back)
