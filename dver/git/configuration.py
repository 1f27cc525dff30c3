"""This repository's own git configuration: the file that all its work trees share, and the one of a single work tree.

git itself reads and writes it, for git alone knows which settings hold (system, user, repository, work tree, and what
these include), keeps comments and order, and takes a section away with its last key. Settings of the user or the
machine are read and never written.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dver.errors import GitError

_NOT_THERE = (1, 5)
_ONE_COMMAND = "command"
_WORK_TREE = "worktree"
_OWN_SCOPES = ("local", _WORK_TREE)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that git finds, and where: scope is git's word, such as `global` or `local`."""

    scope: str
    value: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file of git settings. What it includes is not part of it."""

    path: Path

    def get(self, key: str) -> str | None:
        """Return the text of a setting, the last where there are several."""
        return self._run("--get", "-z", key)

    def get_path(self, key: str) -> str | None:
        """Return a setting that is a path, with `~` replaced by the home folder."""
        return self._run("--get", "-z", "--type=path", key)

    def set(self, key: str, value: str) -> bool:
        """Give a setting a value; return whether it had another."""
        if self.get(key) == value:
            return False
        self._run(key, value)
        return True

    def unset(self, key: str) -> bool:
        """Take a setting away; return whether it was there."""
        if self.get(key) is None:
            return False
        self._run("--unset-all", key)
        return True

    def _run(self, *arguments: str) -> str | None:
        if not self.path.exists() and arguments[0] == "--get":
            return None
        found = _git_config(self.path.parent, ["--file", str(self.path), *arguments], f"use {self.path}")
        return found and found.removesuffix("\0")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings that git sees in one work tree.

    Attributes:
        root: the top of the work tree.
        git_dir: its own git directory.
        common_dir: the git directory that all work trees share.
    """

    root: Path
    git_dir: Path
    common_dir: Path

    @property
    def shared(self) -> ConfigFile:
        """The file that holds for all work trees."""
        return ConfigFile(self.common_dir / "config")

    @property
    def own_files(self) -> tuple[ConfigFile, ...]:
        """The repository's files, the one that counts more first."""
        return self._of_work_tree, self.shared

    def file_of(self, scope: str) -> ConfigFile | None:
        """Return the repository's file for a scope, or None where the setting is not the repository's own."""
        if scope not in _OWN_SCOPES:
            return None
        return self._of_work_tree if scope == _WORK_TREE else self.shared

    def paths(self, key: str) -> list[Setting]:
        """Return all values of a setting that is a path; the last one counts. Those of `git -c` are left out."""
        arguments = ["--show-scope", "--type=path", "-z", "--get-all", key]
        top = [f"--git-dir={self.git_dir}", f"--work-tree={self.root}"]
        fields = (_git_config(self.root, arguments, "read its settings", before=top) or "").split("\0")
        found = [Setting(scope, value) for scope, value in zip(fields[::2], fields[1::2], strict=False)]
        return [setting for setting in found if setting.scope != _ONE_COMMAND]

    @property
    def _of_work_tree(self) -> ConfigFile:
        return ConfigFile(self.git_dir / "config.worktree")


def _git_config(folder: Path, arguments: Sequence[str], what: str, *, before: Sequence[str] = ()) -> str | None:
    """Run `git config` and return what it prints, or None for a setting that is not there."""
    try:
        done = subprocess.run(
            ["git", *before, "config", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as exc:
        raise GitError("the program git is not to be found", hint="install git, or put it on PATH") from exc
    if done.returncode == 0:
        return done.stdout
    if done.returncode in _NOT_THERE and not done.stderr:
        return None
    raise GitError(f"git config cannot {what}: {done.stderr.strip()}", hint="git config --list --show-origin shows all")
