"""What lies in `gc/` and `roots/` of a store: written and read back, and refused where it is damaged."""

import json

import pytest

from dver.errors import DverError, FormatError, UnsupportedFormatError
from dver.objects.ids import PackId, VersionId
from dver.storage.condemned import (
    Condemned,
    CondemnedList,
    CondemnedPack,
    CondemnedVersion,
    GcFolder,
    Phase,
    delete_sweep,
    gc_key,
    new_name,
    note_phase,
    packs_going,
    read_folder,
    read_list,
    read_rescue,
    read_sweep,
    write_list,
    write_rescue,
    write_sweep,
)
from dver.storage.registrations import Registrant, encode_registration, registrations
from dver.storage.remote import RemoteBackend

VERSION, PACK = VersionId(bytes(range(32))), PackId(bytes(32))
NAME = "20261123T101500Z-0123456789abcdef"
BY = Registrant(f"{'ab' * 16}-{'cd' * 8}", "project", "a host")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> RemoteBackend:
    return RemoteBackend(f"memory://{abs(hash(request.node.nodeid))}", {})


def test_a_list_is_read_as_it_was_written(backend: RemoteBackend) -> None:
    versions = (CondemnedVersion(VERSION, 3, 100), CondemnedVersion(VersionId(bytes(32))))
    found = CondemnedList(NAME, "somebody", 1_795_000_000.0, versions, (CondemnedPack(PACK, 50, 20),))
    write_list(backend, found)
    assert read_list(backend, NAME) == found
    folder = read_folder(backend)
    assert folder.lists == (NAME,)
    assert folder.modified[gc_key(NAME, "list")] > 0


def test_a_sweep_goes_through_its_phases(backend: RemoteBackend) -> None:
    condemned = {NAME: Condemned(frozenset({VERSION}), frozenset({PACK}))}
    sweep = new_name(0.0)
    write_sweep(backend, sweep, condemned)
    assert read_sweep(backend, sweep) == condemned
    assert read_folder(backend).sweeps == {sweep: Phase.BEGUN}
    assert packs_going(backend, read_folder(backend)) == {PACK}
    note_phase(backend, sweep, Phase.UNMARKED)
    assert read_folder(backend).running == (sweep,)
    note_phase(backend, sweep, Phase.SWEPT)
    assert read_folder(backend).sweeps == {sweep: Phase.SWEPT}
    assert packs_going(backend, read_folder(backend)) == set()
    delete_sweep(backend, sweep)
    assert read_folder(backend).sweeps == {}


def test_a_rescue_names_lists(backend: RemoteBackend) -> None:
    write_rescue(backend, NAME, ["b", "a"], "somebody")
    assert read_rescue(backend, read_folder(backend).rescues[0]) == {"a", "b"}


def test_other_names_are_passed_over(backend: RemoteBackend) -> None:
    backend.write("gc/x.json", [b""])
    backend.write(f"gc/{NAME}.other.json", [b""])
    assert read_folder(backend) == GcFolder()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', '{"format": 1, "lists": 3}', "[" * 100_000])
def test_what_is_damaged_is_refused(backend: RemoteBackend, content: str) -> None:
    for kind in ("list", "sweep", "rescue"):
        backend.write(gc_key(NAME, kind), [content.encode()])
    for read in (read_list, read_sweep, read_rescue):
        with pytest.raises(FormatError):
            read(backend, NAME)


@pytest.mark.parametrize("field", ["version", "files", "size"])
@pytest.mark.parametrize("value", [[], -1, 1.5, float("inf")])
def test_a_list_with_an_impossible_value_is_refused(backend: RemoteBackend, field: str, value: object) -> None:
    version = {"version": f"b3:{'00' * 32}", "files": 1, "size": 1, field: value}
    fields = {"format": 1, "by": "", "due": "2026-11-23T13:00:00Z", "packs": [], "versions": [version]}
    backend.write(gc_key(NAME, "list"), [json.dumps(fields).encode()])
    with pytest.raises(FormatError):
        read_list(backend, NAME)


def test_what_a_newer_dver_wrote_is_refused_by_its_number(backend: RemoteBackend) -> None:
    for kind in ("list", "sweep", "rescue"):
        backend.write(gc_key(NAME, kind), [b'{"format": 2}'])
    for read in (read_list, read_sweep, read_rescue):
        with pytest.raises(UnsupportedFormatError):
            read(backend, NAME)


def test_a_registration_is_read_as_it_was_written(backend: RemoteBackend) -> None:
    key, data = encode_registration(BY, [VERSION])
    backend.write(key, [data])
    (found,) = registrations(backend)
    assert (found.by, found.versions, found.problem) == (BY, frozenset({VERSION}), "")
    assert found.modified is not None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1}'])
def test_a_damaged_registration_is_one_with_a_problem(backend: RemoteBackend, damage: bytes) -> None:
    key, data = encode_registration(BY, [VERSION])
    backend.write(key, [damage])
    other = key.replace(f"{BY.id}-", f"{BY.id}-0")
    backend.write(other, [data])
    assert [bool(one.problem) for one in registrations(backend)] == [True, True]


def test_a_registration_with_another_content_than_its_name_says_has_a_problem(backend: RemoteBackend) -> None:
    key, _ = encode_registration(BY, [VERSION])
    backend.write(key, [encode_registration(BY, [])[1]])
    assert [one.problem for one in registrations(backend)] == ["its file cannot be read"]


def test_a_registration_of_a_newer_dver_stops_everything(backend: RemoteBackend) -> None:
    key, data = encode_registration(BY, [VERSION])
    backend.write(key, [json.dumps({**json.loads(data), "format": 2}).encode()])
    with pytest.raises(DverError, match="format 2"):
        registrations(backend)
