"""Lineage records: what is written, what is read back, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from blake3 import blake3

from dver.errors import FormatError, UnsupportedFormatError
from dver.records.record import (
    MAX_LINE,
    RECORD_CONTEXT,
    Artifact,
    Record,
    State,
    decode_record,
    encode_record,
)
from tests.unit.records.samples import FULL, SMALL


def named(fields: dict[str, Any]) -> bytes:
    """Return the line of any fields, with a name that fits them."""
    return named_text(json.dumps(fields, sort_keys=True, separators=(",", ":")))


def named_text(text: str) -> bytes:
    digits = blake3(text.encode(), derive_key_context=RECORD_CONTEXT).hexdigest()
    return text.replace('"format":1,', f'"format":1,"id":"b3:{digits}",', 1).encode()


def fields_of(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode_record(record))
    del fields["id"]
    return fields


def changed(**changes: object) -> bytes:
    return named({**fields_of(FULL), **changes})


def with_input(**changes: object) -> bytes:
    fields = fields_of(FULL)
    fields["inputs"][2].update(changes)
    return named(fields)


@pytest.mark.parametrize("record", [FULL, SMALL])
def test_a_record_is_read_back_as_it_was(record: Record) -> None:
    line = encode_record(record)
    found = decode_record(line, "x")
    assert found == record
    assert found.id == record.id
    assert encode_record(found) == line


def test_a_line_is_ascii_json_with_sorted_keys_and_without_what_is_empty() -> None:
    line = encode_record(SMALL)
    assert line.isascii()
    assert line == f'{{"format":1,"id":"{SMALL.id}","started":"2026-11-23T13:00:00Z","state":"failed"}}\n'.encode()
    assert list(json.loads(encode_record(FULL))) == sorted(json.loads(encode_record(FULL)))


def test_the_name_is_the_hash_of_the_line_without_it() -> None:
    text = encode_record(FULL).rstrip(b"\n").replace(f',"id":"{FULL.id}"'.encode(), b"")
    assert "b3:" + blake3(text, derive_key_context=RECORD_CONTEXT).hexdigest() == FULL.id


def test_a_changed_copy_of_a_record_has_a_name_of_its_own() -> None:
    found = decode_record(encode_record(FULL), "x")
    assert replace(found, name="other").id == replace(FULL, name="other").id != FULL.id


def test_a_line_with_a_windows_end_is_the_same_record() -> None:
    assert decode_record(encode_record(FULL).replace(b"\n", b"\r\n"), "x").id == FULL.id


def test_paths_that_are_not_utf8_are_read_back() -> None:
    record = replace(SMALL, outputs=(Artifact("run \udcff", "b3:" + "1" * 64),))
    assert decode_record(encode_record(record), "x") == record


def test_fields_that_are_not_known_are_passed_over() -> None:
    line = changed(future={"id": "b3:" + "0" * 64})
    found = decode_record(line, "x")
    assert found == FULL
    assert found.id == json.loads(line)["id"]


def test_a_name_among_parameters_is_a_parameter() -> None:
    record = replace(SMALL, params={"id": "b3:" + "0" * 64}, tags={"id": "b3:" + "1" * 64})
    assert decode_record(encode_record(record), "x") == record


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b"train.py", b"brain.py"),
        lambda line: line.replace(b'"id":"b3:', b'"id":"b3:0', 1),
        lambda line: line.replace(FULL.id.encode(), SMALL.id.encode()),
        lambda line: line.replace(f'"id":"{FULL.id}",'.encode(), b""),
        lambda line: line.replace(f'"id":"{FULL.id}",'.encode(), b'"id":7,'),
        lambda line: json.dumps(json.loads(line)).encode(),
        lambda line: json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":")).encode(),
    ],
    ids=["content", "longer", "other", "none", "number", "spaces", "order"],
)
def test_a_line_whose_name_does_not_fit_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FormatError, match="x: was changed since it was written"):
        decode_record(damage(encode_record(FULL)), "x")


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"<<<<<<< ours", b'{"format":1', b'"\xff"', b"\x00", b"[" * 100_000, b'{"format":NaN}', b"1" * 5000],
)
def test_what_is_not_json_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match="x: is not JSON"):
        decode_record(line, "x")


@pytest.mark.parametrize(
    "line", [b"1", b"[]", b"null", b"{}", b'{"format":"1"}', b'{"format":true}', b'{"format":1.0}']
)
def test_json_that_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match="x: is not a lineage record"):
        decode_record(line, "x")


def test_a_later_format_is_named() -> None:
    with pytest.raises(UnsupportedFormatError, match="format 2") as caught:
        decode_record(b'{"format":2}', "x")
    assert "upgrade" in (caught.value.hint or "")


def test_a_line_that_is_too_long_is_neither_written_nor_read() -> None:
    with pytest.raises(FormatError, match=r"4,194,304 are the most"):
        encode_record(replace(SMALL, note="x" * MAX_LINE))
    with pytest.raises(FormatError, match="too long"):
        decode_record(b" " * (MAX_LINE + 1), "x")


def test_a_number_that_json_cannot_have_is_not_written() -> None:
    with pytest.raises(FormatError, match="not finite"):
        encode_record(replace(SMALL, params={"lr": float("nan")}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "done"),
        ("state", 1),
        ("started", ""),
        ("started", "2026-11-23"),
        ("started", "2026-11-23T13:00:00"),
        ("started", "2026-13-23T13:00:00Z"),
        ("started", "2026-11-23T13:00:00+01:00"),
        ("started", "٢٠٢٦-11-23T13:00:00Z"),
        ("started", "2026-11-23T13:00:00Z\n"),
        ("name", 1),
        ("note", None),
        ("command", "python"),
        ("command", [1]),
        ("shell", 1),
        ("folder", ["models"]),
        ("inputs", {}),
        ("outputs", None),
        ("params", []),
        ("params", {"lr": [1]}),
        ("dirty", "yes"),
        ("seconds", -1),
        ("seconds", True),
        ("seconds", "1"),
        ("seconds", 10**400),
        ("exit", "0"),
        ("exit", False),
        ("environment", []),
        ("tags", {"a": 1}),
        ("tags", None),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(FormatError, match=f"x: is a lineage record with a wrong field: {field}"):
        decode_record(changed(**{field: value}), "x")


def test_an_infinite_number_is_refused() -> None:
    text = json.dumps(fields_of(FULL), sort_keys=True, separators=(",", ":")).replace('"epochs":10', '"epochs":1e999')
    with pytest.raises(FormatError, match="wrong field: params"):
        decode_record(named_text(text), "x")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "../etc"}, "refused the path"),
        ({"path": "/etc/passwd"}, "refused the path"),
        ({"path": "a/.git/config"}, "refused the path"),
        ({"path": ""}, "wrong field: path"),
        ({"path": "\ud800"}, "wrong field: path"),
        ({"dataset": ".."}, "refused the path"),
        ({"dataset": "data/spl"}, "wrong field: dataset"),
        ({"dataset": "data/split/a.csv/x"}, "wrong field: dataset"),
        ({"version": "b3:1"}, "wrong field: version"),
        ({"version": "git:" + "1" * 41}, "wrong field: version"),
        ({"version": ""}, "wrong field: version"),
        ({"dataset_version": "git:" + "1" * 40}, "wrong field: dataset_version"),
        ({"kind": 1}, "wrong field: kind"),
        ({"observed": 1}, "wrong field: observed"),
        ({"props": {"a": {}}}, "wrong field: props"),
    ],
)
def test_an_artifact_that_cannot_be_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(FormatError, match=f"x: .*{reason}"):
        decode_record(with_input(**changes), "x")


def test_artifacts_that_are_no_objects_are_refused() -> None:
    with pytest.raises(FormatError, match="wrong field: inputs and outputs"):
        decode_record(changed(inputs=["data"]), "x")


def test_a_folder_outside_of_the_repository_is_refused() -> None:
    with pytest.raises(FormatError, match="refused the path"):
        decode_record(changed(folder="../other"), "x")


def test_states_are_written_as_words() -> None:
    assert [state.value for state in State] == ["complete", "failed", "cached", "imported"]
