"""What a backend promises, tried out on the place itself: what it can do, and what it cannot.

A failure is an answer and never an exception. Once a place cannot be listed or written to, nothing else is tried.
"""

import time
from dataclasses import dataclass
from enum import StrEnum

from dver.errors import DverError
from dver.storage.check import BrokenPromiseError
from dver.storage.selftest_trials import PLANS, Plan, Scratch


class Result(StrEnum):
    """How a trial ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was tried.

    Attributes:
        name: one word for it.
        detail: what was seen, or what is wrong and what helps.
        needed_for: what of dver does not work without it.
    """

    name: str
    result: Result
    detail: str
    needed_for: str
    seconds: float = 0.0


def try_out(scratch: Scratch, *, quick: bool = False) -> list[Trial]:
    """Try all that dver needs of a backend; `quick` leaves out the trials that take long."""
    done: list[Trial] = []
    blocked: str | None = None
    for plan in PLANS:
        if quick and plan.takes_long:
            continue
        if blocked is not None:
            done.append(Trial(plan.name, Result.NOT_TRIED, f"{blocked} failed", plan.needed_for))
            continue
        done.append(_try(plan, scratch))
        if plan.is_first_step and done[-1].result is Result.FAILED:
            blocked = plan.name
    return done


def _try(plan: Plan, scratch: Scratch) -> Trial:
    start = time.monotonic()
    try:
        detail, result = plan.action(scratch), Result.OK
    except DverError as exc:
        detail, result = f"{exc.message}; {exc.hint}" if exc.hint else exc.message, Result.FAILED
    except BrokenPromiseError as exc:
        detail, result = str(exc), Result.FAILED
    return Trial(plan.name, result, detail, plan.needed_for, time.monotonic() - start)
