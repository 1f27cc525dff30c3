"""What the owner of an encrypted remote sees of all that dver leaves there: kinds, sizes and times, no more."""

import os
import re
import socket
from pathlib import Path

import pytest

from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.storage.backend import Backend
from dver.storage.open import as_encrypted
from tests.clones import Clone, noise
from tests.encryption import add_encrypted_remote

HOST, REPOSITORY, DATASET, FOLDER, FILE = (
    "host-of-mine",
    "repo-of-mine",
    "dataset-of-mine",
    "folder-of-mine",
    "mine.csv",
)
TEXT = b"a line of mine\n"
GUIDE = Path(__file__).parents[2] / "docs/guides/encryption.md"


class Owner:
    """Somebody who keeps whatever was seen of a store, and is told afterwards what there was in it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.names: set[str] = set()
        self.seen: set[bytes] = set()
        self.ids: set[str] = set()

    def look(self, clone: Clone) -> None:
        """See all that is there now; and note the ids that are in plain names."""
        for path in self.top.rglob("*"):
            self.names.add(str(path.relative_to(self.top)))
            if path.is_file():
                self.seen.add(path.read_bytes())
        with clone.open() as repo:
            self._note(repo.remote().backend)

    def _note(self, plain: Backend) -> None:
        for info in plain.list(""):
            self.ids.update(re.findall(r"[0-9a-f]{16,}", info.key))
            if info.key.endswith(".json"):
                self.ids.update(re.findall(r"[0-9a-f]{32,}", plain.read(info.key).decode()))


def damage(clone: Clone, top: Path) -> None:
    """Turn over a byte in each pack, which are old."""
    for path in [path for path in (top / "packs").rglob("*") if path.is_file()]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        path.write_bytes(data)
        os.utime(path, (1_500_000_000, 1_500_000_000))


def test_the_owner_sees_no_name_id_or_content_of_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    clone, owner = Clone.make(tmp_path / REPOSITORY), Owner(tmp_path / "remote")
    add_encrypted_remote(clone, str(owner.top), tmp_path / "key")
    kept = TEXT * 300
    clone.write(f"{DATASET}/{FOLDER}/{FILE}", kept)
    clone.save(DATASET)
    clone.push()
    owner.look(clone)
    clone.write(f"{DATASET}/{FILE}", noise(9000, 1))
    clone.save(DATASET)
    clone.push()
    owner.look(clone)
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.git("reflog", "expire", "--expire=now", "--all")
    for _ in range(2):
        with clone.open() as repo:
            gc_remote(repo, None, RemoteGcOptions(grace_days=0))
        owner.look(clone)
    damage(clone, owner.top)
    with clone.open() as repo:
        assert fsck(repo, remote="origin", options=FsckOptions(repair=True)).is_sound
    owner.look(clone)

    tops = {name.split("/")[0] for name in owner.names}
    assert tops == {"packs", "index", "versions", "roots", "gc", "quarantine", "other", "keys", "dver-store.json"}
    guide = GUIDE.read_text()
    assert [top for top in tops if f"`{top}" not in guide] == []
    assert len(owner.ids) > 10
    seen = "\n".join(owner.names).encode() + b"".join(owner.seen)
    words = [HOST, REPOSITORY, DATASET, FOLDER, FILE, TEXT.decode(), "grace", "average_size", '"host"']
    assert [word for word in [*words, *owner.ids] if word.encode() in seen] == []
    assert [one for one in owner.ids if len(one) % 2 == 0 and bytes.fromhex(one) in seen] == []


def test_whoever_has_the_key_sees_all_that_the_owner_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    clone = Clone.make(tmp_path / REPOSITORY)
    add_encrypted_remote(clone, str(tmp_path / "remote"), tmp_path / "key")
    clone.write(f"{DATASET}/{FILE}", TEXT)
    clone.save(DATASET)
    clone.push()
    with clone.open() as repo:
        crypt = as_encrypted(repo.remote().backend)
        assert crypt is not None
        said = [crypt.read(info.key).decode() for info in crypt.list("roots/")]
    # So it is there to be seen, and hidden.
    assert len(said) == 1
    assert HOST in said[0]
    assert REPOSITORY in said[0]
