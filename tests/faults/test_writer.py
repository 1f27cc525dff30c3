"""Sessions of writing that fail, are cut off or crowd: nobody waits for ever, and nothing half is indexed."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, DverError
from dver.objects.ids import NodeId, node_id
from dver.objects.pack import Kind, encode_object
from dver.storage.writer import LOCAL_WRITERS, StoreWriter
from tests.stores import (
    StorePlace,
    WatchedBackend,
    keys,
    local_place,
    noise,
    put_chunks,
    put_files,
    read_files,
    store_files,
)

SMALL_PACK = 4 * 1024
PATIENCE = 20
FILES = {"a": noise(9000, 1), "b": b"text " * 700}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[StorePlace]:
    """An empty local folder for a store."""
    made = local_place(tmp_path)
    yield made
    made.close()


def fail_writes(backend: WatchedBackend, prefix: str, *, after: int = 0) -> None:
    """Let writes below a prefix fail as on a full disk, all after the first few."""
    seen = iter(range(1_000_000))

    def full(verb: str, key: str) -> None:
        if verb == "write" and key.startswith(prefix) and next(seen) >= after:
            raise BackendError(backend.location, BackendProblem.NO_SPACE, f"no space left to write {key}")

    backend.before = full


def in_time(work: Callable[[], None]) -> None:
    """Run `work` on a thread, and fail if it does not come back."""
    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(work).result(timeout=PATIENCE)
    finally:
        pool.shutdown(wait=False)


def produce(writer: StoreWriter, seed: int) -> None:
    """Put more than one pack after the other."""
    for turn in range(40):
        put_chunks(writer, noise(6000, seed * 100 + turn))


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_full_disk_ends_the_session_for_all_who_put(place: StorePlace, after: int) -> None:
    store, backend = place.watched()
    fail_writes(backend, "packs/", after=after)

    def session() -> None:
        with StoreWriter(store, pack_size=SMALL_PACK) as writer, ThreadPoolExecutor(6) as pool:
            tasks = [pool.submit(produce, writer, seed) for seed in range(6)]
            for task in tasks:
                with pytest.raises(BackendError) as caught:
                    task.result()
                assert caught.value.problem is BackendProblem.NO_SPACE
            with pytest.raises(BackendError):
                writer.flush()

    in_time(session)
    assert keys(backend.inner, "index/") == []


def test_a_failure_in_the_last_pack_fails_the_flush_and_every_later_one(place: StorePlace) -> None:
    store, backend = place.watched()
    with StoreWriter(store) as writer:
        put_files(writer, FILES)
        fail_writes(backend, "packs/")
        for _ in range(2):
            with pytest.raises(BackendError):
                writer.flush()
            backend.before = lambda _verb, _key: None
    assert keys(backend.inner, "index/") == []


def test_a_failure_in_the_pack_of_nodes_leaves_chunks_that_the_next_session_uses(place: StorePlace) -> None:
    files = {f"{number:04}": noise(900, number) for number in range(40)}
    counted, counter = local_place(place.folder / "counted").watched()
    version = store_files(counted, files, pack_size=SMALL_PACK)
    counted.close()
    store, backend = place.watched("copy")
    fail_writes(backend, "packs/", after=len(counter.asked("written", "packs/")) - 1)
    with pytest.raises(BackendError):
        store_files(store, files, pack_size=SMALL_PACK)
    fresh = place.open("copy")
    with StoreWriter(fresh) as writer:
        assert fresh.present([NodeId(version)]) == set()
        put_files(writer, files)
        assert writer.stored_bytes < SMALL_PACK
        writer.flush()
    assert read_files(place.open(), version) == files


def test_an_index_file_that_cannot_be_written_ends_the_session(place: StorePlace) -> None:
    store, backend = place.watched()
    fail_writes(backend, "index/")
    with StoreWriter(store) as writer:
        summary = put_files(writer, FILES)
        for _ in range(2):
            with pytest.raises(BackendError):
                writer.flush()
    backend.before = lambda _verb, _key: None
    assert store.journal is not None
    assert store.journal.exists()
    # What had been written is not written again.
    packs = keys(backend.inner, "packs/")
    with StoreWriter(store) as again:
        assert put_files(again, FILES) == summary
        assert again.stored_bytes == 0
        again.flush()
    assert keys(backend.inner, "packs/") == packs
    assert read_files(place.open(), summary.version) == FILES


def test_leaving_a_session_frees_those_who_wait_to_put(place: StorePlace) -> None:
    store, backend = place.watched()
    gate, begun = threading.Event(), threading.Semaphore(0)

    def hold(verb: str, key: str) -> None:
        if verb == "write" and key.startswith("packs/"):
            begun.release()
            assert gate.wait(PATIENCE)

    backend.before = hold

    pool = ThreadPoolExecutor(6)

    def session() -> None:
        with contextlib.suppress(KeyboardInterrupt), StoreWriter(store, pack_size=SMALL_PACK) as writer:
            for seed in range(6):
                pool.submit(produce, writer, seed)
            for _ in range(LOCAL_WRITERS):
                assert begun.acquire(timeout=PATIENCE)
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    in_time(session)
    in_time(lambda: pool.shutdown(wait=True))
    assert keys(backend.inner, "index/") == []


def test_after_the_session_nothing_can_be_put(place: StorePlace) -> None:
    with StoreWriter(place.open()) as writer:
        put_files(writer, FILES)
        writer.flush()
    with pytest.raises(DverError, match="session of writing has ended"):
        writer.put([encode_object(Kind.NODE, node_id(b"x"), b"x")])


def test_an_interrupt_while_putting_ends_the_session(place: StorePlace) -> None:
    store, _ = place.watched()

    def interrupted() -> Iterator[object]:
        yield encode_object(Kind.NODE, node_id(b"x"), b"x")
        raise KeyboardInterrupt

    with StoreWriter(store) as writer:
        with pytest.raises(KeyboardInterrupt):
            writer.put(interrupted())  # type: ignore[arg-type]
        with pytest.raises(DverError, match="session of writing has ended"):
            writer.flush()
    assert keys(store.backend) == []


def test_few_packs_are_in_memory_however_slow_the_disk(place: StorePlace) -> None:
    store, backend = place.watched()
    gate = threading.Event()

    def hold(verb: str, _key: str) -> None:
        if verb == "write":
            gate.wait(PATIENCE)

    backend.before = hold
    with StoreWriter(store, pack_size=SMALL_PACK) as writer, ThreadPoolExecutor(8) as pool:
        tasks = [pool.submit(put_chunks, writer, noise(3000, seed)) for seed in range(64)]
        threading.Event().wait(0.3)
        # Each pack that is being written, one that waits for its turn, and what was put after that: nothing.
        assert writer.stored_bytes <= (LOCAL_WRITERS + 2) * (SMALL_PACK + 3500)
        gate.set()
        for task in tasks:
            task.result()
        writer.flush()


def test_nodes_in_large_numbers_are_written_before_the_end_but_not_indexed(place: StorePlace) -> None:
    store, backend = place.watched()
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        chunks = put_chunks(writer, noise(2000))
        nodes = [node_id(noise(300, seed)) for seed in range(200)]
        for seed, node in enumerate(nodes):
            writer.put_node(node, noise(300, seed))
        assert len(backend.asked("written", "packs/")) > 10
        assert place.open().present(nodes) == set()
        writer.flush()
    assert len(keys(store.backend, "index/")) <= 2
    assert place.open().present([*nodes, *chunks]) == set(nodes) | set(chunks)


@pytest.mark.parametrize("step", range(14))
def test_whatever_write_is_the_last_the_store_is_sound_and_the_next_run_completes(place: StorePlace, step: int) -> None:
    store_files(place.open("copy"), {"before": noise(3000, 50)})
    store, backend = place.watched("copy")
    writes = iter(range(1000))

    def die(verb: str, _key: str) -> None:
        if verb == "write" and next(writes) >= step:
            raise KeyboardInterrupt

    backend.before = die
    files = {f"{number:04}": noise(1500, number) for number in range(25)}
    with contextlib.suppress(KeyboardInterrupt, DverError):
        store_files(store, files, pack_size=SMALL_PACK)
    backend.before = lambda _verb, _key: None
    for version in (reader := place.open()).versions():
        assert read_files(reader, version)
    version = store_files(place.open("copy"), files, pack_size=SMALL_PACK)
    assert read_files(place.open(), version) == files
