"""The text of a pointer in conflict: made, bounded, and taken apart as dver and as git write it."""

import json

import pytest

from dver.errors import FormatError
from dver.objects.conflict import Labels, PointerSides, TornText, encode_conflict, path_string, split_conflict
from dver.objects.ids import ID_LENGTH, VersionId
from dver.objects.merge import ConflictKind, PathConflict, Ruling, Side
from dver.objects.pointer import MAX_POINTER, DatasetKind, Pointer, decode_pointer, encode_pointer, has_conflict_markers


def pointer(number: int) -> Pointer:
    return Pointer(DatasetKind.DIRECTORY, VersionId(bytes([number]) * ID_LENGTH), 1 << 61, 1 << 61)


BASE, OURS, THEIRS = (encode_pointer(pointer(number)) for number in (1, 2, 3))
SIDES = PointerSides(pointer(1), pointer(2), pointer(3))
WITHOUT_BASE = PointerSides(None, pointer(2), pointer(3))

ODD_PATHS = [
    b"plain",
    b"",
    b"\xff\xfe/caf\xc3\xa9",
    b'with "quotes" and \\ and \'',
    b"lines\nof\r\nmore\r",
    b"\xe2\x80\xa8 \xc2\x85 \x0b\x0c\x1c",
    b"\n<<<<<<< ours\n=======\n>>>>>>> theirs\n",
    b'# ours "x"',
    b"\xed\xb3\xbf",
]


def conflicts(count: int, path: bytes = b"p") -> list[PathConflict]:
    return [PathConflict(b"%s%d" % (path, number), ConflictKind.BOTH_CHANGED) for number in range(count)]


def torn(text: bytes) -> TornText:
    found = split_conflict(text)
    assert found is not None
    return found


def sides_of(text: bytes) -> list[Pointer | None]:
    found = torn(text)
    return [None if side is None else decode_pointer(side, "x") for side in (found.base, found.ours, found.theirs)]


def test_the_text_is_comments_and_whole_pointers_between_marks() -> None:
    text = encode_conflict(SIDES, conflicts(1), [Ruling(Side.THEIRS, b"a b")], Labels("HEAD", "side"))
    assert text == (
        b"# dver merge conflict (1 path): `dver checkout --ours PATH` or `--theirs PATH` decides\n"
        b'# conflict "p0": changed on both sides\n'
        b'# theirs "a b"\n'
        b"<<<<<<< HEAD\n" + OURS + b"||||||| base\n" + BASE + b"=======\n" + THEIRS + b">>>>>>> side\n"
    )
    assert has_conflict_markers(text)
    with pytest.raises(FormatError, match="conflict markers"):
        decode_pointer(text, "x")


def test_the_first_conflicts_are_listed_and_the_rest_counted() -> None:
    lines = encode_conflict(SIDES, conflicts(23)).decode().splitlines()
    assert lines[0].startswith("# dver merge conflict (23 paths):")
    assert lines[20:23] == ['# conflict "p19": changed on both sides', "# and 3 more", "<<<<<<< ours"]
    assert b"more" not in encode_conflict(SIDES, conflicts(20))
    assert b"# dver merge conflict (its versions were out of reach):" in encode_conflict(SIDES, None)
    assert b"# dver merge conflict (0 paths):" in encode_conflict(SIDES, [])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("path", ODD_PATHS, ids=range(len(ODD_PATHS)))
def test_choices_for_any_path_come_back_in_order(path: bytes, line_end: bytes) -> None:
    rulings = (Ruling(Side.THEIRS, path), Ruling(Side.OURS, b"between"), Ruling(Side.OURS, path))
    listed = [PathConflict(path, ConflictKind.BOTH_ADDED)]
    text = encode_conflict(SIDES, listed, rulings)
    assert text.isascii()
    assert len(text.splitlines()) == 1 + len(listed) + len(rulings) + 4 + 3 * 6
    text = text.replace(b"\n", line_end)
    assert torn(text).rulings == rulings
    assert sides_of(text) == [pointer(1), pointer(2), pointer(3)]


@pytest.mark.parametrize(
    "line",
    [
        b'# mine "a"',
        b"# ours a",
        b'# ours "a',
        b'# ours "a" and more',
        b'# ours "\\x"',
        b'# ours "\\ud800"',
        b'#ours "a"',
        b'# ours "a" "b"',
        b'# ours "\xff"',
        b"# ours 1",
    ],
)
def test_a_comment_that_is_no_choice_is_passed_over(line: bytes) -> None:
    text = line + b'\n# ours "good"\n' + encode_conflict(SIDES, None)
    assert torn(text).rulings == (Ruling(Side.OURS, b"good"),)


def test_comments_that_git_has_in_the_sides_are_no_choices() -> None:
    text = encode_conflict(SIDES, None).replace(b"<<<<<<< ours\n", b'<<<<<<< ours\n# ours "within"\n')
    assert torn(text + b'# theirs "after"\n').rulings == ()


