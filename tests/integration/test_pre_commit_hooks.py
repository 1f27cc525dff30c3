"""The hooks of `.pre-commit-hooks.yaml`, run by the pre-commit framework itself.

The framework would install this repository into an environment of its own; here the hooks run in that of the tests.
"""

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clones import Clone
from tests.commands import CommandResult, DverCommand, run_command

HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


@dataclass(frozen=True, slots=True)
class Framework:
    """pre-commit in a repository that is configured to use all hooks."""

    clone: Clone
    config: Path

    def configure(self, run_dver: DverCommand, extra: str = "") -> None:
        """Write the configuration: the published hooks, started as tests start dver, with `extra` for the first."""
        text = HOOKS.read_text().replace("language: python", "language: system")
        text = text.replace("entry: dver ", f"entry: {shlex.join(run_dver.command)} ")
        first, _, rest = text.partition("  pass_filenames")
        hooks = f"{first}{extra}  pass_filenames{rest}"
        indented = "".join(f"      {line}" for line in hooks.splitlines(keepends=True))
        self.config.write_text(f"repos:\n  - repo: local\n    hooks:\n{indented}")

    def __call__(self, *arguments: str) -> CommandResult:
        """Run pre-commit and return how it ended."""
        command = [sys.executable, "-m", "pre_commit", *arguments, "--config", str(self.config), "--color", "never"]
        return run_command(command, self.clone.root, {})


@pytest.fixture
def framework(tmp_path: Path, run_dver: DverCommand, monkeypatch: pytest.MonkeyPatch) -> Framework:
    """pre-commit in a repository with one dataset, committed and pushed."""
    for name, value in run_dver.environment.items():
        monkeypatch.setenv(name, value)
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "store")
    clone.write("data/a", b"1")
    clone.save()
    clone.push()
    framework = Framework(clone, tmp_path / "pre-commit-config.yaml")
    framework.configure(run_dver)
    return framework


def _verdicts(result: CommandResult) -> dict[str, str]:
    """Return what pre-commit says of each hook, by the hook's name."""
    return dict(re.findall(r"^(dver [a-z ]+?)\.+(?:\(.*\))?(\w+)$", result.stdout, re.MULTILINE))


def test_the_manifest_is_valid() -> None:
    result = run_command([sys.executable, "-m", "pre_commit", "validate-manifest", str(HOOKS)], HOOKS.parent, {})
    assert (result.returncode, result.stdout) == (0, "")


def test_all_pass_where_nothing_is_wrong(framework: Framework) -> None:
    framework.clone.write("code.py", b"pass\n")
    framework.clone.git("add", "--all")
    result = framework("run")
    assert result.returncode == 0, str(result)
    assert _verdicts(result) == {"dver status": "Passed", "dver large files": "Passed", "dver lint": "Passed"}
    assert framework("run", "--all-files").returncode == 0


def test_each_check_fails_and_says_what_helps(framework: Framework) -> None:
    clone = framework.clone
    clone.write("data/new", b"1")
    clone.write("big", b"x" * (2 << 20))
    clone.write("x.dver", b"# dver pointer\n")
    clone.git("add", "--all")
    result = framework("run")
    assert set(_verdicts(result).values()) == {"Failed"}
    assert "hint: dver add data" in result.stdout
    assert "big  2.0 MiB  is over 1.0 MiB" in result.stdout
    assert "x.dver: not a dver pointer" in result.stdout


def test_fix_lets_the_commit_go_on(framework: Framework, run_dver: DverCommand) -> None:
    clone = framework.clone
    framework.configure(run_dver, extra="  args: [--fix]\n")
    framework("install")
    clone.write("data/new", b"1")
    clone.write("code.py", b"pass\n")
    clone.git("add", "code.py")
    clone.git("commit", "--quiet", "--message", "both")
    assert clone.git("show", "--name-only", "--format=", "HEAD").split() == ["code.py", "data.dver"]
    assert clone.git("status", "--porcelain") == ""


def test_a_pointer_that_was_not_staged_is_noticed_and_kept(framework: Framework) -> None:
    clone = framework.clone
    clone.write("data/new", b"1")
    clone.add("data")
    clone.git("reset", "--quiet", "data.dver")
    pointer = clone.pointer_text()
    clone.write("code.py", b"pass\n")
    clone.git("add", "code.py")
    result = framework("run")
    assert _verdicts(result)["dver status"] == "Failed"
    assert "git add data.dver" in result.stdout
    assert clone.pointer_text() == pointer


def test_a_push_is_checked(framework: Framework) -> None:
    clone = framework.clone
    first = clone.git("rev-parse", "HEAD").strip()
    clone.write("data/new", b"1")
    second = clone.save()
    push = ("run", "dver-pushed", "--hook-stage", "pre-push", "--from-ref", first, "--to-ref", second)
    remote = ("--remote-name", "origin", "--remote-url", "nowhere", "--local-branch", "refs/heads/main")
    assert _verdicts(framework(*push, *remote)) == {"dver pushed": "Failed"}
    clone.push()
    assert _verdicts(framework(*push, *remote)) == {"dver pushed": "Passed"}


def test_data_follows_a_checkout(framework: Framework) -> None:
    clone = framework.clone
    first = clone.git("rev-parse", "HEAD").strip()
    clone.write("data/a", b"22")
    second = clone.save()
    clone.git("checkout", "--quiet", first)
    result = framework(
        *("run", "dver-checkout", "--hook-stage", "post-checkout"),
        *("--from-ref", second, "--to-ref", first, "--checkout-type", "1"),
    )
    assert result.returncode == 0, str(result)
    assert (clone.root / "data/a").read_bytes() == b"1"
