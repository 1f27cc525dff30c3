"""The parameters of a run."""

import itertools
import os
from pathlib import Path

import pytest

from dver.errors import PathError, UsageError
from dver.operations.param_limits import MAX_DEPTH, MAX_FILE
from dver.operations.run_params import ParamSource, given_params, parse_param, read_params
from dver.records.record import Scalar

YAML = """\
lr: 0.1
train: {epochs: 3, name: run, day: 2026-01-02, flags: [1, two]}
nothing: null
odd: .inf
a.b: dotted
1: one
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=1", 1),
        ("k=0.5", 0.5),
        ("k=true", True),
        ("k=null", None),
        ("k=word", "word"),
        ("k=", ""),
        ("k=1.10", "1.10"),
        ("k=007", "007"),
        ("k=NaN", "NaN"),
        ("k=1e999", "1e999"),
        ('k="quoted"', '"quoted"'),
        ("k=[1]", "[1]"),
        ("k=!important", "!important"),
        ("k=!list [1]", "!text !list [1]"),
        ("k=http://host:80/a=b", "http://host:80/a=b"),
    ],
)
def test_a_value_given_by_hand_loses_nothing_of_how_it_was_written(text: str, value: Scalar) -> None:
    source = parse_param(text)
    assert (source.key, source.file) == ("k", None)
    assert source.value == value
    assert type(source.value) is type(value)


def test_a_file_and_its_key_are_told_apart_at_the_last_colon() -> None:
    assert parse_param("conf/a:b.yaml:train.lr") == ParamSource("train.lr", "conf/a:b.yaml")
    assert parse_param("params.yaml:a=b") == ParamSource("a=b", "params.yaml")


@pytest.mark.parametrize("text", ["", "lr", "=1", ":lr", "params.yaml:"])
def test_what_names_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_param(text)


def read(folder: Path, *words: str) -> dict[str, Scalar]:
    return read_params(folder, [parse_param(word) for word in words])


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("lr", {"p.yaml:lr": 0.1}),
        ("train.epochs", {"p.yaml:train.epochs": 3}),
        ("nothing", {"p.yaml:nothing": None}),
        ("odd", {"p.yaml:odd": "!float inf"}),
        ("a.b", {"p.yaml:a.b": "dotted"}),
        ("1", {"p.yaml:1": "one"}),
        ("train.flags.1", {"p.yaml:train.flags.1": "two"}),
    ],
)
def test_values_are_found_by_dotted_keys(tmp_path: Path, key: str, found: dict[str, Scalar]) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    assert read(tmp_path, f"p.yaml:{key}") == found


def test_a_section_is_one_parameter_for_each_value(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    assert read(tmp_path, "p.yaml:train") == {
        "p.yaml:train.epochs": 3,
        "p.yaml:train.name": "run",
        "p.yaml:train.day": "!date 2026-01-02",
        "p.yaml:train.flags": '!list [1, "two"]',
    }


def test_toml_and_json_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[train]\nlr = 0.1\n")
    (tmp_path / "p.json").write_text('{"lr": 1}')
    assert read(tmp_path, "p.toml:train.lr", "p.json:lr", "seed=7") == {
        "p.toml:train.lr": 0.1,
        "p.json:lr": 1,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("p.yaml", "lr: 0.1", "rl"),
        ("p.yaml", "lr: 0.1", "lr.more"),
        ("p.yaml", "lr: [", "lr"),
        ("p.yaml", "lr: !!python/object:os.system x", "lr"),
        ("p.yaml", "lr: !!binary aGk=", "lr"),
        ("p.yaml", "lr: &x [*x]", "lr"),
        ("p.yaml", "lr: &x {a: *x}", "lr"),
        ("p.toml", "lr = ", "lr"),
        ("p.json", "{", "lr"),
        ("p.json", "[" * 100_000, "lr"),
        ("p.ini", "lr = 1", "lr"),
        ("p.yaml", "# " + "x" * MAX_FILE, "lr"),
    ],
)
def test_a_file_without_the_value_is_named(tmp_path: Path, name: str, content: str, key: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PathError) as caught:
        read(tmp_path, f"{name}:{key}")
    assert caught.value.path == name


def billions(*, merge: bool = False) -> str:
    """Return a YAML text of some hundred bytes in which each line repeats the one before ten times."""
    names = "abcdefghij"
    first = "a: &a {k: v}" if merge else "a: &a [x, x]"
    lines = [first]
    for below, name in itertools.pairwise(names):
        again = ", ".join([f"*{below}"] * 10)
        lines.append(f"{name}: &{name} {{<<: [{again}]}}" if merge else f"{name}: &{name} [{again}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("p.yaml", billions(), "a"),
        ("p.yaml", billions(merge=True), "a"),
        ("p.yaml", "a: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 100 + "]", "b"),
        ("p.yaml", "lr: " + "[" * 100_000, "lr"),
        ("p.yaml", "lr: " + "{a: " * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "lr"),
        ("p.yaml", "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, "a"),
        ("p.yaml", "lr: &a {b: *a}", "lr"),
        ("p.yaml", "lr: 1" + ":1" * 100_000, "lr"),
        ("p.json", '{"lr": ' + "[" * 100_000, "lr"),
        ("p.json", '{"lr": ' + "[" * 500 + "]" * 500 + "}", "lr"),
        ("p.json", '{"lr": [' + "1," * 100_000 + "1]}", "lr"),
        ("p.toml", "lr = " + "[" * 100_000, "lr"),
        ("p.toml", "a." * 200_000 + "lr = 1", "a"),
        ("p.toml", '"a".' * 100_000 + "lr = 1", "a"),
        ("p.json", " " * MAX_FILE + "1", "a"),
    ],
)
def test_a_file_that_stands_for_too_much_is_refused_with_what_helps(
    tmp_path: Path, name: str, content: str, key: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PathError, match="a file of parameters may be") as caught:
        read(tmp_path, f"{name}:{key}")
    assert caught.value.path == name
    assert "a smaller file" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["!!bool x", "!!int ''", "!!timestamp x", "!!float ''", "{{}: 1}", "*none", "1:" * 300 + "1.0"]
)
def test_a_value_that_is_not_what_its_mark_says_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.yaml").write_text(f"lr: {text}\n")
    with pytest.raises(PathError, match=r"p\.yaml"):
        read(tmp_path, "p.yaml:lr")


def test_what_yaml_repeats_by_a_name_is_read_as_often(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("base: &base {a: 1}\nuse: {<<: *base, b: [*base, *base]}\n")
    assert read(tmp_path, "p.yaml:use") == {"p.yaml:use.a": 1, "p.yaml:use.b": '!list [{"a": 1}, {"a": 1}]'}


def test_a_long_name_above_many_values_is_refused(tmp_path: Path) -> None:
    values = ",".join(f"v{number}: 1" for number in range(10_000))
    (tmp_path / "p.yaml").write_text("? " + "n" * 900 + f"\n: {{{values}}}\n")
    with pytest.raises(PathError, match="more parameters than a run can have"):
        read(tmp_path, f"p.yaml:{'n' * 900}")


def test_a_name_of_very_many_parts_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: {a: 1}")
    with pytest.raises(PathError, match="has no value a"):
        read(tmp_path, f"p.yaml:{'a.' * 1_000_000}a")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "target",
    ["/dev/stdin", "/dev/zero", "../private.yaml", "pipe", "folder", ".dver/local.yaml", ".git/x.yaml", "p.yaml"],
)
def test_parameters_are_read_from_no_link_that_leads_elsewhere_and_from_files_only(tmp_path: Path, target: str) -> None:
    root = tmp_path / "repo"
    for folder in (".git", ".dver", "folder"):
        (root / folder).mkdir(parents=True)
    for private in ("private.yaml", "repo/.dver/local.yaml", "repo/.git/x.yaml"):
        (tmp_path / private).write_text("lr: secret")
    os.mkfifo(root / "pipe")
    (root / "p.yaml").symlink_to(target)
    with pytest.raises(PathError) as caught:
        read(root, "p.yaml:lr")
    assert caught.value.path == "p.yaml"
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_a_link_elsewhere_is_not_gone_through(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "private.yaml").write_text("lr: 1")
    (tmp_path / "repo/conf").symlink_to("..")
    with pytest.raises(PathError, match="outside of the project's own files"):
        read(tmp_path / "repo", "conf/private.yaml:lr")


def test_a_link_within_the_project_is_followed(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/one.yaml").write_text("lr: 1")
    (tmp_path / "p.yaml").symlink_to("conf/one.yaml")
    (tmp_path / "now").symlink_to("conf")
    assert read(tmp_path, "p.yaml:lr", "now/one.yaml:lr") == {"p.yaml:lr": 1, "now/one.yaml:lr": 1}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"none\.yaml: there is no such file"):
        read(tmp_path, "none.yaml:lr")


def test_a_missing_file_is_hinted_at_by_one_of_a_like_name(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/params.yml").write_text("a: 1")
    (tmp_path / "conf/params.txt").write_text("")
    with pytest.raises(PathError) as caught:
        read(tmp_path, "conf/params.yaml:a")
    assert caught.value.hint == "there is conf/params.yml"
    with pytest.raises(PathError) as caught:
        read(tmp_path, "gone/params.yaml:a")
    assert "-p KEY=VALUE" in (caught.value.hint or "")


def test_a_folder_is_no_file_also_where_it_is_the_top(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for file in ("", "sub"):
        with pytest.raises(PathError, match="is no file that parameters can be read from"):
            read_params(tmp_path, [ParamSource("a", file)])


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        ("[1, 2]", "!list [1, 2]"),
        ('"[1, 2]"', "[1, 2]"),
        ('"!list [1, 2]"', "!text !list [1, 2]"),
        ('"!text x"', "!text !text x"),
        (".inf", "!float inf"),
        ("-.inf", "!float -inf"),
        (".nan", "!float nan"),
        ('"inf"', "inf"),
        ("2026-01-02", "!date 2026-01-02"),
        ('"2026-01-02"', "2026-01-02"),
        ("2026-01-02 03:04:05", "!datetime 2026-01-02T03:04:05"),
        ('"!important"', "!important"),
        ("[2026-01-02]", '!list ["!date 2026-01-02"]'),
        ('["2026-01-02", "!date 2026-01-02"]', '!list ["2026-01-02", "!text !date 2026-01-02"]'),
        ("[.inf, [{a: x}]]", '!list [Infinity, [{"a": "x"}]]'),
        ("[]", "!list []"),
    ],
)
def test_values_of_other_types_are_told_from_their_texts(tmp_path: Path, value: str, recorded: str) -> None:
    (tmp_path / "p.yaml").write_text(f"a: {value}\n")
    assert read(tmp_path, "p.yaml:a") == {"p.yaml:a": recorded}


def test_a_time_of_toml_is_told_from_its_text(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("at = 03:04:05\n")
    assert read(tmp_path, "p.toml:at") == {"p.toml:at": "!time 03:04:05"}


def test_values_that_a_program_gives_are_recorded_once(tmp_path: Path) -> None:
    sources = given_params({"a": (1, 2), "b": "!list [1, 2]", "c": {"d": float("inf")}})
    found = read_params(tmp_path, sources)
    assert found == {"a": "!list [1, 2]", "b": "!text !list [1, 2]", "c.d": "!float inf"}
    assert read_params(tmp_path, [ParamSource(name, value=value) for name, value in found.items()]) == found


def test_the_same_name_may_not_have_two_values(tmp_path: Path) -> None:
    assert read(tmp_path, "a=1", "a=1") == {"a": 1}
    with pytest.raises(UsageError, match="given twice") as caught:
        read(tmp_path, "a=1", "a=true")
    assert "leave one of them out" in (caught.value.hint or "")
