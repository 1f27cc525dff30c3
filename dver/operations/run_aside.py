"""Outputs give way while their command runs, so that what it leaves there is its own work.

What lies at the path of an output is set aside first, provided that all of it is stored, so that a command always
starts with nothing there, and the folder above it. If the run succeeds, the store has the old version; if it does not,
the old files are put back as they were, and what the command left goes to `.dver/tmp/failed`, until the next failure,
or for good where it may be of worth. If dver is killed, the same is done later, from the register of runs. Nothing that
is stored nowhere is ever moved. One run at a time makes an output.
"""

import errno
import fcntl
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dver.errors import (
    DataLossError,
    LockedError,
    PathError,
    VersionNotFoundError,
    os_hint,
    unwritable_place,
)
from dver.objects.ids import checksum
from dver.objects.pointer import Pointer
from dver.operations.datasets import decode_path, lies_in, read_pointer_or_problem, typed
from dver.operations.rm import is_stored
from dver.operations.run_guard import check_not_made
from dver.operations.run_register import RegisteredRun, RunNote, aside_place, register
from dver.operations.status import scan_dataset
from dver.progress import NO_TASK
from dver.repo import Repo
from dver.workspace.assemble import translated
from dver.workspace.deletion import remove_directory
from dver.workspace.folders import Folders
from dver.workspace.ignore import IgnoreRules
from dver.workspace.scratch import RUNS_FOLDER
from dver.workspace.walk import FileType, walk_dataset

FAILED_FOLDER = "tmp/failed"
KILLED_PREFIX = "killed-"
KEPT_PREFIX = "kept-"
_CLAIMS_FOLDER = "tmp/claims"


class Aside:
    """Outputs that were set aside.

    Attributes:
        leftovers: where what a failed command left was put; None if it left nothing.
    """

    def __init__(self, repo: Repo, place: Path) -> None:
        """Set outputs aside in `place`, the folder of the run in the register."""
        self.leftovers: Path | None = None
        self._repo = repo
        self._place = place
        self._outputs: list[str] = []
        self._made_folders: list[Path] = []
        self._is_accepted = False
        self._is_kept = False

    def take(self, outputs: Sequence[str]) -> None:
        """Set the outputs aside, and see to it that the folders above them are there."""
        for path in outputs:
            self._outputs.append(path)
            root = self._repo.root / path
            if os.path.lexists(root):
                with translated(os.fsencode(path)):
                    _move(self._repo, root, aside_place(self._place, path))
            else:
                self._make_folders(root)

    def _make_folders(self, output: Path) -> None:
        missing = [one for one in output.parents if not os.path.lexists(one)]
        self._made_folders += missing
        try:
            with Folders(os.fsencode(self._repo.root)) as folders:
                folders.above(_relative(self._repo, output))
        except OSError as exc:
            path = os.path.relpath(output.parent, self._repo.root)
            raise PathError(path, f"cannot be made for an output: {exc.strerror}", hint=os_hint(exc)) from exc

    def accept(self) -> None:
        """Let what is there now stay."""
        self._is_accepted = True

    def keep(self) -> None:
        """Keep what the command made for good, though it does not count: the command did not fail."""
        self._is_kept = True

    def settle(self) -> None:
        """Unless it was accepted, take away what is there now, and put back what was set aside."""
        if self._is_accepted:
            return
        prefix = KEPT_PREFIX if self._is_kept else ""
        failed = self._repo.dver_dir / FAILED_FOLDER / f"{prefix}{self._place.name}"
        _forget_failures(self._repo.dver_dir)
        for path in self._outputs:
            if put_back(self._repo, path, self._place, failed):
                self.leftovers = failed
        with Folders(os.fsencode(self._repo.root)) as folders:
            for folder in sorted(self._made_folders, reverse=True):
                remove_directory(folders, _relative(self._repo, folder))


def put_back(repo: Repo, path: str, place: Path, leftovers: Path) -> bool:
    """Let what was set aside be the output again; move what is there to `leftovers`, and return whether it was.

    An empty folder is nothing.
    """
    root, before = repo.root / path, aside_place(place, path)
    with Folders(os.fsencode(repo.root)) as folders:
        remove_directory(folders, os.fsencode(path))
    with translated(os.fsencode(path)):
        was_there = os.path.lexists(root)
        if was_there:
            _move(repo, root, _free_name(leftovers / path))
        if os.path.lexists(before):
            _move(repo, before, root)
    return was_there


