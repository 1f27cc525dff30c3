"""Which places need the user's trust, and how it is remembered."""

from pathlib import Path

import pytest

from dver.config.trust import TRUST_VARIABLE, Place, TrustedPlaces, place_of

BUCKET = Place("s3://bucket")
ELSEWHERE = Place("s3://bucket", (("endpoint_url", "https://minio.example"),))


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("/mnt/share", {}),
        ("file:///mnt/share", {}),
        ("memory://x", {}),
        ("s3://bucket/data", {"anonymous": True}),
        ("https://example.org/data", {}),
    ],
)
def test_where_nobody_signs_in_no_trust_is_needed(url: str, options: dict[str, str | int | bool]) -> None:
    assert place_of(url, options) is None


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("s3://bucket/data", {}, "s3://bucket"),
        ("S3://bucket", {"anonymous": False}, "s3://bucket"),
        (
            "s3://bucket",
            {"endpoint_url": "https://h", "profile": "prod"},
            "s3://bucket, endpoint_url https://h, profile prod",
        ),
        # Secrets of the user are sent although it says anonymous.
        ("s3://bucket", {"anonymous": True, "key": "AKIA", "secret": "shh"}, "s3://bucket"),
        ("sftp://me:password@host:22/data", {"port": 2222}, "sftp://me@host:22, port 2222"),
        ("https://user:word@host/x", {}, "https://user@host"),
        ("az://container/x", {"account_host": "evil", "account_key": "shh"}, "az://container, account_host evil"),
        ("something://new", {}, "something://new"),
    ],
)
def test_a_place_is_what_credentials_go_to_and_shows_no_secret(
    url: str, options: dict[str, str | int | bool], text: str
) -> None:
    place = place_of(url, options)

    assert place is not None
    assert place.text == text
    assert "shh" not in repr(place)
    assert "word" not in repr(place)


def test_trust_is_remembered_for_the_very_place(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    trusted = TrustedPlaces.of_user(env)
    assert not trusted.knows(BUCKET)

    trusted.add(BUCKET)
    trusted.add(BUCKET)
    again = TrustedPlaces.of_user(env)

    assert again.knows(BUCKET)
    assert not again.knows(ELSEWHERE)
    assert not again.knows(Place("s3://other"))
    assert len(trusted.file.read_text().splitlines()) == 1
    assert trusted.file.stat().st_mode & 0o077 == 0


def test_without_other_word_the_file_is_in_the_home_folder(tmp_path: Path) -> None:
    assert TrustedPlaces.of_user({"HOME": str(tmp_path)}).file == tmp_path / ".config/dver/trusted-remotes.jsonl"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"{}\n[]\n", b"s3://bucket\n" * 1000])
def test_a_broken_file_trusts_nothing(tmp_path: Path, content: bytes) -> None:
    trusted = TrustedPlaces(tmp_path / "file", {})
    trusted.file.write_bytes(content)

    assert not trusted.knows(BUCKET)


@pytest.mark.parametrize(
    ("value", "bucket", "elsewhere"),
    [
        ("", False, False),
        ("0", False, False),
        ("1", True, True),
        ("true", True, True),
        ("s3://bucket", True, False),
        ("s3://bucket/some/path", True, False),
        ("https://minio.example", False, False),
        ("s3://bucket https://minio.example/", True, True),
        ("s3://buck s3://other", False, False),
    ],
)
def test_the_environment_names_places_with_all_their_addresses(
    tmp_path: Path, value: str, bucket: bool, elsewhere: bool
) -> None:
    trusted = TrustedPlaces(tmp_path / "file", {TRUST_VARIABLE: value})

    assert (trusted.knows(BUCKET), trusted.knows(ELSEWHERE)) == (bucket, elsewhere)
