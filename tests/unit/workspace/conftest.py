"""A store, threads and a dataset's folder for the tests of `dver.workspace`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dver.objects.chunker import Chunker, ChunkerParams
from dver.storage.index import ChunkIndex
from dver.storage.local import LocalBackend
from dver.storage.store import Store
from dver.workers import Workers
from tests.unit.workspace.shelf import Shelf


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two threads."""
    with ThreadPoolExecutor(2) as executor:
        yield Workers(executor, 2)


@pytest.fixture
def chunker() -> Chunker:
    """A chunker for tiny files."""
    return Chunker(ChunkerParams.from_average(1024))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that is to be a dataset."""
    made = tmp_path / "tree" / "data"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def shelf(tmp_path: Path, workers: Workers, chunker: Chunker) -> Iterator[Shelf]:
    """A store on disk, filled from folders and written to folders."""
    backend = LocalBackend(tmp_path / "store")
    store = Store(backend, ChunkIndex(None, backend), name="the store")
    (tmp_path / "scratch").mkdir()
    yield Shelf(store, workers, chunker, tmp_path / "scratch")
    store.close()
    backend.close()
