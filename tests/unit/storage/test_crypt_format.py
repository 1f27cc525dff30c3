"""How keys and blobs of a store look encrypted: exact inverses, pinned bytes, and nothing opens but what was sealed."""

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.storage.crypt_format import OVERHEAD, SEGMENT_SIZE, MasterKey
from dver.storage.crypt_primitives import NotSealedError

SMALL = 16
KEY = "packs/4f/4f" + "0" * 62 + ".pack"
MASTER = MasterKey(bytes(range(32)), segment_size=SMALL)
KEYS = st.lists(st.text("abcdef0123456789.-", min_size=1, max_size=90), min_size=1, max_size=4).map("/".join)


def sealed(plain: bytes, key: str = KEY, master: MasterKey = MASTER) -> bytes:
    return b"".join(master.encrypt(key, [plain]))


def opened(data: bytes, key: str = KEY, master: MasterKey = MASTER) -> bytes:
    return master.decrypt(key, data, master.whole(len(data)))


def segments(data: bytes) -> list[bytes]:
    step = SMALL + OVERHEAD
    return [data[at : at + step] for at in range(0, len(data), step)]


@given(key=KEYS)
def test_the_stored_name_gives_the_key_back_and_is_always_the_same(key: str) -> None:
    stored = MASTER.stored_key(key)
    assert MASTER.plain_key(stored) == key
    assert MASTER.stored_key(key) == stored
    assert all(len(part) <= 200 for part in stored.split("/")[1:])
    assert stored.isascii()
    assert stored.split("/", 1)[1] == stored.split("/", 1)[1].lower()


@given(one=KEYS, other=KEYS)
def test_names_show_the_top_folder_and_nothing_else(one: str, other: str) -> None:
    stored = MASTER.stored_key(one)
    assert stored.partition("/")[0] == (one.partition("/")[0] if "/" in one else "other")
    if one != other:
        assert stored != MASTER.stored_key(other)


def test_no_id_shows_in_a_name() -> None:
    identity = os.urandom(32).hex()
    stored = MASTER.stored_key(f"versions/{identity}")
    assert identity[:8] not in stored
    assert MASTER.stored_key(f"versions/{identity[:-1]}0")[:20] != stored[:20] or identity.endswith("0")


@pytest.mark.parametrize("change", ["moved", "cut", "longer", "other master", "upper", "plain", "no folder", "bad"])
def test_names_that_the_master_key_did_not_make_are_none(change: str) -> None:
    stored = MASTER.stored_key(KEY)
    wrong = {
        "moved": stored.replace("packs/", "index/"),
        "cut": stored[:-1],
        "longer": stored + "0",
        "other master": MasterKey(bytes(32)).stored_key(KEY),
        "upper": stored.upper(),
        "plain": KEY,
        "no folder": stored.replace("/", ""),
        "bad": "packs/zz/!",
    }[change]
    assert MASTER.plain_key(wrong) is None


@given(plain=st.binary(max_size=5 * SMALL), cuts=st.lists(st.integers(0, 5 * SMALL), max_size=6))
def test_what_was_encrypted_is_decrypted_however_it_came_in_pieces(plain: bytes, cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(plain)]
    pieces = [memoryview(plain)[start:end] for start, end in pairwise(borders)]
    data = b"".join(MASTER.encrypt(KEY, pieces))
    assert opened(data) == plain
    assert len(data) == MASTER.stored_size(len(plain))
    assert MASTER.plain_size(len(data)) == len(plain)


@given(stored=st.integers(0, 6 * (SMALL + OVERHEAD)))
def test_each_stored_size_is_that_of_one_plain_size_or_of_none(stored: int) -> None:
    plain = MASTER.plain_size(stored)
    fitting = [size for size in range(6 * SMALL + 1) if MASTER.stored_size(size) == stored]
    assert fitting == ([] if plain is None else [plain])


