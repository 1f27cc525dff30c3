"""Keeping a dataset's data out of git, whatever rules of git ignore it."""

from dver.objects.pointer import DatasetKind
from dver.repo import Repo
from dver.workspace.gitignore import gitignore_path, ignore_dataset


def is_out_of_git(repo: Repo, dataset: str, kind: DatasetKind) -> bool:
    """Whether git ignores a dataset's data."""
    return repo.git.is_ignored(dataset + "/" if kind is DatasetKind.DIRECTORY else dataset)


def keep_out_of_git(repo: Repo, dataset: str, kind: DatasetKind) -> bool:
    """Make git ignore a dataset's data; return whether its `.gitignore` has something to stage."""
    changed = not is_out_of_git(repo, dataset, kind) and ignore_dataset(repo.root, dataset)
    gitignore = gitignore_path(dataset)
    # An earlier run may have been stopped between writing and staging it.
    return changed or ((repo.root / gitignore).is_file() and not repo.git.is_tracked(gitignore))
