"""Versions of files that neither dver nor git has."""

import os

import pytest
from blake3 import blake3

from dver.errors import PathError
from dver.objects.ids import format_version
from dver.operations.loose_files import FILE, FOLDER, loose_version
from dver.progress import NO_PROGRESS
from tests.clones import Clone


def version(clone: Clone, path: str, kind: str) -> str | None:
    """Return the version of a path."""
    with clone.open() as repo:
        return loose_version(repo, path, kind, NO_PROGRESS)


@pytest.mark.parametrize("data", [b"", b"x" * 100_000])
def test_a_file_is_named_by_its_content(clone: Clone, data: bytes) -> None:
    clone.write("a", data)
    assert version(clone, "a", FILE) == "b3:" + blake3(data).hexdigest()


def test_a_folder_has_the_version_that_it_would_have_as_a_dataset(clone: Clone) -> None:
    clone.write("data/a", b"x" * 5000)
    clone.write("data/sub/b", b"y")
    found = version(clone, "data", FOLDER)
    clone.add()
    pointer = clone.status().pointer
    assert pointer is not None
    assert found == format_version(pointer.version)


@pytest.mark.parametrize(("path", "kind"), [("gone", FILE), ("gone", FOLDER), ("folder", FILE), ("file", FOLDER)])
def test_what_is_not_there_has_none(clone: Clone, path: str, kind: str) -> None:
    clone.write("folder/a", b"")
    clone.write("file", b"")
    assert version(clone, path, kind) is None


def test_what_cannot_be_stored_is_refused(clone: Clone) -> None:
    clone.write("folder/a", b"")
    os.mkfifo(clone.root / "folder" / "pipe")
    with pytest.raises(PathError):
        version(clone, "folder", FOLDER)
