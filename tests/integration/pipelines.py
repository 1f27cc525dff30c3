"""What pipelines of real scripts have in common, for tests that run them with the installed dver."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.commands import GitCommand, installed_dver

CLEAN = """\
import csv, os
rows = [row for row in csv.reader(open("raw/in.csv")) if all(row)]
os.makedirs("clean", exist_ok=True)
csv.writer(open("clean/rows.csv", "w")).writerows(rows)
"""


def logged(code: Mapping[str, str]) -> dict[str, str]:
    """Return scripts that note in a file beside the repository that they ran."""
    return {name: f'open("../steps.log", "a").write("{name}\\n")\n{text}' for name, text in code.items()}


class PipelineBase:
    """A repository with a store beside it, in which steps are run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dver = installed_dver(root, warm=True)
        self.git = GitCommand(root)

    def set_up(self, code: Mapping[str, str], raw: str) -> None:
        """Write a script for each step and one file of raw data, and commit them."""
        self.dver.ok("init", "--remote", "../store")
        for name, text in code.items():
            (self.root / f"{name}.py").write_text(text)
        (self.root / "raw").mkdir()
        (self.root / "raw" / "in.csv").write_text(raw)
        self.dver.ok("add", "raw")
        self.commit("raw data and code")

    def run_steps(self, steps: Mapping[str, Sequence[str]]) -> None:
        """Run the script of each step, in order."""
        for name, options in steps.items():
            self.dver.ok("run", "-n", name, *options, "--code", f"{name}.py", "--", sys.executable, f"{name}.py")

    def repro(self, *arguments: str) -> list[str]:
        """Run repro, and return which scripts ran."""
        self.dver.ok("repro", *arguments)
        return self.ran()

    def ran(self) -> list[str]:
        """Return which scripts with a `logged` text ran since this was last asked."""
        log = self.root.parent / "steps.log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of the lineage file."""
        path = self.root / ".dver" / "lineage.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def commit(self, message: str) -> None:
        """Commit all that git sees."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)
