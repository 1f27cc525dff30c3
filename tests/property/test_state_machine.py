"""Whatever two people do with a dataset, dver keeps to a simple model of it, and loses nothing.

The model knows, for each of two clones, what the working files were last made equal to (the base) and what the pointer
names; every commit stands for a snapshot. What a user edits is taken from the disk; what dver does to the disk is
foretold and compared byte for byte.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dver.errors import DataLossError, PathError, VersionNotFoundError
from dver.objects.ids import chunk_id
from dver.operations.status import DatasetStatus, State
from tests.clones import Clone, Snapshot, everything_but_dvers_own, noise

PATHS = [b"a", b"a-b", b"a/c", b"a.txt", b"d/e/f", b"d/x", b"\xff", b"sp ace/\xc3\xa9"]
CONTENTS = {
    "nothing": b"",
    "1": b"1",
    "2": b"2",
    "33": b"33",
    "noise": noise(3000, 1),
    "other noise": noise(3000, 2),
    "zeros": bytes(5000),
}

clones = st.integers(0, 1)
paths = st.sampled_from(PATHS)
contents = st.sampled_from(list(CONTENTS))


@dataclass
class Person:
    """A clone, and what the model knows of it."""

    clone: Clone
    head: str
    known: set[str]
    base: Snapshot | None = None
    pointer: Snapshot | None = None
    cache_lost: bool = False

    @property
    def top(self) -> Path:
        return self.clone.root / "data"

    @property
    def is_present(self) -> bool:
        return self.top.exists()


@dataclass
class Commit:
    """What a commit's pointer stands for; None where there is no dataset."""

    content: Snapshot | None
    parent: str | None


