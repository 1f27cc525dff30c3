"""Outputs give way while their command runs, so that what it leaves there is its own work.

What lies at the path of an output is set aside first, provided that all of it is stored. If the run succeeds, the
store has the old version; if it does not, the old files are put back as they were, and what the command left goes to
`.dver/tmp/failed`, until the next failure. Nothing that is stored nowhere is ever moved. One run at a time makes an
output.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dver.errors import BackendError, BackendProblem, DataLossError, LockedError, VersionNotFoundError
from dver.objects.ids import checksum
from dver.objects.pointer import Pointer
from dver.operations.datasets import decode_path, read_pointer_or_problem, typed
from dver.operations.rm import is_stored
from dver.operations.status import scan_dataset
from dver.progress import NO_TASK
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.scratch import scratch_folder
from dver.workspace.walk import FileType, walk_dataset

FAILED_FOLDER = "tmp/failed"
_ASIDE_FOLDER = "tmp/outputs"
_CLAIMS_FOLDER = "tmp/claims"


class Aside:
    """Outputs that were set aside.

    Attributes:
        leftovers: where what a failed command left was put; None if it left nothing.
    """

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.leftovers: Path | None = None
        self._repo = repo
        self._folder = folder
        self._outputs: list[str] = []
        self._remade: list[Path] = []
        self._is_accepted = False

    def take(self, outputs: Sequence[str]) -> None:
        """Set the outputs aside; an empty folder stays in the place of one."""
        for path in outputs:
            self._outputs.append(path)
            root = self._repo.root / path
            if not os.path.lexists(root):
                continue
            is_folder = root.is_dir() and not root.is_symlink()
            shutil.move(root, self._place(path))
            if is_folder:
                root.mkdir()
                self._remade.append(root)

    def drop_untouched(self) -> None:
        """Remove the folders that were left for the command, and that it put nothing into."""
        for root in self._remade:
            with suppress(OSError):
                root.rmdir()

    def accept(self) -> None:
        """Let what is there now stay."""
        self._is_accepted = True

    def settle(self) -> None:
        """Unless it was accepted, take away what is there now, and put back what was set aside."""
        if self._is_accepted:
            return
        self.drop_untouched()
        failed = self._repo.dver_dir / FAILED_FOLDER
        shutil.rmtree(failed, ignore_errors=True)
        for path in self._outputs:
            root = self._repo.root / path
            if os.path.lexists(root):
                (failed / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(root, failed / path)
                self.leftovers = failed
            if os.path.lexists(self._place(path)):
                root.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(self._place(path), root)

    def _place(self, path: str) -> Path:
        return self._folder / f"{checksum(os.fsencode(path)):016x}"


def check_replaceable(repo: Repo, outputs: Sequence[str]) -> None:
    """Raise DataLossError if something at the path of an output is stored nowhere."""
    endangered = [found for path in outputs for found in _endangered(repo, path)]
    if endangered:
        names = " ".join(typed(path) for path in outputs if any(_is_at(found, path) for found in endangered))
        raise DataLossError(
            "the run would replace data that is stored nowhere; nothing was run",
            endangered,
            hint=f"dver add {names} keeps it; else move it away, or delete it",
        )


@contextmanager
def outputs_aside(repo: Repo, outputs: Sequence[str]) -> Iterator[Aside]:
    """Set outputs aside while a command runs; what becomes of them is settled in the end.

    Raises:
        DataLossError: something there is stored nowhere; nothing was moved.
    """
    check_replaceable(repo, outputs)
    with scratch_folder(repo.dver_dir / _ASIDE_FOLDER) as folder:
        aside = Aside(repo, folder)
        try:
            aside.take(outputs)
            yield aside
        finally:
            aside.settle()


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
                raise BackendError(str(folder), BackendProblem.OTHER, f"cannot be written: {exc.strerror}") from exc
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
    return os.path.isdir(root) and not os.path.islink(root) and not os.listdir(root)


def _is_at(found: str, path: str) -> bool:
    return found == path or found.startswith(path + "/")
