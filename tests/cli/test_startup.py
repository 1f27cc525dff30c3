"""What a short command loads: start-up is most of its time, so what it does not use must not be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.runner import Cli

_LIST_MODULES = "import sys; from dver.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
_COLLECTOR = """
import ast, gc, sys
from dver.cli.main import main

before = gc.get_threshold()
code = main(ast.literal_eval(sys.argv.pop(1)))
print(code, "rarer" if gc.get_threshold() > before else "same", "frozen" if gc.get_freeze_count() else "thawed")
"""
_PACKAGES = {"fsspec", "msgpack", "pathspec", "pyfastcdc", "rich", "tomlkit", "yaml", "zstandard"}
_STANDARD = {"concurrent.futures", "difflib", "json", "logging"}
_MODULES = {
    *("dver.cli.counter", "dver.git.history", "dver.git.ranges", "dver.objects.chunker", "dver.objects.entry"),
    *("dver.objects.manifest", "dver.objects.pack", "dver.operations.staleness", "dver.records.record"),
    *("dver.storage.failures", "dver.storage.index", "dver.storage.remote", "dver.storage.store"),
    *("dver.storage.writer", "dver.workspace.compare"),
}
# What runs are noted with; a check before a commit asks whether one is at work.
_OF_RUNS = {"json", "dver.objects.chunker", "dver.objects.entry"}


def _python(folder: Path, program: str, *arguments: str) -> str:
    """Return the last line that a program writes in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("status", set()),
        ("status data", set()),
        ("hook checkout post-checkout HEAD HEAD 1", set()),
        ("hook status", _OF_RUNS),
    ],
)
def test_what_looks_and_finds_nothing_loads_no_store_and_no_manifest(
    dataset: Cli, line: str, allowed: set[str]
) -> None:
    loaded = set(_python(dataset.folder, _LIST_MODULES, *line.split()).split())
    assert "dver.repo" in loaded
    assert loaded & (_PACKAGES | _STANDARD | _MODULES) - allowed == set()


def test_status_of_several_datasets_loads_no_store(dataset: Cli) -> None:
    for name in "one", "two":
        dataset.write(name, name)
        dataset.ok("add", name)
    loaded = set(_python(dataset.folder, _LIST_MODULES, "status").split())
    assert loaded & (_PACKAGES | _STANDARD | _MODULES) == set()


def test_reading_a_dataset_loads_nothing_that_cuts_files_or_runs_threads(dataset: Cli) -> None:
    loaded = set(_python(dataset.folder, _LIST_MODULES, "ls", "data").split())
    assert "dver.storage.store" in loaded
    assert loaded & {"concurrent.futures", "dver.storage.remote", "dver.storage.writer", "pyfastcdc"} == set()


def test_a_process_of_its_own_does_not_look_for_garbage_at_its_end(dataset: Cli) -> None:
    assert _python(dataset.folder, _COLLECTOR, "None", "status") == "0 rarer frozen"


def test_a_process_of_others_is_left_as_it_was(dataset: Cli) -> None:
    assert _python(dataset.folder, _COLLECTOR, "['status']") == "0 same thawed"
