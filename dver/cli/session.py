"""What every command is given: the console, the environment, and where the paths of its arguments start.

Importing this module loads nothing heavy: the repository comes with the first command that opens one.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dver.cli.console import Console
from dver.cli.wording import escape_text, path_text
from dver.errors import NotARepositoryError

if TYPE_CHECKING:
    from dver.repo import Repo

# Of these git sets at least the first two for each program that it runs, whichever hook it is.
_GIT_RUNS_US = frozenset({"GIT_EXEC_PATH", "GIT_PREFIX", "GIT_INDEX_FILE", "GIT_DIR"})
_LOOK_EVERY_SECONDS = 0.1


class Session:
    """One run of the command line.

    Attributes:
        start: the folder that relative paths are meant from, absolute.
        root: the top of the repository, once one was opened.
        when_interrupted: what to say to a user who interrupts.
        is_interrupted: whether the user, or the system, wants an end.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.console = Console(env)
        self.start = _current_folder(env)
        self.root: Path | None = None
        self.when_interrupted = "run the same command again to continue"
        self.is_interrupted = False
        self._typed_in = ""

    def begin_hook(self) -> None:
        """Show paths as from the folder in which git was run, for it runs hooks at the top of the work tree."""
        self.when_interrupted = "dver status shows what is left to do"
        self._typed_in = self.env.get("GIT_PREFIX", "")

    @contextmanager
    def repo(self) -> Iterator["Repo"]:
        """Open the repository around `start`, and close it in the end."""
        from dver.repo import Repo  # noqa: PLC0415

        ask, confirm = self.asker(), self.confirmer()
        note = self.console.note
        with Repo.find(self.start, env=self.env, note=note, ask=ask, confirm=confirm, wait=self.wait) as repo:
            self.root = repo.root
            yield repo

    def wait(self, seconds: float) -> bool:
        """Wait, in any thread, but not longer than until the user wants an end; return whether that is so."""
        # Looks now and then: what wakes threads must not be touched by a signal that comes while it is in use.
        end = time.monotonic() + seconds
        while not self.is_interrupted and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_EVERY_SECONDS))
        return self.is_interrupted

    def asker(self) -> Callable[[str], str] | None:
        """Return what asks for a passphrase, given a prompt; None where nobody sits at a terminal."""
        return _ask_passphrase if _is_somebody_there() else None

    def confirmer(self) -> Callable[[str], bool] | None:
        """Return what asks a question that is answered with yes or no; None where nobody sits at a terminal."""
        return _ask_yes_or_no if _is_somebody_there() else None

    @contextmanager
    def hook_repo(self) -> Iterator["Repo | None"]:
        """Open the repository as `repo` does; None where dver is not set up, so that a hook has nothing to do."""
        from dver.repo import Repo  # noqa: PLC0415

        try:
            repo = Repo.find(self.start, env=self.env, note=self.console.note, wait=self.wait)
        except NotARepositoryError:
            yield None
            return
        with repo:
            self.root = repo.root
            yield repo

    def tidy(self, repo: "Repo") -> None:
        """Keep the cache tidy after a command that stored something, but not while git waits for a hook."""
        if _GIT_RUNS_US & self.env.keys():
            return
        # Deferred: only commands that store something get here.
        from dver.operations.gc_auto import tidy  # noqa: PLC0415

        tidy(repo, progress=self.console)

    def paths(self, repo: "Repo", words: Iterable[str]) -> list[str]:
        """Return arguments as paths relative to the repository."""
        return [repo.relative(word, self.start) for word in words]

    def relative_to_start(self, path: str) -> str:
        """Return a path of the repository as one from where the user is, to be typed again."""
        relative = path
        if self.root is not None:
            # Most often one is at the top, and there may be millions of paths.
            relative = path or "." if self._here == str(self.root) else os.path.relpath(self.root / path, self._here)
        # Not to be taken for an option.
        return f"./{relative}" if relative.startswith("-") else relative

    def shown(self, path: str) -> str:
        """Return a path of the repository for people, from where the user is."""
        return path_text(self.relative_to_start(path))

    def say_where_paths_start(self) -> None:
        """Say that the paths of an error are from the top of the repository, unless the user is there."""
        if self.root is not None and self._here != str(self.root):
            self.console.say(f"  (paths are from the top of the repository, {self.root})")

    @cached_property
    def _here(self) -> str:
        # Asked for only once a repository is open, when it does not change any more.
        return os.path.join(os.path.realpath(self.start), self._typed_in).rstrip("/") or "/"

    def location(self, text: str, root: Path) -> str:
        """Return a store's location as settings have it, where relative paths are from the top of the repository."""
        if ":" in text or text.startswith(("/", "~")):
            return text
        return os.path.relpath(os.path.join(os.path.realpath(self.start), text), root)


def _is_somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask_yes_or_no(question: str) -> bool:
    # Deferred: hooks and scripts ask nobody.
    import click  # noqa: PLC0415

    return click.confirm(escape_text(question), err=True)


def _ask_passphrase(prompt: str) -> str:
    # Deferred: hooks and scripts ask nobody.
    import click  # noqa: PLC0415

    return str(click.prompt(prompt, hide_input=True, err=True))


def _current_folder(env: Mapping[str, str]) -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # It was deleted under us; whoever opens the repository says so by its name.
        return Path(env.get("PWD") or "/")
