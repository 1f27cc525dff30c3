"""What is found wrong in git."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.config import add_remote, set_value
from dver.operations.add import add
from dver.operations.lint import Finding, lint
from dver.records.record import Record, State, encode_record
from tests.clones import Clone
from tests.unit.operations.watched import Remote


def _found(clone: Clone, files: Sequence[str] | None = None) -> list[Finding]:
    with clone.open() as repo:
        return lint(repo, files)


def _problems(clone: Clone, files: Sequence[str] | None = None) -> list[tuple[str, str]]:
    return [(one.path, one.problem) for one in _found(clone, files)]


@pytest.fixture
def saved(clone: Clone) -> Clone:
    """A repository with one committed dataset."""
    clone.write("data/a", b"1")
    clone.save()
    return clone


def _stage(clone: Clone, path: str, content: bytes) -> None:
    clone.write(path, content)
    clone.git("add", "--force", path)


def test_nothing_is_wrong_with_what_dver_makes(saved: Clone) -> None:
    assert _found(saved) == []
    assert _found(saved, ["data.dver", ".dver/config.toml", "code.py"]) == []


def test_staged_content_is_looked_at(saved: Clone) -> None:
    good = saved.pointer_text()
    saved.write("data.dver", b"rubbish")
    assert _found(saved) == []
    saved.git("add", "data.dver")
    saved.write("data.dver", good.encode())
    assert _problems(saved) == [("data.dver", "not a dver pointer")]


def test_all_that_is_wrong_is_found_by_path(saved: Clone) -> None:
    _stage(saved, "b.dver", b"<<<<<<< ours\n")
    _stage(saved, "a.dver", b"# dver pointer\nformat = 1\n")
    _stage(saved, ".DVER.dver", saved.pointer_text().encode())
    _stage(saved, ".dver/lineage.jsonl", b"\xef\xbb\xbf{}\nnonsense\n\n{}\n[]\n<<<<<<< ours\n" + b"[" * 100_000)
    _stage(saved, "data/b", b"2")
    problems = _problems(saved)
    assert [path for path, _ in problems] == [
        ".DVER.dver",
        *4 * [".dver/lineage.jsonl"],
        "a.dver",
        "b.dver",
        "data",
    ]
    assert [problem for path, problem in problems if path == ".dver/lineage.jsonl"] == [
        "lines 1 to 2: is not JSON",
        "lines 4 to 5: is not a lineage record",
        "line 6: a mark of an unfinished merge",
        "line 7: is not JSON",
    ]
    assert ("b.dver", "the pointer has merge conflict markers") in problems
    assert ("data", "is a dataset, and git tracks its data too: data/b") in problems
    assert all(one.hint for one in _found(saved))


def test_only_named_files_are_looked_at(saved: Clone) -> None:
    _stage(saved, "b.dver", b"<<<<<<< ours\n")
    _stage(saved, "a.dver", b"nonsense")
    _stage(saved, ".dver/lineage.jsonl", b"nonsense")
    assert [path for path, _ in _problems(saved, ["a.dver", "untracked.dver"])] == ["a.dver"]
    assert _found(saved, ["code.py"]) == []
    assert _found(saved, []) == []


def test_a_record_that_was_changed_is_found_where_it_is_new(saved: Clone) -> None:
    records = [Record(State.COMPLETE, "2026-11-23T13:00:00.000Z", name=name) for name in ("one", "two")]
    one, two = map(encode_record, records)
    _stage(saved, ".dver/lineage.jsonl", one + b"\n" + two)
    assert _problems(saved) == []
    changed = "line 3: was changed since it was written: its name does not fit its content"
    _stage(saved, ".dver/lineage.jsonl", one + b"\n" + two.replace(b"two", b"six"))
    assert _problems(saved, [".dver/lineage.jsonl"]) == [(".dver/lineage.jsonl", changed)]
    saved.git("commit", "--quiet", "-m", "damaged")
    # What is committed already is for somebody who asks about everything.
    assert _problems(saved, [".dver/lineage.jsonl"]) == []
    assert _problems(saved) == [(".dver/lineage.jsonl", changed)]


def test_secrets_and_mistakes_in_the_staged_settings_are_found(saved: Clone) -> None:
    _stage(saved, ".dver/config.toml", b'core.jobs = "many"\nremotes.origin.secret = "hunter2"\n')
    saved.write(".dver/config.toml", b"")
    found = _found(saved)
    assert [(one.path, one.problem) for one in found] == [
        (".dver/config.toml", "core.jobs is not a whole number from 1"),
        (".dver/config.toml", "remotes.origin.secret is a secret and this file is committed"),
    ]
    assert "hunter2" not in str(found)
    assert _found(saved, ["data.dver"]) == []


def test_what_belongs_to_one_clone_is_found(saved: Clone) -> None:
    _stage(saved, ".dver/config.local.toml", b"")
    _stage(saved, ".dver/cache/x", b"")
    assert [path for path, _ in _problems(saved)] == [".dver/cache/x", ".dver/config.local.toml"]
    assert [path for path, _ in _problems(saved, [".dver/cache/x"])] == [".dver/cache/x"]


def test_data_in_git_is_found_by_its_pointer_and_by_itself(saved: Clone) -> None:
    for number in range(7):
        _stage(saved, f"data/{number}", b"x")
    problem = "is a dataset, and git tracks its data too: data/0, data/1, data/2, data/3, data/4 and 2 more"
    assert _problems(saved, ["data.dver"]) == [("data", problem)]
    found = _problems(saved, ["data/6", "data/5", "code.py", "data/untracked"])
    assert found == [("data", "is a dataset, and git tracks its data too: data/5, data/6")]


def test_a_single_file_that_is_a_dataset_and_tracked_is_found(saved: Clone) -> None:
    saved.write("t.csv", b"1")
    saved.add("t.csv")
    _stage(saved, "t.csv", b"1")
    assert _problems(saved, ["t.csv"]) == [("t.csv", "is a dataset, and git tracks its data too: t.csv")]


def test_an_unmerged_pointer_is_found(saved: Clone) -> None:
    saved.git("switch", "--quiet", "-c", "side")
    saved.write("data/a", b"side")
    saved.save()
    saved.git("switch", "--quiet", "main")
    saved.checkout()
    saved.write("data/a", b"main")
    saved.save()
    with pytest.raises(AssertionError):
        saved.git("merge", "side")
    assert ("data.dver", "is in a merge conflict") in _problems(saved)
    assert ("data.dver", "is in a merge conflict") in _problems(saved, ["data.dver"])
    assert _problems(saved, ["code.py"]) == []


def test_a_version_that_is_nowhere_is_found(saved: Clone) -> None:
    saved.delete_cache()
    ((path, problem),) = _problems(saved)
    assert path == "data.dver"
    assert problem == "names a version that is not in the cache, and there is no remote to fetch it from"
    assert _found(saved, ["code.py"]) == []


def test_the_remote_is_asked_only_about_what_the_cache_lacks(team: Clone, remote: Remote) -> None:
    assert _found(team) == []
    assert not remote.calls
    team.delete_cache()
    assert _found(team) == []
    assert remote.calls


def test_a_version_that_is_neither_here_nor_on_the_remote_is_found(team: Clone) -> None:
    team.write("data/a.bin", b"newer")
    team.save()
    team.delete_cache()
    ((path, problem),) = _problems(team)
    assert path == "data.dver"
    assert problem.startswith("names a version that is not in the cache, nor in remote origin")


def test_a_version_on_another_remote_will_do(team: Clone, tmp_path: Path) -> None:
    with team.open() as repo:
        add_remote(repo.dver_dir, "backup", str(tmp_path / "remote"), local=False)
        set_value(repo.dver_dir, "remotes.origin.url", str(tmp_path / "empty"), local=False)
    team.save(message="another default")
    team.delete_cache()
    assert _found(team) == []


def test_a_remote_that_cannot_be_asked_is_said(team: Clone, tmp_path: Path) -> None:
    (tmp_path / "remote").rename(tmp_path / "elsewhere")
    (tmp_path / "remote").write_text("not a folder")
    assert _found(team) == []
    team.delete_cache()
    ((path, problem),) = _problems(team)
    assert path == ""
    assert problem.startswith("cannot tell whether the data of data is stored: ")


@pytest.fixture
def partly(team: Clone, tmp_path: Path) -> Clone:
    """A clone in which a file was added to a dataset that nobody brought."""
    other = team.clone(tmp_path / "other")
    other.write("data/sub/new", b"new")
    with other.open() as repo:
        add(repo, ["data/sub/new"], within=True)
    return other


def test_a_version_will_do_whose_new_content_is_here_and_the_rest_on_the_remote(partly: Clone) -> None:
    assert _found(partly) == []
    partly.push()
    assert _found(partly) == []


def test_new_content_that_is_nowhere_is_found(partly: Clone) -> None:
    partly.delete_cache()
    assert [path for path, _ in _problems(partly)] == ["data.dver"]


def test_a_remote_without_the_rest_will_not_do(partly: Clone, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "remote" / "packs")
    shutil.rmtree(tmp_path / "remote" / "index")
    assert [path for path, _ in _problems(partly)] == ["data.dver"]


def test_without_an_answer_it_is_noted_that_the_remote_had_the_rest(partly: Clone, tmp_path: Path) -> None:
    (tmp_path / "remote").rename(tmp_path / "elsewhere")
    (tmp_path / "remote").write_text("not a folder")
    (found,) = _found(partly)
    assert (found.path, found.is_note) == ("data.dver", True)
    assert found.problem.startswith("what is new is in the cache")
    partly.delete_cache()
    assert [one.is_note for one in _found(partly)] == [False]
