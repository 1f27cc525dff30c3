"""Let many processes work in one repository, or in several clones with one cache, and see that nothing is lost.

Run as a program of its own: `python -m tests.faults.crowd FOLDER SECONDS --help`. Each process has a dataset of its own
in which it edits, adds, commits, checks out what it committed before, pushes, and cleans the cache of all. Some of what
it pushes it never commits; the first process cleans the remote of that. They may be told that something is locked; any
other error, and any version that is not as it was committed, in the cache or where it was pushed, is a failure.
"""

import argparse
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dver.errors import LockedError
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions
from dver.operations.gc import gc
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.operations.push import push, wanted_versions
from dver.storage.audit_findings import Depth
from tests.clones import Clone, Snapshot, noise

PROCESSES = 8
_MOST_FILES = 6
_GIT_PATIENCE = 60.0


@dataclass(slots=True)
class Log:
    """What one process did.

    Attributes:
        commits: its datasets as they were committed.
        pushed: those of the commits that were pushed.
        swept: how many versions it deleted on the remote.
        done: how many commands of each kind, and how many of them were refused since something is locked.
    """

    commits: dict[str, Snapshot] = field(default_factory=dict)
    pushed: set[str] = field(default_factory=set)
    swept: int = 0
    done: Counter[str] = field(default_factory=Counter)


class Worker:
    """One process of the crowd, with a dataset of its own."""

    def __init__(self, clone: Clone, dataset: str, seed: int, *, cleans: bool) -> None:
        self.clone = clone
        self.dataset = dataset
        self.log = Log()
        self._works = {self._save: 4, self._check_out: 3, self._push: 1, self._push_garbage: 1, self._collect: 2}
        if cleans:
            self._works[self._clean_remote] = 6
        self._chance = random.Random(seed)

    def work(self, deadline: float) -> Log:
        """Run commands until the time is over."""
        self._edit()
        while time.monotonic() < deadline:
            work = self._chance.choices([*self._works], [*self._works.values()])[0]
            name = work.__name__.strip("_")
            try:
                work()
            except LockedError:
                name += ", locked"
            self.log.done[name] += 1
        return self.log

    def _edit(self) -> None:
        for _ in range(self._chance.randint(1, 3)):
            path = f"{self.dataset}/{self._chance.randrange(_MOST_FILES)}"
            # Of few seeds, so that much is stored already, or was and is garbage now.
            self.clone.write(path, noise(self._chance.choice([100, 3000, 20_000]), self._chance.randrange(40)))

    def _save(self) -> None:
        self._edit()
        self.clone.add(self.dataset, force=True)
        commit = self._commit()
        self.log.commits[commit] = self.clone.data(self.dataset)

    def _commit(self) -> str:
        """Commit the pointer alone; git says at once that its index is locked, and leaves the waiting to its user."""
        pointer = f"{self.dataset}.dver"
        deadline = time.monotonic() + _GIT_PATIENCE
        while True:
            command = ["git", "commit", "--quiet", "--allow-empty", "--message", self.dataset, "--only", pointer]
            done = subprocess.run(command, cwd=self.clone.root, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return self.clone.git("log", "-1", "--format=%H", "--", pointer).strip()
            assert "index.lock" in done.stderr or "cannot lock ref" in done.stderr, done.stderr
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.01)

    def _check_out(self) -> None:
        if not self.log.commits:
            return
        commit = self._chance.choice([*self.log.commits])
        with self.clone.open() as repo:
            checkout(repo, commit, [self.dataset], options=CheckoutOptions(force=True))
        assert with_all(self.clone.data(self.dataset), self.log.commits[commit]), commit

    def _push(self) -> None:
        with self.clone.open() as repo:
            if (self.clone.root / f"{self.dataset}.dver").exists():
                assert not push(repo, wanted_versions(repo, [self.dataset])).missing
                self.log.pushed.update([*self.log.commits][-1:])

    def _push_garbage(self) -> None:
        """Push what is not committed, and then go back to what is."""
        self._edit()
        self.clone.add(self.dataset, force=True)
        self._push()
        self._check_out()

    def _clean_remote(self) -> None:
        with self.clone.open() as repo:
            if repo.remote().read_params() is None:
                # Nobody has pushed yet.
                return
            result = gc_remote(repo, None, RemoteGcOptions(grace_days=0))
        assert not result.in_the_way
        self.log.swept += sum(len(one.versions) for one in result.swept)

    def _collect(self) -> None:
        with self.clone.open() as repo:
            gc(repo)


