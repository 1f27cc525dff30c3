"""Which options each kind of storage takes, and what they become."""

import pytest

from dver.errors import ConfigError
from dver.storage.schemes import (
    S3,
    SECRET_OPTIONS,
    Listing,
    OptionValue,
    check_options,
    find_scheme,
    known_schemes,
)


def arguments(name: str, options: dict[str, OptionValue]) -> dict[str, object]:
    scheme = find_scheme(name)
    return scheme.arguments(check_options(scheme, options))


def test_s3_options_become_what_s3fs_takes() -> None:
    found = arguments(
        "s3",
        {"endpoint_url": "http://h", "region": "eu-1", "profile": "p", "key": "k", "secret": "s", "token": "t"},
    )
    settings = found.pop("config_kwargs")
    assert found == {
        "endpoint_url": "http://h",
        "client_kwargs": {"region_name": "eu-1"},
        "profile": "p",
        "key": "k",
        "secret": "s",
        "token": "t",
        "use_listings_cache": False,
    }
    assert isinstance(settings, dict)
    assert settings["s3"] == {"addressing_style": "path"}
    assert settings["request_checksum_calculation"] == "when_required"


def test_without_an_endpoint_buckets_are_addressed_as_the_service_likes() -> None:
    settings = arguments("s3", {})["config_kwargs"]
    assert isinstance(settings, dict)
    assert "s3" not in settings


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("s3", {"anonymous": "true"}, {"anon": True}),
        ("gs", {"project": "p", "token": "/key.json"}, {"project": "p", "token": "/key.json"}),
        ("gs", {"anonymous": True}, {"token": "anon"}),
        ("az", {"account_name": 1234, "anonymous": "no"}, {"account_name": "1234", "anon": False}),
        ("az", {"sas_token": "t"}, {"sas_token": "t", "use_listings_cache": False}),
        ("sftp", {"username": "me", "port": "2222"}, {"username": "me", "port": 2222}),
    ],
)
def test_options_of_other_kinds_are_mapped(
    name: str, options: dict[str, OptionValue], expected: dict[str, object]
) -> None:
    found = arguments(name, options)
    assert {key: found[key] for key in expected} == expected
    assert "anonymous" not in found


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(S3, {"endpoint": "http://h"})
    assert "'endpoint'" in caught.value.message
    assert caught.value.hint is not None
    assert "endpoint_url" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("s3", "anonymous", "perhaps"), ("s3", "secret", True), ("sftp", "port", "ssh"), ("sftp", "port", "²")],
)
def test_an_unfit_value_is_refused_without_showing_it(name: str, option: str, value: OptionValue) -> None:
    with pytest.raises(ConfigError, match=option) as caught:
        check_options(find_scheme(name), {option: value})
    assert str(value) not in caught.value.message.split("must be")[0]


def test_a_kind_that_dver_does_not_know_gets_its_options_as_they_are() -> None:
    scheme = find_scheme("webdav")
    assert scheme.listing is Listing.WALK
    assert scheme.arguments(check_options(scheme, {"anything": 1})) == {"anything": 1}


def test_all_options_that_hold_secrets_are_known_as_such() -> None:
    for name in ("s3", "gs", "az", "sftp"):
        for option in find_scheme(name).options or ():
            telling = any(word in option for word in ("secret", "password", "passphrase", "token", "connection"))
            telling |= option in {"key", "account_key"}
            assert (option in SECRET_OPTIONS) == telling


def test_the_known_schemes_begin_with_files() -> None:
    assert known_schemes()[:2] == ["file", "s3"]
