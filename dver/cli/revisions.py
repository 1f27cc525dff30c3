"""Telling revisions from paths on the command line, as git does.

`--` separates them for certain. Without it, a first word that names a commit and no dataset is a revision, one that is
a dataset and names no commit is a path, and one that could be either is asked about.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.errors import DverError, PathError, UsageError
from dver.operations.datasets import select, working_datasets
from dver.repo import Repo

_SHORT_ID = re.compile(r"[0-9a-f]{4,5}")
_AFTER_SEPARATOR = "dver.after-separator"


class RevisionCommand(Command):
    """A command whose arguments are revisions and paths, and which needs to know where `--` stood."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put what follows `--` aside for `split_arguments`."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_AFTER_SEPARATOR] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)


class _Found(Enum):
    """Whether a word is the path of something in a dataset; one that is not on disk may be in its pointer's version."""

    SURELY = "surely"
    MAYBE = "maybe"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Arguments:
    """Revisions, and paths relative to the repository."""

    revisions: tuple[str, ...]
    paths: tuple[str, ...]


def split_arguments(session: Session, repo: Repo, words: Sequence[str], *, most: int) -> Arguments:
    """Return which of a command's `words` are revisions, of which there may be at `most` so many, and which paths."""
    after = after_separator()
    if after is not None:
        revisions = list(words)
        if len(revisions) > most:
            raise UsageError(f"before -- there may be {most} revision{'s' * (most != 1)}, not {len(revisions)}")
        return Arguments(tuple(revisions), tuple(session.paths(repo, after)))
    known = working_datasets(repo)
    count = 0
    while count < min(most, len(words)) and _is_revision(session, repo, known, words, count):
        count += 1
    return Arguments(tuple(words[:count]), tuple(session.paths(repo, words[count:])))


def after_separator() -> Sequence[str] | None:
    """Return the words behind `--` on the command line of a RevisionCommand; None where there is no `--`."""
    found: Sequence[str] | None = click.get_current_context().meta.get(_AFTER_SEPARATOR)
    return found


def split_place(session: Session, repo: Repo, word: str) -> tuple[str | None, str]:
    """Return the revision, None for the working tree, and the path of an argument `[REV:]PATH`."""
    revision, colon, path = word.partition(":")
    found = _find(session, repo, working_datasets(repo), word) if colon else _Found.SURELY
    if found is _Found.SURELY or (found is _Found.MAYBE and not repo.git.is_revision(revision)):
        return None, repo.relative(word, session.start)
    if not revision:
        raise UsageError(f"{word}: there is no revision before the colon", hint=f"HEAD{word} is the last commit's")
    return revision, repo.relative(path, session.start)


@contextmanager
def revision_hint(repo: Repo, word: str) -> Iterator[None]:
    """Where an argument `[REV:]PATH` that is no path is a revision, say how to write that."""
    try:
        yield
    except PathError as exc:
        if not repo.git.is_revision(word):
            raise
        raise PathError(exc.path, exc.reason, hint=f"dver ls {word}: lists the datasets of that revision") from exc


def _is_revision(session: Session, repo: Repo, known: Sequence[str], words: Sequence[str], at: int) -> bool:
    """Return whether a word is a revision rather than a path; UsageError if it could be both or is neither."""
    word = words[at]
    names_commit = all(repo.git.is_revision(part) for part in range_ends(word))
    found = _find(session, repo, known, word)
    if names_commit and found is _Found.SURELY:
        raise UsageError(f"{word} is both a revision and a dataset", hint=_both_ways(words, at))
    if names_commit or found is not _Found.NOT or os.path.lexists(session.start / word):
        return names_commit
    raise PathError(word, "is neither a revision nor a dataset", hint=_unknown_hint(repo, word))


def _both_ways(words: Sequence[str], at: int) -> str:
    """Say how to write a command in which a word could be both, with all that was typed."""
    command = click.get_current_context().command_path
    as_revision = [*words[: at + 1], "--", *words[at + 1 :]]
    as_dataset = [*words[:at], "--", *words[at:]]
    ways = (" ".join([command, *map(shlex.quote, way)]) for way in (as_revision, as_dataset))
    return "{} for the revision, {} for the dataset".format(*ways)


def _unknown_hint(repo: Repo, word: str) -> str:
    if repo.git.is_unborn and any(end in ("HEAD", "@") for end in range_ends(word)):
        return "there is no commit yet: git commit makes the first one, and dver status shows what is new"
    hint = "git log --oneline shows commits, dver ls datasets; -- goes before a path that is only in a revision"
    return f"an id of a run has six hexadecimal digits or more; {hint}" if _SHORT_ID.fullmatch(word) else hint


def range_ends(word: str) -> tuple[str, ...]:
    """Return both revisions of `A..B`, where a missing one is HEAD, or the one that `word` is."""
    start, dots, end = word.partition("..")
    if not dots or end.startswith(("/", ".")) or start.endswith("/") or word == "..":
        return (word,)
    return (start or "HEAD", end or "HEAD")


def _find(session: Session, repo: Repo, known: Sequence[str], word: str) -> _Found:
    try:
        targets = select(known, [repo.relative(word, session.start)])
    except DverError:
        return _Found.NOT
    if any(not target.part for target in targets) or os.path.lexists(session.start / word):
        return _Found.SURELY
    return _Found.MAYBE
