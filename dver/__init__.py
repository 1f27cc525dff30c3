"""dver: git-style versioning of datasets."""

__version__ = "0.1.0"
