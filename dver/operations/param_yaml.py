"""Reads YAML with bounds on what it may become: nothing is built before it is known to be small.

Aliases and merge keys (`<<`) repeat what has a name, and so may repeat repetitions. A merge copies no more than the
aliases in it stand for, so the bounds on these hold for it too. Loaded only where a file is YAML.
"""

from typing import Any

import yaml
from yaml.events import AliasEvent, Event
from yaml.nodes import Node, ScalarNode

from dver.operations.param_limits import Amount, TooMuchError, check_depth

_TEXT = "tag:yaml.org,2002:str"
# Of numbers to the base of 60 each digit costs as much as all before it.
_MOST_DIGITS = 1000
# What the library's constructors fail with where a value has the mark of a type that it is not of.
_MISFITS = (LookupError, ArithmeticError, AttributeError, TypeError)


class _BoundedLoader(yaml.SafeLoader):
    """Counts nodes as they come, and what is named with all that is in it again for each time that it is repeated."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._amount = Amount()
        self._depth = 0
        self._deepest = 0
        # By the name: nodes, characters and levels.
        self._named: dict[str, tuple[int, int, int]] = {}

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        name: str | None = getattr(event, "anchor", None)
        if isinstance(event, AliasEvent):
            self._repeat(name or "")
            return super().compose_node(parent, index)
        nodes, text, deepest = self._amount.nodes, self._amount.text, self._deepest
        self._depth += 1
        self._deepest = self._depth
        check_depth(self._depth)
        self._amount.add(1, len(getattr(event, "value", "")))
        node = super().compose_node(parent, index)
        if isinstance(node, ScalarNode) and node.tag != _TEXT and len(node.value) > _MOST_DIGITS:
            raise TooMuchError(f"a value that is no text has more than {_MOST_DIGITS:,} characters")
        self._depth -= 1
        if name is not None:
            self._named[name] = (
                self._amount.nodes - nodes,
                self._amount.text - text,
                self._deepest - self._depth,
            )
        self._deepest = max(self._deepest, deepest)
        return node

    def _repeat(self, name: str) -> None:
        if name not in self._named:
            # Either there is none of that name, which the library says, or it is the one that this is part of.
            if name in self.anchors:
                raise TooMuchError(f"*{name} is within &{name}, without end")
            return
        nodes, text, levels = self._named[name]
        check_depth(self._depth + levels)
        self._deepest = max(self._deepest, self._depth + levels)
        self._amount.add(nodes, text)


def parse_yaml(text: str) -> Any:
    """Return the one document of a YAML text.

    Raises:
        ValueError: it is none, or more than may be.
    """
    try:
        loader = _BoundedLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from exc
    except _MISFITS as exc:
        raise ValueError("a value is not of the type that its mark says") from exc
