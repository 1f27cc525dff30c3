"""Working trees with dver in them, for the tests of `dver.operations`."""

from pathlib import Path
from typing import Any

import pytest

from dver.storage.backend import Backend
from dver.storage.open import open_backend
from tests.clones import Clone, noise
from tests.templates import copy_template
from tests.unit.operations.watched import Remote, Watched


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh repository with dver set up, without a remote."""
    return Clone.make(tmp_path / "repo")


@pytest.fixture
def team(tmp_path: Path) -> Clone:
    """A repository with a remote in a local folder, and one committed and pushed dataset of a few files."""
    made = Clone.make(tmp_path / "first", remote=tmp_path / "remote")
    fill(made)
    made.save(message="first")
    made.push()
    return made


@pytest.fixture
def remote(team: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """The team's remote from now on, watched."""
    watched = Remote()

    def opening(url: str, options: dict[str, str | bool | int], **keywords: Any) -> Backend:
        backend = open_backend(url, options, **keywords)
        if url != str(tmp_path / "remote"):
            return backend
        return Watched(backend, watched)

    monkeypatch.setattr("dver.storage.open.open_backend", opening)
    return watched


def fill(clone: Clone, dataset: str = "data") -> None:
    """Write files of every kind into a dataset's folder."""
    clone.write(f"{dataset}/a.bin", noise(20_000))
    clone.write(f"{dataset}/sub/b.bin", noise(5000, 2))
    clone.write(f"{dataset}/sub/run.sh", b"#!/bin/sh\n", executable=True)
    clone.write(f"{dataset}/sub/deep/c", b"c")
    clone.write(f"{dataset}/zero", b"")
    clone.write(f"{dataset}/sp ace é", b"unicode")
    clone.write(dataset.encode() + b"/bad\xff\n", b"not utf-8")
    (clone.root / dataset / "empty").mkdir()
    (clone.root / dataset / "link").symlink_to("sub/b.bin")


@pytest.fixture(scope="session")
def history_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is copied for `history`."""
    folder = tmp_path_factory.mktemp("history")
    clone = Clone.make(folder / "repo")
    fill(clone)
    clone.save()
    clone.git("tag", "v1")
    clone.write("data/a.bin", noise(20_000, 5))
    clone.write("data/new/x", b"new in v2")
    clone.write("data/empty/now full", b"1")
    (clone.root / "data" / "sub" / "run.sh").chmod(0o644)
    (clone.root / "data" / "sub" / "deep" / "c").unlink()
    (clone.root / "data" / "sub" / "deep").rmdir()
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").symlink_to("a.bin")
    clone.save()
    clone.git("tag", "v2")
    return folder


@pytest.fixture
def history(history_template: Path, tmp_path: Path) -> Clone:
    """Two committed versions, tagged v1 and v2, the second of which is checked out."""
    copy_template(history_template, tmp_path)
    made = Clone(tmp_path / "repo")
    # A status looks into all files that were copied, and remembers that nothing is changed in them.
    made.status()
    return made
