"""Which value of a setting holds, and what is refused in the files."""

from pathlib import Path

import pytest

from dver.config import Link, ListedValue, committed_problems, get_value, list_values, load_settings
from dver.errors import ConfigError

COMMITTED = """\
# shared
[core]
remote = "origin"
jobs = 2

[chunks]
size = "128 KiB"

[cache]
dir = "s3://team/cache"
region = "eu-north-1"

[remotes.origin]
url = "s3://bucket/data"
endpoint_url = "https://s3.example.org"

[remotes."with.dots"]
url = "../store"
anonymous = true
"""
LOCAL = """\
core.jobs = 3
cache.secret = "for-the-cache"
[remotes.origin]
secret = "hunter2"
[remotes.gone]
secret = "hunter2"
[remotes.mine]
url = "https://me:hunter2@example.org/store?sig=hunter2"
"""


def _committed(dver_dir: Path, text: str | bytes) -> None:
    (dver_dir / "config.toml").write_bytes(text.encode() if isinstance(text, str) else text)


def _local(dver_dir: Path, text: str) -> None:
    (dver_dir / "config.local.toml").write_text(text)


def _refused(dver_dir: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(dver_dir)
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    return caught.value


def test_without_files_the_defaults_hold(dver_dir: Path) -> None:
    settings = load_settings(dver_dir)
    assert settings.chunk_size == 65536
    assert settings.add_stage is True
    assert settings.checkout_link is Link.AUTO
    assert settings.remotes == {}
    assert (settings.cache_dir, settings.index_dir, settings.default_remote) == (None, None, None)
    assert (settings.jobs, settings.transfer_jobs) == (None, None)
    assert (settings.hook_max_size, settings.hook_allow, settings.hook_data) == (1 << 20, (), ())


def test_the_local_file_wins_over_the_committed_one_and_overrides_over_both(dver_dir: Path) -> None:
    _committed(dver_dir, COMMITTED)
    assert load_settings(dver_dir).jobs == 2
    _local(dver_dir, LOCAL)
    assert load_settings(dver_dir).jobs == 3
    assert load_settings(dver_dir, {"core.jobs": "5", "cache.dir": None}).jobs == 5


def test_everything_in_the_files_arrives(dver_dir: Path) -> None:
    _committed(dver_dir, COMMITTED)
    _local(dver_dir, LOCAL)
    settings = load_settings(dver_dir, {"index.dir": "/fast", "add.stage": "off", "core.transfer_jobs": 4})
    assert settings.chunk_size == 131072
    assert settings.cache_dir == "s3://team/cache"
    assert settings.cache_options == {"region": "eu-north-1", "secret": "for-the-cache"}
    assert settings.index_dir == "/fast"
    assert settings.add_stage is False
    assert settings.transfer_jobs == 4
    assert {name: (remote.url, dict(remote.options)) for name, remote in settings.remotes.items()} == {
        "origin": ("s3://bucket/data", {"endpoint_url": "https://s3.example.org", "secret": "hunter2"}),
        "with.dots": ("../store", {"anonymous": True}),
        "mine": ("https://me:hunter2@example.org/store?sig=hunter2", {}),
    }


def test_printed_settings_hold_no_secrets(dver_dir: Path) -> None:
    _local(dver_dir, LOCAL)
    text = repr(load_settings(dver_dir))
    assert "hunter2" not in text
    assert "for-the-cache" not in text


def test_list_masks_secrets_and_says_where_values_come_from(dver_dir: Path) -> None:
    _committed(dver_dir, COMMITTED)
    _local(dver_dir, LOCAL)
    listed = list_values(dver_dir)
    assert ListedValue("add.stage", True, "default") in listed
    assert ListedValue("core.jobs", 3, "config.local.toml") in listed
    assert ListedValue("chunks.size", 131072, "config.toml") in listed
    assert ListedValue("remotes.origin.secret", "********", "config.local.toml") in listed
    assert ListedValue("remotes.mine.url", "https://example.org/store", "config.local.toml") in listed
    assert [entry.key for entry in listed] == sorted({entry.key for entry in listed})


def test_get_value_returns_what_holds(dver_dir: Path) -> None:
    _committed(dver_dir, COMMITTED)
    _local(dver_dir, LOCAL)
    assert get_value(dver_dir, "core.jobs") == 3
    assert get_value(dver_dir, "remotes.with.dots.url") == "../store"
    assert get_value(dver_dir, "remotes.origin.secret") == "hunter2"
    assert get_value(dver_dir, "add.stage") is True
    assert get_value(dver_dir, "index.dir") is None
    with pytest.raises(ConfigError, match="unknown setting"):
        get_value(dver_dir, "core.job")


def test_remote_picks_by_name_or_the_default(dver_dir: Path) -> None:
    _committed(dver_dir, COMMITTED)
    settings = load_settings(dver_dir)
    assert settings.remote().name == "origin"
    assert settings.remote("with.dots").url == "../store"
    with pytest.raises(ConfigError, match="no remote named 'orign'") as caught:
        settings.remote("orign")
    assert caught.value.hint == "did you mean origin?"


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("", None, "dver remote add NAME URL"),
        ("", "x", "dver remote add NAME URL"),
        ('[remotes.a]\nurl = "/a"', None, "dver remote default a"),
        ('core.remote = "gone"\n[remotes.a]\nurl = "/a"', None, "there is only a"),
    ],
)
def test_a_missing_remote_is_an_error_that_helps(dver_dir: Path, text: str, name: str | None, hint: str) -> None:
    _committed(dver_dir, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(dver_dir).remote(name)
    assert caught.value.hint == hint


def test_unknown_names_are_refused_with_file_and_suggestion(dver_dir: Path) -> None:
    _committed(dver_dir, '[cache]\ndri = "x"\n')
    error = _refused(dver_dir)
    assert error.message == ".dver/config.toml: unknown setting 'cache.dri'"
    assert error.hint == "did you mean cache.dir?"


@pytest.mark.parametrize(
    "text",
    [
        "cache = 3",
        '"cache.dir" = "x"',
        '[remotes.a.b]\nurl = "x"',
        '[remotes]\nurl = "x"',
        '[remotes."a b"]\nurl = "x"',
        "core.jobs = 'many'",
        "core.jobs = 1.0",
        "add.stage = 'yes'",
        "chunks.size = 1000",
        "cache.dir = ['x']",
        "cache.dir = 2020-01-01",
        "[[remotes.x]]\nurl = 'x'",
    ],
)
def test_wrong_entries_are_refused(dver_dir: Path, text: str) -> None:
    _committed(dver_dir, text)
    assert _refused(dver_dir).message.startswith(".dver/config.toml: ")


@pytest.mark.parametrize("key", ["remotes.origin.secret", "remotes.origin.sas_token"])
def test_a_secret_in_the_committed_file_names_the_command_that_moves_it(dver_dir: Path, key: str) -> None:
    _committed(dver_dir, f'{key} = "hunter2"\n')
    error = _refused(dver_dir)
    assert key in error.message
    assert f"dver remote set origin {key.rpartition('.')[2]} VALUE --local" in str(error.hint)


def test_a_secret_of_the_cache_in_the_committed_file_is_refused(dver_dir: Path) -> None:
    _committed(dver_dir, 'cache.password = "hunter2"\n')
    assert "dver config set cache.password VALUE --local" in str(_refused(dver_dir).hint)


@pytest.mark.parametrize("key", ["remotes.x.url", "cache.dir", "cache.endpoint_url"])
def test_a_password_in_a_committed_url_is_refused(dver_dir: Path, key: str) -> None:
    _committed(dver_dir, f'{key} = "https://me:hunter2@example.org/store"\n')
    assert f"{key} holds a password" in _refused(dver_dir).message


def test_malformed_files_are_named_with_the_line(dver_dir: Path) -> None:
    _committed(dver_dir, "[core]\njobs = \n")
    assert ".dver/config.toml: not well-formed TOML" in (message := _refused(dver_dir).message)
    assert "line 2" in message


def test_merge_conflicts_are_called_that(dver_dir: Path) -> None:
    _committed(dver_dir, "[core]\n<<<<<<< HEAD\njobs = 1\n=======\njobs = 2\n>>>>>>> side\n")
    error = _refused(dver_dir)
    assert error.message == ".dver/config.toml: has unresolved merge conflicts"
    assert "git add .dver/config.toml" in str(error.hint)


def test_files_that_are_not_utf8_are_named_with_the_line(dver_dir: Path) -> None:
    _committed(dver_dir, b'[cache]\ndir = "\xff"\n')
    assert _refused(dver_dir).message == ".dver/config.toml: line 2 is not UTF-8 text"


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 100_000, "a." * 10_000 + "a = 1", "core.jobs = " + "9" * 10_000, "#" * (2 << 20)]
)
def test_hostile_files_are_refused(dver_dir: Path, text: str) -> None:
    _committed(dver_dir, text)
    assert ".dver/config.toml" in _refused(dver_dir).message


