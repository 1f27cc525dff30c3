"""Paths of a dataset as names: what lies within what."""

import pytest

from dver.objects.paths import is_within, is_within_any, parents

PATHS = [b"", b"a", b"a/b", b"a/b/c", b"a/bc", b"a/b.txt", b"ab", b"ab/c", b"b", b"\xff/a"]


@pytest.mark.parametrize(
    ("parts", "within"),
    [
        ([], []),
        ([b""], PATHS),
        ([b"a/b"], [b"a/b", b"a/b/c"]),
        ([b"a", b"a/b"], [b"a", b"a/b", b"a/b/c", b"a/bc", b"a/b.txt"]),
        ([b"a/b/c", b"ab", b"nowhere"], [b"a/b/c", b"ab", b"ab/c"]),
        ([b"\xff"], [b"\xff/a"]),
    ],
    ids=["none", "everything", "equal and below", "nested", "names that begin alike", "no UTF-8"],
)
def test_a_path_is_within_parts_that_are_it_or_lie_above_it(parts: list[bytes], within: list[bytes]) -> None:
    assert [path for path in PATHS if is_within_any(path, frozenset(parts))] == within
    assert [path for path in PATHS if any(is_within(path, part) for part in parts)] == within


def test_parents_go_up_to_the_dataset_itself() -> None:
    assert list(parents(b"a/b/c")) == [b"a/b", b"a", b""]
    assert list(parents(b"a")) == [b""]
    assert list(parents(b"")) == []
