"""Executable bits where the file system has none, or says the same of every file: the version before knows them.

Git tries it out when it makes a repository, and writes what it found into `core.filemode`; dver goes by that. A file
keeps the bit that its path had, and one that is new has none, as in git.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from dver.errors import FormatError, ObjectNotFoundError
from dver.objects.edit import EntryReader
from dver.objects.entry import FileEntry
from dver.objects.manifest import Manifest
from dver.operations.reading import lazy_manifest
from dver.repo import Repo
from dver.workspace.ingest import Ingested
from dver.workspace.pointers import read_pointer
from dver.workspace.statcache import Base


def with_known_modes(
    repo: Repo, ingested: Iterator[Ingested], before: Callable[[], Manifest | None]
) -> Iterator[Ingested]:
    """Yield what was stored, with executable bits as they were `before` if the file system knows of none."""
    if repo.heeds_modes:
        return ingested
    manifest = before()
    reader = None if manifest is None else EntryReader(manifest)
    return (_with_mode(one, reader) for one in ingested)


def manifest_before(repo: Repo, dataset: str, base: Base | None) -> Manifest | None:
    """Return the manifest of the base or, without one, of the pointer's version; None if there is neither."""
    if base is not None:
        return lazy_manifest(repo, base.version, dataset)
    with suppress(FormatError):
        pointer = read_pointer(repo.root, dataset)
        return None if pointer is None else lazy_manifest(repo, pointer.version, dataset)
    return None


def _with_mode(one: Ingested, reader: EntryReader | None) -> Ingested:
    entry = one.entry
    # Without a row it was not read, and is an entry of the version before.
    if one.row is None or not isinstance(entry, FileEntry):
        return one
    executable = reader is not None and _was_executable(reader, entry.path)
    return one if executable == entry.executable else replace(one, entry=replace(entry, executable=executable))


def _was_executable(reader: EntryReader, path: bytes) -> bool:
    try:
        before = reader.get(path)
    except ObjectNotFoundError:
        return False
    return isinstance(before, FileEntry) and before.executable