def test_a_folder_in_the_place_of_a_file_is_refused(dver_dir: Path) -> None:
    (dver_dir / "config.toml").mkdir()
    assert "cannot be read" in _refused(dver_dir).message


@pytest.mark.parametrize(
    ("key", "value", "message"), [("core.job", 1, "unknown setting"), ("core.jobs", "many", "core.jobs is not")]
)
def test_wrong_overrides_are_refused(dver_dir: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"environment or command line: {message}"):
        load_settings(dver_dir, {key: value})


def test_a_list_of_the_local_file_replaces_that_of_the_committed_one(dver_dir: Path) -> None:
    _committed(dver_dir, '[hooks]\nmax_size = "2 MiB"\nallow = ["*.png", "docs/"]\ndata = ["*.csv"]\n')
    _local(dver_dir, '[hooks]\nallow = ["*.pdf"]\n')
    settings = load_settings(dver_dir)
    assert (settings.hook_max_size, settings.hook_allow, settings.hook_data) == (2 << 20, ("*.pdf",), ("*.csv",))
    assert ListedValue("hooks.allow", ("*.pdf",), "config.local.toml") in list_values(dver_dir)
    assert get_value(dver_dir, "hooks.data") == ("*.csv",)


def test_all_problems_of_a_committed_file_are_found() -> None:
    text = b'core.jobs = "many"\ncore.job = 1\nremotes.origin.secret = "hunter2"\ncore.remote = "fine"\n'
    problems = committed_problems(text, "the file")
    assert [problem.message for problem in problems] == [
        "the file: core.jobs is not a whole number from 1",
        "the file: unknown setting 'core.job'",
        "the file: remotes.origin.secret is a secret and this file is committed",
    ]
    assert all(problem.hint for problem in problems)


@pytest.mark.parametrize("text", [b"[core", b"\xff", b"<<<<<<< HEAD\n"])
def test_a_committed_file_that_cannot_be_parsed_is_one_problem(text: bytes) -> None:
    (problem,) = committed_problems(text, "the file")
    assert problem.message.startswith("the file: ")
