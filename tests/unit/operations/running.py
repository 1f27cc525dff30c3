"""Runs of commands in a clone, for the tests of `dver.operations.run`."""

import os
from dataclasses import replace
from typing import Any

from dver.operations.run import carry_out_run
from dver.operations.run_plan import RunOptions, RunPlan, RunRequest, plan_run
from dver.operations.run_publish import RunResult
from dver.records.record import Record
from tests.clones import Clone


def request(line: str, **given: Any) -> RunRequest:
    """Return a request to run a line for the shell."""
    return RunRequest((line,), "", os.environ, shell=True, **given)


def plan(clone: Clone, wanted: RunRequest, **options: bool) -> RunPlan:
    """Only plan."""
    with clone.open() as repo:
        return plan_run(repo, wanted, RunOptions(**options))


def run(clone: Clone, wanted: RunRequest, **options: bool) -> RunResult:
    """Plan and carry out."""
    with clone.open() as repo:
        return carry_out_run(repo, plan_run(repo, wanted, RunOptions(**options)))


def reasons(clone: Clone, wanted: RunRequest, **options: bool) -> list[tuple[str, str]]:
    """Return why a command would run; nothing for one that would not."""
    return [(reason.kind.value, reason.name) for reason in plan(clone, wanted, **options).decision.reasons]


def records(clone: Clone) -> list[Record]:
    """Return all records, in the order of the file."""
    with clone.open() as repo:
        return repo.lineage.records()


def with_line(wanted: RunRequest, line: str) -> RunRequest:
    """Return the same request for another line."""
    return replace(wanted, command=(line,))
