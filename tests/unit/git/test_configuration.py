"""Reading and changing the repository's own settings, and seeing those of the user."""

from pathlib import Path

import pytest

from dver.errors import GitError
from dver.git.configuration import ConfigFile, Configuration, Setting
from tests.unit.git.workbench import Workbench, odd_name


def _configuration(bench: Workbench) -> Configuration:
    repo = bench.repo
    return Configuration(repo.root, repo.git_dir, repo.common_dir)


@pytest.fixture
def shared(bench: Workbench) -> ConfigFile:
    return _configuration(bench).shared


def test_a_value_comes_back_as_it_went_in(shared: ConfigFile) -> None:
    for value in ("plain", "", "'quo\"ted' # ; %A \\", " spaces ", "two\nlines", odd_name(b"caf\xe9")):
        assert shared.set("dver.x", value)
        assert shared.get("dver.x") == value
        assert not shared.set("dver.x", value)


def test_what_is_not_there_is_none_and_need_not_be_removed(shared: ConfigFile) -> None:
    assert shared.get("dver.x") is None
    assert not shared.unset("dver.x")
    assert ConfigFile(shared.path.with_name("config.worktree")).get("dver.x") is None


def test_removing_restores_the_file_byte_for_byte(shared: ConfigFile) -> None:
    shared.path.write_bytes(shared.path.read_bytes() + b'; a comment\n[User "x"]\n\tkey = 1 ; note\n')
    shared.path.chmod(0o640)
    before = shared.path.read_bytes()

    for key in ("core.hooksPath", "merge.dver.name", "merge.dver.driver", "user.x.other"):
        shared.set(key, "value")
    for key in ("core.hooksPath", "merge.dver.name", "merge.dver.driver", "user.x.other"):
        assert shared.unset(key)

    assert shared.path.read_bytes() == before
    assert shared.path.stat().st_mode & 0o777 == 0o640


def test_all_levels_are_seen_and_the_last_counts(bench: Workbench, home: Path) -> None:
    bench.git("config", "--global", "core.hooksPath", "~/hooks")
    bench.git("config", "core.hooksPath", ".husky/_")

    assert _configuration(bench).paths("core.hooksPath") == [
        Setting("global", str(home / "hooks")),
        Setting("local", ".husky/_"),
    ]


def test_settings_for_a_single_command_are_passed_over(bench: Workbench) -> None:
    bench.set_variable("GIT_CONFIG_COUNT", "1")
    bench.set_variable("GIT_CONFIG_KEY_0", "core.hooksPath")
    bench.set_variable("GIT_CONFIG_VALUE_0", "/dev/null")
    assert _configuration(bench).paths("core.hooksPath") == []


def test_settings_of_one_work_tree_have_a_file_of_their_own(bench: Workbench) -> None:
    bench.git("config", "extensions.worktreeConfig", "true")
    bench.git("config", "--worktree", "core.hooksPath", "/some/hooks")
    configuration = _configuration(bench)

    [setting] = configuration.paths("core.hooksPath")
    file = configuration.file_of(setting.scope)

    assert file is not None
    assert file.get("core.hooksPath") == "/some/hooks"
    assert configuration.shared.get("core.hooksPath") is None
    assert configuration.file_of("global") is None


def test_a_file_is_read_without_what_it_includes(bench: Workbench, shared: ConfigFile) -> None:
    bench.write("team.config", "[core]\n\thooksPath = hooks\n")
    bench.git("config", "include.path", "../team.config")

    assert shared.get("core.hooksPath") is None
    assert [setting.value for setting in _configuration(bench).paths("core.hooksPath")] == ["hooks"]


def test_it_works_inside_a_hook_where_git_set_its_variables(bench: Workbench, shared: ConfigFile) -> None:
    bench.set_variable("GIT_DIR", ".git")
    bench.set_variable("GIT_INDEX_FILE", ".git/index")
    shared.set("core.hooksPath", "here")
    assert [setting.value for setting in _configuration(bench).paths("core.hooksPath")] == ["here"]


def test_a_file_that_git_cannot_read_is_an_error_that_says_why(shared: ConfigFile) -> None:
    shared.path.write_text("[broken\n")
    with pytest.raises(GitError, match="bad config line 1"):
        shared.set("dver.x", "1")


def test_several_values_are_not_made_one(bench: Workbench, shared: ConfigFile) -> None:
    bench.git("config", "--add", "dver.x", "1")
    bench.git("config", "--add", "dver.x", "2")
    with pytest.raises(GitError, match="multiple values"):
        shared.set("dver.x", "3")


def test_without_git_the_program_it_says_so(bench: Workbench, shared: ConfigFile, tmp_path: Path) -> None:
    bench.set_variable("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not to be found"):
        shared.get("dver.x")
