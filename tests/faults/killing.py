"""Kill a command at each step that it takes on the disk, and look at what it leaves behind.

Run as a program of its own: `python -m tests.faults.killing FOLDER SCENARIO`. It forks a process for each kill,
which is quick, but must not be done where threads run, as they do under pytest. With `--cuts`, each kill is a power cut
as well: what was not durable is lost, in so many ways.
"""

import argparse
import os
import pickle
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from dver.errors import DataLossError, PathError
from dver.objects.entry import FileEntry
from dver.objects.ids import ObjectId, VersionId
from dver.objects.indexfile import decode_index
from dver.objects.pointer import decode_pointer
from dver.operations.fsck import fsck
from dver.operations.fsck_results import Damage, FsckOptions
from dver.operations.status import State
from dver.storage.audit_findings import Depth, Problem, Thing
from dver.storage.store import Store
from tests.clones import Clone, Snapshot
from tests.faults.encrypted_scenarios import ENCRYPTED, openers
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.steps import Step, Steps
from tests.faults.unsynced import Disk, lose_power, read_disk

T = TypeVar("T")
ALL = SCENARIOS | ENCRYPTED
_DISK = "disk.pickle"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be seen: data, pointer, what is staged, the versions in cache and remote, and what opens this."""

    data: Snapshot
    pointer: str
    staged: str
    cached: frozenset[bytes]
    on_remote: frozenset[bytes]
    openers: frozenset[str]


@dataclass(slots=True)
class Expected:
    """What an undisturbed run begins and ends with, and the steps that it takes."""

    before: Outcome
    done: Outcome
    steps: Sequence[Step]


@dataclass(slots=True)
class Tally:
    """How many kills and power cuts there were, and after how many of them something was wrong."""

    kills: int = 0
    cuts: int = 0
    failures: int = 0


def in_child(work: Callable[[], T], answer: Path | None = None) -> int:
    """Do something in a process of its own and return how it ended: an exit code, or minus a signal.

    What it returns is written to the file `answer`.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            done = work()
            if answer is not None:
                answer.write_bytes(pickle.dumps(done))
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
    staged = clone.git("diff", "--cached", "--name-only")
    return Outcome(clone.data(), pointer, staged, cached, on_remote, openers(clone))


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


def check_fsck(clone: Clone, promised: frozenset[bytes], *, keys: bool = False) -> None:
    """Check that dver itself finds nothing wrong, in the cache and on the remote.

    It cannot know that a version was never marked that has all but its marker, so it may name one that was not
    `promised`. With `keys` it may name some that are to go.
    """
    with clone.open() as repo:
        for remote in (None, repo.remote_settings().name):
            found = fsck(repo, remote=remote, options=FsckOptions(Depth.CONTENT))
            left = [one for one in found.damages if not (keys and one.thing == Thing.KEY)]
            assert all(is_unmarked(one, promised) for one in left), found


def is_unmarked(damage: Damage, promised: frozenset[bytes]) -> bool:
    """Whether all that is wrong is that a version is not marked which nobody said is there."""
    is_marker = (damage.thing, damage.problem) == (Thing.MARKER, Problem.MISSING)
    return is_marker and promised.isdisjoint(effect.version for effect in damage.effects)


