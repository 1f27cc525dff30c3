"""Locations of stores, made absolute."""

from pathlib import Path

import pytest

from dver.config import resolve_url
from dver.errors import ConfigError

ROOT = Path("/repo/top")


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("../store", "/repo/store"),
        ("store/", "/repo/top/store"),
        ("/data//store", "/data/store"),
        (".", "/repo/top"),
        ("file:///data/my%20store", "/data/my store"),
        ("FILE://localhost/data", "/data"),
        ("s3://bucket/../x?versions=1", "s3://bucket/../x?versions=1"),
        ("memory://store", "memory://store"),
        ("sftp://user@host/path", "sftp://user@host/path"),
    ],
)
def test_paths_become_absolute_and_urls_stay(url: str, resolved: str) -> None:
    assert resolve_url(url, ROOT) == resolved


def test_the_home_folder_is_put_in(home: Path) -> None:
    assert resolve_url("~/store", ROOT) == str(home / "store")


@pytest.mark.parametrize("url", ["file://host/path", "file://", "~nobody-of-this-name/store"])
def test_locations_that_are_nowhere_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_url(url, ROOT)
    assert caught.value.hint
