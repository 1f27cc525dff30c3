"""Two machines at one remote: one cleans it, one pushes, and either is held up, or killed, between any two requests.

`Meeting.run` lets one of them go up to its request number `step`, lets the other do all of its work, and then lets the
first go on, unless it is to be killed there. What is checked afterwards is all that the store says: every version that
is marked is read byte for byte, index files list no pack that is not there, and every node that they list has its whole
tree.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dver.errors import LockedError
from dver.objects.ids import Bytes, NodeId, VersionId
from dver.objects.pointer import decode_pointer
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


@dataclass(slots=True)
class Requests:
    """Notes the requests of whoever is on stage, and calls `meanwhile` before that which `step` tells."""

    step: int | str = -1
    meanwhile: Callable[[], None] = lambda: None
    kills: bool = False
    is_dead: bool = False
    is_over: bool = False
    told: list[str] = field(default_factory=list)

    def before(self, verb: str, key: str) -> None:
        """Take note of a request that is about to be made."""
        if self.is_dead:
            raise KilledError
        self.told.append(f"{verb} {key}")
        at = self.told[-1].startswith(self.step) if isinstance(self.step, str) else len(self.told) - 1 == self.step
        if at and not self.is_over:
            self.is_over, self.is_dead = True, self.kills
            if self.kills:
                raise KilledError
            self.meanwhile()


@dataclass(slots=True)
class _Held:
    """A backend, made distant, that tells who is on stage of each request."""

    inner: Backend
    stage: "Stage"

    @property
    def location(self) -> str:
        return self.inner.location

    @property
    def is_local(self) -> bool:
        return False

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self.stage.requests.before("write", key)
        # Backends of buckets overwrite.
        self.inner.delete(key)
        self.inner.write(key, pieces)

    def read(self, key: str) -> bytes:
        self.stage.requests.before("read", key)
        return self.inner.read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self.stage.requests.before("range", key)
        return self.inner.read_range(key, offset, length)

    def size(self, key: str) -> int | None:
        self.stage.requests.before("size", key)
        return self.inner.size(key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        self.stage.requests.before("list", prefix)
        return iter([*self.inner.list(prefix)])

    def delete(self, key: str) -> None:
        self.stage.requests.before("delete", key)
        self.inner.delete(key)


@dataclass(slots=True)
class Stage:
    """Whose requests are counted."""

    requests: Requests = field(default_factory=Requests)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A remote in `folder`, Ann, who cleans it, and Bob, who pushes; each on a machine of its own.

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
        """Let Ann collect garbage."""
        for _ in range(self.rounds):
            with machine(self.folder, "ann"), self.ann.open() as repo:
                gc_remote(repo, None, AT_ONCE)

    def push(self) -> None:
        """Let Bob push."""
        with machine(self.folder, "bob"):
            self.bob.push()

    def run(self, first: Callable[[], None], other: Callable[[], None], step: int | str, *, kills: bool) -> bool:
        """Let `first` go up to a request, then `other` do its work; return whether there was such a request.

        It is the one with the number `step`, from 0, or the first that begins so, such as "delete packs/".
        """
        requests = Requests(step, lambda: self._alone(other), kills)
        self.stage.requests = requests
        with suppress(LockedError, KilledError):
            first()
        self.stage.requests = Requests()
        if requests.is_dead:
            self._alone(other)
        return requests.is_over

    def _alone(self, work: Callable[[], None]) -> None:
        before, self.stage.requests = self.stage.requests, Requests()
        # Whoever finds the other in the way says so, and does it later.
        with suppress(LockedError):
            work()
        self.stage.requests = before

    def settle(self) -> None:
        """Let leases and rescues of the dead run out, let Bob push again, and clean twice."""
        for path in (self.folder / "remote/gc").glob("*.lease.json"):
            os.utime(path, (0, path.stat().st_mtime - LEASE_SECONDS - 1))
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
        with machine(self.folder, "carl"), self.ann.open() as repo:
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
        garbage = _version(ann)
        ann.git("reset", "--quiet", "--hard", "HEAD~1")
        ann.checkout(force=True)
        ann.git("reflog", "expire", "--expire=now", "--all")
        (ann.root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
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
    return garbage, _version(bob)


def _version(clone: Clone) -> VersionId:
    return decode_pointer(clone.pointer_text().encode(), "the pointer").version


@contextmanager
def meetings(folder: Path, what: str, *, listed: bool) -> Iterator[Callable[[], Meeting]]:
    """Yield what makes such a meeting, in the same place each time, as if the others had not been."""
    garbage, pushed = prepare(folder / "work", what, listed=listed)
    shutil.copytree(folder / "work", folder / "template", symlinks=True)
    stage = Stage()

    def opening(url: str, options: dict[str, str | bool | int], **keywords: Any) -> Backend:
        backend = open_backend(url, options, **keywords)
        return _Held(backend, stage) if url.endswith("/remote") else backend

    def make() -> Meeting:
        shutil.rmtree(folder / "work")
        shutil.copytree(folder / "template", folder / "work", symlinks=True)
        return Meeting(folder / "work", stage, garbage, pushed, 1 if listed else 2)

    with no_waiting(), patch("dver.storage.open.open_backend", opening):
        yield make
