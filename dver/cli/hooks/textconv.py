"""`dver hook textconv`.

git runs it for each side of each pointer that a diff or a log shows, and stops showing anything once it fails. So
whatever cannot be listed is a line of the output, and only a file that cannot be read is an error.
"""

from collections.abc import Iterator

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_text, size_text, version_text
from dver.errors import DverError, NotFoundError
from dver.objects.ids import checksum
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations.describe import DescribedPath, describe, readable_pointer
from dver.operations.kinds import NodeKind

_EXAMPLES = {
    "dver hook textconv data.dver": "a version as git diff shows it",
}
# A diff of more lines helps nobody.
_MOST_LINES = 20_000
# The widest size is "1,023 bytes"; a width that followed the rows would make each of them differ with one.
_SIZE_WIDTH = 11
# How much of a file git itself looks at to tell binary from text.
_TELLING_BYTES = 8000


@click.command("textconv", cls=Command, examples=_EXAMPLES)
@click.argument("file", metavar="FILE", type=PATH)
@click.pass_obj
def command(session: Session, file: str) -> None:
    """Show a pointer as a list of files, as git's diff driver.

    One line a file: size, path, and six digits that change with its content. Versions of more than 20,000 paths are
    summed up by folder. Nothing is fetched: of a version that is not in the cache only the totals are shown.
    git log -p --no-textconv shows pointers as they are.
    """
    data = (session.start / file).read_bytes()
    pointer = readable_pointer(data)
    output = session.console.raw()
    if pointer is not None:
        # Not by the locale, which git does not ask either.
        output.writelines(f"{line}\n".encode() for line in _lines(session, pointer))
    elif b"\0" in data[:_TELLING_BYTES]:
        output.write(f"binary file, {size_text(len(data))}  {checksum(data):016x}\n".encode())
    else:
        output.write(data)
    output.flush()


def _lines(session: Session, pointer: Pointer) -> Iterator[str]:
    files = "" if pointer.kind is DatasetKind.FILE else f"{count_text(pointer.files, 'file')}, "
    yield f"{pointer.kind.value}, {files}{size_text(pointer.size)}"
    yield from _listing(session, pointer)


def _listing(session: Session, pointer: Pointer) -> list[str]:
    """Return a line for each row of a version, or one that says why it cannot be listed."""
    try:
        with session.hook_repo() as repo:
            if repo is not None:
                return list(map(_line, describe(repo, pointer, most=_MOST_LINES)))
        problem = "dver is not set up here"
    except NotFoundError:
        problem = "not in the cache; dver fetch --all brings it"
    except DverError as exc:
        problem = escape_text(exc.message)
    return [f"version {version_text(pointer.version)}: {problem}"]


def _line(row: DescribedPath) -> str:
    if row.kind is NodeKind.LINK:
        return "  ".join(filter(None, [_size("link"), _name(row), f"-> {path_text(row.target or '')}"]))
    if row.kind is NodeKind.DIRECTORY and row.files is None:
        return f"{_size('empty')}  {_name(row)}"
    parts = [
        _size(size_text(row.size)),
        _name(row),
        "(executable)" if row.kind is NodeKind.EXECUTABLE else "",
        "" if row.files is None else count_text(row.files, "file"),
        row.mark,
    ]
    return "  ".join(filter(None, parts))


def _size(text: str) -> str:
    return text.rjust(_SIZE_WIDTH)


def _name(row: DescribedPath) -> str:
    if row.kind is NodeKind.DIRECTORY:
        return path_text(f"{row.path or '.'}/")
    return path_text(row.path) if row.path else ""
