"""Finding and opening a git repository as git itself would, by where one stands and what the environment says."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from dver.errors import GitError, NotARepositoryError

# Extensions that change nothing for a reader of objects; without this, libgit2 refuses to open a partial clone.
_KNOWN_EXTENSIONS = ["partialclone", "relativeworktrees"]


def locate(start: Path, env: Mapping[str, str]) -> str:
    """Return the path of the git directory that `start` belongs to."""
    given = env.get("GIT_DIR")
    if given:
        if not (start / given).exists():
            raise NotARepositoryError(f"GIT_DIR names {given}, which is not there", hint="unset GIT_DIR")
        return str(start / given)
    try:
        found = pygit2.discover_repository(str(start), False, env.get("GIT_CEILING_DIRECTORIES", ""))
    except (pygit2.GitError, KeyError, ValueError, OSError) as exc:
        raise NotARepositoryError(f"{start} cannot be looked at: {exc}") from exc
    if found is None:
        raise NotARepositoryError(f"{start} is not in a git repository", hint="git init")
    return found


def open_repository(location: str) -> pygit2.Repository:
    """Open the git directory at `location`; GitError where that cannot be."""
    try:
        pygit2.settings.set_extensions(_KNOWN_EXTENSIONS)
        return pygit2.Repository(location, RepositoryOpenFlag.NO_SEARCH)
    except (pygit2.GitError, KeyError, ValueError, OSError) as exc:
        if "not owned by" in str(exc):
            top = location.rstrip("/").removesuffix("/.git")
            raise GitError(
                f"git does not trust {top}, because it belongs to another user",
                hint=f"git config --global --add safe.directory {shlex.quote(top)}",
            ) from exc
        raise GitError(f"cannot open the git repository {location}: {exc}", hint="git status may say more") from exc


def given_work_tree(repository: pygit2.Repository, start: Path, env: Mapping[str, str]) -> Path | None:
    """Return the top of the work tree where the environment, and not the repository, decides it."""
    given = env.get("GIT_WORK_TREE")
    if given:
        return start / given
    if not env.get("GIT_DIR") or repository.is_bare or "core.worktree" in repository.config:
        return None
    return start
