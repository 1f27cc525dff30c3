"""`.dverignore`: where it counts, and what it leaves out."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from dver.errors import ConfigError
from dver.workspace.ignore import IgnoreRules, PathPatterns, without_retries
from dver.workspace.walk import walk_dataset


def kept(root: Path, dataset: str) -> list[str]:
    rules = IgnoreRules.for_dataset(root, dataset)
    found = walk_dataset(bytes(root / dataset), rules)
    return [item.path.decode() for item in found if not item.path.endswith(b".dverignore")]


def make(root: Path, files: str, **ignored: str) -> None:
    for file in files.split():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    for folder, text in ignored.items():
        (root / folder.replace("__", "/") / ".dverignore").write_text(text)


def test_a_file_at_the_root_counts_for_all_datasets(tmp_path: Path) -> None:
    make(tmp_path, "a/data/x.tmp a/data/x.csv a/data/sub/y.tmp")
    (tmp_path / ".dverignore").write_text("*.tmp\n")

    assert kept(tmp_path, "a/data") == ["x.csv"]


def test_patterns_with_a_slash_are_anchored_where_the_file_is(tmp_path: Path) -> None:
    make(tmp_path, "a/data/x a/data/y a/data/data/x", a="data/x\n")

    assert kept(tmp_path, "a/data") == ["data/x", "y"]


def test_files_inside_the_dataset_count_below_them(tmp_path: Path) -> None:
    make(tmp_path, "data/x data/sub/x data/sub/deep/x data/sub/y", data__sub="/x\ndeep/\n")

    assert kept(tmp_path, "data") == ["sub/y", "x"]


def test_a_deeper_file_overrules_one_above(tmp_path: Path) -> None:
    make(tmp_path, "data/a.log data/keep/b.log", data="*.log\n", data__keep="!b.log\n")

    assert kept(tmp_path, "data") == ["keep/b.log"]


def test_the_last_match_in_a_file_decides(tmp_path: Path) -> None:
    make(tmp_path, "data/a data/b", data="*\n!b\n!.dverignore\n")

    assert kept(tmp_path, "data") == ["b"]


def test_what_lies_in_an_ignored_folder_cannot_be_brought_back(tmp_path: Path) -> None:
    make(tmp_path, "data/out/b data/c", data="out/\n!out/b\n")

    assert kept(tmp_path, "data") == ["c"]


def test_a_pattern_for_folders_spares_files(tmp_path: Path) -> None:
    make(tmp_path, "data/a/build data/build/x", data="build/\n")

    assert kept(tmp_path, "data") == ["a/build"]


def test_names_that_are_not_utf8_are_matched(tmp_path: Path) -> None:
    make(tmp_path, "data/x")
    (tmp_path / "data" / "bad\udcff").touch()
    (tmp_path / "data" / ".dverignore").write_bytes(b"bad\xff\n")

    assert kept(tmp_path, "data") == ["x"]


def test_git_ignore_files_mean_nothing_here(tmp_path: Path) -> None:
    make(tmp_path, "data/x.csv")
    (tmp_path / "data" / ".gitignore").write_text("*.csv\n")

    assert kept(tmp_path, "data") == [".gitignore", "x.csv"]


def test_a_broken_pattern_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "data/x", data="a\n!\n")

    with pytest.raises(ConfigError, match=r"data/\.dverignore") as caught:
        kept(tmp_path, "data")

    assert caught.value.hint


def test_path_patterns_say_which_of_them_decides() -> None:
    patterns = PathPatterns(["*.csv", "# a comment", "data/", "!x.csv"], "hooks.data")
    assert [patterns.find(path) for path in ("a.csv", "data/deep/q")] == ["*.csv", "data/"]
    assert [patterns.find(path) for path in ("x.csv", "other")] == [None, None]
    assert PathPatterns([], "hooks.data").find("a.csv") is None


def test_malformed_path_patterns_name_their_setting() -> None:
    with pytest.raises(ConfigError, match=r"hooks\.data: ") as caught:
        PathPatterns(["!"], "hooks.data")
    assert caught.value.hint


@pytest.mark.parametrize("target", ["elsewhere", "/dev/zero", "nowhere"])
def test_rules_behind_a_link_are_passed_over(tmp_path: Path, target: str) -> None:
    make(tmp_path, "data/a")
    (tmp_path / "data/elsewhere").write_text("a\n")
    (tmp_path / "data/.dverignore").symlink_to(target)

    assert kept(tmp_path, "data") == ["a", "elsewhere"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_has_no_rules(tmp_path: Path, kind: str) -> None:
    make(tmp_path, "data/a")
    rules = tmp_path / ".dverignore"
    os.mkfifo(rules) if kind == "pipe" else rules.mkdir()

    assert kept(tmp_path, "data") == ["a"]


def test_a_file_of_rules_without_end_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "data/a")
    with (tmp_path / ".dverignore").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="too large"):
        kept(tmp_path, "data")


@pytest.mark.parametrize("pattern", ["[z-a]", "*" * 3 + "[!b]*[!b]*[!b]*[!b]*x", "a[\udc90-b]"])
def test_a_pattern_that_cannot_be_is_refused_and_named(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, "data/a")
    (tmp_path / ".dverignore").write_bytes(pattern.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=r"\.dverignore"):
        kept(tmp_path, "data")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 20 + "b", "a" * 255),
        ("*[a-z]" * 20 + "0", "a" * 255),
        ("*?" * 20 + "b", "a" * 255),
        ("a/**/" * 10 + "b", "a/" * 2000 + "a"),
        ("**/a/" * 10 + "**/b", "a/" * 2000 + "a"),
        ("/**/".join(["*a*a*a*"] * 6) + "/b", "/".join(["a" * 250] * 15)),
    ],
)
def test_no_pattern_is_tried_in_vain_for_ever(pattern: str, path: str) -> None:
    assert PathPatterns([pattern], "the test").find(path) is None


words = st.text("ab*?", min_size=1, max_size=5) | st.sampled_from(["**", "[ab]", "[!a]*", "a[a-b]*"])


@given(
    st.lists(words, min_size=1, max_size=5).map("/".join),
    st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=5).map("/".join),
)
def test_a_pattern_matches_what_it_did_before_it_was_made_quick(pattern: str, path: str) -> None:
    plain = GitIgnoreSpecPattern(pattern).regex
    assert plain is not None
    quick = re.compile(without_retries(plain.pattern))
    before, after = plain.match(path), quick.match(path)
    assert (before is None) == (after is None)
    assert before is None or after is None or before.groupdict() == after.groupdict()
