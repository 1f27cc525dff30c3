"""Push: only what the remote lacks, with few requests, and what is cut off goes on where it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dver.operations.push
import dver.repo
from dver.errors import ConfigError, VersionNotFoundError
from dver.operations.push import fetch, missing_error, push, wanted_versions
from dver.storage.writer import StoreWriter
from tests.clones import Clone, noise
from tests.unit.operations.conftest import fill
from tests.unit.operations.watched import Remote


def pack_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "packs").rglob("*.pack"))


def test_a_push_with_nothing_to_do_costs_a_request_or_two(team: Clone, remote: Remote) -> None:
    team.push()
    assert remote.total == 1

    remote.calls.clear()
    team.push(all_refs=True)
    assert remote.total == 1

    for number in range(3):
        team.write("data/zero", b"%d" % number)
        team.save()
    team.push(all_refs=True)
    remote.calls.clear()
    team.push(all_refs=True)
    assert remote.calls == {"list": 1}


def test_only_what_changed_is_sent(team: Clone, remote: Remote, tmp_path: Path) -> None:
    before = pack_bytes(tmp_path / "remote")
    team.write("data/sub/deep/c", noise(3000, 8))
    team.save()

    result = team.push()

    # The file's chunks, and the one node of the manifest.
    assert result.sent.objects < 12
    assert pack_bytes(tmp_path / "remote") - before < 6000
    assert remote.calls["write"] <= 3


def test_a_new_clones_push_does_not_send_what_is_there(team: Clone, tmp_path: Path, home: Path) -> None:
    other = team.clone(tmp_path / "other")
    fill(other, "copy")
    other.write("copy/more", noise(2000, 4))
    other.save("copy")
    shutil.rmtree(home / ".cache" / "dver" / "index")
    before = pack_bytes(tmp_path / "remote")

    result = other.push("copy")

    assert result.sent.objects < 8
    assert pack_bytes(tmp_path / "remote") - before < 5000


@pytest.mark.parametrize("fail_at", ["write index/", "write versions/", "second pack"])
def test_a_push_that_was_cut_off_goes_on_where_it_was(
    team: Clone, remote: Remote, tmp_path: Path, fail_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dver.operations.push, "StoreWriter", lambda store: StoreWriter(store, pack_size=50_000))
    for number in range(12):
        team.write(f"data/many/{number}", noise(20_000, 100 + number))
    team.save()
    packs: list[str] = []

    def cut(verb: str, key: str) -> None:
        if verb == "write" and key.startswith("packs/"):
            packs.append(key)
        if f"{verb} {key}".startswith(fail_at) or (fail_at == "second pack" and len(packs) == 2):
            raise ConnectionAbortedError

    remote.before = cut
    with pytest.raises(ConnectionAbortedError):
        team.push()
    arrived = pack_bytes(tmp_path / "remote")
    assert not (tmp_path / "remote" / "versions" / team_version(team)).exists()

    remote.before = lambda verb, key: None
    sent = team.push().sent

    assert (tmp_path / "remote" / "versions" / team_version(team)).exists()
    # Nothing was written twice.
    assert arrived + sent.bytes <= pack_bytes(tmp_path / "remote") <= arrived + sent.bytes * 1.1 + 2000
    other = team.clone(tmp_path / "other")
    other.pull()
    assert other.data() == team.data()


def team_version(clone: Clone) -> str:
    pointer = clone.status().pointer
    assert pointer is not None
    return pointer.version.hex()


def test_versions_that_are_nowhere_are_reported_and_the_others_sent(team: Clone, tmp_path: Path) -> None:
    team.write("other/x", b"1")
    team.save("other")
    lines = team.pointer_text().splitlines()
    lines[3] = f'version = "b3:{"ab" * 32}"'
    (team.root / "lost.dver").write_text("\n".join(lines) + "\n")

    with team.open() as repo:
        result = push(repo, wanted_versions(repo))
        error = missing_error(result, repo, pushing=True)

    assert [want.dataset for want in result.missing] == ["lost"]
    assert len(result.sent.versions) == 1
    assert isinstance(error, VersionNotFoundError)
    assert error.hint

    other = team.clone(tmp_path / "other")
    (other.root / "lost.dver").write_text("\n".join(lines) + "\n")
    with other.open() as repo:
        result = fetch(repo, wanted_versions(repo))
        error = missing_error(result, repo, pushing=False)
    assert [want.dataset for want in result.missing] == ["lost"]
    assert len(result.sent.versions) == 2
    assert isinstance(error, VersionNotFoundError)
    assert error.hint is not None
    assert "dver push" in error.hint


def test_without_a_remote_the_command_that_makes_one_is_named(clone: Clone) -> None:
    fill(clone)
    clone.save()

    with pytest.raises(ConfigError) as caught:
        clone.push()

    assert caught.value.hint is not None
    assert "dver remote add" in caught.value.hint


def test_a_remote_with_other_chunk_sizes_is_refused(team: Clone, tmp_path: Path) -> None:
    other = Clone.make(tmp_path / "other", remote=tmp_path / "remote")
    (other.root / ".dver" / "config.toml").write_text(
        (other.root / ".dver" / "config.toml").read_text().replace("1024", "2048").replace("1KiB", "2KiB")
    )
    other.write("data/x", b"1")
    other.add()

    with pytest.raises(ConfigError, match="1024"):
        other.push()


def test_several_processes_may_push_at_once(team: Clone, tmp_path: Path) -> None:
    others = [team.clone(tmp_path / f"other{number}") for number in range(2)]
    for number, other in enumerate(others):
        other.pull()
        other.write(f"data/{number}", noise(10_000, 50 + number))
        other.save()
    script = "import sys; from pathlib import Path; from tests.clones import Clone; Clone(Path(sys.argv[1])).push()"
    package_root = str(Path(dver.repo.__file__).parent.parent)

    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(other.root)], env={**os.environ, "PYTHONPATH": package_root}
        )
        for other in others
    ]

    assert [child.wait(60) for child in children] == [0, 0]
    assert all(other.status(remote=True).on_remote for other in others)
