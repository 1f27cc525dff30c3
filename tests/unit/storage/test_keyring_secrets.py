"""Where the secret of an encrypted store comes from, and what is refused as one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.errors import ConfigError
from dver.storage.keyring_secrets import (
    SecretKind,
    SecretSource,
    as_passphrase,
    make_key_file,
    read_key_file,
    read_passphrase_file,
)


def answers(*texts: str) -> Callable[[str], str]:
    waiting = iter(texts)
    return lambda _prompt: next(waiting)


def test_the_key_file_comes_first_then_the_environment_then_its_file_then_the_terminal(tmp_path: Path) -> None:
    key = make_key_file(tmp_path / "key")
    (tmp_path / "phrase").write_text("from a file\n")
    every = {"passphrase": "from env", "passphrase_file": tmp_path / "phrase", "ask": answers("typed")}
    found = [
        next(SecretSource("remote x", key_file=tmp_path / "key", **every).secrets()),  # type: ignore[arg-type]
        next(SecretSource("remote x", **every).secrets()),  # type: ignore[arg-type]
        next(SecretSource("remote x", passphrase_file=tmp_path / "phrase", ask=answers("typed")).secrets()),
        next(SecretSource("remote x", ask=answers("typed")).secrets()),
    ]
    assert [secret.data for secret in found] == [key.data, b"from env", b"from a file", b"typed"]
    assert [secret.kind for secret in found] == [SecretKind.KEY_FILE] + 3 * [SecretKind.PASSPHRASE]


def test_who_is_asked_has_three_tries() -> None:
    source = SecretSource("remote x", ask=answers("one", "two", "three"))
    assert [secret.data for secret in source.secrets()] == [b"one", b"two", b"three"]


def test_nobody_to_ask_is_told_with_what_helps() -> None:
    with pytest.raises(ConfigError, match="remote x is encrypted, and no passphrase is given") as caught:
        next(SecretSource("remote x").secrets())
    assert "DVER_PASSPHRASE" in str(caught.value.hint)


def test_a_new_passphrase_is_asked_for_twice() -> None:
    assert SecretSource("remote x", ask=answers("long enough", "long enough")).fresh().data == b"long enough"
    with pytest.raises(ConfigError, match="differ"):
        SecretSource("remote x", ask=answers("long enough", "long enoguh")).fresh()
    with pytest.raises(ConfigError, match="at least 8"):
        SecretSource("remote x", ask=answers("short", "short")).fresh()
    with pytest.raises(ConfigError, match="at least 8"):
        SecretSource("remote x", passphrase="short").fresh()


def test_a_passphrase_is_the_same_however_its_accents_were_typed() -> None:
    assert as_passphrase("e\u0301te\u0301", "x").data == as_passphrase("été", "x").data == "été".encode()
    assert as_passphrase(os.fsdecode(b"caf\xe9"), "x").data == b"caf\xe9"
    with pytest.raises(ConfigError, match="empty"):
        as_passphrase("", "the passphrase")


@pytest.mark.parametrize(
    ("text", "phrase"), [("a b\n", b"a b"), ("a b", b"a b"), ("a b\r\n", b"a b"), (" a \n\n", b" a \n")]
)
def test_the_newline_at_the_end_of_a_file_is_no_part_of_the_passphrase(
    tmp_path: Path, text: str, phrase: bytes
) -> None:
    (tmp_path / "phrase").write_bytes(text.encode())
    assert read_passphrase_file(tmp_path / "phrase").data == phrase


def test_a_key_file_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    secret = make_key_file(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert read_key_file(tmp_path / "key").data == secret.data
    assert len(secret.data) == 32
    with pytest.raises(ConfigError, match="there already"):
        make_key_file(tmp_path / "key")
    assert read_key_file(tmp_path / "key").data == secret.data
    with pytest.raises(ConfigError, match="cannot be written"):
        make_key_file(tmp_path / "missing" / "key")


@pytest.mark.parametrize("data", [b"", b"dver-key 1\n", b"dver key file 1\n" + b"0" * 63, b"\xff" * 80, b"-----BEGIN"])
def test_other_files_are_no_key_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(ConfigError, match="not a key file"):
        read_key_file(tmp_path / "key")


def test_files_that_cannot_be_used_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5000))
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for name, reason in [
        ("none", "cannot be read"),
        ("large", "too large"),
        ("latin", "not UTF-8"),
        (".", "cannot be"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            read_passphrase_file(tmp_path / name)


def test_secrets_do_not_show_in_what_is_printed(tmp_path: Path) -> None:
    source = SecretSource("remote x", passphrase="hush hush")
    assert "hush" not in repr(source) + repr(next(source.secrets()))
