"""dver: git-style versioning of datasets.

The public names are loaded when first used, so that the command line starts fast: reading and recording from
`dver.api`, and lineage as the module `dver.lineage`.
"""

import os

__version__ = "0.1.0"

# Type checkers take this as true; importing `typing` for its constant would cost a tenth of the start-up time.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dver import lineage
    from dver.api.reading import ListedPath, Repo, find_repo, ls, open, read
    from dver.api.recording import record

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

try:
    # Most likely where this Python was started, which nobody can ask for later on.
    _first_folder = os.getcwd()
except OSError:
    _first_folder = ""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dver' has no attribute {name!r}")
    # The API pulls in everything, and `dver --version` needs none of it; reading data needs nothing of lineage.
    from importlib import import_module  # noqa: PLC0415

    if name == "lineage":
        return import_module("dver.lineage")
    return getattr(import_module("dver.api.recording" if name == "record" else "dver.api.reading"), name)
