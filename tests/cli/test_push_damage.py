"""A remote that has lost something: `dver push` and `dver status --remote` notice, whatever it is and however it went.

Every file of a remote's store is taken away, emptied, cut off and made too long, one at a time. After a push the remote
is sound, or the push has said which command makes it so.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.runner import Cli, CliResult
from tests.commands import GitCommand
from tests.faults.backends.faulty_s3 import FaultyS3, running_faulty_s3

UP_TO_DATE = "Everything up to date: 2 versions are on origin\n"
REPAIR = "dver fsck --remote origin --repair"


@dataclass(frozen=True, slots=True)
class Folder:
    """A remote in a folder, whose files are damaged as they lie there."""

    path: Path

    def names(self) -> list[str]:
        return sorted(str(one.relative_to(self.path)) for one in self.path.rglob("*") if one.is_file())

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def put(self, name: str, data: bytes | None) -> None:
        (self.path / name).unlink(missing_ok=True)
        if data is not None:
            (self.path / name).write_bytes(data)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A remote in a bucket."""

    server: FaultyS3

    def names(self) -> list[str]:
        return sorted(self.server.blobs)

    def read(self, name: str) -> bytes:
        return self.server.blobs[name]

    def put(self, name: str, data: bytes | None) -> None:
        self.server.blobs.pop(name, None)
        if data is not None:
            self.server.blobs[name] = data


Place = Folder | Bucket
HARMS: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda _data: None,
    "empty": lambda _data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"and more",
}


def _pushed(cli: Cli) -> None:
    """Push two versions, each in a pack of its own."""
    cli.ok("push", "--rev", "first")
    cli.ok("push", "--all")
    assert cli.ok("push", "--all") == UP_TO_DATE


@pytest.fixture
def folder(two_versions: Cli, tmp_path: Path) -> tuple[Cli, Place]:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    _pushed(two_versions)
    return two_versions, Folder(tmp_path / "store")


@pytest.fixture
def encrypted(two_versions: Cli, tmp_path: Path) -> tuple[Cli, Place]:
    pytest.importorskip("cryptography")
    key = tmp_path / "origin.key"
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"), "--encrypt", "--new-key-file", str(key))
    _pushed(two_versions)
    return two_versions, Folder(tmp_path / "store")


@pytest.fixture
def bucket(two_versions: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cli, Place]]:
    with running_faulty_s3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        two_versions.ok("remote", "add", "origin", server.url)
        _pushed(two_versions)
        yield two_versions, Bucket(server)


KINDS = {
    "folder": ["packs", "index", "versions", "dver-store.json"],
    "encrypted": ["packs", "index", "versions", "dver-store.json", "other"],
    "bucket": ["folder/packs", "folder/index", "folder/versions", "folder/dver-store.json"],
}
PLACES = [*((place, harm) for place in ("folder", "encrypted") for harm in HARMS), ("bucket", "cut")]


def _is_sound(cli: Cli) -> bool:
    return cli("fsck", "--remote", "origin").code == 0


def _push(cli: Cli) -> CliResult:
    """Push; if that says what to do, do it, and push again."""
    result = cli("push", "--all")
    if result.code:
        assert UP_TO_DATE not in result.out
        assert REPAIR in result.err, result.err
        assert cli(*REPAIR.split()[1:]).code == 0
        assert cli("push", "--all").code == 0
    return result


@pytest.mark.parametrize(("place", "harm"), PLACES)
def test_a_push_leaves_a_sound_remote_or_says_what_makes_it_so(
    place: str, harm: str, request: pytest.FixtureRequest
) -> None:
    cli, remote = request.getfixturevalue(place)
    for kind in KINDS[place]:
        name = next(one for one in remote.names() if one.startswith(kind))
        remote.put(name, HARMS[harm](remote.read(name)))

        result = _push(cli)

        assert _is_sound(cli), (kind, result)
        # Said, unless what was lost is a marker, which is sent like the version that it stands for.
        told = "origin had lost" in result.err or REPAIR in result.err or result.out.startswith("pushed 1 version")
        assert told, (kind, result)
        assert cli.ok("push", "--all") == UP_TO_DATE


@pytest.mark.parametrize("kind", ["packs", "index", "dver-store.json"])
def test_a_clone_that_never_saw_the_remote_notices_as_well(
    folder: tuple[Cli, Place], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cli, remote = folder
    remote.put(next(name for name in remote.names() if name.startswith(kind)), None)
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "elsewhere"))
    result = cli("push", "--all")
    assert (result.code, result.out) == (0, UP_TO_DATE)
    assert "origin had lost a file of its store, which it has again: " in result.err
    assert _is_sound(cli)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("place", ["folder", "encrypted"])
