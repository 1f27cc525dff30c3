"""What a path in a dataset version is, under the names that results and JSON output have for it."""

from enum import StrEnum

from dver.objects.entry import DirectoryEntry, Entry, LinkEntry


class NodeKind(StrEnum):
    """What a path is."""

    DATASET = "dataset"
    FILE = "file"
    EXECUTABLE = "executable"
    LINK = "link"
    DIRECTORY = "directory"


def entry_kind(entry: Entry) -> NodeKind:
    """Return what an entry of a manifest is."""
    if isinstance(entry, LinkEntry):
        return NodeKind.LINK
    if isinstance(entry, DirectoryEntry):
        return NodeKind.DIRECTORY
    return NodeKind.EXECUTABLE if entry.executable else NodeKind.FILE