def _move(repo: Repo, source: Path, target: Path) -> None:
    """Move something within the work tree, making the folders above its new place; through no symbolic link."""
    with Folders(os.fsencode(repo.root)) as folders:
        (old, old_name), (new, new_name) = (folders.above(_relative(repo, path)) for path in (source, target))
        try:
            os.rename(old_name, new_name, src_dir_fd=old.fd, dst_dir_fd=new.fd)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            shutil.move(source, target)


def _relative(repo: Repo, path: Path) -> bytes:
    return os.fsencode(path.relative_to(repo.root))


def _free_name(path: Path) -> Path:
    """Return a path at which nothing is: there may be something of an attempt before that failed part-way."""
    names = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain((path,), names) if not os.path.lexists(one))


def _forget_failures(dver_dir: Path) -> None:
    """Remove what earlier commands left: not what runs of live processes did, nor what may be more than that."""
    entries: list[Path] = []
    # Whatever is the matter there, outputs are to be put back.
    with suppress(OSError):
        entries += (dver_dir / FAILED_FOLDER).iterdir()
    for entry in entries:
        # A run that is being settled, here or on another machine, has its folder in the register until that is done.
        is_at_work = os.path.lexists(dver_dir / "tmp" / RUNS_FOLDER / entry.name)
        if entry.name.startswith((KILLED_PREFIX, KEPT_PREFIX)) or is_at_work or _is_of_live_process(entry.name):
            continue
        shutil.rmtree(entry, ignore_errors=True)


def _is_of_live_process(name: str) -> bool:
    """Whether the process that a run's folder is named for is there: it may yet tell of what it left."""
    try:
        os.kill(int(name.split("-")[1]), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError, ValueError, IndexError):
        return False
    return True


def check_replaceable(repo: Repo, outputs: Sequence[str]) -> None:
    """Raise DataLossError if something at the path of an output is stored nowhere."""
    endangered = [found for path in outputs for found in _endangered(repo, path)]
    if endangered:
        names = " ".join(typed(path) for path in outputs if any(lies_in(found, path) for found in endangered))
        raise DataLossError(
            "the run would replace data that is stored nowhere; nothing was run",
            endangered,
            hint=f"dver add {names} keeps it; else move it away, or delete it",
        )


@contextmanager
def outputs_aside(repo: Repo, note: RunNote) -> Iterator[tuple[Aside, RegisteredRun]]:
    """Register a run and set its outputs aside while its command runs; what becomes of them is settled in the end.

    Raises:
        DataLossError: something there is stored nowhere; nothing was moved.
        LockedError: another run is making one of them, or something in or around one.
    """
    check_replaceable(repo, note.outputs)
    with repo.lock():
        check_not_made(repo.dver_dir, note.outputs)
        registered = register(repo.dver_dir, note)
    aside = Aside(repo, registered.place)
    try:
        aside.take(note.outputs)
        yield aside, registered
    finally:
        # If this fails, the entry stays, and with it what was set aside: it is recovered as after a kill.
        aside.settle()
        registered.remove()


@contextmanager
def claimed(repo: Repo, outputs: Sequence[str]) -> Iterator[None]:
    """Let no other run make these outputs; LockedError if one is at it."""
    folder = repo.dver_dir / _CLAIMS_FOLDER
    with ExitStack() as stack:
        for path in outputs:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((folder / f"{checksum(os.fsencode(path)):016x}").open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(f"{path}: another dver run is making it", hint="wait until that one ends") from None
            except OSError as exc:
                raise unwritable_place(folder, exc) from exc
        yield


def _endangered(repo: Repo, path: str) -> list[str]:
    root = os.fsencode(repo.root / path)
    if not os.path.lexists(root) or _is_empty_folder(root):
        return []
    pointer = read_pointer_or_problem(repo, path)
    base = repo.stat_cache.base(path)
    if base is None and not isinstance(pointer, Pointer):
        return [path]
    try:
        version = base.version if base is not None else pointer.version if isinstance(pointer, Pointer) else None
        scan = None if version is None else scan_dataset(repo, path, version, NO_TASK)
    except VersionNotFoundError:
        return [path]
    if scan is None:
        return [path]
    changed = {item.path for item in scan.modified}
    known = repo.stat_cache.rows(path).keys() - changed
    # Without the rules of .dverignore: what they name is in no version.
    found = [item.path for item in walk_dataset(root, IgnoreRules()) if item.type is not FileType.DIRECTORY]
    unknown = [f"{path}/{decode_path(one)}" if one else path for one in found if one not in known]
    return unknown or ([] if is_stored(repo, scan) else [path])


def _is_empty_folder(root: bytes) -> bool:
    with translated(root):
        return os.path.isdir(root) and not os.path.islink(root) and not os.listdir(root)
