"""What outputs are to people: a kind, such as `model`, and free properties, as users say them of paths.

Descriptions decide nothing: they are no part of what makes two runs the same. Values that look like secrets are masked
before anything is recorded.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dver.errors import PathError, UsageError
from dver.operations.run_params import parse_value
from dver.operations.run_secrets import mask
from dver.records.record import DATASET, Artifact, Record, Scalar

OUTPUT = "output"

_KIND = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of one output; `kind` is "" where none is given."""

    kind: str = ""
    props: Mapping[str, Scalar] = field(default_factory=dict)

    def applied(self, artifact: Artifact) -> Artifact:
        """Return an artifact with what is said of it; what else it has stays."""
        return replace(artifact, kind=self.kind or artifact.kind, props={**artifact.props, **self.props})


@dataclass(frozen=True, slots=True)
class Words:
    """What a user says of outputs: the texts `[OUT=]KIND` and `[OUT:]KEY=VALUE`."""

    kinds: Sequence[str] = ()
    props: Sequence[str] = ()


def parse_descriptions(
    words: Words, outputs: Sequence[str], locate: Callable[[str], str], *, noun: str = OUTPUT
) -> dict[str, Description]:
    """Return what is said of each output.

    Args:
        outputs: their paths, relative to the repository.
        locate: turns the path OUT, as typed, into such a one; PathError where that is not possible.
        noun: what they are to the user.

    Raises:
        UsageError: something is said of no output, of several, or in two ways.
    """
    reader = _Reader(tuple(dict.fromkeys(outputs)), locate, noun)
    found: dict[str, Description] = {}
    for text in words.kinds:
        path, kind = reader.kind(text)
        before = found.get(path, Description())
        if before.kind not in ("", kind):
            raise UsageError(f"{path} was given two kinds, {before.kind} and {kind}", hint="leave one of them out")
        found[path] = replace(before, kind=kind)
    for text in words.props:
        path, key, value = reader.prop(text)
        before = found.get(path, Description())
        found[path] = replace(before, props=joined(before.props, {key: value}, path))
    return found


def check_kind(kind: str, hint: str) -> str:
    """Return a kind; UsageError with the hint if it is none."""
    if not _KIND.fullmatch(kind):
        raise UsageError(f"{kind!r} is no kind", hint=hint)
    return kind


def joined(before: Mapping[str, Scalar], more: Mapping[str, Scalar], path: str) -> dict[str, Scalar]:
    """Return properties together; UsageError where one of them would have two values."""
    for key, value in more.items():
        if key in before and (type(before[key]), before[key]) != (type(value), value):
            raise UsageError(
                f"the property {key} of {path} was given twice, with different values", hint="leave one of them out"
            )
    return {**before, **more}


def mask_descriptions(descriptions: Mapping[str, Description]) -> tuple[dict[str, Description], tuple[str, ...]]:
    """Return descriptions as they may be recorded, and where something was masked, for people."""
    found = {path: replace(one, props=mask((), one.props, {}).params) for path, one in descriptions.items()}
    where = (
        f"property {key}"
        for path, one in descriptions.items()
        for key, value in one.props.items()
        if found[path].props[key] != value
    )
    return found, tuple(dict.fromkeys(where))


def repeatable_descriptions(record: Record) -> dict[str, Description]:
    """Return what a record says of its outputs and may say of those of another run of the same step: the kinds.

    Properties go with the version that they were given to: they may have been measured on it.
    """
    return {
        one.path: Description("" if one.kind == DATASET else one.kind) for one in record.outputs if not one.observed
    }


def describe(artifacts: Sequence[Artifact], descriptions: Mapping[str, Description]) -> tuple[Artifact, ...]:
    """Return artifacts with what is said of them."""
    return tuple(descriptions[one.path].applied(one) if one.path in descriptions else one for one in artifacts)


class _Reader:
    """Takes apart the texts of options."""

    def __init__(self, outputs: Sequence[str], locate: Callable[[str], str], noun: str) -> None:
        self._outputs = outputs
        self._locate = locate
        self._noun = noun
        self._sign = "OUT" if noun == OUTPUT else noun.upper()

    def kind(self, text: str) -> tuple[str, str]:
        """Return the output and its kind."""
        out, equals, kind = text.rpartition("=")
        check_kind(kind, f"--kind {self._sign}=KIND; a kind is a word, such as model or metrics")
        path = self._named(out, f"--kind {text}") if equals else self._only(f"--kind {text}", f"={kind}")
        return path, kind

    def prop(self, text: str) -> tuple[str, str, Scalar]:
        """Return the output, and name and value of its property."""
        hint = f"--prop {self._sign}:KEY=VALUE, such as --prop accuracy=0.9"
        # Values may hold anything, and paths too: the first = with the path of an output and a colon before it counts.
        for at, head in _heads(text):
            out, _, key = head.rpartition(":")
            path = self._find(out) if out and key else None
            if path is not None:
                return path, key, parse_value(text[at + 1 :])
        head, equals, value = text.partition("=")
        out, colon, key = head.rpartition(":")
        if not equals or not key:
            raise UsageError(f"--prop {text}: is no property", hint=hint)
        path = self._named(out, f"--prop {text}") if colon else self._only(f"--prop {text}", f":{text}")
        return path, key, parse_value(value)

    def _only(self, text: str, rest: str) -> str:
        """Return the path that is meant where none is named; `rest` is what would follow one."""
        self._refuse_none(text)
        if len(self._outputs) > 1:
            option = text.partition(" ")[0]
            raise UsageError(
                f"{text}: does not say which of the {len(self._outputs)} {self._noun}s is meant",
                hint=f"{option} {self._sign}{rest}, where {self._sign} is one of {', '.join(self._outputs)}",
            )
        return self._outputs[0]

    def _named(self, out: str, text: str) -> str:
        self._refuse_none(text)
        path = self._find(out)
        if path is None:
            raise UsageError(
                f"{text}: {out or '.'} is no {self._noun}", hint=f"what it may be is {', '.join(self._outputs)}"
            )
        return path

    def _find(self, out: str) -> str | None:
        try:
            path = self._locate(out)
        except PathError:
            return None
        return path if path in self._outputs else None

    def _refuse_none(self, text: str) -> None:
        if not self._outputs:
            raise UsageError(f"{text}: there is no {self._noun}", hint="-o PATH names one")


def _heads(text: str) -> Iterator[tuple[int, str]]:
    for at, letter in enumerate(text):
        if letter == "=":
            yield at, text[:at]
