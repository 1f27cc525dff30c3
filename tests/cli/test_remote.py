"""`dver remote` and its subcommands."""

import io
import sys
from pathlib import Path

import pytest

from tests.cli.runner import Cli, on_terminals


def test_lists_nothing_at_first(cli: Cli) -> None:
    assert cli.ok("remote") == ""
    assert "no remotes yet" in on_terminals(cli.folder, "remote")[2]


def test_the_first_remote_is_the_default(cli: Cli) -> None:
    assert cli.ok("remote", "add", "origin", "s3://bucket/data") == (
        "added remote origin: s3://bucket/data (the default)\n"
    )
    assert cli.ok("remote", "add", "disk", "/mnt/data") == "added remote disk: /mnt/data\n"
    listed = [line.split() for line in cli.ok("remote", "list").splitlines()]
    assert sorted(listed) == [["disk", "/mnt/data"], ["origin", "s3://bucket/data", "(default)"]]
    assert cli.ok("remote") == cli.ok("remote", "list")


def test_another_can_be_made_the_default(cli: Cli) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    cli.ok("remote", "add", "disk", "/mnt/data")
    assert cli.ok("remote", "default") == "origin\n"
    cli.ok("remote", "default", "disk")
    assert cli.ok("remote", "default") == "disk\n"


def test_removing_the_default_says_what_to_do(cli: Cli) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    cli.ok("remote", "add", "disk", "/mnt/data")
    result = cli("remote", "remove", "origin")
    assert (result.code, result.out) == (0, "removed remote origin\n")
    assert "dver remote default disk" in result.err
    assert cli.ok("remote", "remove", "disk") == "removed remote disk\n"


def test_sets_options_and_url(cli: Cli) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    assert cli.ok("remote", "set", "origin", "region", "eu-central-1") == "set region of remote origin\n"
    cli.ok("remote", "set", "origin", "url", "s3://other/data")
    cli.ok("remote", "set", "origin", "key", "AKIAEXAMPLE", "--local")
    assert cli("remote", "list", "--json").json == {
        "remotes": [
            {
                "name": "origin",
                "url": "s3://other/data",
                "default": True,
                "options": {"key": "********", "region": "eu-central-1"},
            }
        ]
    }


def test_secrets_go_into_the_local_file_only(cli: Cli) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    err = cli.fails(3, "remote", "set", "origin", "secret", "hush-hush")
    assert "--local" in err
    assert "hush" not in err
    cli.ok("remote", "set", "origin", "secret", "hush-hush", "--local")
    assert "hush" not in (cli.folder / ".dver/config.toml").read_text()
    assert "hush" in (cli.folder / ".dver/config.local.toml").read_text()


def test_a_secret_can_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    monkeypatch.setattr("sys.stdin", io.StringIO("hush-hush\n"))
    cli.ok("remote", "set", "origin", "secret", "--local")
    assert cli.ok("config", "get", "remotes.origin.secret") == "hush-hush\n"


def test_a_relative_path_is_meant_from_the_current_folder(cli: Cli) -> None:
    (cli.folder / "sub").mkdir()
    assert "added remote origin: ../store" in cli.at("sub").ok("remote", "add", "origin", "../../store")


def test_check_tries_all_that_dver_needs(cli: Cli, tmp_path: Path) -> None:
    cli.ok("remote", "add", "origin", str(tmp_path / "store"))
    lines = cli.ok("remote", "check").splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["write", "ok"],
        ["read", "ok"],
        ["range", "ok"],
        ["list", "ok"],
        ["delete", "ok"],
    ]
    assert lines[-1] == f"origin ({tmp_path / 'store'}) can be used"


def test_check_says_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cli.ok("remote", "add", "origin", str(tmp_path / "file"))
    result = cli("remote", "check", "origin")
    assert result.code == 1
    assert "write  failed" in result.out
    assert result.out.endswith(" cannot be used\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "origin", "/elsewhere"], 3, "there is already a remote named 'origin'"),
        (["add", "a b", "/elsewhere"], 3, "'a b' cannot name a remote"),
        (["add", "x", "s3:bucket"], 3, "two slashes"),
        (["remove", "orgin"], 3, "orgin"),
        (["default", "orgin"], 3, "orgin"),
        (["check", "orgin"], 3, "orgin"),
        (["set", "origin", "colour", "red"], 2, "colour"),
        (["rename", "origin", "x"], 2, "dver remote has no command 'rename'"),
        (["ad", "origin", "x"], 2, "did you mean dver remote add?"),
        (["add"], 2, "missing argument"),
    ],
)
def test_refuses_mistakes(cli: Cli, arguments: list[str], code: int, message: str) -> None:
    cli.ok("remote", "add", "origin", "/store")
    assert message in cli.fails(code, "remote", *arguments)


