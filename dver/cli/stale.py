"""Puts into words why a dataset is not any more what a run would make; for `dver status` and `dver repro`.

Loaded only where there is a lineage file.
"""

from collections.abc import Callable, Sequence

from dver.cli.records import short_version
from dver.cli.wording import escape_text
from dver.operations.run_cache import Reason, ReasonKind
from dver.operations.staleness import find_stale
from dver.operations.status import DatasetStatus
from dver.records.record import Scalar, scalar_text
from dver.repo import Repo


def find_stale_datasets(
    repo: Repo, found: Sequence[DatasetStatus], note: Callable[[str], None]
) -> dict[str, tuple[Reason, ...]]:
    """Return the datasets among those that are stale, and why; `note` is told of what cannot be compared."""
    versions = {one.dataset: one.pointer.version for one in found if one.pointer is not None}
    return find_stale(repo, versions, note=note)


def stale_text(reasons: Sequence[Reason], shown: Callable[[str], str]) -> str:
    """Return all reasons in one line; `shown` says how paths are put."""
    return "; ".join(reason_text(reason, shown) for reason in reasons)


def reason_text(reason: Reason, shown: Callable[[str], str]) -> str:
    """Return what is not as it was when the run was recorded."""
    if reason.kind is ReasonKind.PARAM:
        now = "is not there now" if reason.vanished else f"is {_value_text(reason.new)} now"
        return f"made with {escape_text(reason.name)} = {_value_text(reason.old)}, which {now}"
    name = shown(reason.name)
    if reason.vanished:
        return f"made from {name}, which is gone"
    if reason.kind in (ReasonKind.CODE, ReasonKind.ENV):
        return f"made with {name}, which has changed"
    return f"made from {name} {short_version(str(reason.old))}, which is {short_version(str(reason.new))} now"


def _value_text(value: Scalar) -> str:
    return escape_text(scalar_text(value))
