"""What `dver status` says of datasets that a run would make otherwise now."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.recording import code, current, record
from tests.cli.runner import Cli

_LOADED = "import sys; from dver.cli.main import main; main(['status']); print(*sorted(sys.modules))"


@pytest.fixture
def made(dataset: Cli) -> Cli:
    """dver where a run made `out` from `data`."""
    dataset.write("sub/out", "1")
    dataset.write("params.toml", "lr = 0.1\n[a]\nb = 'x'\n")
    dataset.ok("add", "sub/out")
    params = {"params.toml:lr": 0.1, "params.toml:a.b": "x", "seed": 1}
    record(dataset, "make", [current(dataset)], [current(dataset, "sub/out")], params=params)
    return dataset


def _modules(folder: Path) -> set[str]:
    """Return the modules that status loads."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=folder, capture_output=True, encoding="utf-8", check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_says_nothing_of_what_is_as_it_was_made(made: Cli) -> None:
    assert made.ok("status") == "nothing to do: all 2 datasets are unchanged\n"
    assert [one["stale"] for one in made("status", "--json").json["datasets"]] == [None, None]


def test_names_what_a_run_made_from_other_inputs_and_parameters(made: Cli) -> None:
    old = current(made).version
    made.write("data/a.csv", "new")
    made.ok("add", "data")
    made.write("params.toml", "lr = 0.2\n")
    new = current(made).version
    assert made.at("sub").ok("status") == (
        "Stale:\n"
        "  (dver repro PATH makes them anew)\n"
        f"        out  made from ../data {old[:15]}…, which is {new[:15]}… now; "
        "made with params.toml:a.b = x, which is not there now; made with params.toml:lr = 0.1, which is 0.2 now\n"
        "\n"
        "2 datasets unchanged\n"
    )
    document = made.at("sub")("status", "--json").json["datasets"][1]
    assert document["state"] == "unchanged"
    assert document["stale"].startswith(f"made from data {old[:15]}…")


def test_names_inputs_that_are_gone_and_code_that_changed(dataset: Cli) -> None:
    record(dataset, "make", [code("data.dver"), code("gone.py")], [current(dataset)])
    out = dataset.ok("status")
    assert "data  made with data.dver, which has changed; made from gone.py, which is gone" in out


def test_a_stale_dataset_is_no_reason_for_an_exit_code(made: Cli) -> None:
    made.write("params.toml", "lr = 0.2\n")
    assert "Stale:" in made.ok("status", "--exit-code")
    assert made.ok("-q", "status", "--exit-code") == ""


def test_a_value_cannot_move_the_cursor(made: Cli) -> None:
    record(made, "make", [], [current(made)], params={"params.toml:\x1b[2J": "\x1b[1m"})
    out = made.ok("status")
    assert "made with params.toml:\\x1b[2J = \\x1b[1m, which is not there now" in out


def test_nothing_of_lineage_is_loaded_where_no_run_is_recorded(made: Cli) -> None:
    assert "dver.records.index" in _modules(made.folder)
    (made.folder / ".dver/lineage.jsonl").unlink()
    loaded = _modules(made.folder)
    assert not {name for name in loaded if name.startswith(("dver.records", "dver.operations.staleness", "yaml"))}
