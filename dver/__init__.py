"""dver: git-style versioning of datasets.

The public names are loaded when first used, so that the command line starts fast: reading from `dver.api.reading`,
and lineage from the module `dver.lineage`.
"""

__version__ = "0.1.0"

# Type checkers take this as true; importing `typing` for its constant would cost a tenth of the start-up time.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dver import lineage
    from dver.api.reading import ListedPath, Repo, find_repo, ls, open, read
    from dver.lineage import record

__all__ = [
    "ListedPath",
    "Repo",
    "__version__",
    "find_repo",
    "lineage",
    "ls",
    "open",
    "read",
    "record",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dver' has no attribute {name!r}")
    # The API pulls in everything, and `dver --version` needs none of it; reading data needs nothing of lineage.
    if name in ("lineage", "record"):
        from importlib import import_module  # noqa: PLC0415

        lineage = import_module("dver.lineage")
        return lineage if name == "lineage" else lineage.record
    from dver.api import reading  # noqa: PLC0415

    return getattr(reading, name)
