"""Puts into words what a command was seen to do beside what was declared; for `dver run` and `dver repro`."""

from collections.abc import Iterable, Iterator, Sequence

from dver.cli.session import Session
from dver.cli.wording import escape_text
from dver.operations.datasets import typed
from dver.operations.loose_files import LOOSE_KINDS
from dver.operations.observe_artifacts import Observed
from dver.operations.run_inputs import CODE
from dver.records.record import Artifact

_SHOWN = 10


def show_observed(session: Session, observed: Observed) -> None:
    """Say what was not declared, with the options that would declare it."""
    for line in _lines(session, observed):
        session.console.note(line)


def _lines(session: Session, observed: Observed) -> Iterator[str]:
    if not observed.is_known:
        yield "nothing could be observed; a Python that was started with -I, -E or -S does not tell"
    loose = [artifact for artifact in observed.inputs if artifact.kind in LOOSE_KINDS]
    known = [artifact for artifact in observed.inputs if artifact.kind not in LOOSE_KINDS]
    tracked = [artifact for artifact in observed.outputs if artifact.kind == CODE]
    made = [artifact for artifact in observed.outputs if artifact.kind != CODE]
    yield from _said(session, "it read what was not declared", map(_input_option, known), known)
    yield from _said(session, "it read what is neither added nor in git", map(_input_option, loose), loose)
    yield from _said(session, "it wrote what was not declared", ["-o"] * len(made), made)
    yield from _said(session, "it wrote what git tracks", [""] * len(tracked), tracked)
    yield from _named(session, "it removed what was not declared", observed.removed)
    yield from _named(session, "it may have read this before it changed it, so the run is not reused", observed.changed)
    if observed.left_out:
        yield f"{observed.left_out:,} more files are not in the record, which has no room, so the run is not reused"


def _input_option(artifact: Artifact) -> str:
    return "--code" if artifact.kind == CODE else "-d"


def _said(session: Session, what: str, options: Iterable[str], artifacts: Sequence[Artifact]) -> Iterator[str]:
    words = [
        f"{option} {_typed(session, artifact.path)}".lstrip()
        for option, artifact in zip(options, artifacts, strict=True)
    ]
    yield from _cut(what, words)


def _named(session: Session, what: str, paths: Sequence[str]) -> Iterator[str]:
    yield from _cut(what, [_typed(session, path) for path in paths])


def _cut(what: str, words: Sequence[str]) -> Iterator[str]:
    if words:
        more = f" … and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
        yield f"{what}: {' '.join(words[:_SHOWN])}{more}"


def _typed(session: Session, path: str) -> str:
    return escape_text(typed(session.relative_to_start(path)))