def parents(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def after_checkout(wanted: Snapshot, working: Snapshot, base: Snapshot) -> Snapshot:
    """Return what a checkout makes of the working files: the wanted version, and what nobody tracks beside it."""
    result = dict(wanted)
    above = {parent for path in wanted for parent in parents(path)}
    emptied = {parent for path in base.keys() - wanted.keys() for parent in parents(path)}
    wanted_files = {path for path, (kind, _) in wanted.items() if kind != "directory"}
    for path, what in working.items():
        in_the_way = path in above or any(parent in wanted_files for parent in parents(path))
        left_over = what[0] == "directory" and path in emptied
        if path not in base and path not in wanted and not in_the_way and not left_over:
            result[path] = what
    filled = {parent for path in result for parent in parents(path)}
    return {path: what for path, what in result.items() if path not in filled}


def clear(top: Path, path: bytes) -> None:
    """Delete what a user must delete before something can be put at a path."""
    for place in [*reversed([*parents(path)]), path]:
        target = os.path.join(os.fsencode(top), place)
        if os.path.islink(target) or os.path.isfile(target):
            os.unlink(target)
        elif place == path and os.path.isdir(target):
            shutil.rmtree(target)


class TwoPeople(RuleBasedStateMachine):
    """Two clones, a git server and a dver remote."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dver-machine-"))
        self.commits: dict[str, Commit] = {}
        self.served = ""
        self.people: list[Person] = []
        self.loses_caches = self.lost_caches = False
        self.count = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize(loses_caches=st.booleans())
    def begin(self, loses_caches: bool) -> None:
        self.loses_caches = loses_caches
        first = Clone.make(self.folder / "0", remote=self.folder / "remote")
        head = first.commit("init")
        first.git("clone", "--quiet", "--bare", str(first.root), str(self.folder / "server"))
        first.git("remote", "add", "origin", str(self.folder / "server"))
        self.commits[head] = Commit(None, None)
        self.served = head
        self.people = [Person(first, head, {head})]
        # Something to begin with: of the rules, only some are in use in each run.
        for path in PATHS[1:5]:
            self.write(0, path, "noise", executable=path == PATHS[1])
        self.save(0)
        self.push(0)
        self.people.append(self.new_person())
        self.checkout_pointer(1, force=False)

    def new_person(self) -> Person:
        self.count += 1
        root = self.folder / f"clone{self.count}"
        Clone(self.folder / "server").git("clone", "--quiet", ".", str(root))
        known = set(self.ancestry(self.served))
        pointer = self.commits[self.served].content
        return Person(Clone(root), self.served, known, pointer=pointer, cache_lost=self.lost_caches)

    def ancestry(self, commit: str | None) -> Iterator[str]:
        while commit is not None:
            yield commit
            commit = self.commits[commit].parent

    # What users do to their files.

    @rule(who=clones, path=paths, content=contents, executable=st.booleans())
    def write(self, who: int, path: bytes, content: str, executable: bool) -> None:
        person = self.people[who]
        clear(person.top, path)
        person.clone.write(b"data/" + path, CONTENTS[content], executable=executable)

    @rule(who=clones, path=paths, content=contents, where=st.integers(0, 3000))
    def edit(self, who: int, path: bytes, content: str, where: int) -> None:
        target = self.people[who].top / os.fsdecode(path)
        if target.is_file() and not target.is_symlink():
            old = target.read_bytes()
            target.write_bytes(old[:where] + CONTENTS[content] + old[where:])

    @rule(who=clones, path=paths)
    def delete(self, who: int, path: bytes) -> None:
        if self.people[who].is_present:
            clear(self.people[who].top, path)

    @rule(who=clones, old=paths, new=paths)
    def rename(self, who: int, old: bytes, new: bytes) -> None:
        top = self.people[who].top
        source, target = top / os.fsdecode(old), top / os.fsdecode(new)
        if source.is_file() and not source.is_symlink() and old != new and not new.startswith(old + b"/"):
            content, mode = source.read_bytes(), source.stat().st_mode
            clear(top, new)
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                assert (target.read_bytes(), target.stat().st_mode) == (content, mode)

    @rule(who=clones, path=paths)
    def change_mode(self, who: int, path: bytes) -> None:
        target = self.people[who].top / os.fsdecode(path)
        if target.is_file() and not target.is_symlink():
            target.chmod(target.stat().st_mode ^ 0o111)

    @rule(who=clones, path=paths, to=st.sampled_from([b"a", b"\xfe", b"../.."]))
    def link(self, who: int, path: bytes, to: bytes) -> None:
        top = self.people[who].top
        clear(top, path)
        (top / os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(to, os.path.join(os.fsencode(top), path))

    @rule(who=clones, path=paths)
    def make_directory(self, who: int, path: bytes) -> None:
        clear(self.people[who].top, path)
        (self.people[who].top / os.fsdecode(path)).mkdir(parents=True)

    # What users do with dver and git.

    @precondition(lambda self: any(person.is_present for person in self.people))
    @rule(who=clones, force=st.booleans())
    def add(self, who: int, force: bool) -> None:
        person = self.people[who]
        if not person.is_present:
            return
        working = person.clone.data()
        refused = not force and self.is_unsafe_to_add(person, working)
        try:
            person.clone.add(force=force)
        except PathError:
            assert refused or (person.cache_lost and person.base is None)
        else:
            assert not refused
            person.base = person.pointer = working
        assert person.clone.data() == working

    def is_unsafe_to_add(self, person: Person, working: Snapshot) -> bool:
        """Whether a pointer that git changed would be undone, or files that were never here be taken for deleted."""
        if person.pointer is None:
            return False
        if person.base is None:
            return bool(person.pointer.keys() - working.keys())
        return person.pointer not in (person.base, working)

    @rule(who=clones)
    def save(self, who: int) -> None:
        self.add(who, force=True)
        self.commit(who)

    @rule(who=clones)
    def commit(self, who: int) -> None:
        person = self.people[who]
        if person.pointer is not None:
            made = person.clone.commit()
            self.commits[made] = Commit(person.pointer, person.head)
            person.head = made
            person.known.add(made)

    @rule(who=clones)
    def push(self, who: int) -> None:
        person = self.people[who]
        person.clone.push(all_refs=True)
        person.clone.git("push", "--quiet", "--force", "origin", "HEAD:main")
        self.served = person.head

    @precondition(lambda self: self.commits[self.served].content is not None)
    @rule(who=clones, force=st.booleans(), fetch=st.booleans())
    def pull(self, who: int, force: bool, fetch: bool) -> None:
        person = self.people[who]
        person.clone.git("fetch", "--quiet", "origin")
        person.clone.git("reset", "--quiet", "--hard", "origin/main")
        person.head = self.served
        person.known.update(self.ancestry(self.served))
        person.pointer = self.commits[self.served].content
        if fetch:
            person.clone.fetch()
        self.check_out(person, None, person.pointer, force=force)

    @rule(who=clones, force=st.booleans(), choice=st.integers(0, 100))
    def checkout(self, who: int, force: bool, choice: int) -> None:
        person = self.people[who]
        # In the order in which they were made: ids are others each time.
        revisions = [
            commit for commit, made in self.commits.items() if commit in person.known and made.content is not None
        ]
        if revisions:
            rev = revisions[choice % len(revisions)]
            self.check_out(person, rev, self.commits[rev].content, force=force)

    @rule(who=clones, force=st.booleans())
    def checkout_pointer(self, who: int, force: bool) -> None:
        self.check_out(self.people[who], None, self.people[who].pointer, force=force)

    @precondition(lambda self: self.commits[self.served].content is not None)
    @rule()
    def clone_anew(self) -> None:
        shutil.rmtree(self.people[1].clone.root)
        self.people[1] = person = self.new_person()
        self.check_out(person, None, person.pointer, force=False)

    @rule(who=clones)
    def forget_stat_cache(self, who: int) -> None:
        person = self.people[who]
        if not person.cache_lost:
            person.clone.forget_stat_cache()
            person.base = None

    @precondition(lambda self: self.loses_caches)
    @rule(who=clones)
    def lose_cache(self, who: int) -> None:
        person = self.people[who]
        if (person.clone.root / ".dver" / "cache").exists():
            person.clone.delete_cache()
            self.lost_caches = True
            for other in self.people:
                other.cache_lost = True

    # What must hold.

    def check_out(self, person: Person, rev: str | None, wanted: Snapshot | None, *, force: bool) -> None:
        if wanted is None:
            return
        before, working = everything_but_dvers_own(person.clone), person.clone.data()
        if person.is_present and person.base is None:
            # What the files once were is forgotten; what the pointer names is all there is to go by.
            person.base = wanted if person.pointer is None else person.pointer
        base = person.base if person.base is not None and person.is_present else {}
        try:
            person.clone.checkout(rev, force=force)
        except DataLossError as exc:
            assert not force
            assert everything_but_dvers_own(person.clone) == before
            for name in exc.paths:
                self.check_endangered(person, os.fsencode(name.removeprefix("data/")), working, base)
            return
        except VersionNotFoundError:
            assert person.cache_lost
            assert everything_but_dvers_own(person.clone) == before
            return
        found = person.clone.data()
        if not person.cache_lost:
            assert found == after_checkout(wanted, working, base)
        for path, what in wanted.items():
            assert found.get(path) == what or (what[0] == "directory" and path not in found)
        person.base = person.pointer = wanted
        if not force:
            self.check_nothing_lost(person, working, base, found)

    def check_endangered(self, person: Person, path: bytes, working: Snapshot, base: Snapshot) -> None:
        """Check that a file that stood in a checkout's way had to."""
        kind, content = working[path]
        if base.get(path) != working[path] or not person.cache_lost:
            # What only the remote holds counts as lost: a checkout does not search there for what somebody else pushed.
            assert kind == "link" or not self.is_stored(person, content, remotely=False)

    def check_nothing_lost(self, person: Person, working: Snapshot, base: Snapshot, found: Snapshot) -> None:
        for path, (kind, content) in working.items():
            if found.get(path) == (kind, content) or kind == "directory":
                continue
            if kind == "link":
                assert base.get(path) == (kind, content)
            else:
                assert self.is_stored(person, content, remotely=True)

    def is_stored(self, person: Person, content: bytes, *, remotely: bool) -> bool:
        with person.clone.open() as repo:
            ends = repo.chunker.cut(content)
            ids = {chunk_id(content[start:end]) for start, end in zip([0, *ends], ends, strict=False)}
            present = repo.cache.present(ids)
            if remotely:
                present |= repo.remote().present(ids - present)
            return present == ids

    @rule(who=clones)
    def status(self, who: int) -> None:
        person = self.people[who]
        if person.pointer is None or person.cache_lost:
            return
        found, working = person.clone.status(), person.clone.data()
        if not person.is_present:
            assert found.state is State.NOT_CHECKED_OUT
            return
        base = person.pointer if person.base is None else person.base
        if not base.keys() - working.keys():
            # Only what is all here becomes the base: a file that is missing may never have been here.
            person.base = base
        self.check_changes(found, working, base)
        if person.pointer != base:
            assert found.state is State.POINTER_CHANGED
        else:
            assert found.state is (State.UNCHANGED if working == base else State.MODIFIED)

    def check_changes(self, found: DatasetStatus, working: Snapshot, base: Snapshot) -> None:
        def names(paths: set[bytes]) -> tuple[str, ...]:
            return tuple(os.fsdecode(path) for path in sorted(paths))

        assert found.changes.added == names(working.keys() - base.keys())
        assert found.changes.deleted == names(base.keys() - working.keys())
        assert found.changes.modified == names(
            {path for path in working.keys() & base.keys() if working[path] != base[path]}
        )


# Each step runs commands on the disk, and each command lets the clock move on.
PROFILE = settings()
TwoPeople.TestCase.settings = settings(
    max_examples=max(15, PROFILE.max_examples // 10), stateful_step_count=PROFILE.stateful_step_count * 2
)
# A deep search takes its time; pytest's limit is meant for single tests.
TestTwoPeople = pytest.mark.timeout(7200)(TwoPeople.TestCase)
