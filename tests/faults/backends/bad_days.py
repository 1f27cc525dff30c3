"""Repositories with a remote on a server that has a bad day, and the commands that go there.

Each command is run in a fresh copy of a repository, and tells what must be true once it is done. What is there is made
once: a repository whose first version is on the remote and whose second one is not, and a clone without any data.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.runner import Cli, CliResult
from tests.clones import Clone, Snapshot, everything_but_dvers_own, noise
from tests.faults.backends.faulty_s3 import Fault, FaultyS3, Request

# What the remote has: the first version, or both, or garbage besides that is in a list, or a pack that is damaged.
FIRST, SECOND, LITTERED, DAMAGED = "first", "second", "littered", "damaged"
_SOURCES = {FIRST: "unpushed", SECOND: "repo", LITTERED: "litter", DAMAGED: "repo"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, what it is run in, and what holds afterwards.

    Attributes:
        arguments: the command line.
        state: what the remote has to begin with.
        in_clone: whether it is run in the clone without data.
        writes_remote: whether it stores something there.
        changes_remote: whether it also deletes something there, so that the remote must be looked at afterwards.
        is_done: whether the repository is as it should be after the command.
    """

    arguments: tuple[str, ...]
    is_done: Callable[["BadDay", Clone], bool]
    state: str = SECOND
    in_clone: bool = False
    writes_remote: bool = False
    changes_remote: bool = False


def _on_remote(day: "BadDay", clone: Clone) -> bool:
    return clone.status(remote=True).on_remote is True


def _in_cache(day: "BadDay", clone: Clone) -> bool:
    return clone.status().in_cache


def _checked_out(day: "BadDay", clone: Clone) -> bool:
    return clone.data() == day.data


def _first_is_gone(day: "BadDay", clone: Clone) -> bool:
    return len([*(clone.root / ".dver/cache/versions").iterdir()]) == 1 and clone.status().in_cache


def _garbage_is_gone(day: "BadDay", clone: Clone) -> bool:
    return not any(key.startswith("folder/versions/") and key not in day.blobs[SECOND] for key in day.server.blobs)


def _nothing_changed(day: "BadDay", clone: Clone) -> bool:
    return True


COMMANDS = {
    "push": Command(("push",), _on_remote, state=FIRST, writes_remote=True),
    "fetch": Command(("fetch",), _in_cache, in_clone=True),
    "pull": Command(("pull",), _checked_out, in_clone=True),
    "checkout": Command(("checkout",), _checked_out, in_clone=True),
    "status": Command(("status", "--remote"), _nothing_changed),
    "fsck": Command(("fsck", "--remote", "origin"), _nothing_changed),
    "gc": Command(("gc", "--pushed"), _first_is_gone),
    "verify": Command(("push", "--verify"), _on_remote),
    "clean": Command(
        ("gc", "--remote", "origin", "--grace", "0"),
        _garbage_is_gone,
        state=LITTERED,
        writes_remote=True,
        changes_remote=True,
    ),
    "repair": Command(
        ("fsck", "--remote", "origin", "--repair", "--full"),
        _on_remote,
        state=DAMAGED,
        writes_remote=True,
        changes_remote=True,
    ),
}


