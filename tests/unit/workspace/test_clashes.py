"""Names that a file system takes for one."""

import os
from pathlib import Path

import pytest

from dver.workspace.clashes import NameProbe, find_clash, spelled


def ask_nothing(_first: bytes, _second: bytes) -> bool:
    raise AssertionError


def agree(_first: bytes, _second: bytes) -> bool:
    return True


@pytest.mark.parametrize(
    ("paths", "clash"),
    [
        ([b"README", b"readme"], (b"README", b"readme")),
        ([b"A/x", b"a/y"], (b"A", b"a")),
        ([b"a/B/c", b"a/b/d"], (b"a/B", b"a/b")),
        (["\u00e9".encode(), "e\u0301".encode()], ("\u00e9".encode(), "e\u0301".encode())),
        (["stra\u00dfe".encode(), b"STRASSE"], ("stra\u00dfe".encode(), b"STRASSE")),
        ([b"x", b"x. ."], (b"x", b"x. .")),
        (["x\u200b".encode(), b"x"], ("x\u200b".encode(), b"x")),
    ],
)
def test_both_names_are_found_whatever_makes_them_one(paths: list[bytes], clash: tuple[bytes, bytes]) -> None:
    assert find_clash(paths, agree) == clash
    assert find_clash(paths, lambda _first, _second: False) is None


@pytest.mark.parametrize(
    "paths", [[], [b"a", b"b"], [b"a/x", b"b/X"], [b"a/x", b"a/y"], [b"\xff", b"\xfe"], [b"a", b"a.b"], [b"ab", b"a/b"]]
)
def test_names_that_no_file_system_merges_are_not_asked_about(paths: list[bytes]) -> None:
    assert find_clash(paths, ask_nothing) is None


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_an_ordinary_folder_merges_nothing_and_is_left_as_it_was(tmp_path: Path, scratch: Path) -> None:
    probe = NameProbe(tmp_path / "not" / "there", scratch)
    assert not probe.merges_names()
    assert not probe.are_one(b"a", b"A")
    assert probe.are_one(b"a", b"a")
    assert not probe.are_one(b"a/b", b"c")
    assert list(tmp_path.rglob("*")) == [scratch]


def test_a_folder_on_another_file_system_is_tried_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    seen = []
    real = os.mkdir

    def watching(path: bytes) -> None:
        seen.append(path)
        real(path)

    monkeypatch.setattr(os, "mkdir", watching)
    NameProbe(other, tmp_path).merges_names()
    assert [os.path.dirname(path) for path in seen] == [b"/dev/shm"]
    assert not os.path.lexists(seen[0])


def test_where_nothing_can_be_tried_nothing_is_refused(scratch: Path) -> None:
    assert not NameProbe(Path("/proc/self"), scratch).merges_names()


def test_a_path_is_spelled_as_it_is_where_case_tells_names_apart(tmp_path: Path) -> None:
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "A").touch()
    for path in (b"Sub/A", b"sub/A", b"Sub/a", b"Sub/A/b", b"none/at/all"):
        assert spelled(os.fsencode(tmp_path), path) == path


def test_a_path_is_spelled_as_its_folders_list_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "A").touch()
    monkeypatch.setattr(os.path, "lexists", lambda _path: True)
    assert spelled(os.fsencode(tmp_path), b"sub/a") == b"Sub/A"
    assert spelled(os.fsencode(tmp_path), b"Sub/b") == b"Sub/b"
