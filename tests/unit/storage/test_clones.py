import shutil
from pathlib import Path

import pytest

from dver.errors import BackendError
from dver.storage.clones import Place, forget, known_clones, register
from dver.storage.local import LocalBackend
from tests.stores import WatchedBackend


def make(root: Path) -> Place:
    (root / ".git").mkdir(parents=True)
    return Place(root / ".git", root)


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "shared")


def places(backend: LocalBackend) -> list[tuple[Path, bool]]:
    return sorted((clone.place.root, clone.is_there) for clone in known_clones(backend) if clone.place)


def test_a_repository_is_known_once_it_said_so(backend: LocalBackend, tmp_path: Path) -> None:
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    for place in (first, second, first):
        register(backend, place)
    assert places(backend) == [(first.root, True), (second.root, True)]


def test_saying_so_again_writes_nothing(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    (key,) = (info.key for info in backend.list("clones/"))
    before = (tmp_path / "shared" / key).stat()
    register(backend, place)
    after = (tmp_path / "shared" / key).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_one_that_was_deleted_is_still_known_as_gone(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    shutil.rmtree(place.root)
    assert places(backend) == [(place.root, False)]
    make(place.root)
    assert places(backend) == [(place.root, False)], "another repository at the same place"
    forget(backend, known_clones(backend)[0])
    assert places(backend) == []


def test_one_that_was_moved_is_known_by_both_places(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    place.root.rename(tmp_path / "moved")
    assert places(backend) == [(place.root, False)]
    register(backend, Place(tmp_path / "moved" / ".git", tmp_path / "moved"))
    assert places(backend) == [(place.root, False), (tmp_path / "moved", True)]


def test_a_copy_does_not_stand_for_the_original(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    shutil.copytree(place.root, tmp_path / "second")
    register(backend, Place(tmp_path / "second" / ".git", tmp_path / "second"))
    place.root.rename(tmp_path / "not connected")
    assert places(backend) == [(place.root, False), (tmp_path / "second", True)]


def own_file(backend: LocalBackend) -> Path:
    (key,) = (info.key for info in backend.list("clones/"))
    path = Path(backend.location) / key
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1}'])
def test_a_repository_mends_its_own_file(backend: LocalBackend, tmp_path: Path, content: bytes) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    path = own_file(backend)
    path.write_bytes(content)
    register(backend, place)
    assert places(backend) == [(place.root, True)]


def test_damage_that_keeps_the_size_is_mended_too(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    path = own_file(backend)
    path.write_bytes(path.read_bytes().replace(b"first", b"other"))
    register(backend, place)
    assert places(backend) == [(place.root, True)]


def test_a_folder_in_the_place_of_a_file_is_told_of_and_forgotten(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(backend, place)
    path = own_file(backend)
    path.unlink()
    path.mkdir()
    (path / "something").touch()
    register(backend, place)
    (clone,) = known_clones(backend)
    assert clone.place is None
    with pytest.raises(BackendError, match="is a folder"):
        forget(backend, clone)
    (path / "something").unlink()
    forget(backend, clone)
    register(backend, place)
    assert places(backend) == [(place.root, True)]


def test_a_file_in_the_place_of_the_folder_is_told_of_and_forgotten(backend: LocalBackend, tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    backend.write("clones", [b"something"])
    register(backend, place)
    (clone,) = known_clones(backend)
    assert (clone.key, clone.place) == ("clones", None)
    forget(backend, clone)
    register(backend, place)
    assert places(backend) == [(place.root, True)]


def test_a_store_within_its_repository_moves_with_it(tmp_path: Path) -> None:
    place = make(tmp_path / "first")
    register(LocalBackend(place.root / ".dver" / "cache"), place)
    place.root.rename(tmp_path / "moved")
    assert places(LocalBackend(tmp_path / "moved" / ".dver" / "cache")) == [(tmp_path / "moved", True)]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 10_000, b'{"format": 2}', b'{"format": 1, "id": "../..", "root": 3}']
)
def test_a_file_that_cannot_be_read_is_a_repository_that_is_not_there(backend: LocalBackend, content: bytes) -> None:
    backend.write("clones/x.json", [content])
    (clone,) = known_clones(backend)
    assert clone.place is None
    assert not clone.is_there


def test_a_store_that_is_not_on_local_disk_is_told_nothing(tmp_path: Path) -> None:
    backend = WatchedBackend(LocalBackend(tmp_path / "store"))
    register(backend, make(tmp_path / "first"))
    assert backend.calls == []
