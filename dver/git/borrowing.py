"""A repository that borrows: files of a commit in a folder of their own, with all objects read from another repository.

Nothing is copied but the files, and the other repository is not written to. No hooks, branches, remotes and settings
come along.
"""

import shutil
from contextlib import suppress
from pathlib import Path

import pygit2
from pygit2.enums import ResetMode

from dver.git.objects import CommitId
from dver.git.repository import GitRepo
from dver.git.translation import translated

_ALTERNATES = Path("objects", "info", "alternates")
_SHALLOW = "shallow"


def borrow(source: GitRepo, folder: Path, commit: CommitId | None) -> None:
    """Make a repository in an empty folder with the files of a commit of another; for None without files.

    Raises:
        GitError: an object of the commit is not there, or the folder cannot be written.
    """
    with translated(f"cannot make a work tree in {folder}"):
        git_dir = Path(pygit2.init_repository(str(folder), initial_head="main").path)
        alternates = git_dir / _ALTERNATES
        alternates.parent.mkdir(parents=True, exist_ok=True)
        alternates.write_text(f"{source.common_dir / 'objects'}\n")
        with suppress(FileNotFoundError):
            shutil.copyfile(source.common_dir / _SHALLOW, git_dir / _SHALLOW)
        if commit is None:
            return
        # Opened anew, for a repository looks for borrowed objects when it is opened.
        made = pygit2.Repository(str(git_dir))
        made.set_head(pygit2.Oid(hex=commit))
        made.reset(pygit2.Oid(hex=commit), ResetMode.HARD)
