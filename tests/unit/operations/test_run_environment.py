"""What a run ran on."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from dver.objects.entry import FileEntry
from dver.objects.ids import parse_version
from dver.objects.manifest import single_file_entry
from dver.operations.run_environment import find_environment, find_interpreter
from tests.clones import Clone


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_python_is_the_program_or_named_by_its_first_line(tmp_path: Path) -> None:
    python = executable(tmp_path / "python3.99", "#!/bin/sh\n")
    tool = executable(tmp_path / "tool", f"#!{python}\n")
    executable(tmp_path / "lazy", "#!/usr/bin/env -S python3.99 -u\n")
    other = executable(tmp_path / "other", "#!/bin/sh\n")
    env = {"PATH": str(tmp_path)}

    def found(*command: str, shell: bool = False) -> str | None:
        return find_interpreter(command, tmp_path, env, shell=shell)

    assert found("python3.99", "x.py") == str(python)
    assert found(str(tool)) == str(python)
    assert found("./python3.99") == os.path.join(tmp_path, "./python3.99")
    assert found("lazy") == str(python)
    assert found("tool x | sort", shell=True) == str(python)
    assert found("SEED=1 PLACE='a b' tool x", shell=True) == str(python)
    assert found("SEED=1", shell=True) is None
    assert found(str(other)) is None
    assert found("nothing") is None
    assert found("it's", shell=True) is None


def test_packages_of_the_interpreter_are_stored_as_a_version(clone: Clone) -> None:
    with clone.open() as repo:
        first = find_environment(repo, [sys.executable], clone.root, os.environ, shell=False)
        second = find_environment(repo, [sys.executable, "x.py"], clone.root, os.environ, shell=False)
        manifest = repo.cache.manifest(parse_version(first.packages, "test"))
        entry = single_file_entry(manifest)
        assert isinstance(entry, FileEntry)
        chunks = [chunk for chunk, _ in manifest.chunks(entry)]
        spans = repo.cache.plan(chunks)
        plain = {record.id: bytes(record.verified("test")) for span in spans for record in repo.cache.read_span(span)}
        assert repo.cache.has_version(manifest.version)
    text = b"".join(plain[chunk] for chunk in chunks).decode()
    assert first == second
    assert first.python == platform.python_version()
    assert first.platform == f"{sys.platform}-{platform.machine()}".lower()
    assert f"pytest=={version('pytest')}\n" in text


def test_a_module_beside_the_command_is_not_run(clone: Clone) -> None:
    clone.write("json.py", b"open('ran', 'w')")
    with clone.open() as repo:
        found = find_environment(repo, [sys.executable], clone.root, os.environ, shell=False)
    assert found.packages
    assert not (clone.root / "ran").exists()


def test_an_interpreter_that_does_not_answer_leaves_the_packages_out(clone: Clone, tmp_path: Path) -> None:
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\necho '[]'\n", "#!/bin/sh\necho no json\n"):
        python = executable(tmp_path / "python", text)
        with clone.open() as repo:
            found = find_environment(repo, [str(python)], clone.root, os.environ, shell=False)
        assert (found.packages, found.python) == ("", "")
        assert found.platform


def test_other_commands_have_neither_python_nor_packages(clone: Clone) -> None:
    with clone.open() as repo:
        found = find_environment(repo, ["true"], clone.root, os.environ, shell=False)
    assert (found.packages, found.python) == ("", "")
    assert found.platform
