"""Whatever two people do, and wherever their commands are killed: what was committed stays readable, byte for byte.

A state machine of two clones, a git server and a dver remote. Its model is only what each commit's data was. Run as a
program of its own, `python -m tests.property.histories EXAMPLES STEPS`, as it forks a process for each command that is
to be killed, and such a program has no other threads.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from dver.objects.entry import Entry, FileEntry, LinkEntry
from dver.objects.ids import VersionId
from dver.objects.manifest import Manifest
from dver.objects.merge import Side
from dver.objects.pointer import decode_pointer
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.fsck import FsckOptions, fsck
from dver.operations.gc import gc
from dver.operations.gc_auto import tidy
from dver.operations.gc_plan import GcOptions
from dver.operations.resolve import resolve
from dver.storage.audit_findings import Depth, Problem, Thing
from dver.storage.store import Store
from tests.clones import Clone, Snapshot, noise
from tests.faults.steps import Steps

PEOPLE = st.integers(0, 1)
PATHS = st.sampled_from(["a", "b", "c/d", "c/e"])
CONTENTS = [b"", b"1", *(noise(size, seed) for size in (900, 6000) for seed in (1, 2, 3))]
# Many commands are short.
EARLY_OR_LATE = st.integers(1, 12) | st.integers(1, 40)
KILLED = ["add", "check_out", "push", "fetch", "collect", "merge_packs"]


@dataclass(slots=True)
class Counts:
    """What was done in all examples together."""

    steps: int = 0
    kills: int = 0
    versions_read: int = 0


@dataclass(slots=True)
class Person:
    """A clone, and the commits that were made in it or came to it."""

    clone: Clone
    commits: list[str] = field(default_factory=list)


class Histories(RuleBasedStateMachine):
    """Two clones, which may share a cache, a git server and a remote."""

    counts = Counts()
    remote_url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dver-histories-"))
        self.contents: dict[str, Snapshot] = {}
        self.versions: dict[str, VersionId] = {}
        self.pushed: list[str] = []
        self.people: list[Person] = []
        os.environ["DVER_INDEX_DIR"] = str(self.folder / "indexes")

    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:
        os.environ.pop("DVER_CACHE_DIR", None)
        if shared:
            os.environ["DVER_CACHE_DIR"] = str(self.folder / "cache")
        remote = f"{self.remote_url}/{uuid.uuid4().hex}" if self.remote_url else self.folder / "remote"
        first = Person(Clone.make(self.folder / "0", remote=remote))
        first.clone.write("data/a", CONTENTS[3])
        self.people = [first]
        self.save(0)
        first.clone.git("clone", "--quiet", "--bare", ".", str(self.folder / "server"))
        first.clone.git("remote", "add", "origin", str(self.folder / "server"))
        first.clone.git("fetch", "--quiet", "origin")
        self.push(0)
        second = Person(Clone(self.folder / "server").clone(self.folder / "1"), [*first.commits])
        self.people.append(second)
        self.fetch(1)
        second.clone.checkout()

    # What people do

    @rule(who=PEOPLE, path=PATHS, content=st.sampled_from(CONTENTS))
    def edit(self, who: int, path: str, content: bytes) -> None:
        self.counts.steps += 1
        self.people[who].clone.write(f"data/{path}", content)

    @rule(who=PEOPLE, path=PATHS)
    def delete(self, who: int, path: str) -> None:
        self.counts.steps += 1
        (self.people[who].clone.root / "data" / path).unlink(missing_ok=True)

    @rule(who=PEOPLE)
    def add(self, who: int) -> None:
        self.counts.steps += 1
        add(self.people[who].clone)

    @rule(who=PEOPLE)
    def save(self, who: int) -> None:
        self.counts.steps += 1
        clone = self.people[who].clone
        add(clone)
        self._note(self.people[who], clone.commit(), clone.data())

    def _note(self, person: Person, commit: str, content: Snapshot) -> None:
        self.contents[commit] = content
        self.versions[commit] = decode_pointer(person.clone.pointer_text().encode(), "data.dver").version
        person.commits.append(commit)

    @rule(who=PEOPLE)
    def push(self, who: int) -> None:
        self.counts.steps += 1
        person = self.people[who]
        push(person.clone)
        self.pushed += [commit for commit in person.commits if commit not in self.pushed]
        # Refused where the other was faster: then the data is there, and nobody knows.
        subprocess.run(
            ["git", "push", "--quiet", "origin", "main"], cwd=person.clone.root, capture_output=True, check=False
        )

    @rule(who=PEOPLE)
    def fetch(self, who: int) -> None:
        self.counts.steps += 1
        person = self.people[who]
        person.clone.git("fetch", "--quiet", "origin")
        fetch(person.clone)
        known = set(person.clone.git("rev-list", "--all").split())
        person.commits += [commit for commit in self.contents if commit in known and commit not in person.commits]

    @rule(who=PEOPLE)
    def merge(self, who: int) -> None:
        """Merge what the other pushed; where both changed the data, dver does it, and our side wins."""
        self.counts.steps += 1
        self.save(who)
        self.fetch(who)
        person = self.people[who]
        command = ["git", "merge", "--quiet", "--no-edit", "origin/main"]
        done = subprocess.run(command, cwd=person.clone.root, capture_output=True, check=False)
        with person.clone.open() as repo:
            if done.returncode:
                resolve(repo, Side.OURS, [])
            checkout(repo, options=CheckoutOptions(force=True))
        self._note(person, person.clone.commit(), person.clone.data())

    @rule(who=PEOPLE, choice=st.integers(0, 50))
    def check_out(self, who: int, choice: int) -> None:
        self.counts.steps += 1
        person = self.people[who]
        commit = person.commits[choice % len(person.commits)]
        check_out(person.clone, commit)
        assert self.contents[commit].items() <= person.clone.data().items(), commit

    @rule(who=PEOPLE, pushed=st.booleans())
    def collect(self, who: int, pushed: bool) -> None:
        self.counts.steps += 1
        collect(self.people[who].clone, pushed=pushed)

    @rule(who=PEOPLE)
    def merge_packs(self, who: int) -> None:
        self.counts.steps += 1
        merge_packs(self.people[who].clone)

    @precondition(lambda self: len(self.people) > 1)
    @rule()
    def clone_anew(self) -> None:
        """Delete the second clone, with all that was not pushed, and clone again in its place."""
        self.counts.steps += 1
        root = self.people[1].clone.root
        shutil.rmtree(root)
        self.people[1] = Person(Clone(self.folder / "server").clone(root))
        self.fetch(1)

    @rule(who=PEOPLE, what=st.sampled_from(KILLED), at=EARLY_OR_LATE, choice=st.integers(0, 50))
    def crash(self, who: int, what: str, at: int, choice: int) -> None:
        """Kill a command at a step that it takes on the disk, unless it ends before."""
        self.counts.steps += 1
        person = self.people[who]
        commit = person.commits[choice % len(person.commits)]
        # Something to store, most often, and something to push.
        person.clone.write(f"data/{choice % 3}", noise(4000, choice))
        if what == "push":
            self.save(who)
        works: dict[str, Callable[[Clone], None]] = {
            "add": add,
            "check_out": partial(check_out, commit=commit),
            "push": push,
            "fetch": fetch,
            "collect": partial(collect, pushed=bool(choice % 2)),
            "merge_packs": merge_packs,
        }
        self.counts.kills += run_and_kill(self.folder, partial(works[what], person.clone), at)
        (person.clone.root / ".git" / "index.lock").unlink(missing_ok=True)

    # What must hold

    @rule(who=PEOPLE)
    def check(self, who: int) -> None:
        self.counts.steps += 1
        person = self.people[who]
        with person.clone.open() as repo:
            for remote in (None, repo.remote_settings().name):
                found = fsck(repo, remote=remote, options=FsckOptions(Depth.CONTENT)).damages
                # Of a version that has all but its marker, nobody can know whether a command was killed before it.
                assert all((one.thing, one.problem) == (Thing.MARKER, Problem.MISSING) for one in found), found
            cache, remote_store = repo.cache, repo.remote()
            for commit in person.commits:
                stores = [remote_store] if commit in self.pushed else [cache]
                self._read(commit, stores)

    def _read(self, commit: str, stores: Sequence[Store]) -> None:
        for store in stores:
            assert read_version(store.manifest(self.versions[commit]), store) == self.contents[commit], commit
            self.counts.versions_read += 1

    def teardown(self) -> None:
        try:
            for who in range(len(self.people)):
                self.check(who)
        finally:
            shutil.rmtree(self.folder)


def add(clone: Clone) -> None:
    (clone.root / "data").mkdir(exist_ok=True)
    clone.add(force=True)


def push(clone: Clone) -> None:
    assert not clone.push(all_refs=True).missing


def fetch(clone: Clone) -> None:
    assert not clone.fetch(all_refs=True).missing


def check_out(clone: Clone, commit: str) -> None:
    clone.checkout(commit, force=True)


def collect(clone: Clone, *, pushed: bool) -> None:
    with clone.open() as repo:
        gc(repo, GcOptions(pushed=pushed))


def merge_packs(clone: Clone) -> None:
    with clone.open() as repo:
        tidy(repo)


def run_and_kill(folder: Path, work: Callable[[], None], at: int) -> bool:
    """Run a command in a process of its own, kill it at a step, and return whether it came to that."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Steps(folder, at).watch()
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "the command failed; without a kill it says why"
    return code != 0


