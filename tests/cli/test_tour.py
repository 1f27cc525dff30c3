"""`dver tour`."""

import os
from pathlib import Path

import pytest

from tests.cli.runner import Cli


def test_does_what_it_shows_and_leaves_it_to_see(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine where nobody ever told git who they are, and with settings that must not leak in.
    (home / ".gitconfig").unlink()
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
        patch.setenv("DVER_CACHE_DIR", str(tmp_path / "wrong"))
        out = Cli(tmp_path).ok("tour", "here")
    folder = tmp_path / "here"
    for command in ("dver init", "dver add data", "dver push --all", "git clone", "dver pull", "dver checkout first"):
        assert f"\n$ {command}" in out
    assert "every byte is the same" in out
    assert f"Look around in {folder}" in out
    assert (folder / "clone/data/measurements.csv").is_file()
    assert not (tmp_path / "wrong").exists()
    assert "nothing to do" in Cli(folder / "project").ok("status")


def test_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is not empty" in Cli(tmp_path).fails(3, "tour", ".")


def test_needs_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert "git is not installed" in Cli(tmp_path).fails(3, "tour", "here")
    assert not (tmp_path / "here").exists()
