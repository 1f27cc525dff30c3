r"""Names that git or dver keep for themselves, also as some file system would understand them.

A repository made on one system is checked out on others, so a name is refused everywhere if there is a file system on
which it leads to `.git`: in any case of letters; with characters that HFS+, APFS and folding ext4 pass over, or in the
compatibility forms that ZFS can fold; as NTFS's short name `git~1`; with the dots, spaces or stream (`.git::$INDEX…`)
that Windows takes off its end; and behind a backslash, which separates folders there.

Names that Windows reserves or cannot write, such as `CON`, `aux.c` or `a:b`, are no danger and are not refused.
"""

import re
from functools import cache

# What Unicode calls default-ignorable: file systems that fold names compare them as if these were not there.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_GIT = re.compile(r"(?:\A|[/\\])(?:\.git|git~1)[ .]*(?:[/\\:]|\Z)")
_DVER = re.compile(r"(?:\.dver|dver~1)[ .]*(?:[/\\:]|\Z)")


def belongs_to_git(path: bytes) -> bool:
    """Whether a part of a path is `.git`, or would be taken for it on some file system."""
    return _GIT.search(fold(path)) is not None


def belongs_to_dver(path: bytes) -> bool:
    """Whether a path starts in `.dver`, or in what would be taken for it on some file system."""
    return _DVER.match(fold(path)) is not None


def may_belong_to_git(joined: bytes) -> bool:
    """Whether one of many paths, given in one piece, might belong to git: if not, none does."""
    folded = joined.lower() if joined.isascii() else _compatible(joined).encode("ascii", "ignore")
    return b".git" in folded or b"git~1" in folded


def fold(path: bytes) -> str:
    """Return a text that all paths have in common which some file system takes for one; others may have it too."""
    if path.isascii():
        return path.decode("ascii").lower()
    return _normalized(_ignorable().sub("", _compatible(path)))


def _compatible(path: bytes) -> str:
    text = _normalized(path.decode("utf-8", "surrogateescape")).casefold()
    # Some tables of letter cases make an i of these.
    return text.replace("i\u0307", "i").replace("\u0131", "i")


def _normalized(text: str) -> str:
    # Deferred: most names are plain.
    from unicodedata import normalize  # noqa: PLC0415

    return normalize("NFKC", text)


@cache
def _ignorable() -> re.Pattern[str]:
    return re.compile(f"[{_IGNORABLE}]")
