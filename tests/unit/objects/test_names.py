"""Which names are refused as git's or dver's own, and which are a user's."""

import pytest

from dver.errors import FormatError
from dver.objects.entry import check_path, check_paths
from dver.objects.names import belongs_to_dver, belongs_to_git, fold, may_belong_to_git
from dver.objects.pointer import may_be_dataset

GITS = [
    ".git",
    ".GIT",
    ".gIt/hooks/post-checkout",
    "sub/.Git",
    "sub/.git/x",
    # NTFS: short name, stream, and what is taken off the end of a name.
    "git~1",
    "GIT~1/config",
    "a/Git~1",
    ".git::$INDEX_ALLOCATION",
    ".git:x",
    "git~1:x/y",
    ".git.",
    ".git...",
    ".git ",
    ".git . .",
    "a/.GIT. /b",
    "a\\.git\\b",
    "a\\GIT~1",
    # HFS+, APFS and folding ext4: characters that a comparison passes over.
    ".g\u200cit",
    "\u200d.git",
    ".git\ufeff",
    "\u2060.\u00adG\u200bI\u202eT\ufe0f/config",
    ".g\U000e0001it",
    # ZFS with a compatibility normalisation.
    "\uff0e\uff47\uff49\uff54",
    "\u2024git",
    # Letters that some tables make an i of.
    ".g\u0131t",
    ".G\u0130T",
    # Several at once.
    "x/.\u200cGIT . ::$INDEX_ALLOCATION",
]
PLAIN = [
    ".gitignore",
    ".gitattributes",
    ".github/workflows/x.yml",
    ".git-old",
    ".gitx",
    "a.git",
    "x/repo.git/HEAD",
    "git",
    "git~",
    "git~2",
    "git~10",
    "mygit~1",
    "digit~1/x",
    # Windows has other ideas about these, and is no concern of a user who has none.
    "CON",
    "aux.c",
    "com1",
    "a:b",
    "what?",
    "ends in a dot.",
    "ends in a space ",
    "a\\b",
    # Words that only look alike.
    ".git\u00e9",
    ".g\u00eft",
    "\u65e5\u672c.git",
    "caf\u00e9/\u200d\U0001f469.png",
]


@pytest.mark.parametrize("path", GITS)
def test_whatever_some_file_system_takes_for_git_is_refused(path: str) -> None:
    raw = path.encode()

    assert belongs_to_git(raw)
    assert may_belong_to_git(b"/x/\0/" + raw + b"/")
    with pytest.raises(FormatError, match="refused the path"):
        check_path(raw, "here")
    with pytest.raises(FormatError, match="refused the path"):
        check_paths([b"a", raw, b"z"], "here")
    assert not may_be_dataset(path)


@pytest.mark.parametrize("path", PLAIN)
def test_other_names_are_a_users_own(path: str) -> None:
    raw = path.encode()

    assert not belongs_to_git(raw)
    check_path(raw, "here")
    check_paths([b"a", raw, b"z"], "here")
    assert may_be_dataset(path)


@pytest.mark.parametrize(
    "path", [".dver", ".DVER/x", "dver~1", "DVER~1/y", ".dver.", ".dver ", ".dver::$DATA", ".d\u200cver", ".dver\\x"]
)
def test_no_dataset_lies_in_what_some_file_system_takes_for_dvers_own_folder(path: str) -> None:
    assert belongs_to_dver(path.encode())
    assert not may_be_dataset(path)


@pytest.mark.parametrize("path", ["x/.dver", ".dverignore", "dver", "dver~2", "data.dver"])
def test_names_with_dver_in_them_are_no_harm(path: str) -> None:
    assert not belongs_to_dver(path.encode())
    assert may_be_dataset(path)


@pytest.mark.parametrize("path", [b"\xff.git", b".g\xffit", b"\xed\xa0\x80.git"])
def test_names_that_are_not_utf8_are_compared_as_they_are(path: bytes) -> None:
    assert not belongs_to_git(path)


def test_a_git_folder_beside_names_that_are_not_utf8_is_found() -> None:
    assert belongs_to_git(b"\xff/.git/x")
    with pytest.raises(FormatError):
        check_paths([b"\xff", b"\xff/.GIT"], "here")


def test_paths_that_differ_in_case_or_form_fold_alike() -> None:
    assert fold("Stra\u00dfe/CAF\u00c9".encode()) == fold("STRASSE/cafe\u0301".encode())
    assert fold(b"a") != fold(b"b")
