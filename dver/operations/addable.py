"""What may become a dataset, and what may not: each refusal with the command that helps.

Nothing here is about content: it is paths, types of files, and who else has them.
"""

import os
import stat
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from dver.errors import PathError, UsageError, first_of, os_hint
from dver.objects.pointer import SUFFIX, may_be_dataset, pointer_path
from dver.operations.datasets import decode_path, enclosing_dataset, encode_path, typed, working_datasets
from dver.repo import Repo
from dver.workspace.clashes import spelled


def check_nesting(datasets: Sequence[str]) -> None:
    """Raise UsageError if one of the datasets lies within another."""
    # As lists of parts, what lies below a path comes right after it; as text, a-b would come between a and a/c.
    for outer, inner in pairwise(sorted(datasets, key=lambda dataset: dataset.split("/"))):
        if inner.startswith(outer + "/"):
            raise UsageError(f"{inner} lies within {outer}", hint=f"dver add {typed(outer)} adds it too")


def check_addable(repo: Repo, dataset: str) -> None:
    """Raise PathError with the command that helps if `dataset` cannot become or be a dataset."""
    if not dataset:
        raise PathError(".", "the whole repository cannot be a dataset", hint="dver add FOLDER for each folder of data")
    # First, for the pointer of anything within a dataset would be ignored, which says less.
    outer = enclosing_dataset(repo, dataset)
    if outer is not None:
        raise PathError(dataset, f"lies within the dataset {outer}", hint=f"dver add {typed(outer)}")
    check_own_repository(repo.root, dataset)
    check_new_dataset(repo, dataset)
    path = repo.root / dataset
    check_parents(repo.root, dataset)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise _missing(repo, dataset) from None
    except OSError as exc:
        raise PathError(dataset, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    _check_type(dataset, path, mode)
    # Before git is asked: the pointers of inner datasets are tracked, which would be the lesser answer.
    inner = working_datasets(repo, dataset) if stat.S_ISDIR(mode) else []
    if inner:
        raise PathError(
            dataset,
            f"holds the dataset {first_of(inner, 1)}",
            hint=f"dver rm --keep {typed(inner[0])}, then add the whole; or add its other parts one by one",
        )
    _check_git(repo, dataset)


def check_new_dataset(repo: Repo, dataset: str) -> None:
    """Raise PathError if no dataset may have this path, be it there already or not."""
    if not may_be_dataset(dataset):
        raise PathError(dataset, "belongs to git or dver itself and cannot be a dataset", hint="dver add FOLDER")
    if dataset.endswith(SUFFIX) and (repo.root / dataset).is_file():
        data = dataset.removesuffix(SUFFIX)
        raise PathError(dataset, "is a pointer file, which git holds", hint=f"dver add {typed(data)}")
    if repo.git.is_ignored(pointer_path(dataset)):
        raise PathError(
            dataset,
            f"its pointer {pointer_path(dataset)} would be ignored by git",
            hint=f"git check-ignore -v {typed(pointer_path(dataset))} shows the rule to change",
        )
    if "\n" in dataset or "\r" in dataset:
        raise PathError(repr(dataset), "a dataset's own name cannot hold a line break", hint="rename it first")


def check_spelling(repo: Repo, path: str, *, of_pointer: bool = False) -> None:
    """Raise PathError if `path` is there under another spelling only, as where letter case makes no other name.

    Under both, a dataset would have two pointers in git for one file, and a file of a dataset two entries.
    """
    if not repo.git.ignores_case():
        return
    wanted = pointer_path(path) if of_pointer else path
    actual = decode_path(spelled(os.fsencode(repo.root), encode_path(wanted)))
    if actual != wanted:
        shown = actual.removesuffix(SUFFIX) if of_pointer else actual
        what = f"the dataset {shown}" if of_pointer else shown
        raise PathError(path, f"is {what} on this file system", hint=f"name it so: dver add {typed(shown)}")


def check_own_repository(root: Path, dataset: str) -> None:
    """Raise PathError if `dataset` is, or lies in, a git repository of its own, such as a submodule."""
    parts = dataset.split("/")
    for length in range(1, len(parts) + 1):
        inner = "/".join(parts[:length])
        if os.path.lexists(root / inner / ".git"):
            rest = "/".join(parts[length:])
            what, hint = ("is", "add what is in it, one by one") if not rest else ("lies in", f"add {typed(rest)}")
            name = "" if not rest else f" {inner}"
            raise PathError(dataset, f"{what} a git repository of its own{name}", hint=f"dver -C {typed(inner)} {hint}")


def check_parents(root: Path, dataset: str) -> None:
    """Raise PathError if a symbolic link leads to `dataset`, which may then lie anywhere."""
    parent = root
    for part in dataset.split("/")[:-1]:
        parent /= part
        if parent.is_symlink():
            real = os.path.relpath(os.path.realpath(root / dataset), os.path.realpath(root))
            is_inside = real.partition(os.sep)[0] != os.pardir
            hint = f"name the real path: {typed(real)}" if is_inside else "it leads out of the repository"
            raise PathError(dataset, f"lies behind the symbolic link {parent.relative_to(root)}", hint=hint)


def _missing(repo: Repo, dataset: str) -> PathError:
    if (repo.root / pointer_path(dataset)).is_file():
        return PathError(
            dataset,
            "is a dataset whose data is not here",
            hint=f"dver checkout {typed(dataset)} brings it; dver rm {typed(dataset)} ends tracking it",
        )
    return PathError(dataset, "there is no such file or directory", hint="dver ls lists the datasets")


def _check_type(dataset: str, path: Path, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise PathError(
            dataset, "is a symbolic link", hint=f"add what it points to ({os.readlink(path)}), or the folder it lies in"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise PathError(dataset, "is a socket, device or named pipe", hint="dver add stores files and folders")
    if not os.access(path, os.R_OK):
        raise PathError(dataset, "cannot be read: Permission denied", hint=f"chmod u+r {typed(dataset)}")


def _check_git(repo: Repo, dataset: str) -> None:
    tracked = repo.git.tracked_under(dataset)
    if tracked:
        more = f" and {len(tracked) - 1} more files" if len(tracked) > 1 else ""
        what = "is" if tracked == [dataset] else f"holds {tracked[0]}{more},"
        raise PathError(
            dataset,
            f"{what} already tracked by git",
            hint=f"git rm -r --cached {typed(dataset)} takes it out of git and keeps the data; then run dver add again",
        )
