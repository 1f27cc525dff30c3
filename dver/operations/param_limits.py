"""How much a file of parameters may hold: it may be anybody's work, and a few bytes of it can stand for very much.

Nodes are values, sections, lists and keys. What YAML repeats by a name counts as often as it is repeated.
"""

from dataclasses import dataclass, field

from dver.records.record import MAX_LINE

MAX_FILE = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64
# More than a record may have is of no use.
MAX_TEXT = MAX_LINE
MAX_KEY = 4096


class TooMuchError(ValueError):
    """There is more in a document than may be."""


@dataclass(slots=True)
class Amount:
    """How many nodes there were so far, and how many characters in them."""

    nodes: int = field(default=0, init=False)
    text: int = field(default=0, init=False)

    def add(self, nodes: int, text: int = 0) -> None:
        """Count more; TooMuchError once it is more than may be."""
        self.nodes += nodes
        self.text += text
        if self.nodes > MAX_NODES:
            raise TooMuchError(f"it has more than {MAX_NODES:,} values")
        if self.text > MAX_TEXT:
            raise TooMuchError(f"its values have more than {MAX_TEXT:,} characters")


def check_depth(depth: int) -> None:
    """Raise TooMuchError where values are nested deeper than they may be; 1 is the top."""
    if depth > MAX_DEPTH:
        raise TooMuchError(f"it is nested more than {MAX_DEPTH} deep")


def check_tree(document: object) -> None:
    """Raise TooMuchError unless a document, in which nothing is repeated by a name, is within bounds."""
    amount = Amount()
    waiting: list[tuple[object, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        check_depth(depth)
        amount.add(1, len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict):
            amount.add(len(value), sum(len(key) for key in value))
            waiting += [(below, depth + 1) for below in value.values()]
        elif isinstance(value, list):
            waiting += [(below, depth + 1) for below in value]
