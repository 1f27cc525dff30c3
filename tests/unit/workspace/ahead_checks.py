"""What is asked of looking ahead, each as a function that `test_ahead` calls in a process of its own.

Only a process with a single thread makes copies of itself, and pytest's may have several.
"""

import errno
import marshal
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from dver.errors import PathError
from dver.objects.builder import build_manifest
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import NodeId, chunk_id
from dver.objects.manifest import Manifest
from dver.progress import NO_TASK
from dver.workers import Workers
from dver.workspace import ahead, pieces, walk
from dver.workspace import scan as scan_module
from dver.workspace.ignore import IgnoreRules
from dver.workspace.scan import Scan, Scanner
from dver.workspace.statcache import Base, StatCache
from dver.workspace.walk import FileType, Folder, Seen, WalkItem, is_executable, walk_dataset, walk_folders

# However small the trees are here, and the machine.
vars(ahead).update(LEAST_SHARE=1, _cores=lambda: 3)
SEEDS = 25
SETTLED_SECONDS = 0.03
NAMES = [b"a", b"b", b"a-b", b"a.txt", b"A", b"\xff", b"\xc3\xa9", b"z\nz", b"0"]


class Tree:
    """A repository of datasets, known so well that a scan finds all folders as they were."""

    def __init__(self, root: Path, datasets: Sequence[str] = ("data",)) -> None:
        self.root = root
        self.datasets = datasets
        self._nodes: dict[NodeId, bytes] = {}
        self._manifests: dict[str, Manifest] = {}
        # Times must lie behind what is stored, and the fingerprints behind both.
        time.sleep(SETTLED_SECONDS)
        with self.scanner(1) as (scanner, _):
            for dataset in datasets:
                self._manifests[dataset] = self._manifest(dataset)
                assert self.scan_with(scanner, dataset, known=False).is_clean
                assert self.scan_with(scanner, dataset).is_clean

    @contextmanager
    def scanner(self, jobs: int, *, of: str = "state.db") -> Iterator[tuple[Scanner, StatCache]]:
        with ThreadPoolExecutor(1) as executor, closing(StatCache(self.root / of)) as cache:
            yield Scanner(self.root, cache, Workers(executor, jobs)), cache

    def scan(self, jobs: int, *, of: str = "state.db") -> Scan:
        with self.scanner(jobs, of=of) as (scanner, _):
            return self.scan_with(scanner, self.datasets[0])

    def scan_all(self, jobs: int) -> list[Scan]:
        with self.scanner(jobs) as (scanner, _), scanner.looking_ahead(self.datasets):
            return [self.scan_with(scanner, dataset) for dataset in self.datasets]

    def scan_copy(self, jobs: int, *, files_at_once: int | None = None) -> tuple[Scan, dict[bytes, bytes]]:
        """Scan with a copy of what is known; return the fingerprints that are known after, too.

        With a number of files at once, scan again what was found so.
        """
        shutil.copy(self.root / "state.db", self.root / "copy.db")
        with self.scanner(jobs, of="copy.db") as (scanner, cache), ExitStack() as stack:
            if files_at_once is not None:
                for module in (ahead, pieces, walk):
                    stack.enter_context(replaced(module, "BLOCK_FILES", files_at_once))
                first = self.scan_with(scanner, self.datasets[0])
                assert values(self.scan_with(scanner, self.datasets[0])) == values(first)
            found = self.scan_with(scanner, self.datasets[0])
            return found, cache.folders(self.datasets[0])

    def scan_with(self, scanner: Scanner, dataset: str, *, known: bool = True) -> Scan:
        manifest = self._manifests[dataset]
        return scanner.scan(dataset, Base(manifest.version, None), lambda: manifest, NO_TASK, known=known)

    def _manifest(self, dataset: str) -> Manifest:
        top = os.fsencode(self.root / dataset)
        entries = [_entry(top, item) for item in walk_dataset(top, IgnoreRules.for_dataset(self.root, dataset))]
        summary = build_manifest(entries, lambda node, data, *_: self._nodes.update({node: bytes(data)}))
        return Manifest(summary.version, lambda ids: [self._nodes[each] for each in ids])


def _entry(top: bytes, item: WalkItem) -> Entry:
    path = os.path.join(top, item.path)
    if item.type is FileType.DIRECTORY:
        return DirectoryEntry(item.path)
    if item.type is FileType.LINK:
        return LinkEntry(item.path, os.readlink(path))
    with open(path, "rb") as file:
        content = file.read()
    packed = pack_chunk(chunk_id(content), len(content)) if content else b""
    return FileEntry(item.path, len(content), is_executable(item.stat), packed)


def fill(top: Path, folders: int = 4, files: int = 3) -> None:
    for number in range(folders):
        folder = top / f"{number}" / "in"
        folder.mkdir(parents=True)
        for name in range(files):
            (folder / f"{name}").write_text(f"{number} {name}")


