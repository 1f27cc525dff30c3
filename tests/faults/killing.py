"""Kill a command at each step that it takes on the disk, and look at what it leaves behind.

Run as a program of its own: `python -m tests.faults.killing SCENARIO FOLDER EVERY`. It forks a process for each kill,
which is quick, but must not be done where threads run, as they do under pytest. The steps are those calls that change
files or commit to a database; a write of data is cut off in the middle.
"""

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dver.database import CacheDatabase
from dver.objects.entry import FileEntry
from dver.objects.ids import ObjectId
from dver.objects.indexfile import decode_index
from dver.operations.gc import gc
from dver.operations.status import State
from dver.storage.store import Store
from tests.clones import Clone, Snapshot, noise

STEPS = ["rename", "replace", "unlink", "rmdir", "mkdir", "symlink", "fsync", "write", "writev"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be seen of a repository: data, pointer, what is staged, and the versions in cache and remote."""

    data: Snapshot
    pointer: str
    staged: str
    cached: frozenset[bytes]
    on_remote: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A repository to begin with, in `folder / "repo"`, and a command.

    Attributes:
        reads: whether data must stay as it is.
        frees: whether the cache is to hold less in the end.
    """

    prepare: Callable[[Path], None]
    command: Callable[[Clone], object]
    reads: bool = False
    frees: bool = False


def begin(folder: Path) -> Clone:
    """Make a repository with a first committed and pushed version of a dataset."""
    clone = Clone.make(folder / "repo", remote="../remote")
    shutil.rmtree(clone.root / ".git" / "hooks", ignore_errors=True)
    clone.write("data/a", noise(9000, 1))
    clone.write("data/same", noise(5000, 2))
    clone.write("data/gone/x", b"x", executable=True)
    clone.write("data/kind", b"a file")
    (clone.root / "data" / "link").symlink_to("a")
    clone.save()
    clone.git("tag", "v1")
    clone.push()
    return clone


def change(clone: Clone) -> None:
    """Change the dataset in every way."""
    clone.write("data/a", noise(9000, 1)[:4000] + noise(7000, 3))
    clone.write("data/new/y", noise(3000, 4))
    (clone.root / "data" / "gone" / "x").unlink()
    (clone.root / "data" / "gone").rmdir()
    (clone.root / "data" / "kind").unlink()
    (clone.root / "data" / "kind").mkdir()
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").symlink_to("same")


def prepare_first_add(folder: Path) -> None:
    clone = begin(folder)
    clone.git("rm", "--quiet", "--cached", "data.dver")
    (clone.root / "data.dver").unlink()
    shutil.rmtree(clone.root / ".dver" / "cache")
    clone.forget_stat_cache()
    clone.commit()


def prepare_add(folder: Path) -> None:
    change(begin(folder))


def prepare_checkout(folder: Path) -> None:
    clone = begin(folder)
    change(clone)
    clone.save()
    clone.write("data/mine", b"untracked")


def prepare_push(folder: Path) -> None:
    clone = begin(folder)
    change(clone)
    clone.save()


def prepare_fetch(folder: Path) -> None:
    prepare_push(folder)
    clone = Clone(folder / "repo")
    clone.push()
    clone.checkout("v1")
    clone.git("reset", "--quiet", "--hard")
    shutil.rmtree(clone.root / ".dver" / "cache")
    shutil.copytree(folder / "remote", folder / "v1 only")
    clone.fetch("data/same")


def prepare_gc(folder: Path) -> None:
    """Leave packs of which nothing is needed, packs of which a part is, and a version of each kind."""
    clone = begin(folder)
    clone.write("data/a", noise(9000, 7))
    clone.write("data/new/z", noise(20_000, 8))
    clone.add()
    clone.write("data/a", noise(9000, 1))
    clone.save()
    clone.push()
    clone.write("data/b", noise(30_000, 9))
    clone.add()
    clone.git("reset", "--quiet", "--hard")
    clone.checkout(force=True)
    clone.git("reflog", "expire", "--expire=now", "--all")
    (clone.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)


def collect(clone: Clone) -> None:
    with clone.open() as repo:
        gc(repo)


SCENARIOS = {
    "gc": Scenario(prepare_gc, collect, reads=True, frees=True),
    "first add": Scenario(prepare_first_add, Clone.add, reads=True),
    "add": Scenario(prepare_add, Clone.add, reads=True),
    "checkout": Scenario(prepare_checkout, lambda clone: clone.checkout("v1")),
    "push": Scenario(prepare_push, Clone.push, reads=True),
    "fetch": Scenario(prepare_fetch, Clone.fetch, reads=True),
    "pull": Scenario(prepare_fetch, Clone.pull),
}


class Killer:
    """Kills this process at the step of a number, counted over all threads."""

    def __init__(self, number: int) -> None:
        self._steps = iter(range(1, number))

    def _dies(self) -> bool:
        return next(self._steps, None) is None

    def call(self, real: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Make a call that is a step."""
        if self._dies():
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keywords)

    def write(self, real: Callable[[int, bytes], int], fd: int, data: bytes) -> int:
        """Write, or write half of it and die."""
        if self._dies():
            real(fd, bytes(data)[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(fd, data)

    def writev(self, real: Callable[[int, Sequence[bytes]], int], fd: int, pieces: Sequence[bytes]) -> int:
        """Write several pieces, or half of their bytes and die."""
        if self._dies():
            joined = b"".join(pieces)
            real(fd, [joined[: len(joined) // 2]])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(fd, pieces)

    def execute(
        self, real: Callable[..., Any], database: CacheDatabase, sql: str, values: Sequence[object] = ()
    ) -> Any:
        """Run a statement; a commit is a step."""
        return self.call(real, database, sql, values) if sql == "COMMIT" else real(database, sql, values)


def kill_at(number: int) -> None:
    """From now on, kill this process at the step of that number."""
    killer = Killer(number)
    how: dict[str, Callable[..., Any]] = {"write": killer.write, "writev": killer.writev}
    for name in STEPS:
        setattr(os, name, partial(how.get(name, killer.call), getattr(os, name)))
    patch.object(CacheDatabase, "execute", partialmethod(_execute, killer, CacheDatabase.execute)).start()


def _execute(
    database: CacheDatabase, killer: Killer, real: Callable[..., Any], sql: str, values: Sequence[object] = ()
) -> Any:
    return killer.execute(real, database, sql, values)


def run_and_kill(scenario: Scenario, clone: Clone, number: int) -> None:
    """Run the command of a scenario, and kill it at the step of that number."""
    kill_at(number)
    scenario.command(clone)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own and return how it ended: an exit code, or minus a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            # Whatever comes, nothing may get back into the parent's code.
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def look(clone: Clone) -> Outcome:
    """Check that the stores are sound and return what there is to be seen."""
    with clone.open() as repo:
        cached, on_remote = check_store(repo.cache), check_store(repo.remote())
    pointer = clone.pointer_text() if (clone.root / "data.dver").exists() else ""
    return Outcome(clone.data(), pointer, clone.git("diff", "--cached", "--name-only"), cached, on_remote)


def check_store(store: Store) -> frozenset[bytes]:
    """Read all that a store's index lists and all versions that it says are whole; return these."""
    listed: set[ObjectId] = set()
    for info in store.backend.list("index/"):
        for pack in decode_index(store.backend.read(info.key), info.key):
            listed.update(entry.id for entry in pack.entries)
    versions = store.versions()
    for version in versions:
        manifest = store.manifest(version)
        for entry in manifest.entries():
            if isinstance(entry, FileEntry):
                listed.update(chunk for chunk, _ in manifest.chunks(entry))
    for span in store.plan(sorted(listed)):
        for record in store.read_span(span):
            record.verified(store.name)
    return frozenset(versions)


def check_killed(scenario: Scenario, clone: Clone, before: Outcome, done: Outcome) -> None:
    """Check what a killed command left behind, then run it again and check that it completes."""
    # As git does, and says to do: it cannot know that nobody is at work any more.
    (clone.root / ".git" / "index.lock").unlink(missing_ok=True)
    found = look(clone)
    less, more = (done, before) if scenario.frees else (before, done)
    assert less.cached <= found.cached <= more.cached, "versions in the cache"
    assert before.on_remote <= found.on_remote <= done.on_remote, "versions on the remote"
    assert found.pointer in (before.pointer, done.pointer), "the pointer"
    if scenario.reads:
        assert found.data == before.data, "the data"
    for path, what in found.data.items():
        assert what in (before.data.get(path), done.data.get(path)) or what[0] == "directory", path
    for path, what in before.data.items():
        assert path in found.data or done.data.get(path) != what, path
    scenario.command(clone)
    assert look(clone) == done, "the outcome of the second run"
    assert clone.status().state in (State.UNCHANGED, State.MODIFIED, State.POINTER_CHANGED)


def main(name: str, folder: Path, every: int) -> int:
    """Kill the command of a scenario at every so many steps; return an exit code."""
    scenario = SCENARIOS[name]
    template = folder / "template"
    if in_child(partial(scenario.prepare, template)):
        return 1
    shutil.copytree(template, folder / "undisturbed", symlinks=True)
    undisturbed = Clone(folder / "undisturbed" / "repo")
    # In this process, as the results are needed; the threads have ended when it returns.
    before = look(undisturbed)
    scenario.command(undisturbed)
    done = look(undisturbed)
    kills = failures = 0
    for number in range(1, 10_000, every):
        place = folder / str(number)
        shutil.copytree(template, place, symlinks=True)
        clone = Clone(place / "repo")
        ended = in_child(partial(run_and_kill, scenario, clone, number))
        if ended != -signal.SIGKILL:
            failures += bool(ended)
            break
        kills += 1
        if in_child(partial(check_killed, scenario, clone, before, done)):
            sys.stderr.write(f"after the kill at step {number}, see {place}\n")
            failures += 1
        else:
            shutil.rmtree(place)
    sys.stdout.write(f"{kills} kills, {failures} failures\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
