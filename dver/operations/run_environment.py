"""What a run ran on: the platform; for a command that runs Python, its version and the packages installed for it; and
for one that runs in a container, the image.

The list of packages is stored as a version of its own, a file with one `name==version` a line, so that runs with the
same packages share it. An interpreter that does not answer leaves both out, and never stops a run.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import Path

from dver.errors import DverError
from dver.fileio import read_regular
from dver.objects.builder import ManifestBuilder, make_file_entry
from dver.objects.entry import pack_chunk
from dver.objects.ids import ChunkId, chunk_id, format_version
from dver.objects.pack import Kind, encode_object
from dver.operations.run_image import Image, find_image
from dver.records.record import Environment
from dver.repo import Repo
from dver.storage.writer import StoreWriter

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_VARIABLE = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_FIRST_LINE = 512
_PATIENCE = 30.0
# The folder in which it runs is taken out of the path first: a json.py there must not be run.
_QUESTION = """\
import sys
sys.path = [place for place in sys.path if place]
import importlib.metadata, json, platform
found = {(item.metadata["Name"], item.version) for item in importlib.metadata.distributions()}
packages = sorted(name + "==" + str(version) for name, version in found if name)
print(json.dumps({"python": platform.python_version(), "packages": packages}))
"""


def find_environment(
    repo: Repo, command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool
) -> Environment:
    """Return what a command runs on, and store the list of packages where it runs Python."""
    here = f"{sys.platform}-{platform.machine()}".lower()
    image = present_image(command, folder, env, shell=shell)
    if image is not None:
        return Environment(platform=here, image=image.digest)
    interpreter = find_interpreter(command, folder, env, shell=shell)
    answer = None if interpreter is None else _ask(interpreter, folder, env)
    if answer is None:
        # The Python that dver itself runs on has no part in the result.
        return Environment(platform=here)
    version, packages = answer
    return Environment(python=version, platform=here, packages=_store(repo, packages))


def present_image(command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool) -> Image | None:
    """Return the container image that a command would run in now, if it can be told."""
    # A variable that is set before the program of a line may say where that looks for images.
    return find_image(_split(command[0]) if shell else command, folder, env)


def find_interpreter(command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool) -> str | None:
    """Return the Python that a command runs: its program, or the one that the program's first line names."""
    words = _shell_words(command[0]) if shell else command
    if not words:
        return None
    program = _locate(words[0], folder, env)
    if program is None or _PYTHON.fullmatch(Path(program).name):
        return program
    return _from_first_line(program, folder, env)


def _shell_words(line: str) -> Sequence[str]:
    """Return the words of a line from its first program on: variables that are set for it may stand before."""
    return list(dropwhile(_VARIABLE.fullmatch, _split(line)))


def _split(line: str) -> Sequence[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return ()


def _locate(program: str, folder: Path, env: Mapping[str, str]) -> str | None:
    if os.sep in program:
        path = os.path.join(folder, program)
        return path if os.access(path, os.X_OK) else None
    found = shutil.which(program, path=env.get("PATH", os.defpath))
    return None if found is None else os.path.join(folder, found)


def _from_first_line(script: str, folder: Path, env: Mapping[str, str]) -> str | None:
    try:
        line = read_regular(Path(script), _FIRST_LINE, follow=True).partition(b"\n")[0]
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = os.fsdecode(line[2:]).split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        return None
    return _locate(words[0], folder, env)


def _ask(interpreter: str, folder: Path, env: Mapping[str, str]) -> tuple[str, Sequence[str]] | None:
    try:
        done = subprocess.run(
            [interpreter, "-c", _QUESTION],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        answer = json.loads(done.stdout)
        return str(answer["python"]), [str(package) for package in answer["packages"]]
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        return None


def _store(repo: Repo, packages: Sequence[str]) -> str:
    """Store the list and return its version, or "" where that fails."""
    text = memoryview("".join(f"{package}\n" for package in packages).encode("utf-8", "surrogateescape"))
    try:
        repo.cache.prepare(repo.chunker.params)
        with StoreWriter(repo.cache) as writer:
            builder = ManifestBuilder(writer.put_node)
            packed, start = [], 0
            for end in repo.chunker.cut(text):
                piece = text[start:end]
                packed.append(pack_chunk(_put(writer, piece), end - start))
                start = end
            builder.add(make_file_entry(b"", len(text), False, b"".join(packed), writer.put_node))
            summary = builder.finish()
            writer.flush()
        repo.cache.mark_version(summary.version, files=summary.files, size=summary.size)
    except DverError:
        return ""
    return format_version(summary.version)


def _put(writer: StoreWriter, piece: memoryview) -> ChunkId:
    identity = chunk_id(piece)
    if writer.claim([identity]):
        writer.put([encode_object(Kind.DATA, identity, piece)])
    return identity
