"""Which datasets there are, and which of them a command means.

A dataset is named by its path in the repository. Commands may also name a folder that holds datasets, a pointer
file, or a path within a dataset.
"""

import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import DverError, FormatError, PathError
from dver.fileio import IrregularFileError, read_regular
from dver.git import CommitId
from dver.objects.pointer import (
    MAX_POINTER,
    SUFFIX,
    Pointer,
    checked_dataset_path,
    dataset_path,
    decode_pointer,
    looks_like_pointer,
    pointer_path,
)
from dver.repo import Repo
from dver.workspace.pointers import find_datasets, read_pointer


@dataclass(frozen=True, slots=True)
class Target:
    """A dataset that a command is about; `part` is a path within it, or b"" for the whole."""

    dataset: str
    part: bytes = b""


def working_datasets(repo: Repo, start: str = "") -> list[str]:
    """Return the paths of all datasets with a pointer in the working tree, at or below the folder `start`."""
    return [path for path in find_datasets(repo.root, start, repo.git.is_ignored) if is_dataset(repo, path)]


def is_dataset(repo: Repo, path: str) -> bool:
    """Whether a path has a pointer in the working tree.

    A file of the user's own may end in .dver too. What git tracks under such a name is a pointer, even a damaged one.
    """
    try:
        data = read_regular(repo.root / pointer_path(path), MAX_POINTER)
    except (FileNotFoundError, NotADirectoryError, IrregularFileError):
        return False
    except OSError:
        return True
    return looks_like_pointer(data) or repo.git.is_tracked(pointer_path(path))


def pointers_at(repo: Repo, commit: CommitId) -> dict[str, Pointer]:
    """Return the pointers of a commit by dataset.

    Raises:
        FormatError: one is damaged, or stands for a path where no data must be written.
    """
    return dict(_decode(path, data, f"{path} in commit {commit[:8]}") for path, data in _files_at(repo, commit))


def readable_pointers_at(repo: Repo, commit: CommitId) -> dict[str, Pointer]:
    """Return the pointers of a commit by dataset, without those that `pointers_at` would refuse."""
    found = {}
    for path, data in _files_at(repo, commit):
        with suppress(FormatError):
            dataset, pointer = _decode(path, data, path)
            found[dataset] = pointer
    return found


def _files_at(repo: Repo, commit: CommitId) -> Iterable[tuple[str, bytes]]:
    return repo.git.list_files(commit, suffix=SUFFIX).items()


def _decode(path: str, data: bytes, where: str) -> tuple[str, Pointer]:
    return checked_dataset_path(path, where), decode_pointer(data, where)


def head_pointers(repo: Repo) -> dict[str, Pointer]:
    """Return the pointers of HEAD by dataset; none before the first commit."""
    head = repo.git.head_commit()
    return {} if head is None else pointers_at(repo, head)


def working_pointers(repo: Repo) -> dict[str, Pointer]:
    """Return the pointers in the working tree by dataset; FormatError for one that cannot be read."""
    found = {}
    for dataset in working_datasets(repo):
        pointer = read_pointer(repo.root, dataset)
        if pointer is not None:
            found[dataset] = pointer
    return found


def enclosing_dataset(repo: Repo, path: str) -> str | None:
    """Return the dataset that `path` lies within, or None. The path of a dataset itself is not within it."""
    parts = path.split("/")
    for length in range(1, len(parts)):
        candidate = "/".join(parts[:length])
        if is_dataset(repo, candidate):
            return candidate
    return None


def select(known: Iterable[str], paths: Sequence[str], *, hint: str = "dver ls lists the datasets") -> list[Target]:
    """Return what `paths` (relative to the repository, "" for its root) mean among the `known` datasets.

    Without paths that is every dataset.

    Raises:
        PathError: a path is neither a dataset, nor in one, nor a folder that holds some.
    """
    everything = sorted(known)
    if not paths:
        return [Target(dataset) for dataset in everything]
    targets: dict[Target, None] = {}
    for path in paths:
        found = _select_one(everything, path)
        if not found:
            raise PathError(path or ".", "no dataset is there", hint=hint)
        targets.update(dict.fromkeys(found))
    whole = {target.dataset for target in targets if not target.part}
    return [target for target in targets if not target.part or target.dataset not in whole]


def _select_one(known: Sequence[str], path: str) -> list[Target]:
    if not path:
        return [Target(dataset) for dataset in known]
    for candidate in (path, dataset_path(path)):
        if candidate in known:
            return [Target(candidate)]
    for dataset in known:
        if path.startswith(dataset + "/"):
            return [Target(dataset, encode_path(path[len(dataset) + 1 :]))]
    return [Target(dataset) for dataset in known if dataset.startswith(path + "/")]


def typed(path: str) -> str:
    """Return a path as one types it in a shell, for hints: quoted, and not to be taken for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def lies_in(path: str, outer: str) -> bool:
    """Whether a path is another, or is below it."""
    return path == outer or path.startswith(outer + "/")


def overlap(first: str, second: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return lies_in(first, second) or lies_in(second, first)


def encode_path(path: str) -> bytes:
    """Return a path as the bytes that the file system knows it by."""
    return path.encode("utf-8", "surrogateescape")


def decode_path(path: bytes) -> str:
    """Return a path as text in which bytes that are not UTF-8 are surrogates."""
    return path.decode("utf-8", "surrogateescape")


def read_pointer_or_problem(repo: Repo, dataset: str) -> Pointer | DverError:
    """Return a pointer of the working tree, or the error that reading it gave."""
    try:
        pointer = read_pointer(repo.root, dataset)
    except DverError as exc:
        return exc
    if pointer is None:
        return PathError(dataset + SUFFIX, "the pointer is missing")
    return pointer
