"""Pointers: stable bytes, strict reading, and words for what went wrong."""

import pytest

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.ids import VersionId
from dver.objects.pointer import (
    MAX_POINTER,
    DatasetKind,
    Pointer,
    dataset_path,
    decode_pointer,
    encode_pointer,
    pointer_path,
)

POINTER = Pointer(DatasetKind.DIRECTORY, VersionId(bytes(range(32))), 10485760, 50000)
TEXT = encode_pointer(POINTER).decode()


def test_the_bytes_are_those_of_the_specification() -> None:
    assert TEXT == (
        "# dver pointer: commit this file; `dver checkout` restores the data\n"
        "format = 1\n"
        'kind = "directory"\n'
        'version = "b3:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"\n'
        "size = 10485760\n"
        "files = 50000\n"
    )


def test_a_pointer_round_trips() -> None:
    assert decode_pointer(TEXT.encode(), "x") == POINTER


def test_windows_line_ends_and_reordered_keys_are_read() -> None:
    lines = TEXT.splitlines()[1:]
    assert decode_pointer("\r\n".join(reversed(lines)).encode(), "x") == POINTER


def test_keys_of_a_later_dver_are_passed_over() -> None:
    assert decode_pointer(f'{TEXT}note = "later"\n'.encode(), "x") == POINTER


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError, match="written in format 2") as caught:
        decode_pointer(b'format = 2\nshape = "round"\n', "data.dver")
    assert caught.value.hint is not None
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("conflict", ["<<<<<<< HEAD\n{0}=======\n{0}>>>>>>> other\n", "# c\n<<<<<<< HEAD\n{0}"])
def test_conflict_markers_are_named_with_what_helps(conflict: str) -> None:
    with pytest.raises(FormatError, match="conflict") as caught:
        decode_pointer(conflict.format(TEXT).encode(), "data.dver")
    assert caught.value.hint is not None
    assert "--ours" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 0"),
        ("format = 1", "format = -1"),
        ("format = 1", "format = true"),
        ("format = 1", "format = 1.0"),
        ("format = 1", 'format = "1"'),
        ("format = 1\n", ""),
        ("directory", "folder"),
        ('"directory"', "1"),
        ("b3:00", "b3:0g"),
        ("b3:00", "00"),
        ("size = 10485760", "size = -1"),
        ("size = 10485760", "size = true"),
        ("size = 10485760", "size = 1e3"),
        ("size = 10485760", "size = 4611686018427387904"),
        ("size = 10485760", "size = " + "9" * 5000),
        ("size = 10485760\n", ""),
        ("files = 50000", "files = -5"),
        ("files = 50000", "files = false"),
        ("files = 50000", "size = 1"),
    ],
)
def test_anything_else_is_no_pointer(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(FormatError, match=r"data\.dver"):
        decode_pointer(TEXT.replace(old, new, 1).encode(), "data.dver")


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"a = " + b"[" * 60_000,
        b"a = " + b"{b=" * 20_000,
        b"[" * 1000,
        b"x" * (MAX_POINTER + 1),
    ],
    ids=["empty", "nul", "not utf-8", "deep arrays", "deep tables", "brackets", "long"],
)
def test_junk_is_no_pointer(junk: bytes) -> None:
    with pytest.raises(FormatError):
        decode_pointer(junk, "x")


def test_paths_of_pointers_and_datasets_are_each_others_inverse() -> None:
    assert pointer_path("data/train") == "data/train.dver"
    assert dataset_path("data/train.dver") == "data/train"
    assert dataset_path(pointer_path("model.dver")) == "model.dver"
