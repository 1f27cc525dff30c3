"""`dver completion`."""

import pytest

from tests.cli.runner import Cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_a_script_that_calls_dver(cli: Cli, shell: str) -> None:
    assert f"_DVER_COMPLETE={shell}_complete" in cli.ok("completion", shell)


def test_refuses_an_unknown_shell(cli: Cli) -> None:
    assert "'cmd' is not one of" in cli.fails(2, "completion", "cmd")


def test_names_the_shells_if_none_is_given(cli: Cli) -> None:
    err = cli.fails(2, "completion")
    assert err.startswith("dver: error: missing argument 'SHELL'; choose from bash, zsh, fish\n")


def _complete(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    monkeypatch.chdir(cli.folder)
    monkeypatch.setenv("_DVER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    return [item.partition(",")[2] for item in cli("completion").out.splitlines()]


def test_completes_commands(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _complete(cli, monkeypatch, "dver pu") == ["push", "pull"]


def test_completes_options(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--no-stage" in _complete(cli, monkeypatch, "dver add --")


def test_completes_names_of_remotes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("remote", "add", "origin", "/store")
    cli.ok("remote", "add", "backup", "/backup")
    assert _complete(cli, monkeypatch, "dver push -r or") == ["origin"]


def test_completes_settings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _complete(cli, monkeypatch, "dver config get core.t") == ["core.transfer_jobs"]


def test_completes_what_a_command_branches_into(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _complete(cli, monkeypatch, "dver lineage ver") == ["verify"]
    assert "--rerun" in _complete(cli, monkeypatch, "dver lineage verify --")
    assert "--rerun" not in _complete(cli, monkeypatch, "dver lineage --")
