"""Machines at one remote: one cleans it, others push, and each is held up, or killed, between any two requests.

`Meeting.act` lets somebody work, and at some of their requests, in order, lets something else happen or kills them;
`Aside` is somebody who works in a thread, so that two can take turns. What is checked afterwards is all that the store
says: every version that is marked is read byte for byte, index files list no pack that is not there, and every node
that they list has its whole tree.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

from dver.errors import LockedError
from dver.objects.ids import Bytes, NodeId, VersionId
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.operations.liveness import LiveWalk
from dver.storage.backend import Backend, BlobInfo
from dver.storage.index_files import list_index_files, listed_nodes
from dver.storage.lease import LEASE_SECONDS
from dver.storage.objectset import ObjectSet
from dver.storage.open import open_backend
from tests.clones import Clone, noise
from tests.faults.killing import check_store

AT_ONCE = RemoteGcOptions(grace_days=0)


class KilledError(BaseException):
    """Nothing that is done after it reaches the remote."""


# Before a request something happens: the one with that number, from 0, or the next that begins so, as "delete packs/".
# None is to be killed there.
Cue: TypeAlias = "tuple[int | str, Callable[[], object] | None]"


@dataclass(slots=True)
class Requests:
    """Notes the requests of somebody, and follows the cues, each when the one before it has come."""

    cues: list[Cue] = field(default_factory=list)
    is_dead: bool = False
    told: list[str] = field(default_factory=list)

    def before(self, verb: str, key: str) -> None:
        """Take note of a request that is about to be made."""
        if self.is_dead:
            raise KilledError
        self.told.append(f"{verb} {key}")
        if not self.cues:
            return
        step, action = self.cues[0]
        if self.told[-1].startswith(step) if isinstance(step, str) else len(self.told) - 1 == step:
            del self.cues[0]
            if action is None:
                self.is_dead = True
                raise KilledError
            action()


@dataclass(slots=True)
class _Held:
    """A backend, made distant, that tells whoever opened it of each request."""

    inner: Backend
    requests: Requests

    @property
    def location(self) -> str:
        return self.inner.location

    @property
    def is_local(self) -> bool:
        return False

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self.requests.before("write", key)
        # Backends of buckets overwrite.
        self.inner.delete(key)
        self.inner.write(key, pieces)

    def read(self, key: str) -> bytes:
        self.requests.before("read", key)
        return self.inner.read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self.requests.before("range", key)
        return self.inner.read_range(key, offset, length)

    def size(self, key: str) -> int | None:
        self.requests.before("size", key)
        return self.inner.size(key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        self.requests.before("list", prefix)
        return iter([*self.inner.list(prefix)])

    def delete(self, key: str) -> None:
        self.requests.before("delete", key)
        self.inner.delete(key)


@dataclass(slots=True)
class Stage:
    """Who opens the remote next."""

    requests: Requests = field(default_factory=Requests)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A remote in `folder`, Ann, who cleans it, Bob, who pushes, and perhaps Carl; each on a machine of its own.

    Attributes:
        garbage: the version that nothing names.
        pushed: the version that Bob is about to push.
        rounds: how often Ann has to collect garbage for it to be gone.
    """

    folder: Path
    stage: Stage
    garbage: VersionId
    pushed: VersionId
    rounds: int

    @property
    def ann(self) -> Clone:
        return Clone(self.folder / "ann")

    @property
    def bob(self) -> Clone:
        return Clone(self.folder / "bob")

    def clean(self) -> None:
        """Let Ann collect garbage, as often as it takes."""
        for _ in range(self.rounds):
            self.clean_once()

    def clean_once(self) -> None:
        """Let Ann collect garbage: list what is new, and sweep what is due."""
        with machine(self.folder, "ann"), self.ann.open() as repo:
            gc_remote(repo, None, AT_ONCE)

    def push(self) -> None:
        """Let Bob push."""
        with machine(self.folder, "bob"):
            self.bob.push()

    def push_another(self) -> None:
        """Let Carl push, who has nothing in common with the others."""
        with machine(self.folder, "carl"):
            Clone(self.folder / "carl").push()

    def act(self, work: Callable[[], None], *cues: Cue) -> bool:
        """Let somebody work, and return whether all cues came.

        Whoever finds another in the way says so, and does it later.
        """
        before, mine = self.stage.requests, Requests([*cues])
        self.stage.requests = mine
        try:
            with suppress(LockedError, KilledError):
                work()
        finally:
            self.stage.requests = before
        return not mine.cues

    def run(self, first: Callable[[], None], other: Callable[[], None], step: int | str, *, kills: bool) -> bool:
        """Let `first` go up to a request, then `other` do its work; return whether there was such a request."""
        if not kills:
            return self.act(first, (step, lambda: self.act(other)))
        was_there = self.act(first, (step, None))
        if was_there:
            self.act(other)
        return was_there

    def expire(self, kind: str, seconds: float) -> None:
        """Let leases or rescues of the dead run out."""
        for path in (self.folder / "remote/gc").glob(f"*.{kind}.json"):
            os.utime(path, (0, path.stat().st_mtime - seconds - 1))

    def settle(self) -> None:
        """Let leases of the dead run out, let Bob push again, and clean twice."""
        self.expire("lease", LEASE_SECONDS)
        self.check()
        with suppress(LockedError):
            self.push()
        self.clean()
        self.push()
        self.check()
        self.clean()
        self.clean()
        self.check(self.pushed)

    def check(self, *versions: VersionId) -> None:
        """Check that all that the store says is true, and that some versions are there."""
        with machine(self.folder, "nobody"), self.ann.open() as repo:
            store = repo.remote()
            marked = check_store(store)
            nodes = [
                node for _, listed in listed_nodes(store.backend, list_index_files(store.backend)) for node in listed
            ]
            with ObjectSet() as needed:
                walk = LiveWalk(store, needed)
                for node in dict.fromkeys(nodes):
                    walk.add(VersionId(node), whole=True)
                ids = [*needed]
            assert store.index.located(ids).keys() == set(ids), "the trees of listed nodes are whole"
        assert {NodeId(version) for version in versions} <= marked, "versions are marked"


