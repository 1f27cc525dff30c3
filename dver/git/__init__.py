"""The git repository around the data: what was committed, what is staged, and where everything lies.

The only package that imports pygit2. It knows commits, blobs, references and the index, and nothing of pointers: a
suffix comes from the caller. Paths are relative to the work tree, `/`-separated, and text in which bytes that are not
UTF-8 are surrogates (PEP 383). Only regular files count as files: a symbolic link or a submodule is never returned.
Whatever pygit2 raises leaves here as `GitError`, `NotARepositoryError` or `LockedError`.
"""

from dver.git.changes import StagedFile
from dver.git.objects import CommitId
from dver.git.repository import GitRepo
from dver.git.staging import Conflict

__all__ = ["CommitId", "Conflict", "GitRepo", "StagedFile"]
