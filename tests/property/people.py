"""The commands of the state machine of two people, and how they are killed and checked."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from dver.objects.entry import Entry, FileEntry, LinkEntry
from dver.objects.manifest import Manifest
from dver.operations.gc import gc
from dver.operations.gc_auto import tidy
from dver.operations.gc_plan import GcOptions
from dver.storage.store import Store
from tests.clones import Clone, Snapshot
from tests.faults.steps import Steps


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


def run_and_kill(folder: Path, work: Callable[[], object], at: int) -> bool:
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
    return bool(code)


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