@given(plain=st.binary(min_size=1, max_size=6 * SMALL), data=st.data())
def test_a_part_needs_only_the_segments_around_it(plain: bytes, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(plain) - 1))
    length = data.draw(st.integers(1, len(plain) - offset))
    stored = sealed(plain)
    extent = MASTER.around(offset, length, len(stored))
    got = MASTER.decrypt(KEY, stored[extent.start : extent.end], extent)
    assert got[MASTER.within(extent, offset, length)] == plain[offset : offset + length]
    assert extent.end - extent.start <= length + 2 * SMALL + (length // SMALL + 2) * OVERHEAD


def test_equal_contents_look_different_each_time() -> None:
    plain = bytes(3 * SMALL)
    one, other = sealed(plain), sealed(plain)
    assert one[:16] != other[:16]
    assert one[16:] != other[16:]
    pieces = segments(one)
    assert len({piece[16:] for piece in pieces}) == len(pieces)


@given(plain=st.binary(max_size=3 * SMALL), data=st.data())
def test_every_changed_bit_is_noticed(plain: bytes, data: st.DataObject) -> None:
    stored = bytearray(sealed(plain))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotSealedError):
        opened(bytes(stored))


@given(size=st.integers(0, 4 * SMALL), data=st.data())
def test_a_blob_that_was_cut_off_or_has_more_behind_it_is_refused(size: int, data: st.DataObject) -> None:
    stored = sealed(bytes(size))
    end = data.draw(st.integers(0, len(stored) - 1))
    for wrong in (stored[:end], stored + bytes(end + 1), stored + stored):
        with pytest.raises(NotSealedError):
            opened(wrong)


def test_segments_open_only_at_their_place_and_with_their_own_kind() -> None:
    plain = os.urandom(4 * SMALL)
    one, again = segments(sealed(plain)), segments(sealed(plain))
    for wrong in (
        [one[1], one[0], *one[2:]],
        [one[0], one[0], *one[2:]],
        [*one[:2], one[3]],
        one[:3],
        [*one[:2], again[2], one[3]],
        [*one[:3], one[3], one[3]],
    ):
        with pytest.raises(NotSealedError):
            opened(b"".join(wrong))
    assert opened(b"".join(one)) == opened(b"".join(again)) == plain


def test_each_segment_has_the_salt_of_the_first() -> None:
    pieces = segments(sealed(bytes(3 * SMALL)))
    with pytest.raises(NotSealedError):
        opened(pieces[0] + bytes(16) + pieces[1][16:] + pieces[2])


def test_a_blob_opens_only_under_its_own_key_and_master_key() -> None:
    stored = sealed(b"some bytes")
    with pytest.raises(NotSealedError):
        opened(stored, key=KEY.replace("packs", "index"))
    with pytest.raises(NotSealedError):
        opened(stored, master=MasterKey(bytes(32), segment_size=SMALL))
    # The key and the segment sizes are bound, whatever lies before them.
    with pytest.raises(NotSealedError):
        opened(stored, master=MasterKey(bytes(range(1, 33)), segment_size=SMALL))


def test_part_of_a_longer_blob_does_not_pass_for_its_end() -> None:
    stored = sealed(bytes(4 * SMALL))
    cut = stored[: 2 * (SMALL + OVERHEAD)]
    extent = MASTER.around(SMALL, SMALL, len(cut))
    assert extent.is_end
    with pytest.raises(NotSealedError):
        MASTER.decrypt(KEY, cut[extent.start : extent.end], extent)


def test_a_master_key_does_not_show_in_what_is_printed() -> None:
    assert bytes(range(32)).hex() not in repr(MASTER)
    assert MASTER.fingerprint in repr(MASTER)


def test_the_usual_segment_is_64_kib() -> None:
    master = MasterKey(bytes(32))
    assert SEGMENT_SIZE == 65536
    assert master.stored_size(65536) == 65536 + 32
    assert master.stored_size(65537) == 65537 + 64
    assert master.stored_size(0) == 32
