"""The examples of the JSON reference have the keys that the commands write, in the same order."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.recording import current, data, record
from tests.cli.runner import Cli

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
_COMMANDS = {
    "status": ["status"],
    "diff": ["diff", "first", "HEAD"],
    "ls": ["ls", "data"],
    "log": ["log", "data"],
    "push, fetch": ["push"],
    "pull": ["pull"],
    "lineage": ["lineage", "data"],
    "runs, show": ["show", "data"],
    "artifacts": ["artifacts"],
    "remote list": ["remote", "list"],
    "config list": ["config", "list"],
}
_MAPPINGS = {"options", "params", "props", "tags"}


def _examples() -> dict[str, Any]:
    sections = re.split(r"^## ", _PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        example = re.search(r"```json\n(.*?)```", section, re.DOTALL)
        assert example is not None
        found[section.partition("\n")[0]] = json.loads(example[1])
    return found


def _shape(value: Any) -> Any:
    """Return the keys of a document, with what is in the first element of each list."""
    if isinstance(value, dict):
        return [(key, None if key in _MAPPINGS else _shape(item)) for key, item in value.items()]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _shape(value[0])
    return None


def test_the_reference_has_every_command_that_writes_json() -> None:
    assert list(_examples()) == list(_COMMANDS)


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_examples_have_the_keys_that_are_written(shared: Cli, name: str) -> None:
    record(shared, "make", [data("raw")], [current(shared)])
    written = shared(*_COMMANDS[name], "--json").json
    example = _examples()[name]
    # An empty list says nothing of what would be in it.
    if not written.get("missing", True):
        del written["missing"], example["missing"]
    assert _shape(written) == _shape(example)
