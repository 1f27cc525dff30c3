"""The lists of packages that runs had: reading them, and finding those that go along with pushed versions.

A list is a version of its own, one file with `name==version` in each line. Runs with the same packages share one. A
record is anybody's work, so what it names is a list only if it reads as one: nothing else is shown or sent for it.
"""

from collections.abc import Iterable

from dver.errors import DverError, FormatError, ObjectNotFoundError
from dver.objects.entry import FileEntry
from dver.objects.ids import VersionId, format_version, parse_version
from dver.objects.manifest import single_file_entry
from dver.operations.reading import missing_version, open_manifest
from dver.operations.status import present_versions
from dver.operations.tree import read_file
from dver.records.record import Record
from dver.repo import Repo

LIST = "the list of packages"
MAX_SIZE = 16 * 1024 * 1024


def read_packages(repo: Repo, record: Record) -> list[str]:
    """Return the packages that a run had, each as `name==version`, sorted; none where none are recorded.

    Raises:
        VersionNotFoundError: the list is neither in the cache nor on the default remote.
        FormatError: what the record names is no list of packages.
    """
    recorded = record.environment.packages
    return _read(repo, parse_version(recorded, f"run {record.id}")) if recorded else []


def lists_of(repo: Repo, made: Iterable[tuple[str, VersionId]]) -> list[VersionId]:
    """Return what the runs that made versions name as their lists, as far as the cache has it.

    Args:
        made: datasets' paths and their versions.
    """
    found: dict[VersionId, None] = {}
    for path, version in made:
        for record in repo.lineage.producers(path, format_version(version)):
            try:
                found[parse_version(record.environment.packages, record.id)] = None
            except FormatError:
                continue
    cached = present_versions(repo.cache, list(found))
    return [version for version in found if version in cached]


def is_list(repo: Repo, version: VersionId) -> bool:
    """Return whether a version is a list of packages, and sound."""
    try:
        _read(repo, version)
    except DverError:
        return False
    return True


def _read(repo: Repo, version: VersionId) -> list[str]:
    manifest = open_manifest(repo, version, LIST)
    try:
        entry = single_file_entry(manifest)
        if isinstance(entry, FileEntry) and entry.size <= MAX_SIZE:
            lines = b"".join(read_file(repo, manifest, entry, LIST)).decode("utf-8", "surrogateescape").splitlines()
            if all("==" in line for line in lines):
                return lines
    except ObjectNotFoundError as exc:
        raise missing_version(repo, version, LIST) from exc
    raise FormatError(format_version(version), f"is not {LIST} of a run")