def grow(top: bytes, chance: random.Random, depth: int = 0) -> None:
    """Make files, links and folders in a folder."""
    os.makedirs(top, exist_ok=True)
    for name in chance.sample(NAMES, chance.randrange(len(NAMES))):
        path = os.path.join(top, name)
        kind = chance.randrange(6)
        if os.path.lexists(path):
            continue
        if kind < 3 and depth < 3:
            grow(path, chance, depth + 1)
        elif kind == 3:
            os.symlink(chance.choice(NAMES), path)
        else:
            write(path, chance.randbytes(chance.randrange(9)))
    if chance.random() < 0.1:
        write(os.path.join(top, b".dverignore"), chance.choice([b"b\n", b"a/\n", b"*\n!A\n"]))


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def change(path: bytes, chance: random.Random) -> None:
    """Do something to a path, which may be gone by now."""
    kind = chance.randrange(7)
    if kind == 0:
        _remove(path)
    elif kind == 1:
        os.utime(path, follow_symlinks=False)
    elif kind == 2:
        # A folder in the place of which there is a link to it looks just like it.
        os.rename(path, path + b".moved")
        os.symlink(os.path.basename(path) + b".moved", path)
    elif kind == 3:
        _remove(path)
        grow(path, chance, depth=2)
    elif kind == 4:
        _remove(path)
        write(path, b"new")
    elif os.path.isdir(path) and not os.path.islink(path):
        grow(path, chance, depth=2)
    elif not os.path.islink(path):
        write(path, chance.randbytes(4))


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def values(scan: Scan) -> tuple[object, ...]:
    return (
        scan.unchanged,
        [(item.path, item.type) for item in scan.added],
        [(item.path, item.type) for item in scan.modified],
        scan.deleted,
        scan.special,
        scan.present,
    )


def check_random_trees(folder: Path) -> None:
    copies = 0
    for seed in range(SEEDS):
        chance = random.Random(seed)
        root = folder / str(seed)
        top = os.fsencode(root / "data")
        grow(top, chance)
        fill(root / "data" / "more")
        tree = Tree(root)
        everything = [os.path.join(at, name) for at, inner, names in os.walk(top) for name in (*inner, *names)]
        for path in chance.sample(everything, min(len(everything), chance.randrange(5))):
            with suppress(OSError):
                change(path, chance)
        if chance.random() < 0.05:
            shutil.rmtree(top)
        alone, marks = tree.scan_copy(1)
        with counted_forks() as forks:
            together, others = tree.scan_copy(3)
            in_pieces, _ = tree.scan_copy(3, files_at_once=1 + seed % 3)
        copies += len(forks)
        assert values(together) == values(alone), seed
        assert values(in_pieces) == values(alone), seed
        assert others == marks, seed
    assert copies > 30


def check_many_datasets(folder: Path) -> None:
    datasets = [f"data/{number}" for number in range(20)]
    for dataset in datasets:
        fill(folder / dataset, folders=1)
    (folder / "data" / "7" / "0" / "in" / "1").write_text("else")
    tree = Tree(folder, datasets)
    (folder / "data" / "3" / "0" / "in" / "1").write_text("else")

    with counted_forks() as forks:
        found = tree.scan_all(2)
    assert len(forks) == 1
    assert [scan.is_clean for scan in found] == [number != 3 for number in range(20)]
    assert [scan.unchanged for scan in found] == [3 - (number == 3) for number in range(20)]


def check_large_folder(folder: Path) -> None:
    top = folder / "data"
    fill(top, folders=2, files=50)
    for module in (ahead, pieces, walk):
        vars(module)["BLOCK_FILES"] = 10
    tree = Tree(folder)
    looked: list[set[bytes]] = []

    def walked(top: bytes, rules: IgnoreRules, seen: Mapping[bytes, Seen]) -> Iterator[Folder | bytes]:
        looked.append({*seen})
        return walk_folders(top, rules, seen)

    everything = {b"", b"0/", b"1/", b"0/in/", b"1/in/"}
    with replaced(scan_module, "walk_folders", walked):
        assert tree.scan(3).unchanged == 100
        assert looked.pop() == everything

        # The last block of those that were known is as it was.
        (top / "0" / "in" / "zzz").touch()
        assert [item.path for item in tree.scan(3).added] == [b"0/in/zzz"]
        assert looked.pop() == everything - {b"0/in/"}

        (top / "0" / "in" / "zzz").unlink()
        (top / "1" / "in" / "7").unlink()
        assert tree.scan(3).deleted == [b"1/in/7"]
        assert looked.pop() == everything - {b"1/in/"}

        (top / "0" / "in" / "9").write_text("else")
        assert [item.path for item in tree.scan(3).modified] == [b"0/in/9"]
        assert looked.pop() == everything - {b"0/in/", b"1/in/"}