@dataclass(slots=True)
class BadDay:
    """The server, and what copies are made of."""

    server: FaultyS3
    folder: Path
    data: Snapshot = field(default_factory=dict)
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    copies: int = 0

    def prepare(self) -> None:
        """Make the repositories that the commands are run in."""
        clone = Clone.make(self.folder / "repo")
        cli = Cli(clone.root)
        cli.ok("remote", "add", "origin", self.server.url)
        for name, value in self.server.options.items():
            cli.ok("remote", "set", "origin", name, value, "--local")
        clone.write("data/a", noise(9000, 1))
        clone.write("data/sub/b", noise(5000, 2))
        clone.save(message="first")
        clone.push()
        self.blobs[FIRST] = dict(self.server.blobs)
        clone.write("data/a", noise(9000, 1)[:4000] + noise(7000, 3))
        clone.write("data/new/c", noise(3000, 4), executable=True)
        clone.save(message="second")
        self.data = clone.data()
        shutil.copytree(clone.root, self.folder / "unpushed", symlinks=True)
        clone.push()
        self.blobs[SECOND] = dict(self.server.blobs)
        packs = {key: body for key, body in self.blobs[SECOND].items() if "/packs/" in key}
        pack = max(packs, key=lambda key: len(packs[key]))
        body = bytearray(packs[pack])
        body[len(body) // 2] ^= 0x10
        self.blobs[DAMAGED] = {**self.blobs[SECOND], pack: bytes(body)}
        self._make_litter(clone)
        empty = clone.clone(self.folder / "clone")
        shutil.copy(clone.root / ".dver/config.local.toml", empty.root / ".dver/config.local.toml")

    def _make_litter(self, clone: Clone) -> None:
        """Push a version that nothing names any more, and let it be listed as garbage."""
        shutil.copytree(clone.root, self.folder / "litter", symlinks=True)
        litter = Clone(self.folder / "litter")
        litter.write("data/a", noise(5000, 3) + noise(4000, 5))
        litter.write("data/sub/c", noise(9000, 6))
        litter.save(message="third")
        litter.push()
        litter.go_back()
        # Where this is copied to, it counts as another repository: here it lets go of the version.
        litter.push()
        Cli(litter.root).ok(*COMMANDS["clean"].arguments)
        self.blobs[LITTERED] = dict(self.server.blobs)

    def begin(self, command: Command) -> Clone:
        """Let the remote be as it was, and return a fresh copy of the repository for a command."""
        self.server.recover()
        self.server.requests.clear()
        self.server.blobs.clear()
        self.server.blobs.update(self.blobs[command.state])
        self.copies += 1
        source = self.folder / ("clone" if command.in_clone else _SOURCES[command.state])
        root = self.folder / f"copy-{self.copies}" / "repo"
        shutil.copytree(source, root, symlinks=True)
        return Clone(root)

    def run(self, command: Command, clone: Clone) -> CliResult:
        """Run a command, and require that whatever happens is told in good order."""
        before = everything_but_dvers_own(clone)
        result = Cli(clone.root)(*command.arguments)
        assert "Traceback" not in result.err, result
        assert "raw words" not in result.err, result
        assert "bug" not in result.err, result
        if result.code != 0:
            assert everything_but_dvers_own(clone) == before, result
        return result

    def require_completion(self, command: Command, clone: Clone) -> None:
        """Require that the same command completes now that the server is well, and that nothing is damaged."""
        self.server.recover()
        # This process, which is still there, may have left one that it could not delete.
        for key in [key for key in self.server.blobs if key.endswith(".lease.json")]:
            del self.server.blobs[key]
        result = self.run(command, clone)
        assert result.code == 0, result
        assert command.is_done(self, clone), result
        checked = Cli(clone.root)("fsck", "--full")
        assert checked.code == 0, checked
        if command.changes_remote:
            checked = Cli(clone.root)("fsck", "--remote", "origin", "--full")
            assert checked.code == 0, checked
            named = {key for key in self.blobs[SECOND] if "/versions/" in key}
            assert named <= self.server.blobs.keys()
        shutil.rmtree(clone.root.parent)


class FirstTimes:
    """A day on which each request meets a fault the first times that it is made."""

    def __init__(self, fault: Fault, times: int, *, where: Callable[[Request], bool] = lambda _request: True) -> None:
        self._fault = fault
        self._times = times
        self._where = where
        self._seen: dict[Request, int] = {}

    def __call__(self, request: Request) -> Fault | None:
        """Return what happens to a request."""
        self._seen[request] = self._seen.get(request, 0) + 1
        return self._fault if self._where(request) and self._seen[request] <= self._times else None


class AnyTime:
    """A day on which any request may meet any of some faults."""

    def __init__(self, seed: float, faults: Sequence[Fault], *, rate: float) -> None:
        self._random = random.Random(seed)
        self._faults = faults
        self._rate = rate

    def __call__(self, request: Request) -> Fault | None:
        """Return what happens to a request."""
        return self._random.choice(self._faults) if self._random.random() < self._rate else None
