"""Whatever two people do, and wherever their commands are killed: what was committed stays readable, byte for byte.

A state machine of two clones, a git server and a dver remote. Its model is only what each commit's data was. Run as a
program of its own, `python -m tests.property.histories EXAMPLES STEPS`, as it forks a process for each command that is
to be killed, and such a program has no other threads.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from dver.errors import ObjectNotFoundError
from dver.objects.ids import VersionId
from dver.objects.merge import Side
from dver.objects.pointer import decode_pointer
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions
from dver.operations.resolve import resolve
from dver.storage.audit_findings import Depth, Problem, Thing
from dver.storage.store import Store
from tests.clones import Clone, Snapshot, noise
from tests.encryption import add_encrypted_remote, give_key
from tests.property.people import add, check_out, collect, fetch, merge_packs, push, read_version, run_and_kill
from tests.property.remote_cleaning import Said, clean_remote, forget_others, let_time_pass, named, undelete

PEOPLE = st.integers(0, 1)
PATHS = st.sampled_from(["a", "b", "c/d", "c/e"])
CONTENTS = [b"", b"1", *(noise(size, seed) for size in (900, 6000) for seed in (1, 2, 3))]
# Many commands are short.
EARLY_OR_LATE = st.integers(1, 12) | st.integers(1, 40)
KILLED = ["add", "check_out", "push", "fetch", "collect", "merge_packs", "clean_remote"]


@dataclass(slots=True)
class Counts:
    """What was done in all examples together."""

    steps: int = 0
    kills: int = 0
    swept: int = 0
    versions_read: int = 0


@dataclass(slots=True)
class Person:
    """A clone, and the commits that were made in it or came to it."""

    clone: Clone
    commits: list[str] = field(default_factory=list)


class Histories(RuleBasedStateMachine):
    """Two clones, which may share a cache, a git server and a remote, which may be encrypted."""

    counts = Counts()
    remote_url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dver-histories-"))
        self.contents: dict[str, Snapshot] = {}
        self.versions: dict[str, VersionId] = {}
        self.pushed: list[str] = []
        self.said = Said()
        self.people: list[Person] = []
        self.key: Path | None = None
        os.environ["DVER_INDEX_DIR"] = str(self.folder / "indexes")

    @initialize(shared=st.booleans(), encrypted=st.booleans())
    def begin(self, shared: bool, encrypted: bool) -> None:
        os.environ.pop("DVER_CACHE_DIR", None)
        if shared:
            os.environ["DVER_CACHE_DIR"] = str(self.folder / "cache")
        remote = f"{self.remote_url}/{uuid.uuid4().hex}" if self.remote_url else self.folder / "remote"
        self.key = self.folder / "key" if encrypted else None
        first = Person(Clone.make(self.folder / "0", remote=None if self.key else remote))
        if self.key:
            add_encrypted_remote(first.clone, str(remote), self.key)
        first.clone.git("symbolic-ref", "HEAD", "refs/heads/main")
        first.clone.write("data/a", CONTENTS[3])
        self.people = [first]
        self.save(0)
        first.clone.git("clone", "--quiet", "--bare", ".", str(self.folder / "server"))
        first.clone.git("remote", "add", "origin", str(self.folder / "server"))
        first.clone.git("fetch", "--quiet", "origin")
        self.push(0)
        second = Person(self._clone(self.folder / "1"), [*first.commits])
        self.people.append(second)
        self.fetch(1)
        second.clone.checkout()

    def _clone(self, root: Path) -> Clone:
        clone = Clone(self.folder / "server").clone(root)
        if self.key:
            give_key(clone, self.key)
        return clone

    # What people do

    @rule(who=PEOPLE, path=PATHS, content=st.integers(0, len(CONTENTS) - 1))
    def edit(self, who: int, path: str, content: int) -> None:
        self.counts.steps += 1
        self.people[who].clone.write(f"data/{path}", CONTENTS[content])

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
        self._send(person)
        self._offer(person)

    def _send(self, person: Person) -> None:
        push(person.clone)
        self.said.note(person.clone)
        sent = named(person.clone, by_refs=True)
        self.pushed += [commit for commit in person.commits if commit in sent and commit not in self.pushed]

    def _offer(self, person: Person) -> None:
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
        self._doubt()

    def _doubt(self) -> None:
        """Whoever worked may have left word of what all people name that share a cache."""
        for person in self.people:
            self.said.doubt(person.clone)

    @rule(who=PEOPLE, choice=st.integers(0, 50), how=st.sampled_from(["here", "sent", "everywhere"]))
    def give_up(self, who: int, choice: int, how: str) -> None:
        """Take back a commit, a new one whose data was sent, or that the server has; here nothing leads to it then."""
        self.counts.steps += 1
        person, clone = self.people[who], self.people[who].clone
        if how != "here":
            clone.write("data/b", noise(4000, choice))
            self.save(who)
            self._send(person)
        if how == "everywhere":
            self._offer(person)
        earlier = clone.git("rev-list", "--first-parent", "--skip=1", "HEAD").split()
        # git's own merges are followed by commits of what they made of the data.
        back = next((commit for commit in earlier if commit in self.contents), None)
        if back is None:
            return
        clone.git("reset", "--quiet", "--hard", back)
        if how == "everywhere":
            clone.git("push", "--quiet", "--force", "origin", "main")
        clone.forget_past()
        clone.checkout(force=True)
        left = named(clone)
        person.commits = [commit for commit in person.commits if commit in left]

    @rule(who=PEOPLE, how=st.sampled_from(["clean", "clean twice", "clean twice", "forget", "undelete"]))
    def clean_remote(self, who: int, how: str) -> None:
        """Clean the remote, where versions that no repository named when it last pushed may go."""
        self.counts.steps += 1
        clone, clones = self.people[who].clone, [person.clone for person in self.people]
        let_time_pass(clone)
        if how == "undelete":
            undelete(clone)
            return
        if how == "forget":
            for one in range(len(self.people)):
                self.fetch(one)
                self.push(one)
            forget_others(clone, clones)
            self.said.forget_but(clones)
        for _ in range(2 if how == "clean twice" else 1):
            result = clean_remote(clone)
            self.counts.swept += sum(len(one.versions) for one in result.swept)
        self.said.note(clone)
        self._forget_garbage()
        self.check_anew()

    def _forget_garbage(self) -> None:
        """Expect no version on the remote any more that nobody said he names."""
        kept = {self.versions[commit] for commit in self.said.commits if commit in self.versions}
        self.pushed = [commit for commit in self.pushed if self.versions[commit] in kept]

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
        self.people[1] = Person(self._clone(root))
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
        works: dict[str, Callable[[Clone], object]] = {
            "add": add,
            "check_out": partial(check_out, commit=commit),
            "push": push,
            "fetch": fetch,
            "collect": partial(collect, pushed=bool(choice % 2)),
            "merge_packs": merge_packs,
            "clean_remote": clean_remote,
        }
        if what == "clean_remote":
            self.give_up(who, choice, "sent")
            self.clean_remote(who, "clean")
            # The longest of all.
            at *= 4
        self.counts.kills += run_and_kill(self.folder, partial(works[what], person.clone), at)
        self._doubt()
        if what == "clean_remote":
            self._forget_garbage()
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
                if commit in self.pushed:
                    self._read(commit, remote_store)
                else:
                    self._read_somewhere(commit, cache, remote_store)

    def check_anew(self) -> None:
        """Check that who clones now gets what the server names, and that all that must be on the remote is."""
        place = {"DVER_INDEX_DIR": str(self.folder / "new indexes"), "DVER_CACHE_DIR": str(self.folder / "new cache")}
        with patch.dict(os.environ, place):
            clone = self._clone(self.folder / "new")
            clone.pull()
            assert clone.data() == self.contents[clone.git("rev-parse", "HEAD").strip()]
            with clone.open() as repo:
                for commit in self.pushed:
                    self._read(commit, repo.remote())
        for name in ("new", "new cache", "new indexes"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _read_somewhere(self, commit: str, cache: Store, remote: Store) -> None:
        """Read a version that perhaps a push sent that was killed, so that the cache could let it go."""
        try:
            self._read(commit, cache)
        except ObjectNotFoundError:
            self._read(commit, remote)

    def _read(self, commit: str, store: Store) -> None:
        assert read_version(store.manifest(self.versions[commit]), store) == self.contents[commit], commit
        self.counts.versions_read += 1

    def teardown(self) -> None:
        try:
            for who in range(len(self.people)):
                self.check(who)
            self.check_anew()
        finally:
            shutil.rmtree(self.folder)


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
    sys.stdout.write(
        f"{counts.steps} steps, {counts.kills} kills, {counts.swept} versions swept from the remote,"
        f" {counts.versions_read} versions read\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
