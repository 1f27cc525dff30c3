"""Puts merge conflicts into words: which paths, how the sides disagree, and what decides."""

from collections.abc import Sequence

from dver.cli.session import Session
from dver.cli.wording import count_text, table_lines
from dver.objects.merge import PathConflict
from dver.operations.datasets import decode_path

_WAYS_TO_DECIDE = (
    "dver checkout --ours PATH or --theirs PATH decides, for a dataset or a path in it;\n"
    "   or dver checkout PATH, edit the data, then dver add PATH"
)
_MOST_LINES = 20


def show_conflicts(session: Session, dataset: str, conflicts: Sequence[PathConflict]) -> None:
    """Say which paths of a dataset conflict, at most 20 of them, and what decides."""
    console = session.console
    count = count_text(len(conflicts), "path")
    console.error(f"both sides changed {count} of {dataset} differently")
    paths = [f"{dataset}/{decode_path(one.path)}" if one.path else dataset for one in conflicts[:_MOST_LINES]]
    rows = [[session.shown(path), one.kind.value] for path, one in zip(paths, conflicts, strict=False)]
    for line in table_lines(rows, "<<"):
        console.say(f"    {line}")
    if len(conflicts) > _MOST_LINES:
        console.say(f"    and {len(conflicts) - _MOST_LINES:,} more")
    show_ways_to_decide(session)


def show_ways_to_decide(session: Session) -> None:
    """Say what decides a conflict."""
    session.console.say(f"  ({_WAYS_TO_DECIDE})")
