"""Changing settings and remotes in the files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dver
from dver.config import (
    SETTINGS,
    Kind,
    Value,
    add_remote,
    find_setting,
    get_value,
    load_settings,
    remove_remote,
    set_default_remote,
    set_remote_option,
    set_value,
    unset_value,
)
from dver.config.keys import REMOTE_OPTIONS, Link
from dver.errors import ConfigError

COMMENTED = """\
# above all

[core]  # about the core
jobs = 2  # two
# the end of the core

[remotes.origin]
# about the bucket
url = 's3://bucket'
"""


def _committed(dver_dir: Path) -> str:
    return (dver_dir / "config.toml").read_text()


def _local(dver_dir: Path) -> str:
    return (dver_dir / "config.local.toml").read_text()


def _texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\x7f:"), min_size=1)


def _values(kind: Kind) -> st.SearchStrategy[Value]:
    strategies: dict[Kind, st.SearchStrategy[Value]] = {
        Kind.FLAG: st.booleans(),
        Kind.COUNT: st.integers(1, 999_999_999),
        Kind.PORT: st.integers(1, 65535),
        Kind.CHUNK_SIZE: st.integers(10, 22).map(lambda bits: 1 << bits),
        Kind.SIZE: st.integers(0, 1 << 50),
        Kind.PATTERNS: st.lists(_texts(), max_size=3).map(tuple),
        Kind.NAME: st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True),
        Kind.LINK: st.sampled_from([link.value for link in Link]),
        Kind.FINGERPRINT: st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        Kind.ENDPOINT: st.from_regex(r"https?://[a-z]{1,8}(:[0-9]{1,4})?/[a-z]*", fullmatch=True),
    }
    return strategies.get(kind, _texts())


@st.composite
def _settings_and_values(draw: st.DrawFn) -> dict[str, Value]:
    name = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True)
    of_remotes = st.tuples(name, st.sampled_from(sorted(REMOTE_OPTIONS))).map(
        lambda pair: f"remotes.{pair[0]}.{pair[1]}"
    )
    keys = draw(st.lists(st.one_of(st.sampled_from(sorted(SETTINGS)), of_remotes), unique=True, max_size=8))
    return {key: draw(_values(find_setting(key).kind)) for key in keys}


@given(wanted=_settings_and_values(), data=st.data())
def test_what_is_set_is_what_one_gets(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Value], data: st.DataObject
) -> None:
    dver_dir = tmp_path_factory.mktemp("repo") / ".dver"
    dver_dir.mkdir()
    for key, value in wanted.items():
        as_text = not isinstance(value, tuple) and data.draw(st.booleans())
        set_value(dver_dir, key, str(value) if as_text else value, local=True)
    for key, value in wanted.items():
        found = get_value(dver_dir, key)
        assert found == value
        assert type(found) is type(value)
    load_settings(dver_dir)
    for key in data.draw(st.permutations(list(wanted))):
        assert unset_value(dver_dir, key, local=True)
        assert get_value(dver_dir, key) == find_setting(key).default
    if wanted:
        assert _local(dver_dir) == "# dver settings of this clone: git ignores this file\n"


def test_comments_order_and_spelling_survive(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text(COMMENTED)
    set_value(dver_dir, "core.jobs", "4", local=False)
    set_value(dver_dir, "remotes.origin.region", "eu", local=False)
    assert _committed(dver_dir) == COMMENTED.replace("jobs = 2", "jobs = 4") + 'region = "eu"\n'
    unset_value(dver_dir, "core.jobs", local=False)
    assert "# about the core" in _committed(dver_dir)
    assert "# the end of the core" in _committed(dver_dir)


def test_new_files_say_what_they_are_for(dver_dir: Path) -> None:
    set_value(dver_dir, "core.jobs", 1, local=False)
    set_value(dver_dir, "core.jobs", 2, local=True)
    assert _committed(dver_dir) == "# dver settings of this repository: commit this file\n\n[core]\njobs = 1\n"
    assert _local(dver_dir) == "# dver settings of this clone: git ignores this file\n\n[core]\njobs = 2\n"


def test_the_local_file_is_private(dver_dir: Path) -> None:
    set_value(dver_dir, "cache.secret", "x", local=True)
    assert (dver_dir / "config.local.toml").stat().st_mode & 0o777 == 0o600


def test_sizes_stay_as_they_were_written(dver_dir: Path) -> None:
    set_value(dver_dir, "chunks.size", "128 KiB", local=False)
    assert 'size = "128 KiB"' in _committed(dver_dir)
    assert get_value(dver_dir, "chunks.size") == 131072


def test_setting_what_is_already_set_does_not_write(dver_dir: Path) -> None:
    set_value(dver_dir, "core.jobs", 1, local=False)
    before = (dver_dir / "config.toml").stat().st_ino
    set_value(dver_dir, "core.jobs", "1", local=False)
    assert not unset_value(dver_dir, "cache.dir", local=False)
    assert (dver_dir / "config.toml").stat().st_ino == before


@pytest.mark.parametrize("key", ["remotes.x.secret", "cache.account_key", "remotes.x.connection_string"])
def test_secrets_go_only_to_the_local_file(dver_dir: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="is a secret") as caught:
        set_value(dver_dir, key, "hunter2", local=False)
    assert "VALUE --local" in str(caught.value.hint)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert not (dver_dir / "config.toml").exists()
    set_value(dver_dir, key, "hunter2", local=True)
    assert get_value(dver_dir, key) == "hunter2"


def test_urls_with_passwords_go_only_to_the_local_file(dver_dir: Path) -> None:
    url = "sftp://me:hunter2@host/path"
    with pytest.raises(ConfigError, match="holds a password") as caught:
        add_remote(dver_dir, "origin", url, local=False)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    add_remote(dver_dir, "origin", url, local=True)
    assert load_settings(dver_dir).remotes["origin"].url == url


def test_wrong_values_change_nothing(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text(COMMENTED)
    for key, value in (("core.jobs", "none"), ("core.job", "1"), ("remotes.-.url", "/x"), ("chunks.size", "3")):
        with pytest.raises(ConfigError):
            set_value(dver_dir, key, value, local=False)
    assert _committed(dver_dir) == COMMENTED


def test_unset_puts_unknown_settings_right(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text('cache.dri = "x"\ntop = 1\n[remotes.a.b]\nurl = "y"\n[core]\njobs = 2\n')
    for key in ("cache.dri", "top", "remotes.a.b.url"):
        assert unset_value(dver_dir, key, local=False)
    assert load_settings(dver_dir).jobs == 2
    with pytest.raises(ConfigError, match="unknown setting"):
        unset_value(dver_dir, "cache.dri", local=False)


def test_unset_puts_a_committed_secret_right(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text('[remotes.origin]\nurl = "/x"\nsecret = "hunter2"\n')
    set_remote_option(dver_dir, "origin", "secret", "hunter2", local=True)
    unset_value(dver_dir, "remotes.origin.secret", local=False)
    assert load_settings(dver_dir).remote("origin").options == {"secret": "hunter2"}


def test_the_first_remote_becomes_the_default(dver_dir: Path) -> None:
    assert add_remote(dver_dir, "origin", "../store", local=False)
    assert not add_remote(dver_dir, "other", "/data/store", local=False)
    settings = load_settings(dver_dir)
    assert settings.default_remote == "origin"
    assert settings.remotes["origin"].url == "../store"


def test_a_remote_is_not_added_twice(dver_dir: Path) -> None:
    add_remote(dver_dir, "origin", "/a", local=True)
    with pytest.raises(ConfigError, match="already a remote named 'origin'") as caught:
        add_remote(dver_dir, "origin", "/b", local=False)
    assert "dver remote set origin url URL" in str(caught.value.hint)
    set_remote_option(dver_dir, "origin", "url", "/b", local=True)
    assert load_settings(dver_dir).remote().url == "/b"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "ü"])
def test_odd_names_are_refused(dver_dir: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a remote"):
        add_remote(dver_dir, name, "/x", local=False)


def test_removing_the_default_leaves_none(dver_dir: Path) -> None:
    add_remote(dver_dir, "origin", "/a", local=False)
    add_remote(dver_dir, "other", "/b", local=False)
    set_remote_option(dver_dir, "origin", "secret", "hunter2", local=True)
    assert remove_remote(dver_dir, "origin")
    settings = load_settings(dver_dir)
    assert settings.default_remote is None
    assert list(settings.remotes) == ["other"]
    assert "hunter2" not in _local(dver_dir)
    assert not remove_remote(dver_dir, "other")
    with pytest.raises(ConfigError, match="no remote named 'other'"):
        remove_remote(dver_dir, "other")


def test_after_the_default_is_removed_the_next_remote_becomes_it(dver_dir: Path) -> None:
    add_remote(dver_dir, "origin", "/a", local=False)
    remove_remote(dver_dir, "origin")
    assert add_remote(dver_dir, "new", "/b", local=False)


def test_a_default_that_names_nothing_is_replaced_by_a_new_remote(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text('core.remote = "gone"\n')
    assert add_remote(dver_dir, "new", "/b", local=False)
    assert load_settings(dver_dir).remote().name == "new"


def test_the_default_goes_where_it_holds(dver_dir: Path) -> None:
    add_remote(dver_dir, "origin", "/a", local=False)
    add_remote(dver_dir, "other", "/b", local=False)
    add_remote(dver_dir, "mine", "/c", local=True)
    set_default_remote(dver_dir, "other")
    assert 'remote = "other"' in _committed(dver_dir)
    set_default_remote(dver_dir, "mine")
    assert 'remote = "mine"' in _local(dver_dir)
    set_default_remote(dver_dir, "origin")
    assert load_settings(dver_dir).default_remote == "origin"
    with pytest.raises(ConfigError, match="no remote named 'origni'") as caught:
        set_default_remote(dver_dir, "origni")
    assert caught.value.hint == "did you mean origin?"


def test_options_are_for_remotes_that_are_there(dver_dir: Path) -> None:
    with pytest.raises(ConfigError, match="no remote named 'origin'") as caught:
        set_remote_option(dver_dir, "origin", "region", "eu", local=False)
    assert caught.value.hint == "dver remote add NAME URL"
    add_remote(dver_dir, "origin", "s3://bucket", local=False)
    with pytest.raises(ConfigError, match="no option 'regoin'") as caught:
        set_remote_option(dver_dir, "origin", "regoin", "eu", local=False)
    assert caught.value.hint == "did you mean region?"
    set_remote_option(dver_dir, "origin", "anonymous", "yes", local=False)
    assert load_settings(dver_dir).remote().options == {"anonymous": True}


@pytest.mark.parametrize("text", ["cache = 3\n", "[[cache]]\n", "cache = [1]\n"])
def test_files_that_cannot_be_edited_say_so(dver_dir: Path, text: str) -> None:
    (dver_dir / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match="dver cannot edit"):
        set_value(dver_dir, "cache.dir", "/x", local=False)
    assert _committed(dver_dir) == text


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        set_value(tmp_path / "gone", "core.jobs", 1, local=False)


def test_reading_settings_does_not_load_tomlkit(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text(COMMENTED)
    program = (
        "import sys; from pathlib import Path; from dver.config import load_settings\n"
        "load_settings(Path(sys.argv[1])); sys.exit('tomlkit' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(dver.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program, dver_dir], env=environment, check=True)


def test_lists_are_written_one_after_another_and_taken_out(dver_dir: Path) -> None:
    (dver_dir / "config.toml").write_text('# above\n[hooks]\nallow = ["a"]  # why\n')
    set_value(dver_dir, "hooks.allow", ("*.png", 'do"c s/'), local=False)
    assert get_value(dver_dir, "hooks.allow") == ("*.png", 'do"c s/')
    assert _committed(dver_dir).startswith("# above\n[hooks]\nallow = [")
    before = _committed(dver_dir)
    set_value(dver_dir, "hooks.allow", ["*.png", 'do"c s/'], local=False)
    assert _committed(dver_dir) == before
    set_value(dver_dir, "hooks.max_size", "2 MiB", local=False)
    assert 'max_size = "2 MiB"' in _committed(dver_dir)
    unset_value(dver_dir, "hooks.allow", local=False)
    assert get_value(dver_dir, "hooks.allow") is None
