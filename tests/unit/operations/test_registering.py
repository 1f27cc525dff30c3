"""What a repository says that it names: when it counts, when it is said anew, and whose it is."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, LockedError
from dver.objects.ids import Bytes, VersionId
from dver.operations.registering import is_registered, registrant
from dver.storage.condemned import Condemned, Phase, new_name, note_phase, write_sweep
from dver.storage.local import LocalBackend
from tests.clones import Clone, noise


@pytest.fixture
def ann(tmp_path: Path) -> Clone:
    made = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    made.write("data/a", noise(4000, 1))
    made.save()
    made.push()
    return made


def begin_sweep(clone: Clone, versions: Collection[VersionId] = ()) -> str:
    """Let somebody else begin to sweep, who does not read what repositories say any more."""
    name = new_name(0)
    with clone.open() as repo:
        write_sweep(repo.remote().backend, name, {"a list": Condemned(frozenset(versions))})
    return name


def end_sweep(clone: Clone, name: str) -> None:
    with clone.open() as repo:
        note_phase(repo.remote().backend, name, Phase.SWEPT)


def counts(clone: Clone) -> bool:
    with clone.open() as repo:
        return is_registered(repo, repo.remote(), ())


def remote_files(folder: Path) -> set[Path]:
    return {path for path in (folder / "remote").rglob("*") if path.is_file()}


def said(folder: Path) -> list[Path]:
    return sorted((folder / "remote/roots").iterdir())


def test_what_is_said_while_somebody_sweeps_does_not_count_until_that_has_ended(
    ann: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.operations.push_guard._PATIENCE", 0.0)
    name = begin_sweep(ann, [ann.version()])
    bob = ann.clone(tmp_path / "bob")
    bob.pull()

    for _ in range(2):
        # The second finds the file there, and must not take that for an answer.
        with pytest.raises(LockedError):
            bob.push()
    assert not counts(bob)

    end_sweep(ann, name)
    assert not counts(bob)
    bob.push()
    assert counts(bob)


def test_a_push_that_may_not_leave_word_sends_nothing(
    ann: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = ann.clone(tmp_path / "bob")
    bob.pull()
    write = LocalBackend.write

    def refuse(self: LocalBackend, key: str, pieces: Sequence[Bytes]) -> None:
        if key.startswith("roots/"):
            raise BackendError(self.location, BackendProblem.DENIED, f"{key} may not be written")
        write(self, key, pieces)

    monkeypatch.setattr(LocalBackend, "write", refuse)
    # That all is there can be seen all the same.
    assert bob.push().sent.versions == ()

    bob.write("data/a", noise(4000, 2))
    bob.save()
    before = remote_files(tmp_path)
    with pytest.raises(BackendError, match="may not be written") as caught:
        bob.push()
    assert "roots/ and gc/" in str(caught.value.hint)
    assert remote_files(tmp_path) == before


def test_what_is_the_same_is_not_said_again(ann: Clone, tmp_path: Path) -> None:
    (file,) = said(tmp_path)
    before = file.stat().st_mtime_ns
    (ann.root / ".git/index").touch()
    assert not counts(ann)
    ann.push()
    assert counts(ann)
    assert [path.stat().st_mtime_ns for path in said(tmp_path)] == [before]


def test_a_copy_in_the_same_place_is_another_one(ann: Clone, tmp_path: Path) -> None:
    with ann.open() as repo:
        before = registrant(repo).id
    shutil.copytree(ann.root, tmp_path / "copy", symlinks=True)
    ann.root.rename(tmp_path / "moved")
    (tmp_path / "copy").rename(ann.root)
    with ann.open() as repo:
        after = registrant(repo).id
    assert before != after
    assert before[:32] == after[:32]
    assert not counts(ann)
    ann.push()
    assert len(said(tmp_path)) == 2


@pytest.mark.parametrize("is_shorter", [True, False])
def test_what_was_damaged_is_said_again(ann: Clone, tmp_path: Path, is_shorter: bool) -> None:
    (file,) = said(tmp_path)
    before = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(b"x" if is_shorter else b"x" * len(before))
    if not is_shorter:
        # Else it is not looked at.
        (ann.root / ".git/index").touch()
    ann.push()
    assert said(tmp_path) == [file]
    assert file.read_bytes() == before
