"""Lines in `.gitignore`: they cover the dataset and nothing else, and leave the rest of the file alone."""

import subprocess
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.workspace.gitignore import gitignore_path, ignore_dataset, unignore_dataset

NAMES = [
    "data",
    "with space",
    "trailing ",
    "#hash",
    "!bang",
    "star*",
    "q?",
    "[ab]",
    "br[a-c",
    "back\\slash",
    "tab\there",
    "end\\",
    "é",
    "a\udcff",
    "sub/folder/x",
    "sub/we ird*/[y]",
]


def ignored_by_git(root: Path, path: str) -> bool:
    done = subprocess.run(["git", "check-ignore", "--quiet", "--", path], cwd=root, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize("is_folder", [False, True])
def test_git_ignores_exactly_the_dataset(git_repo: Path, dataset: str, is_folder: bool) -> None:
    path = git_repo / dataset
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        path.mkdir()
        (path / "x").touch()
    else:
        path.touch()
    folder = dataset.rpartition("/")[0]
    others = [f"{folder}/{name}" if folder else name for name in ("datax", "a", "starry", "qq", "b", "bra", "hash")]

    assert ignore_dataset(git_repo, dataset)

    assert ignored_by_git(git_repo, dataset)
    assert not is_folder or ignored_by_git(git_repo, f"{dataset}/x")
    assert not ignored_by_git(git_repo, f"{dataset}.dver")
    assert not ignored_by_git(git_repo, f"elsewhere/{dataset}")
    assert not [other for other in others if other != dataset and ignored_by_git(git_repo, other)]


def test_the_file_is_the_one_beside_the_dataset() -> None:
    assert gitignore_path("data") == ".gitignore"
    assert gitignore_path("a/b/data") == "a/b/.gitignore"


def test_a_line_is_added_once(tmp_path: Path) -> None:
    assert ignore_dataset(tmp_path, "data")
    assert not ignore_dataset(tmp_path, "data")

    assert (tmp_path / ".gitignore").read_bytes() == b"/data\n"


def test_the_rest_of_the_file_stays_byte_for_byte(tmp_path: Path) -> None:
    before = b"# own\r\n*.pyc\n\n\xff\nno newline at the end"
    (tmp_path / ".gitignore").write_bytes(before)

    ignore_dataset(tmp_path, "data")
    assert (tmp_path / ".gitignore").read_bytes() == before + b"\n/data\n"

    assert unignore_dataset(tmp_path, "data")
    assert (tmp_path / ".gitignore").read_bytes() == before + b"\n"
    assert not unignore_dataset(tmp_path, "data")


def test_a_file_with_nothing_left_goes_away(tmp_path: Path) -> None:
    ignore_dataset(tmp_path, "data")

    unignore_dataset(tmp_path, "data")

    assert not (tmp_path / ".gitignore").exists()


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").mkdir()

    with pytest.raises(PathError, match="is not a file"):
        ignore_dataset(tmp_path, "data")


@pytest.mark.parametrize("target", ["/dev/zero", "elsewhere", "nowhere"])
def test_nothing_is_read_or_written_through_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine\n")
    (tmp_path / ".gitignore").symlink_to(target)

    for change in (ignore_dataset, unignore_dataset):
        with pytest.raises(PathError, match="git reads no other"):
            change(tmp_path, "data")

    assert (tmp_path / "elsewhere").read_bytes() == b"mine\n"
    assert (tmp_path / ".gitignore").is_symlink()


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / ".gitignore").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PathError, match="too large"):
        ignore_dataset(tmp_path, "data")
