"""The pointer: the small text file in git that names a dataset's version.

TOML with a fixed order of keys and a newline at the end, so that git's diffs and merges of it read well. A pointer is
read strictly: an unknown format, a missing key or a merge conflict is an error that says so. Keys that this dver does
not know are passed over: a later one may add some that do no harm when they are not understood.
"""

import tomllib
from dataclasses import dataclass
from enum import StrEnum

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.ids import VERSION_PREFIX, VersionId, format_version, parse_version
from dver.objects.names import belongs_to_dver, belongs_to_git

FORMAT = 1
SUFFIX = ".dver"
MAX_POINTER = 64 * 1024
MAX_COUNT = (1 << 62) - 1
COMMENT = "# dver pointer: commit this file; `dver checkout` restores the data"
CONFLICT_HINT = (
    "dver checkout PATH merges what does not conflict; dver checkout --ours PATH or dver checkout --theirs PATH decides"
    " the rest"
)
_HINT = "git log -- FILE lists its commits; git checkout COMMIT -- FILE takes a whole one"


class DatasetKind(StrEnum):
    """Whether a dataset is one file or a directory."""

    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file says. `size` is in bytes, `files` counts regular files and symbolic links."""

    kind: DatasetKind
    version: VersionId
    size: int
    files: int


def pointer_path(dataset: str) -> str:
    """Return the path of a dataset's pointer."""
    return dataset + SUFFIX


def dataset_path(pointer: str) -> str:
    """Return the path of the dataset that a pointer at this path is for."""
    return pointer.removesuffix(SUFFIX)


def looks_like_pointer(data: bytes) -> bool:
    """Whether a file is meant as a pointer, be it damaged or full of conflict markers: others may end in .dver too."""
    return b"# dver pointer" in data or b'version = "' + VERSION_PREFIX.encode() in data


def has_conflict_markers(data: bytes) -> bool:
    """Whether an unfinished merge left its marks in a pointer."""
    return data.startswith(b"<<<<<<<") or b"\n<<<<<<<" in data


def may_be_dataset(path: str) -> bool:
    """Whether a dataset may have this path: plain, inside the repository, and neither git's nor dver's own.

    Names that some file system takes for theirs are no different.
    """
    if not {"", ".", ".."}.isdisjoint(path.split("/")) or "\0" in path:
        return False
    raw = path.encode("utf-8", "surrogatepass")
    return not (belongs_to_git(raw) or belongs_to_dver(raw))


def checked_dataset_path(pointer: str, where: str) -> str:
    """Return the path of the dataset that a pointer at this path is for.

    A pointer comes with a clone and may be anybody's work, and data is written where it says.

    Raises:
        FormatError: data must not be written there.
    """
    dataset = dataset_path(pointer)
    if not may_be_dataset(dataset):
        raise FormatError(where, f"refused: {dataset!r} cannot be the path of a dataset", hint="git rm the pointer")
    return dataset


def encode_pointer(pointer: Pointer) -> bytes:
    """Return the bytes of a pointer file."""
    return (
        f"{COMMENT}\n"
        f"format = {FORMAT}\n"
        f'kind = "{pointer.kind.value}"\n'
        f'version = "{format_version(pointer.version)}"\n'
        f"size = {pointer.size}\n"
        f"files = {pointer.files}\n"
    ).encode()


def decode_pointer(data: bytes, where: str) -> Pointer:
    """Return what a pointer file says; `where` names it in errors.

    Raises:
        FormatError: it is not a pointer, or holds conflict markers of an unfinished merge.
    """
    if len(data) > MAX_POINTER:
        raise FormatError(where, f"{len(data)} bytes is too large for a pointer")
    if has_conflict_markers(data):
        raise FormatError(
            where,
            "the pointer has merge conflict markers",
            hint=CONFLICT_HINT,
        )
    try:
        fields = tomllib.loads(data.decode())
    # Brackets within brackets go deeper than Python can follow.
    except (ValueError, RecursionError) as exc:
        raise FormatError(where, "not a dver pointer", hint=_HINT) from exc
    return _decode_fields(fields, where)


def _decode_fields(fields: dict[str, object], where: str) -> Pointer:
    match fields:
        # `type(…) is int`: in TOML true is no number, in Python it is.
        case {"format": version} if type(version) is int and version > FORMAT:
            raise UnsupportedFormatError(where, version, FORMAT)
        case {"format": version, "kind": str(kind), "version": str(text), "size": size, "files": files} if (
            type(version) is int
            and version == FORMAT
            and kind in list(DatasetKind)
            and type(size) is int
            and type(files) is int
            and 0 <= size <= MAX_COUNT
            and 0 <= files <= MAX_COUNT
        ):
            return Pointer(DatasetKind(kind), parse_version(text, where), size, files)
    raise FormatError(where, "not a dver pointer: it needs format, kind, version, size and files", hint=_HINT)
