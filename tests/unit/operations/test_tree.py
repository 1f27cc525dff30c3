"""Listing and reading files of any version without a checkout."""

from pathlib import Path

import pytest

from dver.errors import PathError, VersionNotFoundError
from dver.operations.kinds import NodeKind
from dver.operations.tree import ListedPath, cat, ls
from tests.clones import Clone, noise
from tests.unit.operations.conftest import fill

DATASET, FILE, EXECUTABLE, LINK, DIRECTORY = NodeKind


@pytest.fixture
def tree(clone: Clone) -> Clone:
    fill(clone, "some/data")
    clone.write("some/single", b"12", executable=True)
    clone.save("some/data", "some/single")
    clone.git("tag", "v1")
    clone.write("some/data/sub/deep/c", b"changed")
    clone.add("some/data")
    return clone


def listed(clone: Clone, rev: str | None, path: str, *, recursive: bool = False) -> list[ListedPath]:
    with clone.open() as repo:
        return list(ls(repo, rev, path, recursive=recursive))


def read(clone: Clone, rev: str | None, path: str) -> bytes:
    with clone.open() as repo:
        return b"".join(cat(repo, rev, path))


@pytest.mark.parametrize("path", ["", "some"])
def test_above_datasets_they_are_listed(tree: Clone, path: str) -> None:
    assert listed(tree, "v1", path) == [
        ListedPath("some/data", DATASET, 25_027, 8),
        ListedPath("some/single", DATASET, 2, 1),
    ]


def test_one_level_sums_up_what_is_below(tree: Clone) -> None:
    assert listed(tree, "v1", "some/data") == [
        ListedPath("some/data/a.bin", FILE, 20_000, 1),
        ListedPath("some/data/bad\udcff\n", FILE, 9, 1),
        ListedPath("some/data/empty", DIRECTORY, 0, 0),
        ListedPath("some/data/link", LINK, 0, 1, "sub/b.bin"),
        ListedPath("some/data/sp ace é", FILE, 7, 1),
        ListedPath("some/data/sub", DIRECTORY, 5011, 3),
        ListedPath("some/data/zero", FILE, 0, 1),
    ]


@pytest.mark.parametrize("rev", ["v1", "HEAD", "main"])
def test_a_folder_in_a_dataset(tree: Clone, rev: str) -> None:
    assert listed(tree, rev, "some/data/sub") == [
        ListedPath("some/data/sub/b.bin", FILE, 5000, 1),
        ListedPath("some/data/sub/deep", DIRECTORY, 1, 1),
        ListedPath("some/data/sub/run.sh", EXECUTABLE, 10, 1),
    ]


def test_without_a_revision_the_pointers_of_the_working_tree_count(tree: Clone) -> None:
    assert listed(tree, None, "some/data/sub/deep") == [ListedPath("some/data/sub/deep/c", FILE, 7, 1)]
    assert read(tree, None, "some/data/sub/deep/c") == b"changed"
    assert read(tree, "v1", "some/data/sub/deep/c") == b"c"


@pytest.mark.parametrize("path", ["some/single", "some/single.dver"])
def test_a_dataset_of_one_file(tree: Clone, path: str) -> None:
    assert listed(tree, None, path) == [ListedPath("some/single", EXECUTABLE, 2, 1)]
    assert read(tree, None, path) == b"12"


def test_a_single_file_and_an_empty_directory_list_themselves(tree: Clone) -> None:
    assert listed(tree, None, "some/data/zero") == [ListedPath("some/data/zero", FILE, 0, 1)]
    assert listed(tree, None, "some/data/empty") == [ListedPath("some/data/empty", DIRECTORY, 0, 0)]


def test_recursively_everything_is_listed(tree: Clone) -> None:
    found = listed(tree, "v1", "", recursive=True)

    assert [item.path for item in found] == [
        "some/data",
        "some/data/a.bin",
        "some/data/bad\udcff\n",
        "some/data/empty",
        "some/data/link",
        "some/data/sp ace é",
        "some/data/sub/b.bin",
        "some/data/sub/deep/c",
        "some/data/sub/run.sh",
        "some/data/zero",
        "some/single",
        "some/single",
    ]


def test_siblings_whose_names_sort_between_a_folder_and_its_files(clone: Clone) -> None:
    for name in ("a/x", "a-b", "a/y", "a.c"):
        clone.write(f"data/{name}", b"1")
    clone.save()

    assert [(item.path, item.files) for item in listed(clone, None, "data")] == [
        ("data/a-b", 1),
        ("data/a.c", 1),
        ("data/a", 2),
    ]


def test_files_come_back_whole(tree: Clone) -> None:
    assert read(tree, "v1", "some/data/a.bin") == noise(20_000)
    assert read(tree, "v1", "some/data/zero") == b""
    assert read(tree, "v1", "some/data/bad\udcff\n") == b"not utf-8"


def test_a_long_file_with_repetitions_comes_back_whole(clone: Clone) -> None:
    plain = noise(300_000) + bytes(100_000) + noise(300_000)
    clone.write("data/long", plain)
    clone.save()

    assert read(clone, None, "data/long") == plain


def test_without_the_cache_files_come_from_the_remote(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    assert [item.path for item in listed(other, None, "data/sub/deep")] == ["data/sub/deep/c"]
    assert read(other, "HEAD", "data/a.bin") == noise(20_000)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("some/data/sub", "is a directory"),
        ("some/data/empty", "is a directory"),
        ("some/data", "is a directory"),
        ("some", "is a directory"),
        ("some/data/link", "is a symbolic link to sub/b.bin"),
        ("some/data/nothing", "is not in the dataset"),
        ("some/single/below", "is not in the dataset"),
        ("nowhere", "no dataset is there"),
    ],
)
def test_what_is_no_file_is_refused_with_what_helps(tree: Clone, path: str, reason: str) -> None:
    with pytest.raises(PathError, match=reason) as caught:
        read(tree, "v1", path)

    assert caught.value.hint or "symbolic link" in reason


@pytest.mark.parametrize("path", ["some/data/nothing", "some/data/zero/below", "nowhere", "some/single/below"])
def test_what_is_not_there_cannot_be_listed(tree: Clone, path: str) -> None:
    with pytest.raises(PathError) as caught:
        listed(tree, "v1", path)

    assert caught.value.hint is not None
    assert "dver ls" in caught.value.hint


def test_an_empty_repository_lists_nothing(clone: Clone) -> None:
    assert listed(clone, None, "") == []


def test_a_file_whose_chunks_are_nowhere_is_an_error_that_names_the_version(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.delete_cache()

    with pytest.raises(VersionNotFoundError) as caught:
        read(clone, None, "data/zero")

    assert caught.value.dataset == "data"
    assert caught.value.hint
