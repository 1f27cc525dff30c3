"""Which pointers are in conflict, and between which sides: by git's index, or by the marks in the text."""

import pytest

from dver.errors import FormatError, PathError
from dver.objects.conflict import PointerSides, encode_conflict
from dver.objects.ids import ID_LENGTH, VersionId
from dver.objects.merge import Ruling, Side
from dver.objects.pointer import DatasetKind, Pointer, encode_pointer
from dver.operations.merge import PointerConflict, read_conflict, torn_datasets, unmerged_datasets
from tests.clones import Clone
from tests.unit.operations.merging import diverge, merge, stage_conflict, write


def conflict_of(clone: Clone, dataset: str = "data") -> PointerConflict | None:
    with clone.open() as repo:
        return read_conflict(repo, dataset)


def some(number: int) -> Pointer:
    return Pointer(DatasetKind.DIRECTORY, VersionId(bytes([number]) * ID_LENGTH), number, number)


def test_git_knows_the_sides_until_the_pointer_is_staged(clone: Clone) -> None:
    clone.write("data/a", b"base")
    clone.save()
    sides = diverge(clone, write("data/a", b"ours"), write("data/a", b"theirs"))
    assert conflict_of(clone) is None
    merge(clone)
    expected = PointerConflict("data", sides.base, sides.ours, sides.theirs)
    assert conflict_of(clone) == expected
    # However the file looks by now, and also when there is none.
    clone.write("data.dver", b"<<<<<<< torn\n")
    assert conflict_of(clone) == expected
    (clone.root / "data.dver").unlink()
    assert conflict_of(clone) == expected
    with clone.open() as repo:
        assert not torn_datasets(repo, ["data"])
        assert unmerged_datasets(repo) == {"data"}
    rulings = (Ruling(Side.THEIRS, b"a"), Ruling(Side.OURS, b"\xff"))
    clone.write("data.dver", encode_conflict(PointerSides(None, some(1), some(2)), None, rulings))
    assert conflict_of(clone) == PointerConflict("data", sides.base, sides.ours, sides.theirs, rulings)
    clone.git("add", "data.dver")
    assert conflict_of(clone) == PointerConflict("data", None, some(1), some(2), rulings)


@pytest.mark.parametrize(
    "base", [b"", b"rubbish", b"<<<<<<< x\n=======\n>>>>>>> y\n", b"# dver pointer\nformat = 99\n"]
)
def test_a_base_that_cannot_be_read_is_none(clone: Clone, base: bytes) -> None:
    stage_conflict(clone, "sub/x.dver", base, encode_pointer(some(1)), encode_pointer(some(2)).replace(b"\n", b"\r\n"))
    assert conflict_of(clone, "sub/x") == PointerConflict("sub/x", None, some(1), some(2))


def test_a_side_that_deleted_the_pointer_has_none(clone: Clone) -> None:
    stage_conflict(clone, "x.dver", encode_pointer(some(1)), None, encode_pointer(some(2)))
    conflict = conflict_of(clone, "x")
    assert conflict == PointerConflict("x", some(1), None, some(2))
    assert (conflict.of(Side.OURS), conflict.of(Side.THEIRS)) == (None, some(2))
    with pytest.raises(PathError, match="ours deleted or renamed it") as caught:
        _ = conflict.sides
    assert "dver checkout --theirs x keeps it" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("dataset", "ours", "message"),
    [
        ("x", b"somebody's text", r"x\.dver of ours: not a dver pointer"),
        ("x", b"# dver pointer\nformat = 99\n", r"x\.dver of ours: written in format 99"),
        ("x", b"\xff" * 70_000, r"x\.dver of ours: 70000 bytes is too large"),
        (".dver/x", encode_pointer(some(1)), "refused"),
        (".DVER", encode_pointer(some(1)), "refused"),
    ],
)
def test_sides_that_must_not_be_merged_are_refused(clone: Clone, dataset: str, ours: bytes, message: str) -> None:
    stage_conflict(clone, f"{dataset}.dver", None, ours, encode_pointer(some(2)))
    with pytest.raises(FormatError, match=message):
        conflict_of(clone, dataset)


def test_marks_that_do_not_belong_together_are_refused_with_what_helps(clone: Clone) -> None:
    clone.write("data.dver", b"<<<<<<< a\n" + encode_pointer(some(1)))
    with pytest.raises(FormatError, match=r"data\.dver: has marks of a merge that do not belong") as caught:
        conflict_of(clone)
    assert caught.value.hint == "git checkout REV -- data.dver takes the pointer of a commit"


def test_files_of_the_users_own_are_no_unmerged_datasets(clone: Clone) -> None:
    stage_conflict(clone, "notes.dver", b"1", b"2", b"3")
    stage_conflict(clone, "one.dver", b"1", b"2", encode_pointer(some(2)))
    stage_conflict(clone, "gone.dver", encode_pointer(some(2)), None, b"3")
    stage_conflict(clone, "code.py", encode_pointer(some(2)), b"2", encode_pointer(some(2)))
    with clone.open() as repo:
        assert unmerged_datasets(repo) == {"one"}


def test_a_pointer_is_torn_by_marks_alone(clone: Clone) -> None:
    stage_conflict(clone, "data.dver", None, encode_pointer(some(1)), encode_pointer(some(2)))
    (clone.root / "folder.dver").mkdir()
    (clone.root / "file").write_text("x")
    clone.write("crlf.dver", b"x\r\n<<<<<<< y\r\n")
    with clone.open() as repo:
        torn = torn_datasets(repo, ("data", "absent", "folder", "file/below", "crlf"))
    assert torn == {"crlf"}
