"""What users say of outputs, by which words, and to which of them it goes."""

from collections.abc import Sequence

import pytest

from dver.errors import PathError, UsageError
from dver.operations.descriptions import (
    Description,
    Words,
    describe,
    mask_descriptions,
    parse_descriptions,
    repeatable_descriptions,
)
from dver.records.record import Artifact, Record, State

VERSION = "b3:" + "1" * 64


def located(word: str) -> str:
    """Find a path as if in the folder `sub`; what begins with a slash is outside."""
    if word.startswith("/"):
        raise PathError(word, "is outside")
    return word if word.startswith("sub/") else f"sub/{word}"


def parsed(
    outputs: Sequence[str], kinds: Sequence[str] = (), props: Sequence[str] = (), noun: str = "output"
) -> dict[str, Description]:
    return parse_descriptions(Words(kinds, props), [located(path) for path in outputs], located, noun=noun)


def test_of_a_single_output_nothing_needs_to_be_named() -> None:
    found = parsed(["m"], ["model"], ["accuracy=0.9", "final=true", "of=May 2026"])
    assert found == {"sub/m": Description("model", {"accuracy": 0.9, "final": True, "of": "May 2026"})}
    assert parsed(["m", "m"], ["model"]) == {"sub/m": Description("model")}


def test_of_several_outputs_each_is_named() -> None:
    found = parsed(["m", "n"], ["m=model", "n=metrics"], ["m:size=3", "n:of=a:b=c"])
    assert found == {
        "sub/m": Description("model", {"size": 3}),
        "sub/n": Description("metrics", {"of": "a:b=c"}),
    }


def test_signs_in_paths_and_values_do_not_matter() -> None:
    assert parsed(["a=b:c"], ["a=b:c=model"], ["a=b:c:key=x=y"]) == {"sub/a=b:c": Description("model", {"key": "x=y"})}
    assert parsed(["m"], props=["url=http://host:80/?a=/x:b=1"]) == {
        "sub/m": Description(props={"url": "http://host:80/?a=/x:b=1"})
    }
    assert parsed(["m"], props=["empty="]) == {"sub/m": Description(props={"empty": ""})}


@pytest.mark.parametrize(
    ("kinds", "props", "message", "hint"),
    [
        (["model"], [], "--kind model: does not say which of the 2 outputs is meant",
         "--kind OUT=model, where OUT is one of sub/m, sub/n"),
        ([], ["a=1"], "--prop a=1: does not say which of the 2 outputs", "--prop OUT:a=1, where OUT is one of"),
        (["x=model"], [], "--kind x=model: x is no output", "what it may be is sub/m, sub/n"),
        ([], ["x:a=1"], "--prop x:a=1: x is no output", "what it may be is sub/m, sub/n"),
        ([], ["/x:a=1"], "/x is no output", "what it may be"),
        (["=model"], [], "--kind =model: . is no output", "what it may be"),
        (["m="], [], "'' is no kind", "such as model"),
        (["m=a model"], [], "'a model' is no kind", "--kind OUT=KIND"),
        ([""], [], "'' is no kind", "such as model"),
        ([], ["m:a"], "--prop m:a: is no property", "--prop OUT:KEY=VALUE"),
        ([], ["m:=1"], "--prop m:=1: is no property", "--prop OUT:KEY=VALUE"),
        ([], ["=1"], "--prop =1: is no property", "--prop OUT:KEY=VALUE"),
        (["m=a", "m=b"], [], "sub/m was given two kinds, a and b", "leave one of them out"),
        ([], ["m:a=1", "m:a=true"], "the property a of sub/m was given twice", "leave one of them out"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(kinds: list[str], props: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(["m", "n"], kinds, props)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_the_same_may_be_said_twice() -> None:
    assert parsed(["m"], ["a", "m=a"], ["x=1", "m:x=1"]) == {"sub/m": Description("a", {"x": 1})}


def test_without_an_output_there_is_nothing_to_describe() -> None:
    for words in (Words(["model"]), Words(["m=model"]), Words((), ["a=1"]), Words((), ["m:a=1"])):
        with pytest.raises(UsageError, match="there is no output") as caught:
            parse_descriptions(words, [], located)
        assert caught.value.hint == "-o PATH names one"


def test_what_is_said_joins_what_is_known() -> None:
    known = Artifact("m", VERSION, kind="model", props={"a": 1, "b": 2})
    assert describe([known], {"m": Description(props={"b": 3})}) == (
        Artifact("m", VERSION, kind="model", props={"a": 1, "b": 3}),
    )
    assert describe([known], {"m": Description("schema"), "n": Description("x")})[0].kind == "schema"
    assert describe([known], {}) == (known,)


def test_what_looks_like_a_secret_is_masked() -> None:
    said = {"m": Description("model", {"token": "abc", "url": "https://me:pw@host/x", "rows": 3})}
    found, where = mask_descriptions(said)
    assert found == {"m": Description("model", {"token": "***", "url": "https://me:***@host/x", "rows": 3})}
    assert where == ("property token", "property url")


def test_a_step_keeps_its_kinds_but_no_properties_for_they_may_have_been_measured() -> None:
    made = (
        Artifact("m", VERSION, kind="model", props={"a": 1}),
        Artifact("seen", VERSION, kind="model", observed=True),
        Artifact("plain", VERSION),
    )
    record = Record(State.COMPLETE, "2026-11-23T13:00:00.000Z", outputs=made, exit_code=0)
    assert repeatable_descriptions(record) == {"m": Description("model"), "plain": Description()}
