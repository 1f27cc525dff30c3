"""Choices: which paths rules cover, how they add up, and what is no pattern."""

import pytest

from dver.errors import UsageError
from dver.workspace.choice import Choice, Patterns, Rule, check_patterns, choose, choose_afresh

PATHS = (b"a.csv", b"b.txt", b"old/c.csv", b"sub/d.csv", b"sub/deep/e.txt", b"bad\xff\n.csv")


def covered(choice: Choice | None) -> list[bytes]:
    return [path for path in PATHS if choice is None or choice.covers(path)]


def narrowed(*include: str, exclude: tuple[str, ...] = (), asked: tuple[bytes, ...] = ()) -> Choice | None:
    return choose_afresh(asked, Patterns(include, exclude))


def test_without_rules_nothing_is_wanted() -> None:
    assert covered(Choice()) == []


def test_a_path_stands_for_all_below_it() -> None:
    assert covered(Choice.of_paths([b"sub", b"b.txt"])) == [b"b.txt", b"sub/d.csv", b"sub/deep/e.txt"]


def test_patterns_are_those_of_gitignore() -> None:
    assert covered(narrowed("*.csv")) == [b"a.csv", b"old/c.csv", b"sub/d.csv", b"bad\xff\n.csv"]
    assert covered(narrowed("/*.txt")) == [b"b.txt"]
    assert covered(narrowed("sub/")) == [b"sub/d.csv", b"sub/deep/e.txt"]
    assert covered(narrowed("sub/*/e.txt", "b.*")) == [b"b.txt", b"sub/deep/e.txt"]


def test_what_is_excluded_is_left_out_of_what_is_included() -> None:
    assert covered(narrowed("*.csv", exclude=("old/", "bad*"))) == [b"a.csv", b"sub/d.csv"]
    assert covered(narrowed(exclude=("*.csv",))) == [b"b.txt", b"sub/deep/e.txt"]


def test_patterns_are_relative_to_the_path_that_is_named() -> None:
    assert covered(narrowed("/*.csv", asked=(b"sub",))) == [b"sub/d.csv"]
    assert covered(narrowed("*.txt", exclude=("deep",), asked=(b"sub", b"b.txt"))) == [b"b.txt"]


def test_later_words_count_more() -> None:
    first = narrowed(exclude=("*.csv",))

    assert covered(choose(first, [b"sub"], Patterns(), whole=True)) == [b"b.txt", b"sub/d.csv", b"sub/deep/e.txt"]
    assert covered(choose(first, [b"sub"], Patterns(("*.csv",)), whole=True)) == [b"b.txt", b"sub/d.csv"]
    assert covered(choose(None, [b"sub"], Patterns((), ("deep/",)), whole=True)) == [
        path for path in PATHS if path != b"sub/deep/e.txt"
    ]


def test_patterns_for_the_whole_replace_what_was_chosen() -> None:
    assert choose(Choice.of_paths([b"sub"]), [], Patterns(("*.csv",)), whole=False) == narrowed("*.csv")


def test_without_words_a_choice_stays_and_named_as_a_whole_it_goes() -> None:
    chosen = narrowed("*.csv")

    assert choose(chosen, [], Patterns(), whole=False) == chosen
    assert choose(chosen, [], Patterns(), whole=True) is None
    assert choose(None, [b"sub"], Patterns(), whole=True) is None
    assert choose_afresh([], Patterns()) is None


def test_rules_without_effect_do_not_pile_up() -> None:
    choice = Choice.of_paths([b"sub/deep"])
    for _ in range(5):
        choice = choice.then(Rule(False, b"sub/deep"), Rule(True, b"sub"), Rule(False, b"x", "*.csv"))

    assert choice.rules == (Rule(True, b"sub"), Rule(False, b"x", "*.csv"))
    assert Choice().then(Rule(False, b"sub")).rules == ()
    assert choice.then(Rule(True, b"")).is_everything


def test_of_many_rules_for_paths_the_last_about_a_path_or_a_folder_above_it_decides() -> None:
    dropped = Choice.of_paths([b""]).then(*(Rule(False, b"sub/%d" % number) for number in range(3000)))
    back = dropped.then(Rule(True, b"sub/7"), Rule(False, b"", "*.csv"), Rule(True, b"sub/7/x.csv"))

    assert dropped.covers(b"sub/3000")
    assert not dropped.covers(b"sub/2999/a")
    assert [back.covers(b"sub/" + path) for path in (b"7/a", b"7/b.csv", b"7/x.csv", b"8/a")] == [
        *(True, False, True, False)
    ]
    assert dropped.then(Rule(True, b"sub")).rules == (Rule(True, b""), Rule(True, b"sub"))
    assert dropped.then(Rule(False, b"")).rules == ()


def test_knows_the_paths_of_which_nothing_is_left_out() -> None:
    rules = (Rule(True, b"a"), Rule(True, b"sub"), Rule(True, b"", "*.csv"), Rule(False, b"sub/deep"), Rule(True, b"z"))

    assert Choice(rules).paths == (b"a", b"z")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("", "empty"), (" ", "empty"), ("#x", "comment"), ("!x", "turn"), ("a\\", "no pattern")]
    + [(pattern, "that anything matches") for pattern in ("/", "//", "/ ", "///")],
)
def test_what_is_no_pattern_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_patterns([], [pattern])
