"""Two branches that change the same dataset, for tests of what becomes of that in a merge."""

import subprocess
from collections.abc import Callable

from tests.cli.runner import Cli
from tests.commands import GitCommand

Edit = Callable[[Cli], object]


class Branches:
    """A repository in which two branches change the data; `main` is checked out with its data."""

    def __init__(self, cli: Cli, git: GitCommand) -> None:
        self.cli = cli
        self.git = git

    def diverge(self, ours: Edit, theirs: Edit) -> None:
        """Commit one change on the branch `other` and one on `main`."""
        self.git("switch", "--quiet", "--create", "other")
        self._commit(theirs)
        self.git("switch", "--quiet", "main")
        self.cli.ok("checkout", "data")
        self._commit(ours)

    def merge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run git merge, or another command that merges."""
        command = arguments or ("merge", "--no-edit", "other")
        return subprocess.run(
            ["git", *command], cwd=self.cli.folder, capture_output=True, encoding="utf-8", check=False
        )

    def conflict(self) -> str:
        """Merge, require a conflict that git knows of, and return what was said on standard error."""
        done = self.merge()
        assert done.returncode == 1, done
        assert len(self.git("ls-files", "--unmerged").splitlines()) == 3
        return done.stderr

    def read(self, path: str) -> str | None:
        """Return the content of a file, or None where there is none."""
        file = self.cli.folder / path
        return file.read_text() if file.is_file() else None

    @property
    def pointer(self) -> str:
        """The text of the pointer."""
        return (self.cli.folder / "data.dver").read_text()

    def is_merged(self) -> bool:
        """Whether neither git nor the pointer shows a conflict."""
        return "<<<<" not in self.pointer and self.git("ls-files", "--unmerged") == ""

    def _commit(self, edit: Edit) -> None:
        edit(self.cli)
        self.cli.ok("add", "data")
        self.git("commit", "--quiet", "--all", "-m", "Change data")


def write(path: str, text: str) -> Edit:
    return lambda cli: cli.write(path, text)


def both(*edits: Edit) -> Edit:
    return lambda cli: [edit(cli) for edit in edits]


def delete(path: str) -> Edit:
    return lambda cli: (cli.folder / path).unlink()


OURS = both(write("data/a.csv", "ours\n"), write("data/ours", "1\n"), delete("data/keep"))
THEIRS = both(write("data/a.csv", "theirs\n"), write("data/theirs", "2\n"), write("data/b.txt", "changed\n"))
