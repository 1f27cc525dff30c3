"""Push: only what the remote lacks, with few requests, and what is cut off goes on where it was."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import dver.operations.push
import dver.repo
from dver.errors import ConfigError, FormatError, IntegrityError, VersionNotFoundError
from dver.objects.ids import PackId, VersionId, format_version
from dver.objects.pack import HEAD_LENGTH, decode_record, encode_record_header
from dver.operations.add import add
from dver.operations.packages import read_packages
from dver.operations.push import fetch, missing_error, push, wanted_versions
from dver.records.record import Artifact, Environment, Record, State
from dver.storage.condemned import Condemned, new_name, write_sweep
from dver.storage.local import LocalBackend
from dver.storage.writer import StoreWriter
from tests.clones import Clone, noise
from tests.unit.operations.conftest import fill
from tests.unit.operations.watched import Remote


def pack_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "packs").rglob("*.pack"))


def test_a_push_with_nothing_to_do_costs_a_request_for_each_version_and_four(team: Clone, remote: Remote) -> None:
    team.push()
    # The marker and the store's description; index files and packs; what this repository said that it names.
    assert remote.calls == {"read": 2, "list": 2, "size": 1}

    remote.calls.clear()
    team.push(all_refs=True)
    assert remote.calls == {"read": 2, "list": 2, "size": 1}

    for number in range(3):
        team.write("data/zero", b"%d" % number)
        team.save()
    team.push(all_refs=True)
    remote.calls.clear()
    team.push(all_refs=True)
    # One for each version: what others pushed is not listed.
    assert remote.calls == {"read": 5, "list": 2, "size": 1}


def test_only_what_changed_is_sent(team: Clone, remote: Remote, tmp_path: Path) -> None:
    before = pack_bytes(tmp_path / "remote")
    team.write("data/sub/deep/c", noise(3000, 8))
    team.save()

    result = team.push()

    # The file's chunks, and the one node of the manifest.
    assert result.sent.objects < 12
    assert pack_bytes(tmp_path / "remote") - before < 6000
    # A pack, an index file, a marker, and what this repository names now.
    assert remote.calls["write"] <= 4


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


def listed(clone: Clone, out: str, *packages: str, **given: Any) -> VersionId:
    """Record a run that made an output, with a list of packages; return the list's version."""
    clone.write("scratch/list", "".join(f"{package}\n" for package in packages).encode())
    clone.write(out, noise(500, 7))
    with clone.open() as repo:
        added = add(repo, ["scratch/list", out]).added
        for name in ("scratch/list.dver", "scratch/list"):
            (clone.root / name).unlink()
        version = {one.dataset: one.pointer.version for one in added}
        record = Record(
            State.COMPLETE,
            "2026-11-23T13:00:00.000Z",
            command=("x",),
            outputs=(Artifact(out, format_version(version[out])),),
            environment=Environment(packages=format_version(version["scratch/list"])),
            **given,
        )
        repo.lineage.journal.append(record)
    return version["scratch/list"]


def test_lists_of_packages_go_with_what_runs_made(team: Clone, tmp_path: Path) -> None:
    packages = listed(team, "out", "a==1", "b==2")
    other = listed(team, "unrelated", "c==3")
    team.commit()

    result = team.push("out")

    assert (len(result.sent.versions), result.package_lists) == (1, 1)
    markers = {path.name for path in (tmp_path / "remote" / "versions").rglob("*") if path.is_file()}
    assert packages.hex() in markers
    assert other.hex() not in markers
    again = team.push("out")
    assert (again.sent.objects, again.package_lists) == (0, 0)

    team.delete_cache()
    with team.open() as repo:
        assert read_packages(repo, repo.lineage.records()[0]) == ["a==1", "b==2"]
        with pytest.raises(VersionNotFoundError):
            read_packages(repo, repo.lineage.records()[1])


def test_a_list_that_was_left_behind_is_sent_later(team: Clone) -> None:
    packages = listed(team, "out", "a==1")
    team.commit()
    lineage = team.root / ".dver/lineage.jsonl"
    text = lineage.read_text()
    lineage.write_text("")
    assert team.push().package_lists == 0
    lineage.write_text(text)
    result = team.push()
    assert (result.sent.versions, result.package_lists) == ((), 1)
    with team.open() as repo:
        assert repo.remote().has_version(packages)


