"""The text of a pointer in a merge conflict: made here, and taken apart again, also as git itself leaves it.

It is the whole pointers of both sides, and of the base if there is one, between the marks that git puts around text in
conflict. What dver writes has comments before them: how many paths conflict, the first of these, and the rulings that
were made so far, each a side and a path as a JSON string. Only the rulings are read back; all else can be worked out
anew. `docs/design/formats.md` has an example.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dver.errors import FormatError
from dver.objects.merge import PathConflict, Ruling, Side
from dver.objects.pointer import MAX_POINTER, Pointer, encode_pointer

LISTED_CONFLICTS = 20

_LONGEST_LABEL = 500
_MARK = re.compile(rb"(<{7,}|\|{7,}|={7,}|>{7,})(?: .*)?\r?\n?\Z")
_RULING = re.compile(rb'# (ours|theirs) (".*")\Z')


class _Section(Enum):
    """Where in a text with marks a line stands."""

    OUTSIDE = "outside"
    BASE = "base"
    OURS = "ours"
    THEIRS = "theirs"


_SIDES = (_Section.BASE, _Section.OURS, _Section.THEIRS)
_FOLLOWING = {
    (_Section.OUTSIDE, b"<"): _Section.OURS,
    (_Section.OURS, b"|"): _Section.BASE,
    (_Section.OURS, b"="): _Section.THEIRS,
    (_Section.BASE, b"="): _Section.THEIRS,
    (_Section.THEIRS, b">"): _Section.OUTSIDE,
}


@dataclass(frozen=True, slots=True)
class PointerSides:
    """The pointers that a merge is between; `base` is None where the sides have none in common."""

    base: Pointer | None
    ours: Pointer
    theirs: Pointer


@dataclass(frozen=True, slots=True)
class Labels:
    """What git calls the sides, such as HEAD and the name of a branch."""

    ours: str = "ours"
    theirs: str = "theirs"


@dataclass(frozen=True, slots=True)
class TornText:
    """A text in conflict, taken apart; `base` is None where the text does not hold it."""

    base: bytes | None
    ours: bytes
    theirs: bytes
    rulings: tuple[Ruling, ...] = ()


def encode_conflict(
    sides: PointerSides,
    conflicts: Sequence[PathConflict] | None,
    rulings: Sequence[Ruling] = (),
    labels: Labels = Labels(),
) -> bytes:
    """Return the text of a pointer in conflict; `conflicts` is None where they are not known.

    Raises:
        FormatError: there are more rulings than a pointer has room for.
    """
    made = [f"# {ruling.side.value} {path_string(ruling.path)}" for ruling in rulings]
    body = _marked(sides, labels)
    listed = list(conflicts or ())[:LISTED_CONFLICTS]
    while True:
        text = "\n".join([_summary(conflicts), *_listing(listed, len(conflicts or ())), *made]).encode() + b"\n" + body
        if len(text) <= MAX_POINTER:
            return text
        if not listed:
            raise FormatError(
                "the pointer",
                f"has no room for {len(made)} rulings",
                hint="dver checkout --ours FOLDER or --theirs FOLDER makes one ruling for many paths",
            )
        listed.pop()


def split_conflict(data: bytes) -> TornText | None:
    """Return the sides of a text with the marks of a merge; None if it has none, or they do not belong together."""
    sides: dict[_Section, list[bytes]] = {section: [] for section in _SIDES}
    section = _Section.OUTSIDE
    length = 0
    seen = set()
    for line in data.splitlines(keepends=True):
        mark = _MARK.match(line)
        following = _FOLLOWING.get((section, mark[1][:1])) if mark else None
        # Marks of another length are those of a conflict within, as git leaves in the base of a criss-cross merge.
        if mark and following and length in (0, len(mark[1])):
            section = following
            length = 0 if section is _Section.OUTSIDE else len(mark[1])
            seen.add(section)
            continue
        for one in _SIDES if section is _Section.OUTSIDE else (section,):
            sides[one].append(line)
    if not seen or section is not _Section.OUTSIDE:
        return None
    base, ours, theirs = (b"".join(sides[one]) for one in _SIDES)
    return TornText(base if _Section.BASE in seen else None, ours, theirs, _rulings(data))


def path_string(path: bytes) -> str:
    """Return a path of a dataset as a JSON string, in which bytes that are not UTF-8 are lone surrogates."""
    return json.dumps(path.decode("utf-8", "surrogateescape"))


def _rulings(data: bytes) -> tuple[Ruling, ...]:
    """Return the rulings that the comments before the first mark record; what cannot be read is no ruling."""
    found = []
    for line in data.splitlines():
        if not line.startswith(b"#"):
            break
        match = _RULING.match(line)
        if match is None:
            continue
        try:
            path = json.loads(match[2]).encode("utf-8", "surrogateescape")
        except ValueError:
            continue
        found.append(Ruling(Side(match[1].decode()), path))
    return tuple(found)


def _summary(conflicts: Sequence[PathConflict] | None) -> str:
    what = "its versions were out of reach" if conflicts is None else _count_text(len(conflicts))
    return f"# dver merge conflict ({what}): `dver checkout --ours PATH` or `--theirs PATH` decides"


def _listing(listed: Sequence[PathConflict], count: int) -> list[str]:
    lines = [f"# conflict {path_string(conflict.path)}: {conflict.kind.value}" for conflict in listed]
    more = count - len(listed)
    return [*lines, f"# and {more} more"] if more else lines


def _count_text(count: int) -> str:
    return "1 path" if count == 1 else f"{count} paths"


def _marked(sides: PointerSides, labels: Labels) -> bytes:
    base = [] if sides.base is None else [b"||||||| base\n", encode_pointer(sides.base)]
    return b"".join(
        [
            b"<<<<<<< " + _label(labels.ours),
            encode_pointer(sides.ours),
            *base,
            b"=======\n",
            encode_pointer(sides.theirs),
            b">>>>>>> " + _label(labels.theirs),
        ]
    )


def _label(label: str) -> bytes:
    """Return a label as the end of a line, which nothing in it can break."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in label)
    return plain.encode("utf-8", "replace")[:_LONGEST_LABEL] + b"\n"
