"""dver: git-style versioning of datasets.

The public names are those of `dver.api`, loaded when first used, so that the command line starts fast.
"""

__version__ = "0.1.0"

# Type checkers take this as true; importing `typing` for its constant would cost a tenth of the start-up time.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dver.api import ListedPath, Repo, find_repo, ls, open, read

__all__ = ["ListedPath", "Repo", "__version__", "find_repo", "ls", "open", "read"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dver' has no attribute {name!r}")
    from dver import api  # noqa: PLC0415  # the API pulls in everything; `dver --version` needs none of it

    return getattr(api, name)