def test_a_list_that_is_missing_damaged_or_none_fails_no_push(team: Clone, tmp_path: Path) -> None:
    private = listed(team, "secret", "what nobody is", "to see")
    gone = replace(
        Record(State.COMPLETE, "2026-11-23T13:00:00.000Z", environment=Environment(packages="b3:" + "7" * 64)),
    )
    with team.open() as repo:
        made = repo.lineage.records()[0].outputs
        repo.lineage.journal.append(replace(gone, outputs=made))
        repo.lineage.journal.append(replace(gone, outputs=made, environment=Environment(packages="nonsense")))
    team.commit()
    result = team.push()
    assert (len(result.sent.versions), result.missing, result.package_lists) == (1, (), 0)
    (team.root / ".dver/lineage.jsonl").unlink()
    (team.root / ".dver/lineage.jsonl").mkdir()
    assert (team.push().missing, team.push().package_lists) == ((), 0)
    (team.root / ".dver/lineage.jsonl").rmdir()
    team.git("restore", "--", ".dver/lineage.jsonl")
    assert not (tmp_path / "remote" / "versions" / private.hex()).exists()
    with team.open() as repo, pytest.raises(FormatError, match="is not the list of packages"):
        read_packages(repo, repo.lineage.records()[0])


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


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A dataset in several packs that are large enough to be copied as they are, and a remote in a folder."""
    monkeypatch.setattr("dver.operations.pack_choice.SMALLEST_WHOLE", 10_000)
    monkeypatch.setattr("dver.operations.add.StoreWriter", partial(StoreWriter, pack_size=20_000))
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    for number in range(5):
        clone.write(f"data/{number}", noise(20_000, number))
    clone.save()
    return clone


def packs(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "packs").rglob("*.pack")}


def test_packs_that_are_wanted_whole_are_copied_both_ways(packed: Clone, tmp_path: Path) -> None:
    cache, remote = packed.root / ".dver" / "cache", tmp_path / "remote"
    before = packs(cache)
    assert packed.push().sent.bytes >= 100_000
    copied = {name: data for name, data in before.items() if packs(remote).get(name) == data}
    # All but the last, which has the manifest and may have the end of a file.
    assert len(copied) >= len(before) - 1 >= 4
    other = packed.clone(tmp_path / "other")
    other.pull()
    assert other.data() == packed.data()
    assert copied.items() <= packs(other.root / ".dver" / "cache").items()
    assert packed.push().sent.objects == 0


def test_no_pack_of_a_sweep_at_work_is_written_again_under_its_name(packed: Clone, tmp_path: Path) -> None:
    going = {PackId(bytes.fromhex(name.removesuffix(".pack"))) for name in packs(packed.root / ".dver" / "cache")}
    write_sweep(LocalBackend(tmp_path / "remote"), new_name(0), {"a list": Condemned(packs=frozenset(going))})
    packed.push()
    assert packs(tmp_path / "remote").keys().isdisjoint(f"{pack.hex()}.pack" for pack in going)
    other = packed.clone(tmp_path / "other")
    other.pull()
    assert other.data() == packed.data()


def test_of_a_pack_that_is_wanted_in_part_only_that_is_sent(packed: Clone, tmp_path: Path) -> None:
    (packed.root / "data" / "2").unlink()
    packed.write("data/0", noise(10_000, 70))
    packed.add()
    packed.git("add", "--all")
    packed.git("commit", "--quiet", "--amend", "--message", "without the first version")
    packed.push()
    # Three files as they were and a new one, of what were five and one.
    assert pack_bytes(tmp_path / "remote") < 85_000
    other = packed.clone(tmp_path / "other")
    other.pull()
    assert other.data() == packed.data()


def _damage_first(store: Path, at: int) -> Path:
    path = max((store / "packs").rglob("*.pack"), key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    return path


def test_a_damaged_pack_is_not_copied(packed: Clone, tmp_path: Path) -> None:
    path = _damage_first(packed.root / ".dver" / "cache", 2000)
    with pytest.raises(IntegrityError):
        packed.push()
    assert path.name not in packs(tmp_path / "remote")
    assert not (tmp_path / "remote" / "versions").exists()


def test_where_only_a_packs_end_is_damaged_its_objects_are_sent(packed: Clone, tmp_path: Path) -> None:
    path = _damage_first(packed.root / ".dver" / "cache", -3)
    packed.push()
    assert path.name not in packs(tmp_path / "remote")
    other = packed.clone(tmp_path / "other")
    other.pull()
    assert other.data() == packed.data()


def test_a_fetch_copies_no_pack_with_forged_content(packed: Clone, tmp_path: Path) -> None:
    packed.push()
    remote = tmp_path / "remote"
    path = max((remote / "packs").rglob("*.pack"), key=lambda one: one.stat().st_size)
    data = path.read_bytes()
    record = decode_record(data, HEAD_LENGTH, "the test")
    forged = replace(record, payload=bytes(len(record.payload)))
    path.chmod(0o644)
    written = encode_record_header(forged) + bytes(forged.payload)
    path.write_bytes(data[:HEAD_LENGTH] + written + data[HEAD_LENGTH + len(written) :])
    other = packed.clone(tmp_path / "other")
    with pytest.raises(IntegrityError, match="does not match its id"):
        other.fetch()
    assert path.name not in packs(other.root / ".dver" / "cache")
