"""Files of parameters: YAML, TOML and JSON that a record names, with the keys that it says are in them."""

import tempfile
from functools import cache, partial
from pathlib import Path

from dver.operations.param_files import ParamFiles
from dver.operations.param_limits import MAX_NODES
from dver.operations.run_params import ParamSource, collect_params
from dver.records.record import Record, State
from tests.fuzz.formats import JSON_WORDS, TOML_WORDS
from tests.fuzz.target import Target

_KEYS = ("a", "a.b", "b", "b.c", "c.0", "c", "d", "e.f.0.g", "k", "1", "x.y.z", "")
_YAML = b"""\
a: &a {k: v, b: [1, 2.5, null, true, .inf, 2026-01-02, 0x1f, 1:30]}
b: &b [*a, *a, &t "text", *t]
c: [*b, *b]
d: {<<: *a, e: !!str 1, 1: one}
e: {f: [{g: |
  several
  lines
}]}
k: 1
"""
_SMALL_YAML = (
    b"a: &a [1, 2]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    b"a: &a {k: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}\n",
    b"a: 2026-01-02T03:04:05Z\n1: 1:30\n",
    b"a:\n- b: 1\n  c: two\n-\n- [x]\n",
    b"a: !!set {x, y}\nb: !!omap [x: 1]\nk: !!binary aGk=\n",
)
_TOML = b"""\
1 = 1
k = [1, 2.5, inf, true, "text", 1979-05-27T07:32:00Z, 07:32:00, {g = 1}]
a.b = '''text'''
[b]
c = 0x1f
[c.d]
"x.y" = "z"
[[e.f]]
g = 1e5
"""
_JSON = b'{"a": {"b": [1, 2.5, null, true, "text"]}, "b": {"c": 1e5}, "c": [{}], "e": {"f": [{"g": "z"}]}, "1": NaN}'
_YAML_WORDS = (
    *[b"&a ", b"*a", b"*b", b"<<: ", b"<<: [*a, *a]", b"[*b,*b,*b,*b,*b,*b,*b,*b]", b"\nb: &b ", b"- ", b"? ", b": "],
    *[b"!!" + name + b" " for name in b"int float bool timestamp set omap binary pairs null python/name:x".split()],
    *[b"%TAG ! x\n--- ", b"%YAML 1.1\n---\n", b"\n...\n---\n", b"|\n", b"\t", b"\\x", b"\xe2\x80\xa8"],
    *[
        b"{" * 70,
        b"[" * 70,
        b"- " * 70,
        b"1:" * 99 + b"1",
        b"9" * 5000,
        b"0x" + b"f" * 5000,
        b"2001-12-14t21:59:43.1+99",
    ],
)


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="dver-fuzz-")


def _parse(data: bytes, name: str) -> None:
    folder = Path(_temporary().name)
    (folder / name).write_bytes(data)
    files = ParamFiles(folder)
    found = collect_params(files, [ParamSource(key, name) for key in _KEYS], lenient=True)
    assert len(found) <= MAX_NODES
    # What a run would do with them: each has one plain value.
    Record(State.COMPLETE, "2026-11-23T13:00:00Z", params=found)
    if files.unreadable:
        raise files.unreadable[name]


TARGETS = {
    "params-yaml": Target(partial(_parse, name="p.yaml"), [_YAML, *_SMALL_YAML], _YAML_WORDS),
    "params-toml": Target(
        partial(_parse, name="p.toml"),
        [_TOML],
        (*TOML_WORDS, b"[[a]]\n", b"a." * 99, b'"a"."b".' * 70, b"[" * 70),
    ),
    "params-json": Target(partial(_parse, name="p.json"), [_JSON], (*JSON_WORDS, b"[" * 70, b'{"a":' * 70)),
}
