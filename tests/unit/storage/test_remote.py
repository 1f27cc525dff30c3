"""The remote backend on file systems without an atomic put, and on those that dver has no row for."""

import importlib
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.local import LocalFileSystem

from dver.errors import BackendError, BackendProblem, ConfigError
from dver.storage.backend import BlobInfo
from dver.storage.check import check_backend
from dver.storage.remote import RemoteBackend

KEY = "packs/4f/one.pack"


class ServerFileSystem(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Local files in the role of an SFTP server that is picky about what it is asked."""

    protocol = "sftp"
    names_written: ClassVar[list[str]] = []
    fail_to_rename: ClassVar[bool] = False
    callers: ClassVar[int] = 0

    def __init__(self, host: str, **kwargs: Any) -> None:
        super().__init__()
        self.host = host
        self.arguments = kwargs

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        path = str(path).removeprefix("sftp://")
        return path if path.startswith("/") else "/" + path.partition("/")[2]

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, str]:
        return {"host": url.removeprefix("sftp://").partition("/")[0]}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        assert not kwargs
        cls = type(self)
        cls.callers += 1
        try:
            assert cls.callers == 1, "called from two threads at once"
            self.names_written.append(path.rpartition("/")[2])
            super().pipe_file(path, value, mode)
        finally:
            cls.callers -= 1

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        if self.fail_to_rename:
            raise OSError("no renaming today")
        Path(path1).replace(path2)


def register(monkeypatch: pytest.MonkeyPatch, scheme: str, file_system: type) -> None:
    """Let fsspec use `file_system` for `scheme`, for the length of a test: its own function has no way back."""
    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, scheme, file_system)


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteBackend:
    """An SFTP backend on a folder of this machine."""
    paramiko = types.ModuleType("paramiko")
    monkeypatch.setattr(paramiko, "SSHException", type("SSHException", (Exception,), {}), raising=False)
    monkeypatch.setitem(sys.modules, "paramiko", paramiko)
    register(monkeypatch, "sftp", ServerFileSystem)
    monkeypatch.setattr(ServerFileSystem, "names_written", [])
    monkeypatch.setattr(ServerFileSystem, "callers", 0)
    return RemoteBackend(f"sftp://host{tmp_path}/deep/store", {"username": "me", "port": "2222"})


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_options_reach_the_file_system_and_nothing_that_it_does_not_know(sftp: RemoteBackend) -> None:
    found = sftp._fs.arguments
    assert (sftp._fs.host, found["username"], found["port"]) == ("host", "me", 2222)
    assert set(found) == {"username", "port", "timeout", "banner_timeout"}


def test_without_an_atomic_put_a_blob_is_renamed_into_place(sftp: RemoteBackend, tmp_path: Path) -> None:
    sftp.write(KEY, [b"some ", b"bytes"])
    assert files(tmp_path) == ["one.pack"]
    assert all(name.startswith(".tmp-") for name in ServerFileSystem.names_written)
    assert sftp.read(KEY) == b"some bytes"


def test_a_write_that_fails_leaves_no_temporary_file(
    sftp: RemoteBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServerFileSystem, "fail_to_rename", True)
    with pytest.raises(BackendError, match="no renaming today"):
        sftp.write(KEY, [b"x"])
    assert files(tmp_path) == []


def test_what_cannot_be_called_from_two_threads_is_not(sftp: RemoteBackend) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(10)
        for _ in range(5):
            sftp.write(f"packs/{number}", [b"x" * 1000])

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(write, range(8)):
            pass
    assert len([*sftp.list("packs/")]) == 8


def test_the_check_passes_on_such_storage(sftp: RemoteBackend) -> None:
    assert all(step.ok for step in check_backend(sftp))


def test_a_folder_that_fails_to_list_is_no_empty_list(sftp: RemoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    sftp.write(KEY, [b"x"])

    def fail(_self: object, path: str, detail: bool = True) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(ServerFileSystem, "ls", fail)
    with pytest.raises(BackendError, match="the connection broke off") as caught:
        [*sftp.list("packs/")]
    assert caught.value.transient


def test_a_size_that_is_refused_is_no_missing_blob(sftp: RemoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, path: str) -> None:
        raise PermissionError("no")

    for call in ("info", "rm_file"):
        monkeypatch.setattr(ServerFileSystem, call, refuse)
    with pytest.raises(BackendError) as caught:
        sftp.size(KEY)
    assert caught.value.problem is BackendProblem.DENIED
    with pytest.raises(BackendError, match="cannot delete packs"):
        sftp.delete(KEY)


def test_any_file_system_of_fsspec_serves_as_a_place(tmp_path: Path) -> None:
    # fsspec's own `file` stands for those that dver has no row for: folders are made as needed and walked for lists.
    backend = RemoteBackend(f"file://{tmp_path}/deep/store", {})
    assert [*backend.list("packs/")] == []
    backend.write(KEY, [b"12", b"34"])
    backend.write("packs/5a/two", [b"1"])
    (tmp_path / "deep/store/packs/.tmp-1-x").write_bytes(b"half")
    assert {*backend.list("packs/")} == {BlobInfo(KEY, 4), BlobInfo("packs/5a/two", 1)}
    assert {*backend.list("")} == {*backend.list("packs/")}
    assert backend.read_range(KEY, 1, 2) == b"23"
    assert (backend.size(KEY), backend.size("packs/4f")) == (4, None)
    for _ in range(2):
        backend.delete(KEY)
    assert backend.size(KEY) is None


def test_options_that_a_file_system_does_not_take_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
        def __init__(self) -> None:
            super().__init__()

    register(monkeypatch, "picky", Picky)
    with pytest.raises(ConfigError, match="do not work with these options: colour"):
        RemoteBackend("picky://x", {"colour": "red"})
