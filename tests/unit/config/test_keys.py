"""The table of settings, and the values they take."""

import pytest

from dver.config import SETTINGS, STORE_OPTIONS, check_chunk_size, find_setting, parse_size
from dver.config.keys import REMOTE_OPTIONS, parse_value
from dver.errors import ConfigError
from dver.storage.schemes import SECRET_OPTIONS, find_scheme, known_schemes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65536),
        ("64KiB", 65536),
        (" 64 kib ", 65536),
        ("64K", 65536),
        ("1 MiB", 1 << 20),
        ("2GiB", 2 << 30),
        ("1T", 1 << 40),
        ("10 MB", 10_000_000),
        ("3kb", 3000),
        ("7B", 7),
        ("0", 0),
    ],
)
def test_parse_size_knows_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1.5MiB", "64 potatoes", "1e3", "6 4", "٣", "9" * 30])
def test_parse_size_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("size", [1024, 65536, 4 << 20])
def test_chunk_sizes_are_powers_of_two(size: int) -> None:
    assert check_chunk_size(size) == size


@pytest.mark.parametrize("size", [0, -1024, 512, 1023, 65535, 8 << 20])
def test_other_chunk_sizes_are_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="power of two from 1 KiB to 4 MiB"):
        check_chunk_size(size)


def test_settings_of_remotes_are_found_for_any_name_even_one_with_dots() -> None:
    assert find_setting("remotes.origin.url").name == "remotes.origin.url"
    assert find_setting("remotes.my.own-remote_2.secret").secret
    assert not find_setting("cache.endpoint_url").secret
    assert find_setting("cache.password").secret


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("cache.dri", "did you mean cache.dir?"),
        ("core.transferjobs", "did you mean core.transfer_jobs?"),
        ("remotes.origin.secrte", "did you mean remotes.origin.secret?"),
        ("remotes.origin", "remotes.NAME.url"),
        ("remotes", "remotes.NAME.url"),
        ("cache", "cache.dir"),
        ("", "cache.dir"),
        ("qqqq", "cache.dir"),
    ],
)
def test_unknown_settings_are_refused_with_the_closest_name(key: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{key}'") as caught:
        find_setting(key)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("name", ["-x", ".x", "a b", "ü", "a/b", "_"])
def test_odd_names_of_remotes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a remote"):
        find_setting(f"remotes.{name}.url")


@pytest.mark.parametrize(
    ("key", "value", "parsed"),
    [
        ("add.stage", "no", False),
        ("add.stage", "TRUE", True),
        ("add.stage", False, False),
        ("checkout.link", "reflink", "reflink"),
        ("core.jobs", " 8 ", 8),
        ("core.jobs", 8, 8),
        ("chunks.size", "128KiB", 131072),
        ("chunks.size", 131072, 131072),
        ("hooks.max_size", "500KiB", 512000),
        ("hooks.max_size", 0, 0),
        ("hooks.allow", "*.png", ("*.png",)),
        ("hooks.allow", ["*.png", "docs/"], ("*.png", "docs/")),
        ("hooks.data", [], ()),
        ("remotes.x.port", "22", 22),
        ("remotes.x.url", "s3://bucket/a b", "s3://bucket/a b"),
        ("remotes.x.url", "../store", "../store"),
        ("remotes.x.url", "./odd:name", "./odd:name"),
        ("remotes.x.url", "sftp://user@host/path", "sftp://user@host/path"),
        ("cache.dir", "~/dver", "~/dver"),
        ("core.remote", "origin", "origin"),
        ("cache.region", "8", "8"),
    ],
)
def test_values_may_come_as_text(key: str, value: object, parsed: object) -> None:
    found = parse_value(find_setting(key), value)
    assert found == parsed
    assert type(found) is type(parsed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("add.stage", "maybe"),
        ("checkout.link", "hardlink"),
        ("checkout.link", ""),
        ("checkout.link", True),
        ("add.stage", 1),
        ("core.jobs", 0),
        ("core.jobs", "-1"),
        ("core.jobs", True),
        ("core.jobs", 1.5),
        ("core.jobs", "9" * 5000),
        ("chunks.size", True),
        ("chunks.size", "1000"),
        ("hooks.max_size", -1),
        ("hooks.max_size", True),
        ("hooks.max_size", "much"),
        ("hooks.max_size", ["1MiB"]),
        ("hooks.allow", 5),
        ("hooks.allow", ["*.png", 5]),
        ("hooks.allow", ["*.png", ""]),
        ("hooks.data", ["a\nb"]),
        ("remotes.x.port", 65536),
        ("remotes.x.port", "no"),
        ("remotes.x.url", ""),
        ("remotes.x.url", 5),
        ("remotes.x.url", "a\nb"),
        ("remotes.x.url", "a\udcffb"),
        ("remotes.x.url", "s3:bucket"),
        ("remotes.x.url", "s3:/bucket"),
        ("remotes.x.url", "user@host:folder"),
        ("remotes.x.url", "https://[half"),
        ("remotes.x.endpoint_url", "localhost:9000"),
        ("remotes.x.endpoint_url", "http://[half"),
        ("index.dir", "s3://bucket"),
        ("core.remote", "a b"),
        ("cache.region", ["list"]),
    ],
)
def test_wrong_values_are_refused_with_a_hint(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(find_setting(key), value)
    assert caught.value.hint


def test_errors_do_not_show_secrets() -> None:
    for name, option in REMOTE_OPTIONS.items():
        if option.secret:
            for value in ("hunter2\n", "hunter2\udcff", ["hunter2"]):
                with pytest.raises(ConfigError) as caught:
                    parse_value(find_setting(f"remotes.x.{name}"), value)
                assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_every_setting_says_what_it_is_for() -> None:
    for setting in [*SETTINGS.values(), *STORE_OPTIONS.values()]:
        assert setting.help
        assert setting.default is None or parse_value(setting, setting.default) == setting.default


def test_every_option_of_every_kind_of_storage_can_be_set_and_secrets_are_known_as_such() -> None:
    for name in known_schemes():
        for option in find_scheme(name).options or ():
            assert option in STORE_OPTIONS, f"{name}:// has an option {option} that no setting is for"
            assert STORE_OPTIONS[option].secret == (option in SECRET_OPTIONS)