class Trial:
    """One scenario below a folder, killed again and again."""

    def __init__(self, scenario: Scenario, folder: Path, cuts: int, tally: Tally) -> None:
        self.scenario = scenario
        self.folder = folder
        self.cuts = cuts
        self.tally = tally
        # Always in the same place: what dver remembers on this machine of a store is kept by that.
        self.place = folder / "place"
        self.clone = Clone(self.place / "repo")
        self._template = folder / "template"
        self._kept = folder / "kept"
        self._disk = folder / _DISK
        os.environ["DVER_INDEX_DIR"] = str(self.place / "indexes")

    def prepare(self) -> Expected:
        """Make the repository, and run the command undisturbed."""
        self.place.mkdir(parents=True)
        answer = self.folder / "answer.pickle"
        for work in (partial(self.scenario.prepare, self.place), self._undisturbed):
            if in_child(work, answer):
                raise SystemExit(1)
            if not self._template.exists():
                copy(self.place, self._template)
        expected = pickle.loads(answer.read_bytes())
        assert isinstance(expected, Expected)
        return expected

    def _undisturbed(self) -> Expected:
        before = look(self.clone)
        self._damage()
        steps = Steps(self.place)
        steps.watch()
        self.scenario.command(self.clone)
        taken = [*steps.taken]
        return Expected(before, look(self.clone), taken)

    def _damage(self) -> None:
        if self.scenario.damage is not None:
            self.scenario.damage(self.clone)

    def kill(self, expected: Expected, number: int) -> bool:
        """Kill the command at a step and check what it left; return whether it came to that step."""
        self._begin()
        ended = in_child(partial(self._run, number))
        if ended != -signal.SIGKILL:
            if ended:
                self._failed(f"the command failed before step {number}")
            return False
        self.tally.kills += 1
        if self.cuts:
            self._cut(expected, f"step {number}", is_over=False)
        else:
            self._check(partial(self._check_killed, expected), f"after the kill at step {number}")
        return True

    def kill_and_complete(self, expected: Expected, number: int) -> None:
        """Kill the command at a step, or at none for 0, run it again, and cut the power when it has ended."""
        self._begin()
        if number:
            in_child(partial(self._run, number))
            in_child(self._let_time_pass)
        if in_child(partial(self._run, 0, resumed=number > 0)):
            self._failed(f"the command failed after step {number}")
            return
        self._cut(expected, f"the end, after step {number}", is_over=True)

    def _begin(self) -> None:
        copy(self._template, self.place)
        if self.cuts:
            shutil.rmtree(self._kept, ignore_errors=True)
            self._kept.mkdir()
        if self.scenario.damage is not None:
            in_child(self._damage)

    def _run(self, number: int, *, resumed: bool = False) -> None:
        """Run the command and kill it at the step of that number; 0 stands for none."""
        disk = None
        if self.cuts:
            disk = Disk(str(self.place), str(self._kept))
            if resumed:
                disk = read_disk(self._disk)[0]
        steps = Steps(self.place, number, disk, partial(disk.save, self._disk) if disk else lambda: None)
        steps.watch()
        self.scenario.command(self.clone)
        if disk:
            disk.save(self._disk)

    def _cut(self, expected: Expected, when: str, *, is_over: bool) -> None:
        killed = self.folder / "killed"
        copy(self.place, killed)
        disk, lengths = read_disk(self._disk)
        for seed in range(self.cuts):
            copy(killed, self.place)
            lose_power(disk, lengths, self.place, seed)
            self.tally.cuts += 1
            check = partial(self._check_cut, expected, frozenset(lengths), is_over=is_over)
            self._check(check, f"after the power cut at {when}, seed {seed}")

    def _check(self, check: Callable[[], None], when: str) -> None:
        if in_child(check):
            self._failed(when)

    def _failed(self, when: str) -> None:
        self.tally.failures += 1
        kept = self.folder / f"failure {self.tally.failures}"
        copy(self.place, kept)
        sys.stderr.write(f"{when}; see {kept}\n")

    def _let_time_pass(self) -> None:
        # As git does, and says to do: it cannot know that nobody is at work any more.
        (self.clone.root / ".git" / "index.lock").unlink(missing_ok=True)
        self.scenario.later(self.clone)

    def _check_killed(self, expected: Expected) -> None:
        """Check what a killed command left behind, then run it again and check that it completes."""
        self._let_time_pass()
        before, done = expected.before, expected.done
        found = self._check_promises(expected)
        for path, what in found.data.items():
            assert what in (before.data.get(path), done.data.get(path)) or what[0] == "directory", path
        self.scenario.command(self.clone)
        self._check_done(done)

    def _check_cut(self, expected: Expected, unsynced: frozenset[str], *, is_over: bool) -> None:
        """Check what a power cut left behind: only working files, which nobody flushes, may be cut short."""
        self._let_time_pass()
        before, done = expected.before, expected.done
        found = self._check_promises(expected)
        if is_over:
            assert found.pointer == done.pointer, "the pointer"
            assert (found.cached, found.on_remote) == (done.cached, done.on_remote), "the versions"
            assert found.openers == done.openers, "the keys"
        shortened = frozenset(path.removeprefix("repo/data/").encode() for path in unsynced)
        for path, what in found.data.items():
            may_be = (before.data.get(path), done.data.get(path))
            assert what in may_be or what[0] == "directory" or path in shortened, path
        old = frozenset(path for path, what in found.data.items() if before.data.get(path) == what)
        self._command_or_forced(found, shortened | old)
        # Files that were deleted may be back, and are kept as nobody's; so are their folders.
        self._check_done(done, back=frozenset(before.data))

    def _command_or_forced(self, found: Outcome, unlike: frozenset[bytes]) -> None:
        """Run the command; where it refuses, check that it has to, and force it.

        Some files are `unlike` what the stat cache says: cut short, or as they were before.
        """
        forced = self.scenario.forced
        try:
            self.scenario.command(self.clone)
        except DataLossError as exc:
            refused = {name.removeprefix("data/").encode() for name in exc.paths}
        except PathError:
            # The stat cache is lost, and nobody can tell whether files were deleted or never here.
            refused = set()
        else:
            return
        # Of a link whose base is not known any more, nobody can tell whether it is stored.
        links = {path for path, (kind, _) in found.data.items() if kind == "link"}
        assert refused <= unlike | links
        assert forced is not None
        forced(self.clone)

    def _check_promises(self, expected: Expected) -> Outcome:
        """Check that the stores are sound, and have what they had and what the pointer names."""
        before, done = expected.before, expected.done
        if self.scenario.damage is not None:
            # It may still be damaged, or mended in part. Running the command again tells whether anything was lost.
            pointer = self.clone.pointer_text()
            assert pointer == before.pointer, "the pointer"
            return Outcome(self.clone.data(), pointer, "", done.cached, done.on_remote, done.openers)
        check_fsck(self.clone, before.cached & done.cached, keys=self.scenario.keys)
        found = look(self.clone)
        less, more = (done, before) if self.scenario.frees else (before, done)
        assert less.cached <= found.cached <= more.cached, "versions in the cache"
        less, more = (done, before) if self.scenario.cleans else (before, done)
        assert less.on_remote <= found.on_remote <= more.on_remote, "versions on the remote"
        assert before.openers & done.openers <= found.openers <= before.openers | done.openers, "the keys"
        assert found.pointer in (before.pointer, done.pointer), "the pointer"
        if found.pointer and found.pointer != before.pointer and self.scenario.reads:
            assert named(found.pointer) in found.cached, "the version that the pointer names"
        if self.scenario.reads:
            assert found.data == before.data, "the data"
        for path, what in before.data.items():
            assert path in found.data or done.data.get(path) != what, path
        return found

    def _check_done(self, done: Outcome, *, back: frozenset[bytes] = frozenset()) -> None:
        found = look(self.clone)
        if back:
            kept = {
                path: what for path, what in found.data.items() if path in done.data or not is_back(path, what, back)
            }
            found = replace(found, data=kept)
        assert found == done, difference(found, done)
        if self.scenario.damage is not None or self.scenario.keys:
            check_fsck(self.clone, done.cached | done.on_remote)
        assert self.clone.status().state in (State.UNCHANGED, State.MODIFIED, State.POINTER_CHANGED)


