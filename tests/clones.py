"""A git repository with dver in it, driven in this process as the commands drive it.

Chunks are tiny, so that small files have several. Every call opens the repository anew, as a command does.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from dver.objects.ids import VersionId
from dver.objects.pointer import decode_pointer
from dver.operations.add import AddResult, add
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.init import init
from dver.operations.push import TransferResult, fetch, push, wanted_versions
from dver.operations.status import DatasetStatus, status
from dver.repo import Repo

CHUNK_SIZE = 1024

Snapshot: TypeAlias = dict[bytes, tuple[str, bytes]]


def snapshot(top: Path) -> Snapshot:
    """Return all below a folder by path: what it is (an executable file is a kind of its own), and its content.

    Folders count where they are empty. A `top` that is a file is its own entry, with an empty path.
    """
    found: Snapshot = {}
    start = os.fsencode(top)
    if not os.path.isdir(start):
        return {b"": _look_at(start)} if os.path.lexists(start) else {}
    for folder, folders, files in os.walk(start):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *links]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, start)] = _look_at(path)
        if not folders and not files and folder != start:
            found[os.path.relpath(folder, start)] = ("directory", b"")
    return found


def _look_at(path: bytes) -> tuple[str, bytes]:
    if os.path.islink(path):
        return "link", os.readlink(path)
    if not os.path.isfile(path):
        return "special", b""
    with open(path, "rb") as file:
        return ("executable" if os.stat(path).st_mode & 0o100 else "file"), file.read()


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


@dataclass(frozen=True, slots=True)
class Clone:
    """A working tree at `root`. Paths are relative to it."""

    root: Path

    @classmethod
    def make(cls, root: Path, *, remote: Path | str | None = None) -> "Clone":
        """Make a git repository and set dver up in it."""
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
        init(root, remote=None if remote is None else str(remote), chunk_size=CHUNK_SIZE, env=os.environ)
        return cls(root)

    def clone(self, root: Path) -> "Clone":
        """Clone the git repository; no data comes along."""
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(root)], check=True)
        return Clone(root)

    @contextmanager
    def open(self) -> Iterator[Repo]:
        """Yield the open repository."""
        with Repo.find(self.root, env=os.environ) as repo:
            yield repo

    def git(self, *arguments: str) -> str:
        """Run git here and return what it prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, check=False, encoding="utf-8", errors="replace"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, path: str | bytes, data: bytes, *, executable: bool = False) -> Path:
        """Write a file, and the folders above it."""
        target = self.root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o755 if executable else 0o644)
        return target

    def add(self, *paths: str, force: bool = False) -> AddResult:
        """Run add; without paths on `data`."""
        with self.open() as repo:
            return add(repo, paths or ["data"], force=force)

    def commit(self, message: str = "a commit") -> str:
        """Commit all that git knows of or sees, and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def save(self, *paths: str, message: str = "a commit") -> str:
        """Add and commit."""
        self.add(*paths)
        return self.commit(message)

    def status(self, dataset: str = "data", *, remote: bool = False) -> DatasetStatus:
        """Return the status of one dataset."""
        with self.open() as repo:
            return status(repo, [dataset], remote=remote)[0]

    def checkout(self, rev: str | None = None, *paths: str, force: bool = False, dry_run: bool = False) -> CheckoutPlan:
        """Run checkout."""
        with self.open() as repo:
            return checkout(repo, rev, paths, options=CheckoutOptions(force=force, dry_run=dry_run))

    def push(self, *paths: str, all_refs: bool = False) -> TransferResult:
        """Run push to the default remote."""
        with self.open() as repo:
            return push(repo, wanted_versions(repo, paths, all_refs=all_refs))

    def fetch(self, *paths: str, all_refs: bool = False) -> TransferResult:
        """Run fetch from the default remote."""
        with self.open() as repo:
            return fetch(repo, wanted_versions(repo, paths, all_refs=all_refs))

    def pull(self, *paths: str) -> None:
        """Fetch and check out."""
        self.fetch(*paths)
        self.checkout(None, *paths)

    def data(self, dataset: str = "data") -> Snapshot:
        """Return what is in a dataset's working files."""
        return snapshot(self.root / dataset)

    def forget_stat_cache(self) -> None:
        """Delete what dver remembers of the working files."""
        for path in (self.root / ".dver").glob("state.db*"):
            path.unlink()

    def delete_cache(self) -> None:
        """Delete the local store."""
        shutil.rmtree(self.root / ".dver" / "cache")

    def pointer_text(self, dataset: str = "data") -> str:
        """Return the text of a dataset's pointer file."""
        return (self.root / f"{dataset}.dver").read_text()

    def version(self, dataset: str = "data") -> VersionId:
        """Return the version that a dataset's pointer file names."""
        return decode_pointer(self.pointer_text(dataset).encode(), "the pointer").version

    def go_back(self, commit: str = "HEAD~1") -> None:
        """Go to another commit, data and all, and let nothing name the one before."""
        self.git("reset", "--quiet", "--hard", commit)
        self.checkout(force=True)
        self.forget_past()

    def forget_past(self) -> None:
        """Let nothing name commits but HEAD, branches, tags and stashes."""
        self.git("reflog", "expire", "--expire=now", "--all")
        (self.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)


@contextmanager
def files_opened(below: Path) -> Iterator[list[bytes]]:
    """Yield a list that grows with each working file below a folder that is opened to be read."""
    opened: list[bytes] = []
    top = os.fsencode(below)
    real_open = os.open

    def counting(path: str | bytes | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real_open(path, flags, mode, dir_fd=dir_fd)
        if (os.fsencode(path) + b"/").startswith(top + b"/") and not flags & os.O_DIRECTORY:
            opened.append(os.fsencode(path))
        return fd

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", counting)
        yield opened


def everything_but_dvers_own(clone: Clone) -> Snapshot:
    """Return all of a working tree but what dver and git keep for themselves."""
    return {path: what for path, what in snapshot(clone.root).items() if not path.startswith((b".dver/", b".git/"))}
