"""What `dver diff` says of runs: of two that are compared, and of those that made two versions of a dataset.

It is loaded where there are runs to speak of, for most comparisons have nothing to do with lineage.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dver.cli.records import command_text, report_damage, short_version, time_text
from dver.cli.run_words import RUN_PREFIX, existing_run, is_surely_run
from dver.cli.session import Session
from dver.cli.wording import escape_text, path_json
from dver.errors import UsageError
from dver.operations.datasets import is_dataset, typed
from dver.operations.diff import ChangeKind, DatasetDiff
from dver.operations.lineage_diff import Aspect, Difference, Fact, MakersDiff, diff_makers, diff_runs
from dver.operations.runs import find_run, is_run_id
from dver.records.record import Record, scalar_text, short_id
from dver.repo import Repo

_PATHS = (Aspect.INPUT, Aspect.CODE, Aspect.ENVIRONMENT_FILE, Aspect.OUTPUT)
_VERSIONS = (*_PATHS, Aspect.IMAGE)
_COMMIT_DIGITS = 12
_LABEL_WIDTH = 11
_RUNS_HINT = "dver diff RUN RUN compares two runs, and dver runs lists them"


def find_two_runs(
    session: Session, repo: Repo, words: Sequence[str], after: Sequence[str] | None
) -> tuple[Record, Record] | None:
    """Return the two runs that the words of `dver diff` name, or None where they name none.

    Args:
        after: the words behind `--`; None without one, and only then may a word that is no `run:ID` be a run.
    """
    found = [_find(session, repo, word, words, may_be_other=after is not None) for word in words]
    runs = [record for record in found if record is not None]
    if not runs:
        return None
    named = next(word for word, record in zip(words, found, strict=True) if record is not None)
    if after:
        raise UsageError(f"{named} is a run, and runs are compared as a whole, without paths")
    if len(runs) != len(words):
        other = next(word for word, record in zip(words, found, strict=True) if record is None)
        raise UsageError(f"{named} is a run, and {other} is none", hint=_RUNS_HINT)
    if len(runs) != 2:  # noqa: PLR2004  # an old and a new one
        raise UsageError(f"two runs can be compared, not {len(runs)}", hint=_RUNS_HINT)
    return runs[0], runs[1]


def show_two_runs(session: Session, repo: Repo, runs: tuple[Record, Record], *, as_json: bool) -> bool:
    """Write what differs between two runs, and return whether anything does."""
    found = diff_runs(repo, *runs)
    damaged = report_damage(session, repo)
    if as_json:
        document = {
            "old": found.old.id,
            "new": found.new.id,
            "differences": _documents(found.differences),
            "packages_problem": found.packages_problem or None,
            "damaged_lines": damaged,
        }
        session.console.document(document)
        return bool(found.differences)
    if found.packages_problem:
        session.console.note(f"packages were not compared: {found.packages_problem}")
    if found.differences:
        session.console.out(session.console.style(f"run {_run(found.old)} → {_run(found.new)}", "bold"))
        session.console.lines(_lines(session, found.differences, (found.old, found.new)))
    else:
        session.console.tip("no differences")
    return bool(found.differences)


def makers_of(session: Session, repo: Repo, found: Iterable[DatasetDiff]) -> list[MakersDiff | None]:
    """Return how the runs differ that made the versions of datasets, for each dataset."""
    makers = [diff_makers(repo, one) for one in found]
    report_damage(session, repo)
    return makers


def makers_lines(session: Session, makers: MakersDiff) -> Iterator[str]:
    """Yield what differs between the runs that made two versions, as lines below the changed files."""
    old, new = ("no run that is recorded" if run is None else _named(run) for run in (makers.old, makers.new))
    is_same = makers.old is not None and makers.new is not None and not makers.differences
    same = ", with the same command, inputs and parameters" if is_same else ""
    yield f"  {'made by':{_LABEL_WIDTH}}{old} → {new}{same}"
    if makers.old is not None and makers.new is not None:
        yield from _lines(session, makers.differences, (makers.old, makers.new))
        if makers.packages_differ:
            compare = f"dver diff {RUN_PREFIX}{short_id(makers.old.id)} {RUN_PREFIX}{short_id(makers.new.id)}"
            yield f"  {'package':{_LABEL_WIDTH}}others were installed: {compare} compares them"


def makers_json(makers: MakersDiff | None) -> dict[str, object] | None:
    """Return the same for JSON output."""
    if makers is None:
        return None
    return {
        "old_run": None if makers.old is None else makers.old.id,
        "new_run": None if makers.new is None else makers.new.id,
        "differences": _documents(makers.differences),
        "packages_differ": makers.packages_differ,
    }


def _find(session: Session, repo: Repo, word: str, words: Sequence[str], *, may_be_other: bool) -> Record | None:
    """Return the run that a word names, or None where it names another thing; an error where it could be both."""
    if word.startswith(RUN_PREFIX):
        return existing_run(repo, word)
    if may_be_other or not is_run_id(word):
        return None
    if is_surely_run(word):
        return existing_run(repo, word)
    found = find_run(repo, word)
    if found is not None and repo.git.is_revision(word):
        hint = f"{_typed(words, {word: RUN_PREFIX + word})} for the run, {_typed(words)} -- for the revision"
        raise UsageError(f"{word} is both a run and a revision", hint=hint)
    if found is not None and is_dataset(repo, repo.relative(word, session.start)):
        as_run, as_dataset = (_typed(words, {word: prefix + word}) for prefix in (RUN_PREFIX, "./"))
        raise UsageError(
            f"{word} is both a run and a dataset", hint=f"{as_run} for the run, {as_dataset} for the dataset"
        )
    return found


def _typed(words: Sequence[str], instead: Mapping[str, str] | None = None) -> str:
    """Return the command with all its words, some of them put in another way."""
    return " ".join(["dver diff", *(typed((instead or {}).get(word, word)) for word in words)])


def _named(record: Record) -> str:
    name = escape_text(record.name)
    return f"{name} ({short_id(record.id)})" if name else short_id(record.id)


def _run(record: Record) -> str:
    about = ", ".join(filter(None, (escape_text(record.name), time_text(record.started))))
    return f"{short_id(record.id)} ({about})"


def _lines(session: Session, differences: Iterable[Difference], runs: tuple[Record, Record]) -> Iterator[str]:
    """Yield differences as lines that each begin with a label, where it is another than that of the line before."""
    previous = ""
    for one in differences:
        label = one.aspect.value
        name = f"{_name(session, one)}: " if one.name else ""
        text = f"{'' if label == previous else label:{_LABEL_WIDTH}}{name}{_change(one, runs)}"
        yield f"  {text}"
        previous = label


def _name(session: Session, one: Difference) -> str:
    return session.shown(one.name) if one.aspect in _PATHS else escape_text(one.name)


def _change(one: Difference, runs: tuple[Record, Record]) -> str:
    if one.aspect is Aspect.COMMAND:
        old, new = (command_text(record) or "none" for record in runs)
        return f"{old} → {new}"
    old, new = _value(one.aspect, one.old), _value(one.aspect, one.new)
    if one.kind is ChangeKind.ADDED:
        return f"new, {new}"
    return f"gone, was {old}" if one.kind is ChangeKind.DELETED else f"{old} → {new}"


def _value(aspect: Aspect, fact: Fact) -> str:
    if isinstance(fact, tuple):
        return escape_text(" ".join(fact))
    text = scalar_text(fact)
    if aspect in _VERSIONS:
        return escape_text(short_version(text))
    return escape_text(text[:_COMMIT_DIGITS] if aspect is Aspect.COMMIT else text)


def _documents(differences: Iterable[Difference]) -> list[dict[str, object]]:
    return [
        {
            "aspect": one.aspect.value,
            "name": path_json(one.name) or None,
            "change": one.kind.value,
            "old": _fact_json(one.old),
            "new": _fact_json(one.new),
        }
        for one in differences
    ]


def _fact_json(fact: Fact) -> object:
    return [path_json(word) for word in fact] if isinstance(fact, tuple) else fact