class Aside:
    """Somebody who works in a thread: `go` lets them go up to a request, and at the end of the context to theirs.

    While they work, everybody else waits.
    """

    def __init__(self, meeting: Meeting, work: Callable[[], None], step: int | str) -> None:
        self._meeting = meeting
        self._cue: Cue = (step, self._pause)
        self._may_go_on = threading.Event()
        self._is_waited_for = threading.Event()
        self._thread = threading.Thread(target=self._work, args=[work])

    def __enter__(self) -> "Aside":
        self._kept = patch.dict(os.environ)
        self._kept.start()
        self._before = self._meeting.stage.requests
        return self

    def __exit__(self, *_about: object) -> None:
        self._may_go_on.set()
        if self._thread.ident is not None:
            self._thread.join()
        # Of those who take turns each changes these, and none puts them back as they were.
        self._kept.stop()
        self._meeting.stage.requests = self._before

    def go(self) -> None:
        """Let them work up to the request, or to the end if there is no such request."""
        self._thread.start()
        assert self._is_waited_for.wait(60)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            self._meeting.act(work, self._cue)
        finally:
            self._is_waited_for.set()

    def _pause(self) -> None:
        self._is_waited_for.set()
        assert self._may_go_on.wait(60)


@contextmanager
def machine(folder: Path, name: str) -> Iterator[None]:
    """Be on another machine: with another copy of the index."""
    with patch.dict(os.environ, {"DVER_INDEX_DIR": str(folder / f"index of {name}")}):
        yield


