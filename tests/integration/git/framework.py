"""This project as a repository of hooks, and the pre-commit framework with one shared home to install it in.

Installing makes an environment and fetches what dver depends on from PyPI, which takes many seconds. It is done once
for all tests of a run, also where they run in several processes: the first makes it, the others wait.
"""

import fcntl
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.commands import CommandResult, GitCommand, run_command

_PROJECT = Path(__file__).parents[3]
_PARTS = ("dver", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")

STAGES = ("pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite")


@dataclass(frozen=True, slots=True)
class Framework:
    """The pre-commit command, with its home, and the repository of dver's hooks."""

    home: Path
    hooks: Path
    rev: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the framework needs, also where git starts it."""
        return {"PRE_COMMIT_HOME": str(self.home)}

    @property
    def dependencies(self) -> Path:
        """The folder of the environment in which all that dver depends on was installed."""
        (found,) = self.home.glob("repo*/py_env-*/lib/python*/site-packages")
        return found

    def run(self, cwd: Path, *arguments: str, env: Mapping[str, str] | None = None) -> CommandResult:
        """Run pre-commit and return how it ended."""
        # Of all that is installed, little is ever imported, and that is compiled then.
        environment = {**self.environment, "PIP_COMPILE": "no", **(env or {})}
        return run_command([sys.executable, "-m", "pre_commit", *arguments], cwd, environment)

    def config(self, *hooks: str) -> str:
        """Return the text of a `.pre-commit-config.yaml` with these hooks, each as YAML of its own."""
        items = "".join(f"      - {hook}\n" for hook in hooks)
        return f"repos:\n  - repo: {self.hooks}\n    rev: {self.rev}\n    hooks:\n{items}"


def make_framework(shared: Path) -> Framework:
    """Return the framework with its home in `shared`, installed by whichever process is the first."""
    hooks = shared / "hooks"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (hooks / ".git").exists():
            _make_repository(hooks)
        rev = GitCommand(hooks)("rev-parse", "HEAD").strip()
        framework = Framework(shared / "home", hooks, rev)
        _install(framework, shared / "first")
    return framework


def _make_repository(hooks: Path) -> None:
    hooks.mkdir()
    for part in _PARTS:
        source = _PROJECT / part
        if source.is_dir():
            shutil.copytree(source, hooks / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, hooks / part)
    git = GitCommand(hooks)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "hooks")


def _install(framework: Framework, folder: Path) -> None:
    """Make the environment, if it is not there yet, by way of a repository that wants the hooks."""
    if folder.exists():
        return
    GitCommand(framework.hooks)("init", "--quiet", folder)
    (folder / ".pre-commit-config.yaml").write_text(framework.config("id: dver-status"))
    installed = framework.run(folder, "install-hooks")
    assert installed.returncode == 0, str(installed)