def test_status_does_not_say_that_a_version_is_where_it_is_not(
    place: str, harm: str, request: pytest.FixtureRequest
) -> None:
    cli, remote = request.getfixturevalue(place)
    assert cli("status", "--remote", "--json").json["datasets"][0]["on_remote"] is True
    packs = {name: remote.read(name) for name in remote.names() if name.startswith("packs")}
    said = []
    for name, data in packs.items():
        remote.put(name, HARMS[harm](data))
        said.append(cli("status", "--remote", "--json").json["datasets"][0]["on_remote"])
        remote.put(name, data)
    # One pack is of the other version; with all in place it is there again.
    assert False in said
    assert cli("status", "--remote", "--json").json["datasets"][0]["on_remote"] is True


def test_status_does_not_count_on_a_version_that_is_not_marked(folder: tuple[Cli, Place]) -> None:
    cli, remote = folder
    for name in remote.names():
        if name.startswith("versions"):
            remote.put(name, None)
    assert cli("status", "--remote", "--json").json["datasets"][0]["on_remote"] is False


def test_a_description_that_says_something_else_stops_a_push(folder: tuple[Cli, Place]) -> None:
    cli, place = folder
    said = place.read("dver-store.json")
    place.put("dver-store.json", said.replace(b'"min_size": 16', b'"min_size": 17'))
    assert len(place.read("dver-store.json")) == len(said)
    assert place.read("dver-store.json") != said
    assert REPAIR in cli.fails(3, "push", "--all")
    cli.ok("fsck", "--remote", "origin", "--repair")
    assert cli.ok("push", "--all") == UP_TO_DATE


def test_verify_reads_what_markers_say(folder: tuple[Cli, Place]) -> None:
    cli, place = folder
    name = next(one for one in place.names() if one.startswith("versions"))
    said = place.read(name)
    place.put(name, said.replace(b'"files": ', b'"files":9'))
    assert len(place.read(name)) == len(said)
    verified = cli("push", "--all", "--verify")
    assert verified.code == 3
    assert f"{name}: it says other than the version has" in verified.err
    assert cli(*REPAIR.split()[1:]).code == 0
    cli.ok("push", "--all", "--verify")


def test_a_remote_that_is_empty_all_at_once_is_told_of(folder: tuple[Cli, Place]) -> None:
    cli, place = folder
    assert isinstance(place, Folder)
    shutil.rmtree(place.path)
    pushed = cli("push", "--all")
    assert pushed.code == 0
    assert f"origin is empty, and was not when it was last looked at: is {place.path} in its place?" in pushed.err
    assert cli.ok("push", "--all") == UP_TO_DATE


def test_what_the_cache_cannot_restore_stops_a_push(folder: tuple[Cli, Place], git: GitCommand) -> None:
    cli, remote = folder
    for name in [one for one in remote.names() if one.startswith("packs")]:
        remote.put(name, None)
    shutil.rmtree(cli.folder / ".dver/cache")
    for arguments in ([], ["--rev", "first"], ["--all"]):
        result = cli("push", *arguments)
        assert (result.code, result.out) == (3, "")
        assert "the pack is gone or cut off" in result.err
        assert REPAIR in result.err
    cli.write("data/new.txt", "newer")
    cli.ok("add", "--force", "data")
    assert "the pack is gone or cut off" in cli.fails(3, "push")


def test_verify_reads_back_what_is_there(folder: tuple[Cli, Place]) -> None:
    cli, _ = folder
    out = cli.ok("push", "--all", "--verify")
    assert out.startswith(UP_TO_DATE + "read back 2 versions: 2 packs, ")
    document = cli("push", "--all", "--verify", "--json").json
    assert (document["verified"]["versions"], document["verified"]["packs"]) == (2, 2)
    assert document["verified"]["problems"] == []
    assert cli("push", "--json").json["verified"] is None


@pytest.mark.parametrize("kind", ["packs", "index"])
@pytest.mark.parametrize("place", ["folder", "encrypted"])
def test_verify_finds_every_flipped_bit(place: str, kind: str, request: pytest.FixtureRequest) -> None:
    cli, remote = request.getfixturevalue(place)
    name = next(one for one in remote.names() if one.startswith(kind))
    data = bytearray(remote.read(name))
    data[len(data) // 2] ^= 1
    remote.put(name, bytes(data))
    result = cli("push", "--all", "--verify")
    assert result.code == 3
    assert "Everything up to date" not in result.out
    assert REPAIR in result.err
    assert cli(*REPAIR.split()[1:]).code == 0
    assert "read back 2 versions" in cli.ok("push", "--all", "--verify")
