"""A real git repository that tests fill, one commit a minute."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from dver.git import CommitId, GitRepo
from tests.commands import GitCommand

FIRST_SECOND = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Workbench:
    """A repository, real git in it, and a clock for its commits.

    Attributes:
        set_variable: sets an environment variable for the rest of the test.
    """

    root: Path
    git: GitCommand
    set_variable: Callable[[str, str], None]
    minutes: "count[int]" = field(default_factory=count)

    @property
    def repo(self) -> GitRepo:
        """The repository as dver sees it, opened anew."""
        return GitRepo.find(self.root)

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file of the work tree, with the folders above it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, message: str, files: dict[str, str | bytes] | None = None) -> CommitId:
        """Write `files`, stage everything and commit it."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.tick()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.head()

    def merge(self, *arguments: str) -> CommitId:
        """Merge without a fast-forward."""
        self.tick()
        self.git("merge", "--quiet", "--no-ff", "--no-edit", *arguments)
        return self.head()

    def head(self) -> CommitId:
        """Return the commit that is checked out."""
        return CommitId(self.git("rev-parse", "HEAD").strip())

    def tick(self) -> None:
        """Let the next commit be a minute younger."""
        date = f"{FIRST_SECOND + 60 * next(self.minutes)} +0200"
        self.set_variable("GIT_AUTHOR_DATE", date)
        self.set_variable("GIT_COMMITTER_DATE", date)


def odd_name(raw: bytes) -> str:
    """Return a file name that is not UTF-8, as dver spells it."""
    return os.fsdecode(raw)
