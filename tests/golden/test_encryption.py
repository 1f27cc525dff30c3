"""Encrypted stores, pinned byte for byte; see `tests/golden/test_golden.py` for what that means."""

from blake3 import blake3

from dver.storage.crypt_format import MasterKey
from dver.storage.keyring_secrets import Secret, SecretKind, as_passphrase
from dver.storage.keyring_slot import Masters, ScryptCost, SlotChoices, decode_slot, encode_slot, make_slot, open_slot

MASTER = MasterKey(bytes(range(32)))
PACK = "packs/71/71fa49edac8c88d2b61641cad5aeeb7421b08cb435eeeb0040e5b985eea7cc09.pack"
SLOT = "00112233445566778899aabbccddeeff"


def test_names() -> None:
    assert MASTER.fingerprint == "8a74cc66ca32921256822df5bd88f40e"
    assert MASTER.stored_key(PACK) == (
        "packs/q8/kq3j388ta75cdc06urcb7pjp15fcb7o585vsnu5s9it7158pru7oajt7pi1ou41tq54ag5v"
        "e5enrsb0fa4t2j0ttlbdh561afq938hb920ruepu1uq9lpktkm084frg2bgcrhu3mrjvccsmnu2i40"
    )
    assert MASTER.stored_key("dver-store.json") == ("other/kl9nheoc53eonpqd90faomq1r7l37kesgmtpoc2jdau76fdhjc")


def test_blobs() -> None:
    short = b"".join(MASTER.encrypt("index/a", [b"dver"], salt=bytes(range(16))))
    assert short.hex() == "000102030405060708090a0b0c0d0e0f03e1ba29216a9b46b0e679521c96e20fa1c8fa6b"
    long = b"".join(MASTER.encrypt("packs/a/b", [bytes(range(256)) * 512, b"end"], salt=bytes(16)))
    assert len(long) == 131171
    assert blake3(long).hexdigest() == "ae7848ef5b5c1a374a0483952481ffa190f32267360a19a60529aef524b71edc"


def _slot(secret: Secret, label: str) -> bytes:
    masters = Masters((MASTER.fingerprint,), (MASTER,))
    choices = SlotChoices(
        label, "2026-11-23T12:00:00Z", ScryptCost(1 << 14), id=SLOT, salt=bytes(32), nonce=bytes(range(12))
    )
    slot = make_slot(secret, masters, choices)
    assert open_slot(decode_slot(encode_slot(slot), SLOT, "here"), secret, "here").newest.secret == MASTER.secret
    return encode_slot(slot)


def test_slots() -> None:
    passphrase = _slot(as_passphrase("correct horse", "x"), "laptop")
    assert blake3(passphrase).hexdigest() == "57a440f7b875abd0720d5d1de79cbb6274f11846f6e5c5d52f5fe5eaba455c49"
    key_file = _slot(Secret(SecretKind.KEY_FILE, bytes(range(32)), "x"), "")
    assert blake3(key_file).hexdigest() == "e4e0f837732c63e47ecfceccd976696357bf4e272905e89d73291da2b7ac8b9f"
    assert b'"check":"d6b683a015caf3d5d7b51dfd9c8a6204b0c4140a377c10c1b51a87134db10037"' in key_file
