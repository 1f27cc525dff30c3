"""Which files must not enter git."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.errors import ConfigError
from dver.operations.large_files import LargeFile, Limits, find_large_files
from tests.clones import Clone, files_opened

LIMIT = 100
LIMITS = Limits(LIMIT)


def _found(clone: Clone, files: Sequence[str] | None = None, limits: Limits = LIMITS) -> list[LargeFile]:
    with clone.open() as repo:
        return find_large_files(repo, limits, files)


def _paths(clone: Clone, files: Sequence[str] | None = None, limits: Limits = LIMITS) -> list[str]:
    return [file.path for file in _found(clone, files, limits)]


@pytest.fixture
def staged(clone: Clone) -> Clone:
    """A repository with small and large files staged, and one that is not."""
    clone.commit()
    for path, size in {"at": LIMIT, "over": LIMIT + 1, "docs/image.png": 5000, "table.csv": 3}.items():
        clone.write(path, b"x" * size)
    clone.git("add", "--all")
    clone.write("unstaged", b"x" * 5000)
    return clone


def test_staged_files_over_the_limit_are_found(staged: Clone) -> None:
    assert _found(staged) == [
        LargeFile("docs/image.png", 5000, None, None),
        LargeFile("over", LIMIT + 1, None, None),
    ]


def test_the_staged_content_counts_and_is_not_read(staged: Clone, tmp_path: Path) -> None:
    staged.write("at", b"x" * 5000)
    staged.write("over", b"")
    with files_opened(tmp_path) as opened:
        assert _paths(staged) == ["docs/image.png", "over"]
    assert not [path for path in opened if not path.startswith(bytes(staged.root / ".git"))]


def test_allowed_files_may_be_large_or_data(staged: Clone) -> None:
    assert _paths(staged, limits=Limits(LIMIT, allow=("*.png", "/over"))) == []
    assert _paths(staged, limits=Limits(LIMIT, allow=("docs/", "over", "*.csv"), data=("*.csv",))) == []


def test_data_is_found_however_small(staged: Clone) -> None:
    limits = Limits(1 << 20, data=("*.parquet", "*.csv"))
    assert _found(staged, limits=limits) == [LargeFile("table.csv", 3, "*.csv", None)]


def test_named_files_are_looked_at_even_if_committed_and_only_if_git_has_them(staged: Clone) -> None:
    staged.commit()
    staged.write("untracked", b"x" * 5000)
    assert _paths(staged) == []
    assert _paths(staged, ["over", "at", "untracked", "nothing"]) == ["over"]


def test_links_pointers_and_what_stands_beside_data_pass(clone: Clone) -> None:
    clone.write("data/raw/a", b"1")
    clone.add("data/raw")
    (clone.root / "link").symlink_to("x" * 200)
    clone.write(".dver/lineage.jsonl", b"{}\n" * LIMIT)
    clone.write("data/.dverignore", b"# a comment\n" * LIMIT)
    clone.git("add", "--all")
    assert _paths(clone, limits=Limits(0, data=("data/", "link", ".dver"))) == []


def test_a_large_file_does_not_pass_as_a_pointer(clone: Clone) -> None:
    clone.write("data.dver", b"x" * 100_000)
    clone.git("add", "--all")
    assert _paths(clone) == ["data.dver"]


def test_deleted_and_unmerged_files_pass(staged: Clone) -> None:
    staged.commit()
    staged.git("rm", "--quiet", "over")
    assert _paths(staged) == []


def test_data_of_a_dataset_is_told(clone: Clone) -> None:
    clone.write("data/a", b"x" * 200)
    clone.write("t.csv", b"x" * 200)
    clone.add("data", "t.csv")
    clone.git("add", "--force", "data/a", "t.csv")
    assert [(file.path, file.dataset) for file in _found(clone)] == [("data/a", "data"), ("t.csv", "t.csv")]


def test_a_malformed_pattern_names_its_setting(clone: Clone) -> None:
    with pytest.raises(ConfigError, match=r"hooks\.allow"):
        _found(clone, limits=Limits(LIMIT, allow=("!",)))
