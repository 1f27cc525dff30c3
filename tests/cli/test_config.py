"""`dver config` and its subcommands."""

import pytest

from tests.cli.runner import Cli


def test_sets_gets_and_unsets_a_value(cli: Cli) -> None:
    assert cli.ok("config", "set", "core.jobs", "3") == "set core.jobs\n"
    assert cli.ok("config", "get", "core.jobs") == "3\n"
    assert cli.ok("config", "unset", "core.jobs") == "unset core.jobs\n"
    result = cli("config", "get", "core.jobs")
    assert (result.code, result.out) == (1, "")


def test_the_local_file_wins(cli: Cli) -> None:
    cli.ok("config", "set", "core.jobs", "3")
    cli.ok("config", "set", "core.jobs", "5", "--local")
    assert cli.ok("config", "get", "core.jobs") == "5\n"
    cli.ok("config", "unset", "core.jobs", "--local")
    assert cli.ok("config", "get", "core.jobs") == "3\n"


def test_says_so_when_there_is_nothing_to_unset(cli: Cli) -> None:
    result = cli("config", "unset", "core.jobs")
    assert (result.code, result.out) == (1, "core.jobs is not set in config.toml\n")


def test_lists_values_with_their_origin(cli: Cli) -> None:
    cli.ok("config", "set", "core.jobs", "3", "--local")
    assert cli.ok("config", "list").splitlines() == [
        "add.stage       true     (default)",
        "checkout.link   auto     (default)",
        "chunks.size     65536    (default)",
        "core.jobs       3        (config.local.toml)",
        "gc.auto         true     (default)",
        "hooks.max_size  1048576  (default)",
    ]


def test_lists_json(cli: Cli) -> None:
    assert cli("config", "list", "--json").json == {
        "settings": [
            {"key": "add.stage", "value": True, "origin": "default"},
            {"key": "checkout.link", "value": "auto", "origin": "default"},
            {"key": "chunks.size", "value": 65536, "origin": "default"},
            {"key": "gc.auto", "value": True, "origin": "default"},
            {"key": "hooks.max_size", "value": 1048576, "origin": "default"},
        ]
    }


def test_sets_lists_whole_and_shows_them(cli: Cli) -> None:
    cli.ok("config", "set", "hooks.allow", "*.png")
    assert cli.ok("config", "get", "hooks.allow") == "*.png\n"
    cli.ok("config", "set", "hooks.allow", "*.pdf", "docs/**")
    assert cli.ok("config", "get", "hooks.allow") == "*.pdf\ndocs/**\n"
    assert "hooks.allow     *.pdf, docs/**  (config.toml)" in cli.ok("config", "list")
    listed = {one["key"]: one["value"] for one in cli("config", "list", "--json").json["settings"]}
    assert listed["hooks.allow"] == ["*.pdf", "docs/**"]
    assert cli.ok("config", "unset", "hooks.allow") == "unset hooks.allow\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["get", "core.job"], 3, "did you mean core.jobs?"),
        (["set", "core.jobs", "many"], 3, "core.jobs is not a whole number"),
        (["set", "cache.secret", "hush"], 3, "--local"),
        (["set", "core.jobs"], 2, "missing argument"),
        (["set", "core.jobs", "1", "2"], 2, "core.jobs takes one value, and here are 2"),
        (["set", "hooks.allow", "*.png", ""], 3, "hooks.allow is empty"),
        (["change"], 2, "dver config has no command 'change'"),
    ],
)
def test_refuses_mistakes(cli: Cli, arguments: list[str], code: int, message: str) -> None:
    assert message in cli.fails(code, "config", *arguments)


def test_can_mend_a_file_that_other_commands_refuse(cli: Cli) -> None:
    with (cli.folder / ".dver/config.toml").open("a") as file:
        file.write('\n[core]\njobs = "many"\n')
    assert ".dver/config.toml" in cli.fails(3, "status")
    cli.ok("config", "set", "core.jobs", "2")
    cli.ok("status")


def test_only_get_shows_a_secret(cli: Cli) -> None:
    cli.ok("remote", "add", "origin", "s3://bucket/data")
    cli.ok("remote", "add", "other", "sftp://me:hush-url@127.0.0.1:1/data", "--local")
    for name, value in [("endpoint_url", "http://127.0.0.1:1"), ("key", "hush-key"), ("secret", "hush-secret")]:
        cli.ok("remote", "set", "origin", name, value, "--local")
    for json in ((), ("--json",)):
        for command in (("remote", "list"), ("config", "list"), ("status",)):
            result = cli(*command, *json)
            assert result.code == 0
            assert "hush" not in result.out + result.err
    assert "hush" not in (cli.folder / ".dver/config.toml").read_text()
    assert cli.ok("config", "get", "remotes.origin.secret") == "hush-secret\n"


def test_a_place_of_the_cache_that_makes_no_sense_can_be_changed(cli: Cli) -> None:
    (cli.folder / ".dver" / "config.toml").write_text("[cache]\ndir = 3\n")
    cli.ok("config", "set", "cache.dir", "../store")
    assert cli.ok("config", "get", "cache.dir") == "../store\n"