def test_hides_a_password_in_a_url(cli: Cli) -> None:
    out = cli.ok("remote", "add", "origin", "sftp://me:hush@host/data", "--local")
    assert "hush" not in out + cli.ok("remote", "list") + cli.ok("config", "list")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/data", "no storage is known by the scheme 'ftp'"),
        ("https://host/data", "s3://BUCKET, and its address the option endpoint_url"),
        ("S3://bucket", "no storage is known by the scheme 'S3'"),
        ("s4://bucket", "use a path or one of file, s3, s3a, gs, gcs, az, abfs, abfss, sftp, ssh, memory"),
        ("s3://", "s3:// names no bucket"),
        ("s3:///folder", "write it as s3://BUCKET/FOLDER"),
        ("gs://", "names no bucket"),
        ("abfs://", "write it as abfs://CONTAINER/FOLDER"),
        ("sftp:///folder", "names no host"),
    ],
)
def test_a_url_that_can_never_work_is_refused(cli: Cli, url: str, message: str) -> None:
    assert message in cli.fails(3, "remote", "add", "origin", url)
    cli.ok("remote", "add", "other", "/store")
    before = (cli.folder / ".dver/config.toml").read_text()
    assert message in cli.fails(3, "remote", "set", "other", "url", url)
    assert message in cli.fails(3, "init", "--remote", url)
    assert (cli.folder / ".dver/config.toml").read_text() == before


def test_a_url_whose_package_is_missing_may_be_added(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    cli.ok("remote", "add", "cloud", "gs://bucket/data")
    cli.ok("remote", "add", "web", "webdav://host/data")
    assert "pip install 'dver[gs]'" in cli.fails(3, "remote", "check", "cloud")


def test_check_says_in_json_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    cli.ok("remote", "add", "origin", str(tmp_path / "store"))
    good = cli("remote", "check", "--json")
    assert good.code == 0
    assert (good.json["remote"], good.json["usable"]) == ("origin", True)
    assert [step["name"] for step in good.json["steps"]] == ["write", "read", "range", "list", "delete"]
    (tmp_path / "file").write_text("")
    cli.ok("remote", "add", "bad", str(tmp_path / "file"))
    bad = cli("remote", "check", "bad", "--json")
    assert bad.code == 1
    assert bad.json["usable"] is False
    assert [(step["name"], step["ok"]) for step in bad.json["steps"]] == [("write", False)]


def test_hints_name_the_remote_that_they_are_about(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.cli.session.Session.wait", lambda _session, _seconds: True)
    cli.ok("remote", "add", "cloud", "s3://bucket/data")
    cli.ok("remote", "set", "cloud", "endpoint_url", "http://127.0.0.1:1")
    for name in ("key", "secret"):
        cli.ok("remote", "set", "cloud", name, "x", "--local")
    out = cli("remote", "check").out
    assert "dver remote set cloud endpoint_url" in out
    assert "NAME" not in out


def test_the_hint_where_there_is_no_store_names_the_remote(cli: Cli, tmp_path: Path) -> None:
    cli.ok("remote", "add", "origin", str(tmp_path / "nowhere"))
    assert "dver remote set origin url URL" in cli.fails(3, "gc", "--remote")


def test_a_password_in_a_url_that_is_refused_is_not_shown(cli: Cli) -> None:
    assert "hush" not in cli.fails(3, "remote", "add", "origin", "ftp://me:hush@host/data", "--local")


def test_a_remote_that_is_the_cache_is_refused(cli: Cli, tmp_path: Path) -> None:
    cli.ok("config", "set", "cache.dir", str(tmp_path / "store"))
    (tmp_path / "link").symlink_to(tmp_path / "store")
    for place in ("store", "link"):
        assert "no second copy" in cli.fails(3, "remote", "add", "origin", str(tmp_path / place))
    cli.ok("remote", "add", "origin", str(tmp_path / "remote"))
    assert "no second copy" in cli.fails(3, "remote", "set", "origin", "url", str(tmp_path / "store"))
    assert "only copy" in cli.fails(3, "config", "set", "cache.dir", str(tmp_path / "remote"))