def test_what_git_leaves_is_taken_apart() -> None:
    plain = b"<<<<<<< HEAD\n" + OURS + b"=======\n" + THEIRS + b">>>>>>> 1234567 (a subject)\n"
    assert split_conflict(plain) == TornText(None, OURS, THEIRS)
    assert split_conflict(plain.rstrip()) == TornText(None, OURS, THEIRS)
    diff3 = plain.replace(b"=======\n", b"||||||| merged common ancestors\n" + BASE + b"=======\n")
    assert split_conflict(diff3) == TornText(BASE, OURS, THEIRS)
    assert split_conflict(diff3.replace(b"||||||| merged common ancestors", b"|||||||")) == TornText(BASE, OURS, THEIRS)
    assert split_conflict(b"<<<<<<< a\n||||||| b\n=======\n>>>>>>> c\n") == TornText(b"", b"", b"")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_marks_around_a_few_lines_leave_the_lines_around_them_to_all_sides(end: bytes) -> None:
    first = [b"<<<<<<< x", b"1", b"||||||| y", b"0", b"=======", b"2", b">>>>>>> z"]
    second = [b"<<<<<<< x", b"3", b"||||||| y", b"=======", b"4", b">>>>>>> z"]
    found = torn(end.join([b"a", *first, b"b", *second, b"c", b""]))
    sides = (found.base or b"", found.ours, found.theirs)
    assert [side.split(end) for side in sides] == [
        [b"a", b"0", b"b", b"c", b""],
        [b"a", b"1", b"b", b"3", b"c", b""],
        [b"a", b"2", b"b", b"4", b"c", b""],
    ]


def test_marks_of_another_length_within_belong_to_the_side_that_they_are_in() -> None:
    inner = b"<<<<<<<<< Temporary 1\n" + OURS + b"=========\n" + THEIRS + b">>>>>>>>> Temporary 2\n"
    text = b"<<<<<<< a\n" + OURS + b"||||||| b\n" + inner + b"=======\n" + THEIRS + b">>>>>>> c\n"
    assert split_conflict(text) == TornText(inner, OURS, THEIRS)
    long = inner.replace(b"Temporary", b"x")
    assert split_conflict(long) == TornText(None, OURS, THEIRS)
    # Text that only looks like marks: of the same length but out of turn, or with something right behind it.
    odd = b">>>>>>> x\n=======y\n<<<<<<<y\n|||||||y\n<<<<<< x\n"
    assert split_conflict(b"<<<<<<< a\n" + odd + b"=======\n>>>>>>> c\n") == TornText(None, odd, b"")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        OURS,
        b"<<<<<<< a\n" + OURS,
        b"<<<<<<< a\n" + OURS + b"=======\n" + THEIRS,
        b"<<<<<<< a\n" + OURS + b">>>>>>> b\n",
        b"<<<<<<< a\n" + OURS + b"||||||| b\n" + BASE + b">>>>>>> c\n",
        OURS + b"=======\n" + THEIRS + b">>>>>>> b\n",
        b"<<<<<<< a\n=======\n>>>>>>> b\n<<<<<<< a\n",
        b"<<<<<<< a\n========\n>>>>>>> b\n",
        b"<<<<<<<<< a\n" + OURS + b"=======\n" + THEIRS + b">>>>>>> b\n",
        b" <<<<<<< a\n =======\n >>>>>>> b\n",
        b"<<<<<< a\n======\n>>>>>> b\n",
    ],
)
def test_marks_that_do_not_belong_together_are_refused(text: bytes) -> None:
    assert split_conflict(text) is None


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("feature/x (a subject)", b"feature/x (a subject)"),
        ("two\nlines\r\nand\x85a\u2028few\x1b[31m", b"two?lines??and?a?few?[31m"),
        ("\udcff\ud800", b"??"),
        ("caf\u00e9", "caf\u00e9".encode()),
        ("", b""),
        ("=======\n>>>>>>> theirs\n", b"=======?>>>>>>> theirs?"),
        ("\u00e9" * 9999, "\u00e9".encode() * 250),
    ],
)
def test_no_label_can_break_the_marks(label: str, shown: bytes) -> None:
    text = encode_conflict(WITHOUT_BASE, None, (), Labels(label, label))
    assert b"\n<<<<<<< " + shown + b"\n" in text
    assert text.endswith(b"\n>>>>>>> " + shown + b"\n")
    assert sides_of(text) == [None, pointer(2), pointer(3)]


def test_the_list_is_shortened_until_it_fits() -> None:
    text = encode_conflict(SIDES, conflicts(20, b"\xff" * 4000))
    assert len(text) <= MAX_POINTER
    listed = text.count(b"\n# conflict ")
    assert 0 < listed < 20
    assert b"# dver merge conflict (20 paths):" in text
    assert b"\n# and %d more\n" % (20 - listed) in text
    # All rulings are there, be it at the cost of the list.
    rulings = tuple(Ruling(Side.OURS, b"\xff" * 4000 + b"%d" % number) for number in range(2))
    assert torn(encode_conflict(SIDES, conflicts(20, b"\xff" * 4000), rulings)).rulings == rulings


def test_a_choice_too_many_for_a_pointer_is_refused_with_what_helps() -> None:
    room = MAX_POINTER - len(encode_conflict(SIDES, conflicts(1000)))
    line = len(f"# ours {path_string(b'folder/number 1000')}\n")
    room += sum(len(f"# conflict {json.dumps(f'p{number}')}: changed on both sides\n") for number in range(20))
    rulings = [Ruling(Side.OURS, b"folder/number %d" % number) for number in range(1000, 1000 + room // line)]
    fitting = encode_conflict(SIDES, conflicts(1000), rulings[:-1])
    assert MAX_POINTER - 2 * line < len(fitting) <= MAX_POINTER
    assert b"# and 1000 more\n" in fitting
    with pytest.raises(FormatError, match=r"no room for \d+ rulings") as caught:
        encode_conflict(SIDES, conflicts(1000), [*rulings, *rulings[:2]])
    assert "FOLDER" in (caught.value.hint or "")
