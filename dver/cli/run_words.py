"""Runs as words of a command line: an id from `dver runs`, of which six digits or more are enough, or `run:ID`.

A word with `run:` in front is always a run. Any other may as well be a dataset or a revision; which of them counts then
is for the command to say.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dver.cli.revisions import revision_hint, split_place
from dver.cli.session import Session
from dver.errors import NotFoundError, PathError, UsageError
from dver.objects.ids import VERSION_PREFIX
from dver.operations.datasets import is_dataset
from dver.operations.runs import find_run, is_run_id
from dver.records.record import Record
from dver.repo import Repo

RUN_PREFIX = "run:"
ENOUGH_DIGITS = "an id of a run has six hexadecimal digits or more"

_SHORT_ID = re.compile(rf"(?:{VERSION_PREFIX})?[0-9a-f]{{1,5}}")


def is_surely_run(word: str) -> bool:
    """Whether a word can be nothing but a run."""
    return word.startswith(RUN_PREFIX) or (is_run_id(word) and word.startswith(VERSION_PREFIX))


def existing_run(repo: Repo, word: str) -> Record:
    """Return the run that a word names which can be nothing else.

    Raises:
        UsageError: it is no id.
        NotFoundError: there is no such run.
    """
    digits = word.removeprefix(RUN_PREFIX)
    if not is_run_id(digits):
        raise UsageError(f"{digits!r} is no id of a run", hint=ENOUGH_DIGITS)
    found = find_run(repo, digits)
    if found is None:
        raise NotFoundError(f"no run has an id that begins with {digits}", hint="dver runs lists them")
    return found


def run_or_path(session: Session, repo: Repo, word: str, *, command: str) -> Record | None:
    """Return the run that a word names, or None where it is for a path to be looked for.

    Raises:
        UsageError: it names both, or is no id.
        NotFoundError: it can only be a run, and there is no such.
    """
    if is_surely_run(word):
        return existing_run(repo, word)
    found = find_run(repo, word)
    if found is not None and is_dataset(repo, repo.relative(word, session.start)):
        raise UsageError(
            f"{word} is both a run and a dataset",
            hint=f"{command} {RUN_PREFIX}{word} for the run, {command} ./{word} for the dataset",
        )
    return found


@contextmanager
def named_place(session: Session, repo: Repo, word: str) -> Iterator[tuple[str | None, str]]:
    """Give the revision and the path that a word names; errors about these say what it may have been meant for."""
    with _run_hint(word):
        revision, path = split_place(session, repo, word)
        with revision_hint(repo, word):
            yield revision, path


@contextmanager
def _run_hint(word: str) -> Iterator[None]:
    """Where a word that is no path looks like the id of a run, say that there is none, or that it is too short."""
    try:
        yield
    except PathError as exc:
        if is_run_id(word):
            raise NotFoundError(f"no run has an id that begins with {word}", hint="dver runs lists them") from exc
        if _SHORT_ID.fullmatch(word):
            raise PathError(exc.path, exc.reason, hint=f"{ENOUGH_DIGITS}; {exc.hint}") from exc
        raise
