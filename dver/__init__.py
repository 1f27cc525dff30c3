"""dver: git-style versioning of datasets.

The public names are those of `dver.api`, loaded when first used, so that the command line starts fast.
"""

__version__ = "0.1.0"

# Type checkers take this as true; importing `typing` for its constant would cost a tenth of the start-up time.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dver.api.lineage import (
        Artifact,
        ArtifactId,
        ListedArtifact,
        Record,
        Recording,
        Walk,
        artifacts,
        find_run,
        lineage_of,
        record,
        runs,
        runs_that_made,
    )
    from dver.api.reading import ListedPath, Repo, find_repo, ls, open, read

__all__ = [
    "Artifact",
    "ArtifactId",
    "ListedArtifact",
    "ListedPath",
    "Record",
    "Recording",
    "Repo",
    "Walk",
    "__version__",
    "artifacts",
    "find_repo",
    "find_run",
    "lineage_of",
    "ls",
    "open",
    "read",
    "record",
    "runs",
    "runs_that_made",
]

_READING = frozenset(("ListedPath", "Repo", "find_repo", "ls", "open", "read"))


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dver' has no attribute {name!r}")
    if name in _READING:
        from dver.api import reading  # noqa: PLC0415  # the API pulls in everything; `dver --version` needs none of it

        return getattr(reading, name)
    from dver.api import lineage  # noqa: PLC0415  # and reading data needs nothing of lineage

    return getattr(lineage, name)
