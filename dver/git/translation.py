"""What pygit2 raises, turned into errors of dver."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pygit2

from dver.errors import GitError, os_hint

MISSING_HINT = (
    "git fsck says what is missing; a shallow or partial clone gets it with git fetch --unshallow or --refetch"
)
_GIT_HINT = "git status and git fsck say whether git can read it"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what git fails at as `GitError`, beginning with `what` was tried."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError, OSError, RecursionError) as exc:
        if isinstance(exc, OSError) and exc.errno:
            place = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, str | bytes) else ""
            raise GitError(f"{what}: {place}{exc.strerror}", hint=os_hint(exc) or _GIT_HINT) from exc
        reason = str(exc.args[0]) if isinstance(exc, KeyError) and exc.args else str(exc)
        if isinstance(exc, KeyError) or "not found" in reason:
            raise GitError(f"{what}: {_missing(reason)}", hint=MISSING_HINT) from exc
        raise GitError(f"{what}: {reason}", hint=_GIT_HINT) from exc


def _missing(reason: str) -> str:
    """Return a sentence for what libgit2 does not find: sometimes it says one, sometimes it only names the id."""
    return reason if " " in reason else f"object {reason} is missing"
