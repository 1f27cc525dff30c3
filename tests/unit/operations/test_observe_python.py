"""What Python programs note of themselves, and what keeps them from it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dver.operations.observe_hook import source_of
from dver.operations.observe_python import hooked, is_shut, listening, parse_log, read_logs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder in which programs run."""
    made = (tmp_path / "root").resolve()
    made.mkdir()
    (made / "in.txt").write_text("text")
    return made


def observe(root: Path, program: str, env: Mapping[str, str] = {}, *options: str) -> set[tuple[str, str]] | None:
    """Run a program and return the marks that it left, with paths relative to its folder."""
    scratch = root.parent / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    (root / "prog.py").write_text(program)
    given = hooked({**os.environ, **env}, root, scratch)
    done = subprocess.run(
        [sys.executable, *options, "prog.py"], cwd=root, env=given, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = read_logs(scratch)
    return None if events is None else {(event.mark, os.path.relpath(event.place, root)) for event in events}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("open('in.txt').read()", {("R", "in.txt")}),
        ("import os; os.open(b'in.txt', os.O_RDONLY)", {("R", "in.txt")}),
        ("import pathlib; pathlib.Path('in.txt').read_text()", {("R", "in.txt")}),
        ("open('out', 'w').write('x'); open('out').read()", {("W", "out"), ("R", "out")}),
        ("open('in.txt', 'a').close()", {("W", "in.txt")}),
        ("open('in.txt', 'r+').close()", {("U", "in.txt")}),
        ("open('new', 'x+').close()", {("W", "new")}),
        ("import os; os.replace('in.txt', 'b')", {("D", "in.txt"), ("W", "b")}),
        ("import os; os.remove('in.txt')", {("D", "in.txt")}),
        ("import os; os.mkdir('d'); os.listdir('d'); list(os.scandir('d'))", {("L", "d")}),
        ("import os; os.symlink('in.txt', 'l'); open('l').read()", {("W", "l"), ("R", "in.txt")}),
        ("import os; os.symlink('in.txt', 'l'); open('l', 'w')", {("W", "l"), ("W", "in.txt")}),
        ("import os; os.link('in.txt', 'l')", {("W", "l")}),
        ("import os; os.mkdir('d'); os.chdir('d'); open('../in.txt')", {("R", "in.txt")}),
        ("import sqlite3; sqlite3.connect('new.db').close()", {("W", "new.db")}),
        ("import os\nif not os.fork(): open('in.txt'); os._exit(0)\nos.wait()", {("R", "in.txt")}),
        ("import os; os.closerange(3, 99); open('in.txt')", {("R", "in.txt")}),
        ("import os, sys\nos.execv(sys.executable, [sys.executable, '-c', \"open('in.txt')\"])", {("R", "in.txt")}),
        ("import contextlib\nwith contextlib.suppress(OSError): open('no')", set()),
        ("open('/dev/null', 'w'); import json", set()),
    ],
)
def test_what_a_program_does_to_files_below_the_folder_is_noted(
    root: Path, program: str, expected: set[tuple[str, str]]
) -> None:
    found = observe(root, program)
    assert found is not None
    assert found - {("R", "prog.py"), ("L", ".")} == expected


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_seen(root: Path, method: str) -> None:
    found = observe(
        root,
        "import multiprocessing, pathlib\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        assert pool.map(pathlib.Path.read_text, [pathlib.Path('in.txt')]) == ['text']\n",
    )
    assert found is not None
    assert ("R", "in.txt") in found


def test_modules_count_as_their_sources_compiled_or_not(root: Path) -> None:
    (root / "helper.py").write_text("")
    for env in (
        {},
        {},
        {"PYTHONPYCACHEPREFIX": str(root.parent / "cache")},
        {"PYTHONPYCACHEPREFIX": str(root.parent / "cache")},
    ):
        found = observe(root, "import helper", env)
        assert found is not None
        assert ("R", "helper.py") in found


def test_the_users_own_sitecustomize_is_loaded_and_finds_nothing_of_ours(root: Path) -> None:
    own = root.parent / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.own = __name__\n")
    program = (
        "import sys, sitecustomize\n"
        "assert own == 'sitecustomize'\n"
        "assert 'own' in sitecustomize.__file__\n"
        "assert not any('hooks' in place for place in sys.path)\n"
    )
    assert observe(root, program, {"PYTHONPATH": str(own)}) is not None


def test_a_python_that_loads_no_hook_says_nothing(root: Path) -> None:
    assert observe(root, "open('in.txt')", {}, "-I") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python x.py -I", False),
        ("python -I x.py", True),
        ("python -u -E x.py", True),
        ("python -us x.py", False),
        ("python -uS x.py", True),
        ("python -W ignore -S x.py", True),
        ("python -X dev x.py -S", False),
        ("python -Xdev -m mod -I", False),
        ("python -c -I", False),
        ("python --check-hash-based-pycs always x.py", False),
        ("python -", False),
        ("python", False),
    ],
)
def test_options_that_keep_the_hook_out_are_known(line: str, expected: bool) -> None:
    assert is_shut(line.split()) == expected


def test_a_torn_log_says_what_it_can() -> None:
    assert [event.place for event in parse_log(b"\0R 1 /a\nb\0bad\0R x /c\0R 2 /d")] == ["/a\nb"]


def test_this_process_is_heard_within_the_block_only(root: Path) -> None:
    target = root / "in.txt"
    with listening(root) as events:
        target.read_text()
        sqlite3.connect(root / "in.txt").close()
    (root / "later").write_text("")
    assert [(event.mark, event.place) for event in events] == [("R", str(target)), ("U", str(target))]


@pytest.mark.parametrize(
    ("path", "prefix", "source"),
    [
        ("/r/__pycache__/m.cpython-311.pyc", None, "/r/m.py"),
        ("/r/__pycache__/m.cpython-311.opt-1.pyc", None, "/r/m.py"),
        ("/cache/r/m.cpython-311.pyc", "/cache", "/r/m.py"),
        ("/r/m.pyc", None, "/r/m.pyc"),
        ("/r/m.py", None, "/r/m.py"),
    ],
)
def test_the_source_of_a_compiled_file_is_found(path: str, prefix: str | None, source: str) -> None:
    assert source_of(path, prefix) == source