def is_back(path: bytes, what: tuple[str, bytes], back: frozenset[bytes]) -> bool:
    """Whether something is one of the paths that may be back, or a folder of one."""
    return path in back or (what[0] == "directory" and any(one.startswith(path + b"/") for one in back))


def difference(found: Outcome, wanted: Outcome) -> str:
    """Say in what two outcomes differ."""
    differing = [name for name in Outcome.__slots__ if getattr(found, name) != getattr(wanted, name)]
    paths = [path for path in found.data.keys() | wanted.data.keys() if found.data.get(path) != wanted.data.get(path)]
    return f"another outcome of the second run: {differing}, {paths}"


def named(pointer: str) -> VersionId:
    """Return the version that the text of a pointer names."""
    return decode_pointer(pointer.encode(), "data.dver").version


def copy(source: Path, target: Path) -> None:
    """Put a copy of a folder in the place of another."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def choose(steps: Sequence[Step], most: int, seen: set[Step]) -> list[int]:
    """Return the numbers of so many steps, or of all for 0: kinds not `seen` before, then those far from the others."""
    numbers = range(1, len(steps) + 1)
    if not most:
        return [*numbers]
    chosen: list[int] = []

    def worth(number: int) -> tuple[bool, bool, int]:
        step = steps[number - 1]
        is_new_call = step.call not in {one.call for one in seen}
        return is_new_call, step not in seen, min((abs(number - other) for other in chosen), default=0)

    while len(chosen) < min(most, len(steps)):
        chosen.append(max((number for number in numbers if number not in chosen), key=worth))
        seen.add(steps[chosen[-1] - 1])
    return sorted(chosen)


def try_scenario(trial: Trial, most: int, only: int | None, seen: set[Step]) -> None:
    """Kill the command of a scenario at some or all of its steps."""
    expected = trial.prepare()
    for number in [only] if only else choose(expected.steps, most, seen):
        trial.kill(expected, number)
        if trial.cuts:
            trial.kill_and_complete(expected, number)
    if most or only:
        return
    number = len(expected.steps) + 1
    # Threads come to their steps in another order each time, and now and then to more of them.
    while trial.kill(expected, number):
        number += 1
    if trial.cuts:
        trial.kill_and_complete(expected, 0)


def main(arguments: Sequence[str]) -> int:
    """Kill the commands of scenarios at some or all steps; return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.killing", description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder to work in")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="without any, all: " + ", ".join(ALL))
    parser.add_argument("--most", type=int, default=0, help="kill at so many steps of each; without it at all of them")
    parser.add_argument("--only", type=int, help="kill at this step")
    parser.add_argument("--cuts", type=int, default=0, help="cut the power at each of them, in so many ways")
    given = parser.parse_args(arguments)
    seen: set[Step] = set()
    tally = Tally()
    for name in given.scenarios or ALL:
        trial = Trial(ALL[name], given.folder.resolve() / name.replace(" ", "-"), given.cuts, tally)
        try_scenario(trial, given.most, given.only, seen)
    sys.stdout.write(f"{tally.kills} kills, {tally.cuts} power cuts, {tally.failures} failures\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
