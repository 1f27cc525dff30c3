"""A repository with datasets, branches, a remote for git and one for data, and `dver install` done: how tests see it.

`build` makes it once for a test session; each test works with a copy. On every branch all is committed, checked out
once and pushed. What the whole work tree was like there is on record, byte for byte.

The branches, each one commit after `first`, where the tags `v1` and `annotated` are:

    main   data/a.csv and data/nested/c.bin changed, data/main.txt added; train.py changed
    side   data/b.csv changed, data/side.txt added, data/run.sh deleted; model.bin changed; side.py added
    clash  data/a.csv and data/nested/c.bin changed otherwise than on main, data/clash.txt added

so that `side` merges with the others, and `main` and `clash` have two paths of conflict. Each adds a line to the
lineage file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dver.operations.add import add
from dver.operations.init import init
from dver.operations.push import push, wanted_versions
from dver.records.journal import Journal
from dver.records.record import Record, State
from dver.repo import LINEAGE_FILE, Repo
from tests.cli.runner import Cli
from tests.clones import CHUNK_SIZE, Snapshot, noise, snapshot
from tests.commands import DverCommand, GitCommand

HUB = "hub.git"
"""The bare repository beside the project that `origin` names."""

CONFLICTS = ("data/a.csv", "data/nested/c.bin")
"""What `main` and `clash` changed differently."""

_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True)
class Project:
    """A work tree at `root`, with the commands to run in it.

    Attributes:
        trees: all files of the work tree by branch, and of the commit `first`.
    """

    root: Path
    dver: DverCommand
    git: GitCommand
    trees: Mapping[str, Snapshot] = field(repr=False)

    @property
    def data(self) -> Path:
        """The directory dataset."""
        return self.root / "data"

    @property
    def hub(self) -> Path:
        """The bare repository that this one was pushed to, also where this one is a clone of it."""
        return self.root.parent / HUB

    def at(self, root: Path) -> "Project":
        """Return the same for another work tree, such as a clone."""
        return replace(self, root=root, dver=self.dver.at(root), git=self.git.at(root))

    def write(self, path: str, content: bytes | str) -> None:
        """Write a file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, *datasets: str) -> str:
        """Add datasets, commit everything with the hooks on, and return the commit's id."""
        if datasets:
            Cli(self.root).ok("add", *datasets)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.head()

    def head(self) -> str:
        """Return the id of the commit that is checked out."""
        return self.git("rev-parse", "HEAD").strip()

    def tree(self) -> Snapshot:
        """Return all files of the work tree but git's and what dver keeps for itself."""
        found = snapshot(self.root).items()
        # In a submodule or a linked work tree `.git` is a file.
        return {path: what for path, what in found if path != b".git" and not path.startswith((b".git/", b".dver/"))}

    def files(self) -> Snapshot:
        """Return the data alone."""
        return snapshot(self.data)

    def assert_at(self, branch: str) -> None:
        """Check that the work tree is exactly what it was on `branch`, and that neither git nor dver see a change."""
        assert self.tree() == self.trees[branch]
        self.assert_clean()

    def assert_data(self, expected: Snapshot) -> None:
        """Check the bytes of the data, and that neither git nor dver see a change."""
        assert self.files() == expected
        self.assert_clean()

    def assert_clean(self) -> None:
        """Check that neither git nor dver see a change."""
        assert self.git("status", "--porcelain") == ""
        # In this process, which saves a third of the time that these tests take.
        Cli(self.root).ok("status", "--exit-code")

    def data_at(self, branch: str) -> Snapshot:
        """Return the data as it was on a branch."""
        top = b"data/"
        return {path.removeprefix(top): what for path, what in self.trees[branch].items() if path.startswith(top)}

    def merged(self, ours: str, *others: str) -> Snapshot:
        """Return the data with all that `ours` and the other branches did since `first`; where both did, the last."""
        base, result = self.data_at("first"), dict(self.data_at(ours))
        for other in others:
            theirs = self.data_at(other)
            for path in base.keys() | theirs.keys():
                if theirs.get(path) == base.get(path):
                    continue
                if path in theirs:
                    result[path] = theirs[path]
                else:
                    result.pop(path, None)
        return result


def build(folder: Path, dver: DverCommand) -> Mapping[str, Snapshot]:
    """Make the project in `folder`/repo and the remotes beside it, and return its trees."""
    root = folder / "repo"
    git = GitCommand(root)
    git("init", "--quiet", "--initial-branch=main", root, cwd=folder)
    git("init", "--quiet", "--bare", "--initial-branch=main", folder / HUB)
    git("remote", "add", "origin", f"../{HUB}")
    init(root, remote="../remote", chunk_size=CHUNK_SIZE, env=os.environ)
    project = Project(root, dver.at(root), git, {})
    project.dver.ok("install")
    trees = {}
    _fill(project)
    trees["first"] = _commit(project, "first")
    git("tag", "v1")
    git("tag", "--annotate", "--message", "a note", "annotated")
    for branch, change in (("side", _change_side), ("clash", _change_clash), ("main", _change_main)):
        if branch != "main":
            git(*_NO_HOOKS, "switch", "--quiet", "--create", branch, "v1")
        else:
            git(*_NO_HOOKS, "switch", "--quiet", branch)
        project.dver.ok("checkout")
        change(project)
        trees[branch] = _commit(project, branch)
    with Repo.find(root, env=os.environ) as repo:
        push(repo, wanted_versions(repo, [], all_refs=True))
    git(*_NO_HOOKS, "push", "--quiet", "--all", "--set-upstream", "origin")
    git(*_NO_HOOKS, "push", "--quiet", "--tags")
    return trees


def _commit(project: Project, name: str) -> Snapshot:
    """Commit without the hooks, whose work is what the tests are about."""
    Journal(project.root / LINEAGE_FILE).append(Record(State.COMPLETE, "2026-11-23T13:00:00Z", name))
    with Repo.find(project.root, env=os.environ) as repo:
        add(repo, ["data", "model.bin"])
    project.git("add", "--all")
    project.git(*_NO_HOOKS, "commit", "--quiet", "--message", name)
    return project.tree()


def _fill(project: Project) -> None:
    project.write("data/a.csv", noise(3000, 1))
    project.write("data/b.csv", noise(3000, 2))
    project.write("data/nested/c.bin", noise(1500, 3))
    project.write("data/run.sh", "#!/bin/sh\n")
    (project.data / "run.sh").chmod(0o755)
    (project.data / "latest").symlink_to("a.csv")
    project.write("model.bin", noise(2500, 4))
    project.write("train.py", "print('first')\n")
    project.write("sub/code.py", "print('deep down')\n")


def _change_main(project: Project) -> None:
    project.write("data/a.csv", noise(3000, 11))
    project.write("data/nested/c.bin", noise(1500, 13))
    project.write("data/main.txt", "of main")
    project.write("train.py", "print('main')\n")


def _change_side(project: Project) -> None:
    project.write("data/b.csv", noise(3000, 22))
    project.write("data/side.txt", "of side")
    (project.data / "run.sh").unlink()
    project.write("model.bin", noise(2500, 24))
    project.write("side.py", "print('side')\n")


def _change_clash(project: Project) -> None:
    project.write("data/a.csv", noise(3000, 31))
    project.write("data/nested/c.bin", noise(1500, 33))
    project.write("data/clash.txt", "of clash")
