"""A project of one's own for each test: a copy of one that is made once, since copying is faster than making."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clones import Snapshot
from tests.commands import DverCommand, GitCommand, installed_dver
from tests.integration.git.project import Project, build
from tests.templates import copy_template


@dataclass(frozen=True, slots=True)
class Template:
    """What is copied: a folder, and what is in it by branch."""

    folder: Path
    trees: Mapping[str, Snapshot]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A project with its history, its git remote and its data remote."""
    folder = tmp_path_factory.mktemp("template")
    return Template(folder, build(folder, installed_dver(folder, warm=True)))


@pytest.fixture(autouse=True)
def _dver_for_hooks(run_dver: DverCommand, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where dver is not installed, the hooks that git starts need to be told where it is, too.
    for name, value in run_dver.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    """A project on branch main, all of it checked out and clean."""
    top = tmp_path / "work"
    copy_template(template.folder, top)
    root = top / "repo"
    return Project(root, installed_dver(root, warm=True), GitCommand(root), template.trees)
