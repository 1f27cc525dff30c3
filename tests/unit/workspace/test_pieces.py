"""Cutting folders into pieces."""

import os
from pathlib import Path

import pytest

from dver.workspace import walk
from dver.workspace.ahead import fingerprint
from dver.workspace.ignore import IgnoreRules
from dver.workspace.pieces import Piece, in_batches, pieces_of
from dver.workspace.walk import Folder, walk_folders


def folders(top: Path) -> list[Folder]:
    rules = IgnoreRules.for_dataset(top.parent, top.name)
    return [each for each in walk_folders(os.fsencode(top), rules, {}) if isinstance(each, Folder)]


def pieces(top: Path) -> list[Piece]:
    return [piece for folder in folders(top) for piece in pieces_of(folder)]


def covers(piece: Piece, path: bytes) -> bool:
    return any(low <= path < high for low, high in piece.ranges)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("a", "b/c", "b/d/e", "b.txt", "b0", "f"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "data"


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_every_path_belongs_to_one_piece_be_it_there_or_gone(
    top: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "BLOCK_FILES", block)
    found = pieces(top)
    there = [b"a", b"b/c", b"b/d/e", b"b.txt", b"b0", b"f"]
    gone = [b"0", b"b/b", b"b/d/a", b"b/d/z", b"b/z", b"b-", b"e/gone/too", b"z"]
    for path in there + gone:
        assert [covers(piece, path) for piece in found].count(True) == 1, path
    assert sorted(item.path for piece in found for item in piece.items()) == sorted(there)


def test_the_last_piece_of_a_folder_has_its_fingerprint(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "BLOCK_FILES", 1)
    for folder in folders(top):
        *before, last = pieces_of(folder)
        assert [piece.mark for piece in before] == [None] * len(before)
        assert last.mark == fingerprint(folder)


def test_batches_have_all_pieces_in_order(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.workspace.pieces.BLOCK_FILES", 3)
    found = pieces(top)
    batches = [*in_batches(found)]
    assert [piece for batch in batches for piece in batch] == found
    assert len(batches) > 1
