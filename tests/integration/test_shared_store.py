"""One store for several processes at once, as a cache that clones or machines share."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.objects.ids import VersionId
from dver.storage.cachelock import LOCK_NAME
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.integration.sharing import VERSIONS, files_of
from tests.stores import STORE_FILE, StorePlace, local_place, noise, put_chunks, read_files, store_files

ROOT = Path(__file__).parents[2]
WRITERS = 4


@pytest.fixture
def place(tmp_path: Path) -> Iterator[StorePlace]:
    """An empty local folder for a store."""
    made = local_place(tmp_path)
    yield made
    made.close()


def start(place: StorePlace, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.sharing", str(place.folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out.split()


def assert_only_immutable_files(place: StorePlace) -> None:
    """Nothing but packs, index files, markers, the description and an empty lock: no database, nothing half-written."""
    top = place.folder / "store"
    files = [path for path in top.rglob("*") if not path.is_dir()]
    assert files
    assert [path for path in files if not STORE_FILE.fullmatch(path.relative_to(top).as_posix())] == []
    assert [path.name for path in files if path.stat().st_mode & 0o222] in ([], [LOCK_NAME])
    assert not any(path.stat().st_size for path in files if path.name == LOCK_NAME)


def test_processes_that_add_and_read_at_once_lose_nothing(place: StorePlace) -> None:
    reader = start(place, "read")
    writers = [start(place, "add", str(number)) for number in range(WRITERS)]
    versions = [finish(writer) for writer in writers]
    (place.folder / "done").touch()
    assert finish(reader) == [str(WRITERS * VERSIONS)]
    for index in ("shared", None):
        store = place.open(index)
        for number, found in enumerate(versions):
            for turn, version in enumerate(found):
                assert read_files(store, VersionId(bytes.fromhex(version))) == files_of(number, turn)
    assert_only_immutable_files(place)


def test_a_killed_process_leaves_nothing_in_the_store_but_immutable_files(place: StorePlace) -> None:
    killed = start(place, "add", "0")
    assert killed.stdout is not None
    assert killed.stdout.readline()
    killed.kill()
    killed.communicate()
    expected = {store_files(place.open("shared"), files_of(0, turn)): files_of(0, turn) for turn in range(VERSIONS)}
    fresh = place.open()
    for version, files in expected.items():
        assert read_files(fresh, version) == files
    # A temporary file of the killed process may be left; listings never show it, and it is never taken for a blob.
    for path in (place.folder / "store").rglob(".tmp-*"):
        path.unlink()
    assert_only_immutable_files(place)


def test_no_sequence_of_calls_leaves_other_files_in_the_store(place: StorePlace) -> None:
    def lose_index(store: Store) -> None:
        for path in (place.folder / "store" / "index").iterdir():
            path.unlink()
        store.index.refresh()

    version = store_files(place.open("a"), {"x": noise(5000)}, pack_size=2048)
    with contextlib.suppress(ZeroDivisionError), StoreWriter(place.open("a"), pack_size=2048) as writer:
        put_chunks(writer, noise(9000, 2))
        raise ZeroDivisionError
    assert_only_immutable_files(place)
    store_files(place.open("b"), {"x": noise(5000, 3)})
    lose_index(place.open("b"))
    assert_only_immutable_files(place)
    assert read_files(place.open("a"), version) == {"x": noise(5000)}
    assert_only_immutable_files(place)
