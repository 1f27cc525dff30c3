"""`dver hook merge`: git's merge driver for pointers.

git gives three files and takes the outcome from that of ours; exit code 0 says that it is merged. The text of a
conflict is written before anything else is tried, so that no failure, not even being killed, passes ours off as the
outcome.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import click

from dver.cli.command import Command
from dver.cli.conflicts import show_conflicts, show_ways_to_decide
from dver.cli.session import Session
from dver.errors import DverError, FormatError
from dver.objects.conflict import Labels, PointerSides, encode_conflict
from dver.objects.pointer import dataset_path, decode_pointer, encode_pointer
from dver.operations.merge import merge_pointers, pointer_or_none

_EXAMPLES = {"dver hook merge --marker-size %L -- %O %A %B %P": "as merge.dver.driver in git's configuration"}
_MOST_CONFLICTS = 127
_MARKER_SIZE = 7


@dataclass(frozen=True, slots=True)
class _Files:
    """The files that git gives: three temporary ones, and the path in the repository that they are for."""

    base: Path
    ours: Path
    theirs: Path
    path: str


@click.command("merge", cls=Command, examples=_EXAMPLES)
@click.argument("files", metavar="BASE OURS THEIRS PATH", nargs=4, type=click.Path(readable=False))
@click.option("--ours-label", metavar="TEXT", default="ours", help="What the marks call our side.")
@click.option("--theirs-label", metavar="TEXT", default="theirs", help="What the marks call their side.")
@click.option(
    "--marker-size",
    metavar="N",
    type=click.IntRange(1),
    default=_MARKER_SIZE,
    help="Length of the marks; beyond 7 a common ancestor is merged, of which nothing is said.",
)
@click.pass_obj
def command(
    session: Session, files: tuple[str, str, str, str], ours_label: str, theirs_label: str, marker_size: int
) -> int:
    """Merge a dataset's versions of two branches, as git's merge driver.

    What the sides changed at different paths is merged, from manifests alone. Where they changed the same path, the
    pointer becomes a text with conflict marks, and the exit code is 1: dver checkout --ours or --theirs then decides.
    A file that is no pointer is merged as text.
    """
    base, ours, theirs = (session.start / file for file in files[:3])
    given = _Files(base, ours, theirs, path=files[3])
    labels = Labels(ours_label, theirs_label)
    # Where branches were merged into each other, git first merges their common ancestors. What conflicts there leaves
    # no pointer, which is as good as no ancestor; it is for nobody to decide.
    is_ancestor = marker_size > _MARKER_SIZE
    try:
        sides = _read_sides(given)
    except FormatError:
        return _merge_text(given, labels, marker_size)
    given.ours.write_bytes(encode_conflict(sides, None, (), labels))
    try:
        with session.repo() as repo:
            merged = merge_pointers(repo, dataset_path(given.path), sides)
    except DverError as exc:
        if is_ancestor:
            return 1
        session.console.error(f"{given.path} cannot be merged now: {exc.message}", hint=exc.hint)
        show_ways_to_decide(session)
        return 1
    if not merged.conflicts:
        given.ours.write_bytes(encode_pointer(merged.pointer))
        return 0
    given.ours.write_bytes(encode_conflict(sides, merged.conflicts, (), labels))
    if not is_ancestor:
        show_conflicts(session, dataset_path(given.path), merged.conflicts)
    return 1


def _read_sides(files: _Files) -> PointerSides:
    """Return what the files say; FormatError if a side is no pointer."""
    base, ours, theirs = (file.read_bytes() for file in (files.base, files.ours, files.theirs))
    return PointerSides(
        pointer_or_none(base),
        decode_pointer(ours, files.path),
        decode_pointer(theirs, files.path),
    )


def _merge_text(files: _Files, labels: Labels, marker_size: int) -> int:
    """Merge files of the user's own, as git does where no driver is named."""
    done = subprocess.run(
        [
            *("git", "merge-file", f"--marker-size={marker_size}"),
            *("-L", labels.ours, "-L", "base", "-L", labels.theirs),
            *("--", str(files.ours), str(files.base), str(files.theirs)),
        ],
        check=False,
    )
    return min(abs(done.returncode), _MOST_CONFLICTS)