def with_all(found: Snapshot, wanted: Snapshot) -> bool:
    """Whether all that is wanted is found; files that nobody tracks may lie beside it."""
    return wanted.items() <= found.items()


def begin(folder: Path, *, shared: bool) -> list[Clone]:
    """Make the repository or, with `shared`, clones of it that share a cache; one place for each process."""
    first = Clone.make(folder / "0", remote=folder / "remote")
    (first.root / ".gitignore").write_text("".join(f"/data{number}\n" for number in range(PROCESSES)))
    first.commit("begin")
    if not shared:
        return [first] * PROCESSES
    os.environ["DVER_CACHE_DIR"] = str(folder / "cache")
    return [first, *(first.clone(folder / str(number)) for number in range(1, PROCESSES))]


def run(clones: Sequence[Clone], folder: Path, seconds: float, seed: int) -> list[Log]:
    """Let a process work in each of some clones, and return what they did."""
    deadline = time.monotonic() + seconds
    children = {}
    for number, clone in enumerate(clones):
        worker = Worker(clone, f"data{number}", seed * PROCESSES + number, cleans=number == 0)
        children[number] = start(partial(worker.work, deadline), folder / f"{number}.log")
    codes = {number: os.waitpid(child, 0)[1] for number, child in children.items()}
    assert not any(codes.values()), f"processes that failed: {[number for number, code in codes.items() if code]}"
    return [pickle.loads((folder / f"{number}.log").read_bytes()) for number in children]


def start(work: Callable[[], Log], answer: Path) -> int:
    """Begin to work in a process of its own, which writes what it did to a file in the end; return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            answer.write_bytes(pickle.dumps(work()))
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    return child


def check(clones: Sequence[Clone], logs: Sequence[Log], folder: Path) -> int:
    """Check that the stores are sound and that each version is as it was committed; return how many versions."""
    with clones[0].open() as repo:
        for remote in (None, repo.remote_settings().name):
            found = fsck(repo, remote=remote, options=FsckOptions(Depth.CONTENT))
            assert found.is_sound, found
        cache = repo.cache.backend.location
    check_all(clones, [log.pushed for log in logs], logs, folder / "new", folder / "new cache")
    # What was lost from the cache is not to come from elsewhere.
    shutil.rmtree(folder / "remote")
    check_all(clones, [log.commits for log in logs], logs, folder / "readers", cache)
    return sum(len(log.commits) for log in logs)


def check_all(
    clones: Sequence[Clone], commits: Sequence[Iterable[str]], logs: Sequence[Log], folder: Path, cache: Path | str
) -> None:
    """Check that commits of each process can be read by new clones with a cache, which may be empty."""
    os.environ.update(DVER_CACHE_DIR=str(cache), DVER_INDEX_DIR=str(folder / "indexes"))
    for number, (clone, chosen, log) in enumerate(zip(clones, commits, logs, strict=True)):
        reader = clone.clone(folder / str(number))
        for commit in chosen:
            with reader.open() as repo:
                checkout(repo, commit, [f"data{number}"], options=CheckoutOptions(force=True, verify=True))
            assert reader.data(f"data{number}") == log.commits[commit], commit


def main(arguments: Sequence[str]) -> int:
    """Let the processes work, check what is left, and print what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crowd", description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder to work in")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--shared", action="store_true", help="in clones with one cache, and not in one repository")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    clones = begin(folder, shared=given.shared)
    logs = run(clones, folder, given.seconds, given.seed)
    versions = check(clones, logs, folder)
    done = sum((log.done for log in logs), Counter())
    pushed, swept = sum(len(log.pushed) for log in logs), sum(log.swept for log in logs)
    sys.stdout.write(
        f"{versions} versions are as they were committed, {pushed} of them on the remote, from which {swept} others"
        f" went, after {dict(sorted(done.items()))}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