def check_what_was_seen_is_used_once(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    with tree.scanner(2) as (scanner, _), scanner.looking_ahead(["data"]):
        assert tree.scan_with(scanner, "data").is_clean
        (folder / "data" / "0" / "in" / "1").write_text("else")
        assert not tree.scan_with(scanner, "data").is_clean


def check_changes_meanwhile(folder: Path) -> None:
    # A copy that comes late sees the changes; each time it is given longer.
    for attempt in range(10):
        if _see_changes_meanwhile(folder / str(attempt), 0.02 * 2**attempt) == 18:
            return
    raise AssertionError("nothing was seen before it changed")


def _see_changes_meanwhile(folder: Path, wait: float) -> int:
    fill(folder / "data", folders=6)
    tree = Tree(folder)
    data = folder / "data"
    with tree.scanner(2) as (scanner, _), scanner.looking_ahead(["data"]):
        time.sleep(wait)
        shutil.rmtree(data / "1" / "in")
        (data / "1" / "in").mkdir()
        (data / "2" / "in" / "0").unlink()
        scan = tree.scan_with(scanner, "data")
    # What was seen is believed for this scan, and no longer.
    assert scan.present
    second = tree.scan(2)
    assert second.deleted == [b"1/in/0", b"1/in/1", b"1/in/2", b"2/in/0"]
    assert [item.path for item in second.added] == [b"1/in"]
    return scan.unchanged


def check_broken_copies(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    here, look = os.getpid(), ahead._look

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def interrupted() -> None:
        raise KeyboardInterrupt

    def ended() -> None:
        os._exit(0)

    for fate in (killed, interrupted, ended):

        def broken(*given: Any, fate: Callable[[], None] = fate) -> Any:
            if os.getpid() != here:
                fate()
            return look(*given)

        # On a busy machine a thread of the test may still be about, and then no copies are made.
        for _ in range(10):
            with replaced(ahead, "_look", broken), counted_forks() as forks:
                scan = tree.scan(3)
            assert scan.is_clean
            assert scan.unchanged == 12
            _check_no_copy_is_left()
            if len(forks) == 2:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("no copies were made")


def check_half_an_answer(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    with replaced(ahead, "_SIZE_BYTES", 9):
        assert tree.scan(2).unchanged == 12
    real = marshal.dumps

    def half(value: Any, version: int) -> bytes:
        made = real(value, version)
        return made if isinstance(value, tuple) else made + b"more"

    with replaced(ahead, "marshal", SimpleNamespace(dumps=half, loads=marshal.loads)):
        assert tree.scan(2).unchanged == 12


def check_refused_copy(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    open_files = len(os.listdir("/proc/self/fd"))

    def fork() -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    with replaced(os, "fork", fork):
        assert tree.scan(3).unchanged == 12
    assert len(os.listdir("/proc/self/fd")) == open_files


def check_interrupt(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    open_files = len(os.listdir("/proc/self/fd"))
    here, look = os.getpid(), ahead._look

    def slow(*given: Any) -> Any:
        if os.getpid() == here:
            os.kill(here, signal.SIGINT)
        time.sleep(60)
        return look(*given)

    began = time.monotonic()
    with replaced(ahead, "_look", slow), pytest.raises(KeyboardInterrupt):
        tree.scan(3)
    assert time.monotonic() - began < 30
    assert len(os.listdir("/proc/self/fd")) == open_files
    _check_no_copy_is_left()


def check_threads(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    (folder / "data" / "1" / "in" / "1").write_text("else")
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with counted_forks() as forks:
        scan = tree.scan(3)
    over.set()
    thread.join()
    assert forks == []
    assert [item.path for item in scan.modified] == [b"1/in/1"]


def check_few_files(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    ahead.LEAST_SHARE = 10_000
    with counted_forks() as forks:
        assert tree.scan(3).unchanged == 12
    assert forks == []


def check_output(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    print("once", end="")  # noqa: T201
    with counted_forks() as forks:
        assert tree.scan(3).is_clean
    assert len(forks) == 2


def check_unreadable_folder(folder: Path) -> None:
    fill(folder / "data")
    tree = Tree(folder)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.fsencode(path).endswith(b"/2/in"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    messages = []
    for jobs in (1, 3):
        with replaced(os, "scandir", scandir), pytest.raises(PathError) as raised:
            tree.scan(jobs)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert "2/in" in messages[0]


def _check_no_copy_is_left() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@contextmanager
def counted_forks() -> Iterator[list[int]]:
    forks: list[int] = []
    real = os.fork

    def fork() -> int:
        number = real()
        if number:
            forks.append(number)
        return number

    with replaced(os, "fork", fork):
        yield forks


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
