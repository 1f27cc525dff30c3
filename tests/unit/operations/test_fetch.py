"""Fetch: what the cache lacks comes whole, is verified on arrival, and comes once."""

from pathlib import Path

import pytest

from dver.errors import DverError, FormatError, IntegrityError
from dver.objects.pack import Record, decode_record, encode_record_header, scan_records
from tests.clones import Clone, noise
from tests.unit.operations.inspection import check_all_objects
from tests.unit.operations.watched import Remote


def test_a_pushed_version_is_whole_on_the_other_side(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")

    result = other.fetch()

    assert result.versions == 1
    assert len(result.sent.versions) == 1
    assert not result.missing
    (tmp_path / "remote").rename(tmp_path / "gone")
    other.checkout()
    assert other.data() == team.data()
    assert other.status().in_cache


def test_a_fetch_with_nothing_to_do_asks_nothing(team: Clone, remote: Remote) -> None:
    result = team.fetch()

    assert remote.total == 0
    assert result.sent.objects == 0


def test_fetch_brings_only_what_is_lacking(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull()
    team.write("data/sub/deep/c", noise(3000, 8))
    team.save()
    team.push()
    other.git("pull", "--quiet")

    result = other.fetch()
    other.checkout()

    assert result.sent.objects < 12
    assert other.data() == team.data()


def test_a_fetch_that_was_cut_off_goes_on_where_it_was(team: Clone, remote: Remote, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    reads: list[str] = []

    def cut(verb: str, key: str) -> None:
        if verb == "read_range":
            reads.append(key)
            if len(reads) == 2:
                raise ConnectionAbortedError

    remote.before = cut
    with pytest.raises(ConnectionAbortedError):
        other.fetch()
    assert not other.status().in_cache

    remote.before = lambda verb, key: None
    other.pull()
    assert other.data() == team.data()
    assert other.status().in_cache


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_damaged_record_is_detected_on_arrival_and_not_kept(team: Clone, tmp_path: Path, position: float) -> None:
    for pack in (tmp_path / "remote" / "packs").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        data[int(len(data) * position)] ^= 0x40
        pack.chmod(0o644)
        pack.write_bytes(data)
    other = team.clone(tmp_path / "other")

    with pytest.raises(DverError, match=r"damaged|impossible|malformed|disagree") as caught:
        other.pull()

    assert isinstance(caught.value, IntegrityError) or "remote" in str(caught.value)
    assert not other.status().in_cache
    check_all_objects(other)


def test_a_record_with_a_good_checksum_and_other_content_is_detected(team: Clone, tmp_path: Path) -> None:
    # As an attacker would do it, who can compute checksums but not find a second content for an id.
    for pack in (tmp_path / "remote" / "packs").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        for entry in scan_records(bytes(data), "here"):
            record = decode_record(data, entry.offset, "here")
            if entry.kind == 0 and entry.plain_length > 100:
                forged = bytes(byte ^ 1 for byte in record.payload)
                header = encode_record_header(Record(record.id, record.kind, record.codec, record.plain_length, forged))
                del record
                data[entry.offset : entry.offset + len(header) + len(forged)] = header + forged
                break
        pack.chmod(0o644)
        pack.write_bytes(data)
    other = team.clone(tmp_path / "other")

    with pytest.raises(IntegrityError):
        other.fetch()

    assert not other.status().in_cache
    check_all_objects(other)


def test_a_long_file_travels_with_the_tree_of_its_chunks(team: Clone, tmp_path: Path) -> None:
    team.write("data/long", noise(300_000, 12))
    team.save()
    team.push()
    other = team.clone(tmp_path / "other")

    other.pull("data/long")
    (tmp_path / "remote").rename(tmp_path / "gone")
    (other.root / "data" / "long").unlink()
    other.checkout()

    assert other.data() == {b"long": ("file", noise(300_000, 12))}


def test_a_dataset_of_many_files_travels_whole(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path / "first", remote=tmp_path / "remote")
    for number in range(1500):
        clone.write(f"data/{number % 30}/{number}", b"%d" % number)
    clone.save()
    clone.push()
    clone.write("data/7/7", b"changed")
    clone.save()

    sent = clone.push().sent

    assert sent.objects < 8
    other = clone.clone(tmp_path / "other")
    other.pull()
    assert other.data() == clone.data()


@pytest.mark.parametrize(
    ("path", "said", "found"),
    [("data/x", "a file", "a folder"), ("data", "a folder", "a file")],
    ids=["folder", "file"],
)
def test_a_pointer_that_says_another_kind_than_its_version_has_is_named_as_in_checkout(
    tmp_path: Path, path: str, said: str, found: str
) -> None:
    ann = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    ann.write(path, noise(3000))
    ann.write("other/x", noise(3000, 2))
    ann.save("data", "other")
    ann.push()
    pointer = ann.root / "data.dver"
    text = pointer.read_text()
    swapped = {'"file"': '"directory"', '"directory"': '"file"'}
    (kind,) = [one for one in swapped if one in text]
    pointer.write_text(text.replace(kind, swapped[kind]))
    ann.commit()
    bob = ann.clone(tmp_path / "bob")
    errors: list[FormatError] = []
    for run in (bob.fetch, bob.checkout):
        with pytest.raises(FormatError) as caught:
            run()
        errors.append(caught.value)
    message = f"data.dver: says that the data is {said}, and its version is {found}"
    assert [one.message for one in errors] == [message, message]
    assert errors[0].hint == errors[1].hint is not None
    assert not (bob.root / "data").exists()
    assert bob.status("other").in_cache
