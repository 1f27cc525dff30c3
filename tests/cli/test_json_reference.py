"""The examples of the JSON reference have the keys that the commands write, in the same order."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dver.records.record import Artifact
from tests.cli.recording import current, data, record
from tests.cli.runner import Cli

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
_COMMANDS = {
    "status": ["status"],
    "diff": ["diff", "first", "HEAD"],
    "diff of runs": ["diff", "b3:OLD", "b3:NEW"],
    "drop": ["drop", "--dry-run", "data"],
    "fsck": ["fsck"],
    "gc": ["gc", "--dry-run"],
    "gc of a remote": ["gc", "--remote", "--dry-run"],
    "ls": ["ls", "data"],
    "log": ["log", "data"],
    "push": ["push", "--verify"],
    "fetch": ["fetch"],
    "pull": ["pull"],
    "lineage": ["lineage", "data"],
    "lineage verify": ["lineage", "verify", "--rerun", "data"],
    "runs, show": ["show", "data"],
    "artifacts": ["artifacts"],
    "remote list": ["remote", "list"],
    "remote check": ["remote", "check"],
    "remote test": ["remote", "test", "--quick"],
    "remote key list": ["remote", "key", "list", "sealed"],
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


def _first(cli: Cli) -> Artifact:
    """Return the version in the first commit."""
    return Artifact("data", cli("log", "data", "--json").json["versions"][-1]["version"])


def _shape(value: Any) -> Any:
    """Return the keys of a document, with what is in the first element of each list."""
    if isinstance(value, dict):
        return [(key, None if key in _MAPPINGS else _shape(item)) for key, item in value.items()]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _shape(value[0])
    return None


def _as_full(example: Any, written: Any) -> Any:
    """Return an example as full as what was written: an empty list says nothing of what would be in it."""
    if isinstance(example, dict) and isinstance(written, dict):
        return {key: _as_full(item, written.get(key, item)) for key, item in example.items()}
    if isinstance(example, list) and isinstance(written, list) and example and isinstance(example[0], dict):
        return [_as_full(example[0], written[0])] if written else []
    return example


def test_the_reference_has_every_command_that_writes_json() -> None:
    assert list(_examples()) == list(_COMMANDS)


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_examples_have_the_keys_that_are_written(
    shared: Cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sealed" in _COMMANDS[name]:
        monkeypatch.setenv("DVER_PASSPHRASE", "correct horse battery")
        shared.ok("remote", "add", "sealed", str(tmp_path / "sealed"), "--encrypt")
    old = record(shared, "make", [data("raw")], [_first(shared)])
    new = record(shared, "make", [data("other")], [current(shared)])
    runs = {"b3:OLD": old.id, "b3:NEW": new.id}
    written = shared(*(runs.get(word, word) for word in _COMMANDS[name]), "--json").json
    example = _examples()[name]
    # An empty list says nothing of what would be in it.
    if not written.get("missing", True):
        del written["missing"], example["missing"]
    assert _shape(written) == _shape(_as_full(example, written))


def test_the_example_of_a_rerun_has_the_keys_that_are_written(dataset: Cli) -> None:
    # Not in git, so it comes from the working tree.
    dataset.write("p.json", '{"x": 1}')
    dataset("run", "-p", "p.json:x", "-o", "out", "--shell", "--", "cat /proc/sys/kernel/random/uuid > out")
    (written,) = dataset("lineage", "verify", "--rerun", "out", "--json").json["reruns"]
    (example,) = _examples()["lineage verify"]["reruns"]
    assert (written["outcome"], _shape(written)) == ("differs", _shape(example))
