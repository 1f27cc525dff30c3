"""Puts what a checkout did into words."""

from dver.cli.wording import count_text, size_text
from dver.operations.checkout_plan import DatasetPlan


def summary_text(plan: DatasetPlan, *, brings_pointer: bool = False) -> str:
    """Return what was done to a dataset, or "" for nothing."""
    parts = []
    if plan.writes:
        shared = f", {size_text(plan.shared_bytes)} of it in shared blocks" if plan.shared else ""
        parts.append(f"{count_text(len(plan.writes), 'file')} written, {size_text(plan.write_bytes)}{shared}")
    if plan.deletes:
        parts.append(f"{count_text(len(plan.deletes), 'file')} deleted")
    # With the files it goes without saying.
    return "; ".join(parts) or ("pointer restored" if brings_pointer else "")
