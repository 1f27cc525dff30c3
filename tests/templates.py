"""Copies of what several tests begin with: a repository with its history, a remote beside it, the runs of a pipeline.

Such a folder is made once for a module or for the session, with the commands that users have, and each test works
with a copy, since copying takes a small part of the time of making. Nothing in it may name its own place: URLs of
remotes are relative, and what a test needs to know of paths it takes from its copy.
"""

import shutil
import subprocess
from pathlib import Path


def copy_template(template: Path, target: Path) -> None:
    """Copy all that is in a folder, which has a git repository named `repo`, into another that may exist."""
    shutil.copytree(template, target, symlinks=True, dirs_exist_ok=True)
    # git remembers inodes; it would compare the content of each file anew in every command that does not write.
    subprocess.run(["git", "update-index", "-q", "--refresh"], cwd=target / "repo", check=False)


def make_repository(folder: Path) -> Path:
    """Make a git repository on branch main, with no commit yet, and return its root."""
    root = folder / "repo"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root