@contextmanager
def no_waiting() -> Iterator[None]:
    """Let nobody wait for what cannot happen meanwhile."""
    with (
        patch("dver.operations.push_guard._PATIENCE", 0.0),
        patch("dver.storage.lease._POLL_SECONDS", 0.0),
    ):
        yield


def prepare(folder: Path, what: str, *, listed: bool) -> tuple[VersionId, VersionId]:
    """Make a remote with garbage, in a list that is due or in none yet, and a commit of Bob's to push.

    Bob's version is new and shares data with the garbage, or with nothing, or is the garbage itself, as `what` says.
    """
    ann = Clone.make(folder / "ann", remote="../remote")
    with machine(folder, "ann"):
        ann.write("data/a", noise(9000, 1))
        ann.write("data/same", noise(3000, 2))
        ann.save()
        ann.push()
    bob = ann.clone(folder / "bob")
    with machine(folder, "bob"):
        bob.pull()
    with machine(folder, "ann"):
        ann.write("data/a", noise(9000, 3))
        ann.write("data/deep/er", noise(2000, 4))
        ann.save()
        ann.push()
        garbage = ann.version()
        ann.go_back("HEAD~1")
        # She lets go of it here: where all of this is copied to, she counts as another one.
        ann.push()
    with machine(folder, "bob"):
        if what != "new":
            bob.write("data/a", noise(9000, 3))
            bob.write("data/deep/er", noise(2000, 4))
        if what != "same":
            bob.write("data/b", noise(4000, 5))
        bob.save()
        # Bob knows what is there, as of now.
        with bob.open() as repo:
            repo.remote().index.refresh()
    if listed:
        with machine(folder, "ann"), ann.open() as repo:
            gc_remote(repo, None, AT_ONCE)
    return garbage, bob.version()


def prepare_parts(folder: Path) -> tuple[VersionId, VersionId]:
    """Make a remote with a list that is due, of a pack with nodes, and of one with chunks that these need and others.

    Bob is about to push the version with these nodes.
    """
    ann = Clone.make(folder / "ann", remote="../remote")
    with machine(folder, "ann"):
        ann.write("data/a", noise(9000, 1))
        ann.write("data/same", noise(3000, 2))
        ann.save()
        ann.push()
    bob = ann.clone(folder / "bob")
    with machine(folder, "bob"):
        bob.pull()
        bob.write("data/deep/er", noise(2000, 4))
        bob.save()
    with machine(folder, "ann"):
        ann.write("data/deep/er", noise(2000, 4))
        ann.save()
        ann.push()
        garbage = ann.version()
        shutil.rmtree(ann.root / "data")
        ann.write("data/same", noise(3000, 2))
        ann.save()
        ann.go_back(ann.git("commit-tree", "HEAD^{tree}", "-m", "all in one").strip())
        ann.push()
        with ann.open() as repo:
            gc_remote(repo, None, AT_ONCE)
    carl = Clone.make(folder / "carl", remote="../remote")
    with machine(folder, "carl"):
        carl.write("data/c", noise(3000, 6))
        carl.save()
    return garbage, bob.version()


@contextmanager
def meetings(folder: Path, what: str, *, listed: bool) -> Iterator[Callable[[], Meeting]]:
    """Yield what makes such a meeting, in the same place each time, as if the others had not been."""
    work = folder / "work"
    garbage, pushed = prepare_parts(work) if what == "parts" else prepare(work, what, listed=listed)
    shutil.copytree(folder / "work", folder / "template", symlinks=True)
    stage = Stage()

    def opening(url: str, options: dict[str, str | bool | int], **keywords: Any) -> Backend:
        backend = open_backend(url, options, **keywords)
        return _Held(backend, stage.requests) if url.endswith("/remote") else backend

    def make() -> Meeting:
        shutil.rmtree(folder / "work")
        shutil.copytree(folder / "template", folder / "work", symlinks=True)
        return Meeting(folder / "work", stage, garbage, pushed, 1 if listed else 2)

    with no_waiting(), patch("dver.storage.open.open_backend", opening):
        yield make
