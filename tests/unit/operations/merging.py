"""Branches that both changed a dataset."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dver.objects.conflict import PointerSides
from dver.objects.pointer import Pointer, decode_pointer
from tests.clones import Clone

Edit: TypeAlias = Callable[[Clone], object]


def write(path: str, content: bytes) -> Edit:
    """Return the edit that writes a file."""
    return lambda clone: clone.write(path, content)


def both(*edits: Edit) -> Edit:
    """Return the edit that makes several."""
    return lambda clone: [edit(clone) for edit in edits]


def pointer_at(clone: Clone, rev: str, dataset: str = "data") -> Pointer:
    """Return the pointer that a commit has."""
    return decode_pointer(clone.git("show", f"{rev}:{dataset}.dver").encode(), rev)


def diverge(clone: Clone, ours: Edit, theirs: Edit, *datasets: str) -> PointerSides:
    """Commit one change on the branch `other` and one on `main`, which is then checked out with its data.

    Return the pointers of the first of the datasets, by default of `data`.
    """
    paths = datasets or ("data",)
    clone.git("switch", "--quiet", "--create", "other")
    theirs(clone)
    clone.save(*paths, message="theirs")
    clone.git("switch", "--quiet", "main")
    clone.checkout()
    ours(clone)
    clone.save(*paths, message="ours")
    base, mine, other = (pointer_at(clone, rev, paths[0]) for rev in ("main~1", "main", "other"))
    return PointerSides(base, mine, other)


def merge(clone: Clone, rev: str = "other") -> None:
    """Run git merge without any driver, which must end in a conflict."""
    done = subprocess.run(["git", "merge", "--quiet", rev], cwd=clone.root, capture_output=True, check=False)
    assert done.returncode == 1, done


def is_merged(clone: Clone, dataset: str = "data") -> bool:
    """Whether neither git nor the pointer shows a conflict."""
    return clone.git("ls-files", "--unmerged") == "" and "<<<<" not in clone.pointer_text(dataset)


def stage_conflict(clone: Clone, path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None) -> None:
    """Make git's index hold a file unmerged with these contents."""
    lines = [f"0 {'0' * 40}\t{path}\n"]
    for stage, content in enumerate((base, ours, theirs), start=1):
        if content is not None:
            lines.append(f"100644 {_blob(clone.root, content)} {stage}\t{path}\n")
    subprocess.run(["git", "update-index", "--index-info"], cwd=clone.root, input="".join(lines).encode(), check=True)


def _blob(root: Path, content: bytes) -> str:
    command = ["git", "hash-object", "-w", "--stdin"]
    return subprocess.run(command, cwd=root, input=content, check=True, capture_output=True).stdout.decode().strip()
