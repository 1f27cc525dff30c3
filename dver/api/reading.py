"""Reading any version of a dataset without a checkout.

    import dver

    with dver.open("data/train.csv", rev="v1.0") as file:
        ...

Data comes from the cache or, where it is not there, from the default remote.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path

from dver.objects.ids import Bytes
from dver.operations.tree import ListedPath, cat
from dver.operations.tree import ls as list_paths
from dver.repo import Repo

__all__ = ["ListedPath", "Repo", "find_repo", "ls", "open", "read"]


def find_repo(start: str | os.PathLike[str] = ".") -> Repo:
    """Return the repository around the folder `start`; close it, or use it as a context manager.

    Raises:
        NotARepositoryError: there is none, or dver is not set up in it.
    """
    return Repo.find(Path(start).absolute(), env=os.environ)


def open(
    path: str | os.PathLike[str], *, rev: str | None = None, repo: str | os.PathLike[str] = "."
) -> io.BufferedReader:
    """Return one file of a dataset as a binary stream, read piece by piece from the store.

    Raises:
        PathError: there is no such file in a dataset.
        GitError: there is no such revision.
        VersionNotFoundError: the data is neither in the cache nor on the default remote.
    """
    opened = find_repo(repo)
    try:
        pieces = cat(opened, rev, opened.relative(os.fspath(path), Path(repo).absolute()))
    except BaseException:
        opened.close()
        raise
    return io.BufferedReader(_Pieces(pieces, opened))


def read(path: str | os.PathLike[str], *, rev: str | None = None, repo: str | os.PathLike[str] = ".") -> bytes:
    """Return the bytes of one file of a dataset; raises what `open` does."""
    with open(path, rev=rev, repo=repo) as file:
        return file.read()


def ls(
    path: str | os.PathLike[str] = ".",
    *,
    rev: str | None = None,
    recursive: bool = False,
    repo: str | os.PathLike[str] = ".",
) -> list[ListedPath]:
    """Return what is at `path`: datasets, or files and folders in one. Raises what `open` does."""
    with find_repo(repo) as opened:
        where = opened.relative(os.fspath(path), Path(repo).absolute())
        return list(list_paths(opened, rev, where, recursive=recursive))


class _Pieces(io.RawIOBase):
    """A raw stream over an iterator of buffers; closes the repository with itself."""

    def __init__(self, pieces: Iterator[Bytes], repo: Repo) -> None:
        self._pieces = pieces
        self._repo = repo
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed asks for any buffer
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        memoryview(buffer)[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._repo.close()
        super().close()