def read_version(manifest: Manifest, store: Store) -> Snapshot:
    """Read a version from one store, every chunk checked against its id."""
    return {entry.path: _content(entry, manifest, store) for entry in manifest.entries()}


def _content(entry: Entry, manifest: Manifest, store: Store) -> tuple[str, bytes]:
    if isinstance(entry, LinkEntry):
        return "link", entry.target
    if not isinstance(entry, FileEntry):
        return "directory", b""
    chunks = [chunk for chunk, _ in manifest.chunks(entry)]
    plain = {
        record.id: bytes(record.verified(store.name)) for span in store.plan(chunks) for record in store.read_span(span)
    }
    return "executable" if entry.executable else "file", b"".join(plain[chunk] for chunk in chunks)


def main(arguments: Sequence[str]) -> int:
    """Run the machine, and print how much was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.histories", description=__doc__)
    parser.add_argument("examples", type=int, help="so many histories, each begun anew")
    parser.add_argument("steps", type=int, help="of at most so many steps")
    parser.add_argument("--remote", help="a URL below which remotes are made, such as memory://; without it folders")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with other histories for so long")
    given = parser.parse_args(arguments)
    Histories.remote_url = given.remote
    deadline = time.monotonic() + given.minutes * 60
    checks = list(HealthCheck)
    chosen = settings(
        max_examples=given.examples,
        stateful_step_count=given.steps,
        deadline=None,
        database=None,
        suppress_health_check=checks,
        print_blob=True,
    )
    while True:
        run_state_machine_as_test(Histories, settings=chosen)
        if time.monotonic() >= deadline:
            break
    counts = Histories.counts
    sys.stdout.write(f"{counts.steps} steps, {counts.kills} kills, {counts.versions_read} versions read\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
