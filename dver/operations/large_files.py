"""Large files: what is about to enter git and should be a dataset instead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dver.git import StagedFile
from dver.objects.pointer import MAX_POINTER, SUFFIX
from dver.operations.datasets import enclosing_dataset, is_dataset
from dver.repo import Repo
from dver.workspace.ignore import IGNORE_FILE, PathPatterns
from dver.workspace.pointers import DVER_DIRECTORY


@dataclass(frozen=True, slots=True)
class Limits:
    """What may enter git.

    Attributes:
        max_size: the largest file, in bytes.
        allow: patterns of files that may be larger, or match `data`.
        data: patterns of files that may not, however small.
    """

    max_size: int
    allow: Sequence[str] = ()
    data: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A file that must not enter git.

    Attributes:
        pattern: the data pattern that it matches; None where it is too large.
        dataset: the dataset that it is, or lies within, if any.
    """

    path: str
    size: int
    pattern: str | None
    dataset: str | None


def find_large_files(repo: Repo, limits: Limits, files: Sequence[str] | None = None) -> list[LargeFile]:
    """Return those of the staged `files`, by default of all that the next commit adds or changes, that must not enter.

    Raises:
        ConfigError: a pattern is malformed.
    """
    allow = PathPatterns(limits.allow, "hooks.allow")
    data = PathPatterns(limits.data, "hooks.data")
    found = []
    for file in _staged(repo, files):
        size = repo.git.blob_size(file.blob_id)
        if size is None or _belongs_in_git(file.path, size):
            continue
        pattern = data.find(file.path)
        if (size > limits.max_size or pattern is not None) and allow.find(file.path) is None:
            found.append(LargeFile(file.path, size, pattern, _dataset_of(repo, file.path)))
    return found


def _dataset_of(repo: Repo, path: str) -> str | None:
    return path if is_dataset(repo, path) else enclosing_dataset(repo, path)


def _staged(repo: Repo, files: Sequence[str] | None) -> Iterable[StagedFile]:
    if files is None:
        return repo.git.staged_changes()
    return [staged for path in files if (staged := repo.git.staged_file(path)) is not None]


def _belongs_in_git(path: str, size: int) -> bool:
    """Whether a file is one of those that git and dver themselves keep beside data."""
    folders, _, name = path.rpartition("/")
    if name.endswith(SUFFIX) and size <= MAX_POINTER:
        return True
    return name.startswith(".git") or name == IGNORE_FILE or folders == DVER_DIRECTORY
