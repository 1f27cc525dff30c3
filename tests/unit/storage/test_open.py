"""Which backend a URL gives, and what is refused before anything is contacted."""

import subprocess
import sys
from pathlib import Path

import pytest

from dver.errors import ConfigError, MissingExtraError
from dver.storage.local import LocalBackend
from dver.storage.open import local_path, open_backend
from dver.storage.retry import RetryBackend


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost", "local://"])
def test_paths_and_file_urls_are_local_folders(tmp_path: Path, prefix: str) -> None:
    backend = open_backend(f"{prefix}{tmp_path}/a store %20", {})
    assert isinstance(backend, LocalBackend)
    backend.write("packs/x", [b"x"])
    assert (tmp_path / "a store %20/packs/x").read_bytes() == b"x"


@pytest.mark.parametrize("url", ["relative/path", "", "file://host/path", "file://relative"])
def test_what_is_no_absolute_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        open_backend(url, {})


def test_a_local_folder_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="region"):
        open_backend(str(tmp_path), {"region": "eu-1"})


def test_other_urls_are_remote_with_a_retry() -> None:
    assert isinstance(open_backend("memory://test-open/x", {}), RetryBackend)
    assert local_path("s3://bucket") is None


def test_location_is_the_url_without_credentials() -> None:
    url = "s3://bucket/a b/"
    backend = open_backend(url, {"key": "k", "secret": "hidden"})
    assert backend.location == "s3://bucket/a b"
    assert not backend.is_local


@pytest.mark.parametrize("url", ["s4://bucket", "S3//bucket://x", "://x", "nonsense://"])
def test_an_unknown_scheme_is_refused_with_those_there_are(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(url, {})
    assert caught.value.hint is not None
    assert "s3, " in caught.value.hint
    assert "sftp" in caught.value.hint


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3a://"])
def test_an_s3_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="names no bucket"):
        open_backend(url, {})


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("gs://bucket", "gcsfs", "gs"),
        ("gcs://bucket", "gcsfs", "gs"),
        ("az://container", "adlfs", "azure"),
        ("abfs://container", "adlfs", "azure"),
        ("sftp://host/folder", "paramiko", "ssh"),
        ("ssh://host/folder", "paramiko", "ssh"),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        open_backend(url, {})
    assert caught.value.extra == extra
    assert caught.value.scheme == url.partition(":")[0]
    assert caught.value.hint == f"pip install 'dver[{extra}]'"


def test_a_missing_package_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdav4", None)
    monkeypatch.setitem(sys.modules, "webdav4.fsspec", None)
    with pytest.raises(ConfigError, match="webdav:// remotes need a package that is not installed"):
        open_backend("webdav://host/x", {})


def test_a_broken_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where s3fs itself is gone fsspec notices; here, something below it is.
    monkeypatch.setitem(sys.modules, "botocore.parsers", None)
    with pytest.raises(ConfigError) as caught:
        open_backend("s3://bucket", {})
    assert caught.value.hint is not None
    assert "install dver again" in caught.value.hint


def test_nothing_of_the_clouds_is_loaded_before_a_remote_is_opened(tmp_path: Path) -> None:
    script = (
        "import sys; from dver.storage.open import open_backend; open_backend(sys.argv[1], {});"
        "sys.exit(' '.join({'fsspec', 's3fs', 'botocore', 'aiohttp'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr) == (0, "")
