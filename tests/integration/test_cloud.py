"""Caches and remotes in the cloud, end to end: an S3 API over HTTP, and storage in memory."""

import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from dver.config import set_value
from dver.errors import BackendError, BackendProblem, IntegrityError, MissingExtraError, VersionNotFoundError
from dver.objects.ids import ObjectId
from dver.objects.pack import Kind, encode_object, encode_record_header
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.storage.backend import Backend
from dver.storage.open import open_backend
from dver.storage.packs import list_packs, read_pack_entries
from dver.storage.schemes import OptionValue
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.clones import Clone, noise
from tests.faults.backends.faulty_s3 import FaultyS3, S3Failure, running_faulty_s3
from tests.servers.s3 import S3Server
from tests.stores import STORE_FILE, WatchedBackend, keys


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty folder in the cloud, with the environment that opens it."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    server: S3Server = request.getfixturevalue("s3_server")
    bucket: str = request.getfixturevalue("s3_bucket")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/a folder"


@pytest.fixture
def memory() -> str:
    """The URL of an empty folder in memory, for what does not depend on the kind of storage."""
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def faulty_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A small S3 server that counts what it is asked, with the environment that opens it."""
    with running_faulty_s3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server


def fill(clone: Clone, turn: int) -> None:
    """Write a dataset that differs a little from turn to turn: added, changed and deleted files, a link, modes."""
    base = noise(60_000)
    clone.write("data/large.bin", base[: 20_000 * turn] + noise(500, seed=turn + 2) + base[20_000 * turn :])
    clone.write("data/run.sh", b"#!/bin/sh\n", executable=turn % 2 == 0)
    clone.write(f"data/turn-{turn}/ünïcödé {turn}", noise(3000, seed=turn + 40))
    for number in range(20):
        clone.write(f"data/many/{number:02}", noise(400, seed=100 + number + (number == turn)))
    link = clone.root / "data" / f"link-{turn}"
    link.symlink_to(f"turn-{turn}/ünïcödé {turn}")
    clone.write("table.csv", b"a,b\n1,2\n" * 400 + b"%d\n" % turn)


def three_commits(clone: Clone) -> dict[str, tuple[object, object]]:
    """Make three commits, and return what the datasets are at each."""
    states: dict[str, tuple[object, object]] = {}
    for turn in range(3):
        fill(clone, turn)
        if turn == 2:
            (clone.root / "data" / "many" / "05").unlink()
        commit = clone.save("data", "table.csv", message=f"turn {turn}")
        states[commit] = (clone.data(), clone.data("table.csv"))
    return states


def assert_every_commit(clone: Clone, states: dict[str, tuple[object, object]]) -> None:
    for commit in [*states, *reversed(states)]:
        clone.checkout(commit)
        assert (clone.data(), clone.data("table.csv")) == states[commit]


def test_a_cache_in_the_cloud_serves_add_and_checkout(
    cloud: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVER_CACHE_DIR", f"{cloud}/cache")
    clone = Clone.make(tmp_path / "one")
    states = three_commits(clone)
    assert_every_commit(clone, states)
    with clone.open() as repo:
        stored = keys(repo.cache.backend)
    assert all(STORE_FILE.fullmatch(key) for key in stored)
    assert {key.partition("/")[0] for key in stored} == {"dver-store.json", "packs", "index", "versions"}
    # Nothing of the data is kept here, and of the store only the copy of its index.
    assert not (clone.root / ".dver" / "cache").exists()
    copies = [path.suffix for path in (home / ".cache" / "dver" / "index").glob("*.db")]
    assert copies == ([] if cloud.startswith("memory") else [".db"])


def test_a_team_shares_a_cache_in_the_cloud_without_a_remote(
    cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVER_CACHE_DIR", f"{cloud}/cache")
    first = Clone.make(tmp_path / "first")
    states = three_commits(first)
    # Another machine: no index copy of its own yet.
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "other machine"))
    second = first.clone(tmp_path / "second")
    second.checkout()
    assert_every_commit(second, states)
    second.write("data/added by the second", noise(700, seed=7))
    assert 700 < second.add().stored_bytes < 6000


def test_push_clone_pull_and_every_commit_is_the_same(cloud: str, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "origin", remote=f"{cloud}/remote")
    states = three_commits(origin)
    pushed = origin.push(all_refs=True)
    assert (pushed.versions, len(pushed.sent.versions), pushed.missing) == (6, 6, ())
    assert pushed.sent.objects >= 100
    other = origin.clone(tmp_path / "other")
    other.pull()
    fetched = other.fetch(all_refs=True)
    assert fetched.missing == ()
    assert_every_commit(other, states)
    again = other.fetch(all_refs=True)
    assert (again.sent.objects, again.sent.versions) == (0, ())


def test_a_push_sends_only_what_the_remote_lacks_also_from_a_new_clone(
    cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Clone.make(tmp_path / "origin", remote=f"{cloud}/remote")
    fill(origin, 0)
    origin.save("data", "table.csv")
    everything = origin.push().sent.bytes
    assert origin.push().sent.objects == 0
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "other machine"))
    other = origin.clone(tmp_path / "other")
    other.pull()
    other.write("data/many/00", noise(400, seed=9))
    other.save()
    sent = other.push().sent
    assert 400 < sent.bytes < everything / 5


def test_many_objects_go_both_ways_in_parallel(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small packs and spans, so that several are on their way at once.
    monkeypatch.setattr("dver.operations.push.StoreWriter", partial(StoreWriter, pack_size=64 * 1024))
    monkeypatch.setattr("dver.storage.store._REMOTE_SPAN", 32 * 1024)
    origin = Clone.make(tmp_path / "origin", remote=f"{cloud}/remote")
    origin.write("data/large", noise(400_000))
    for number in range(100):
        origin.write(f"data/{number:03}", noise(1500, seed=number + 3))
    origin.save()
    origin.push()
    other = origin.clone(tmp_path / "other")
    other.pull()
    assert other.data() == origin.data()
    with origin.open() as repo:
        assert len(keys(repo.remote().backend, "packs/")) >= 8


@contextmanager
def cut_off(verb: str, prefix: str, *, after: int = 0) -> Iterator[list[str]]:
    """Let calls of that kind on remotes fail after the first few, and yield the keys of those that were made."""
    made: list[str] = []

    def fail(called: str, key: str) -> None:
        if called == verb and key.startswith(prefix):
            if len(made) >= after:
                raise BackendError("the remote", BackendProblem.OTHER, "the connection broke off")
            made.append(key)

    def wrapped(url: str, options: Mapping[str, OptionValue], **keywords: Any) -> Backend:
        backend = open_backend(url, options, **keywords)
        return WatchedBackend(backend, before=fail) if url.endswith("/remote") else backend

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dver.storage.open.open_backend", wrapped)
        yield made


@pytest.mark.parametrize(("prefix", "rest"), [("packs/", 200_000), ("index/", 1), ("versions/", 1)])
def test_an_interrupted_push_sends_only_the_rest_next_time(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, rest: int
) -> None:
    monkeypatch.setattr("dver.operations.push.StoreWriter", partial(StoreWriter, pack_size=64 * 1024))
    origin = Clone.make(tmp_path / "origin", remote=f"{memory}/remote")
    origin.write("data/large", noise(300_000))
    origin.save()
    after = 3 if prefix == "packs/" else 0
    with cut_off("write", prefix, after=after) as made, pytest.raises(BackendError, match="broke off"):
        origin.push()
    assert len(made) == after
    assert not origin.status(remote=True).on_remote
    sent = origin.push().sent
    assert len(sent.versions) == 1
    assert sent.bytes < rest
    other = origin.clone(tmp_path / "other")
    other.pull()
    assert other.data() == origin.data()


def test_an_interrupted_fetch_fetches_only_the_rest_next_time(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.operations.push.StoreWriter", partial(StoreWriter, pack_size=32 * 1024))
    monkeypatch.setattr("dver.storage.store._REMOTE_SPAN", 32 * 1024)
    origin = Clone.make(tmp_path / "origin", remote=f"{memory}/remote")
    origin.write("data/large", noise(300_000))
    origin.save()
    everything = origin.push().sent.bytes
    other = origin.clone(tmp_path / "other")
    with cut_off("range", "packs/", after=9) as made, pytest.raises(BackendError, match="broke off"):
        other.pull()
    assert len(made) == 9
    assert other.fetch().sent.bytes < everything * 0.8
    other.checkout()
    assert other.data() == origin.data()


def test_damage_on_the_remote_is_found_on_arrival_and_nothing_is_marked(cloud: str, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "origin", remote=f"{cloud}/remote")
    origin.write("data", noise(50_000))
    origin.save()
    origin.push()
    with origin.open() as repo:
        backend = repo.remote().backend
        (pack,) = keys(backend, "packs/")
        whole = backend.read(pack)
        damaged = bytearray(whole)
        damaged[20_000] ^= 1
        backend.write(pack, [damaged])
    other = origin.clone(tmp_path / "other")
    with pytest.raises(IntegrityError) as caught:
        other.pull()
    assert caught.value.where == f"{backend.location}/{pack}"
    assert caught.value.hint is not None
    assert "dver fsck --repair" in caught.value.hint
    assert not other.status().in_cache
    assert not (other.root / "data").exists()
    # And once the file is whole again, so is all.
    backend.write(pack, [whole])
    other.pull()
    assert other.data() == origin.data()


def test_other_bytes_with_good_checksums_are_found_on_arrival(memory: str, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "origin", remote=f"{memory}/remote")
    origin.write("data", noise(2_000))
    origin.save()
    origin.push()
    with origin.open() as repo:
        store = repo.remote()
        (pack,) = keys(store.backend, "packs/")
        data = bytearray(store.backend.read(pack))
        (chunk, *_), _ = _entries(store)
        at = store.index.find([chunk])[chunk]
        forged = encode_object(Kind.DATA, chunk, noise(at.plain_length, seed=99))
        assert len(forged.payload) == at.stored_length
        data[at.offset : at.end] = encode_record_header(forged) + forged.payload
        store.backend.write(pack, [data])
    other = origin.clone(tmp_path / "other")
    with pytest.raises(IntegrityError, match="does not match its id") as caught:
        other.pull()
    assert pack in caught.value.where
    assert caught.value.hint is not None


def _entries(store: Store) -> tuple[list[ObjectId], list[ObjectId]]:
    """Return the ids of the chunks and of the nodes in a store of one pack."""
    ((pack, size),) = list_packs(store.backend).items()
    found = read_pack_entries(store.backend, pack, size)
    chunks = [entry.id for entry in found if entry.kind is Kind.DATA]
    return chunks, [entry.id for entry in found if entry.kind is Kind.NODE]


def test_a_pack_that_is_gone_from_the_remote_is_told_with_the_version(memory: str, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "origin", remote=f"{memory}/remote")
    origin.write("data", noise(5_000))
    origin.save()
    origin.push()
    with origin.open() as repo:
        backend = repo.remote().backend
        for key in keys(backend, "packs/"):
            backend.delete(key)
    other = origin.clone(tmp_path / "other")
    with pytest.raises(VersionNotFoundError, match="not all of it") as caught:
        other.fetch()
    assert caught.value.dataset == "data"
    assert caught.value.hint == "dver fetch -r REMOTE, if another one has all of it"


# Mistakes


def test_a_bucket_that_does_not_exist_is_told_with_what_helps(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    origin = Clone.make(tmp_path / "origin", remote=f"s3://dver-test-none-{uuid.uuid4().hex[:8]}/x")
    origin.write("data", b"text")
    origin.save()
    for call in (origin.push, origin.clone(tmp_path / "other").fetch):
        with pytest.raises(BackendError) as caught:
            call()
        assert caught.value.problem is BackendProblem.NO_BUCKET
        assert caught.value.hint == "create the bucket, or correct the remote's URL"


@pytest.mark.parametrize(
    ("status", "code", "problem", "hint"),
    [
        (403, "InvalidAccessKeyId", BackendProblem.CREDENTIALS, "access key"),
        (403, "SignatureDoesNotMatch", BackendProblem.CREDENTIALS, "secret"),
        (400, "ExpiredToken", BackendProblem.CREDENTIALS, "log in again"),
        (403, "AccessDenied", BackendProblem.DENIED, "permission"),
        (403, "RequestTimeTooSkewed", BackendProblem.CLOCK_SKEW, "clock"),
    ],
)
def test_what_the_service_refuses_is_told_with_what_helps(
    faulty_s3: FaultyS3, tmp_path: Path, status: int, code: str, problem: BackendProblem, hint: str
) -> None:
    origin = Clone.make(tmp_path / "origin", remote="s3://bucket/remote")
    origin.write("data", b"text")
    origin.save()
    faulty_s3.fail(S3Failure(status, code), times=20)
    with pytest.raises(BackendError) as caught:
        origin.push()
    assert caught.value.problem is problem
    assert hint in (caught.value.hint or "")
    assert "a-secret" not in str(caught.value)


def test_missing_credentials_are_told_with_how_to_set_them(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    origin = Clone.make(tmp_path / "origin", remote="s3://bucket/remote")
    origin.write("data", b"text")
    origin.save()
    with pytest.raises(BackendError) as caught:
        origin.push()
    assert caught.value.problem is BackendProblem.CREDENTIALS
    assert "AWS_ACCESS_KEY_ID" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("gs://b/x", "gcsfs", "gs"), ("az://b/x", "adlfs", "azure"), ("sftp://h/x", "paramiko", "ssh")],
)
def test_a_remote_whose_extra_is_missing_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
    origin = Clone.make(tmp_path / "origin", remote=url)
    origin.write("data", b"text")
    origin.save()
    with pytest.raises(MissingExtraError) as caught:
        origin.push()
    assert (caught.value.extra, caught.value.hint) == (extra, f"pip install 'dver[{extra}]'")


def test_secrets_of_a_remote_never_reach_an_error(faulty_s3: FaultyS3, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "origin", remote="s3://bucket/remote")
    for key, value in (("key", "a-key-id"), ("secret", "hide-me")):
        set_value(origin.root / ".dver", f"remotes.origin.{key}", value, local=True)
    origin.write("data", b"text")
    origin.save()
    faulty_s3.fail(S3Failure(400, "Strange", message="the key a-key-id and hide-me are not good"), times=20)
    with pytest.raises(BackendError) as caught:
        origin.push()
    assert "hide-me" not in f"{caught.value} {caught.value.hint}"
    assert "a-key-id" not in f"{caught.value} {caught.value.hint}"


# How chatty it is


def requests(server: FaultyS3, call: Callable[[], object]) -> list[str]:
    """Return what a call asks the server for, in short: the method, and what of the store it is about."""
    server.requests.clear()
    call()
    shown = []
    for line in server.requests:
        method, _, target = line.partition(" ")
        listing = re.search(r"prefix=[^&]*?(index|packs|versions|gc)?/(?:&|$)", unquote(target))
        key = re.sub(r"^/bucket/\w+/", "", target)
        shown.append(f"LIST {listing[1] or 'all'}" if listing else f"{method} {key.partition('/')[0]}")
    return shown


def test_a_cache_in_the_cloud_costs_few_requests(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVER_CACHE_DIR", "s3://bucket/cache")
    clone = Clone.make(tmp_path / "one")
    clone.write("data/a", noise(5000))
    assert requests(faulty_s3, clone.add) == [
        "GET dver-store.json",
        "PUT dver-store.json",
        "LIST index",
        "LIST packs",  # only while there is no index file: one might have been lost
        "PUT packs",
        "PUT index",
        "PUT versions",
    ]
    assert requests(faulty_s3, clone.status) == ["GET versions"]
    clone.write("data/b", noise(5000, seed=2))
    # Of the old version: whether it is there, and its manifest.
    assert sorted(requests(faulty_s3, clone.add)) == [
        "GET dver-store.json",
        "GET packs",
        "GET versions",
        "LIST index",
        "PUT index",
        "PUT packs",
        "PUT versions",
    ]
    # The manifest, and whether the cache has it.
    assert sorted(requests(faulty_s3, clone.checkout)) == ["GET packs"]
    (clone.root / "data" / "a").unlink()
    assert sorted(requests(faulty_s3, clone.checkout)) == ["GET packs", "GET packs", "LIST index"]


def test_a_remote_costs_few_requests(faulty_s3: FaultyS3, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    origin.write("data/a", noise(5000))
    origin.save()
    assert requests(faulty_s3, origin.push) == [
        "LIST all",
        "LIST packs",  # only while there is no index file: one might have been lost
        "GET dver-store.json",
        "PUT dver-store.json",
        "PUT roots",
        "LIST gc",
        "PUT packs",
        "LIST gc",
        "PUT index",
        "LIST gc",
        "PUT versions",
    ]
    assert requests(faulty_s3, origin.push) == ["LIST all", "HEAD roots"]
    origin.write("data/a", noise(5000, seed=2))
    origin.save()
    second = requests(faulty_s3, origin.push)
    assert second == [
        "LIST all",
        "GET dver-store.json",
        "PUT roots",
        "DELETE roots",
        "LIST gc",
        "PUT packs",
        "LIST gc",
        "PUT index",
        "LIST gc",
        "PUT versions",
    ]
    assert requests(faulty_s3, lambda: origin.status(remote=True)) == ["LIST all"]
    assert requests(faulty_s3, origin.status) == []
    other = origin.clone(tmp_path / "other")
    # From the pack come the manifest and the chunks; this machine has the index already.
    fetched = requests(faulty_s3, other.fetch)
    assert fetched[0] == "GET versions"
    assert sorted(fetched[1:]) == ["GET dver-store.json", "GET packs", "GET packs", "LIST gc", "LIST index"]
    assert requests(faulty_s3, other.fetch) == []
    assert requests(faulty_s3, other.checkout) == []


FEW = 10


def test_many_files_go_both_ways_in_one_request_a_pack_and_a_few_more(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.operations.push.StoreWriter", partial(StoreWriter, pack_size=256 * 1024))
    monkeypatch.setattr("dver.operations.transfer.LOOKUP_BATCH", 64)
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    for number in range(1500):
        origin.write(f"data/{number:04}", noise(1000, seed=number))
    origin.save()

    pushed = requests(faulty_s3, origin.push)

    packs = pushed.count("PUT packs")
    assert packs >= 6
    assert len(pushed) <= packs + FEW
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "other machine"))
    other = origin.clone(tmp_path / "other")
    fetched = requests(faulty_s3, other.fetch)
    # A pack that is wanted in two parts is read in two.
    assert len(fetched) <= 2 * packs + FEW
    assert requests(faulty_s3, other.pull) == []
    assert other.data() == origin.data()


def test_what_changed_here_and_there_comes_in_few_requests(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.operations.transfer.LOOKUP_BATCH", 32)
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    for number in range(1000):
        origin.write(f"data/{number:04}", b"%d" % number)
    origin.save()
    origin.push()
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "other machine"))
    other = origin.clone(tmp_path / "other")
    other.pull()
    for number in range(0, 1000, 20):
        origin.write(f"data/{number:04}", b"changed %d" % number)
    origin.save()

    pushed = requests(faulty_s3, origin.push)
    other.git("pull", "--quiet")
    pulled = requests(faulty_s3, other.pull)

    assert pushed.count("PUT packs") == 1
    # The manifest's root and what lies behind it, what of it stayed where it was, and the chunks.
    assert pulled.count("GET packs") <= 4
    assert other.data() == origin.data()


def test_versions_are_marked_when_all_else_is_there(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.operations.push.StoreWriter", partial(StoreWriter, pack_size=16 * 1024))
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    for number in range(20):
        origin.write("data/a", noise(5000, seed=number))
        origin.save()

    pushed = requests(faulty_s3, lambda: origin.push(all_refs=True))

    assert pushed[-22:] == ["PUT index", "LIST gc", *["PUT versions"] * 20]
    assert pushed[0] == "LIST all"
    assert len(pushed) <= 20 + pushed.count("PUT packs") + FEW
    assert requests(faulty_s3, lambda: origin.push(all_refs=True)) == ["LIST all", "HEAD roots"]


def test_a_remote_of_more_than_a_page_is_listed_by_what_lies_there(
    faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dver.storage.survey.PAGE", 1)
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    for number in range(3):
        origin.write("data/a", noise(5000, seed=number))
        origin.save()
    origin.push(all_refs=True)
    store = ["GET dver-store.json", "LIST index", "LIST packs"]
    assert requests(faulty_s3, lambda: origin.push(all_refs=True)) == [*["GET versions"] * 3, *store, "HEAD roots"]
    monkeypatch.setattr("dver.storage.markers.MOST_ASKED", 2)
    assert requests(faulty_s3, lambda: origin.push(all_refs=True)) == ["LIST versions", *store, "HEAD roots"]
    # Where that is cheaper, the packs that matter are asked for instead.
    monkeypatch.setattr("dver.operations.proof._FEW_PACKS", 0)
    monkeypatch.setattr("dver.operations.proof._PACKS_A_PAGE", 1000)
    asked = requests(faulty_s3, origin.push)
    assert asked[:3] == ["GET versions", *store[:2]]
    assert set(asked[3:]) == {"HEAD packs", "HEAD roots"}


def test_what_others_pushed_costs_a_push_with_nothing_to_do_nothing(faulty_s3: FaultyS3, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    datasets = ("a", "b", "c", "d")
    for name in datasets:
        origin.write(f"{name}/file", name.encode())
    origin.save(*datasets)
    origin.push()
    assert requests(faulty_s3, origin.push) == ["LIST all", "HEAD roots"]
    assert requests(faulty_s3, lambda: origin.push("a", "b"))[0] == "LIST all"
    assert requests(faulty_s3, lambda: origin.push("a", "b")) == ["LIST all", "HEAD roots"]
    assert requests(faulty_s3, lambda: origin.status("a", remote=True)) == ["LIST all"]


def test_a_version_that_was_never_pushed_is_told_as_such_without_looking_for_what_it_is_made_of(
    faulty_s3: FaultyS3, tmp_path: Path
) -> None:
    origin = Clone.make(tmp_path / "one", remote="s3://bucket/remote")
    origin.write("data/a", noise(5000))
    origin.save()
    origin.push()
    origin.write("data/a", noise(5000, seed=2))
    origin.save()
    other = origin.clone(tmp_path / "other")

    def fail() -> None:
        with pytest.raises(VersionNotFoundError, match=r"nor in remote origin.*: it was never pushed there"):
            other.checkout()

    asked = requests(faulty_s3, fail)
    assert set(asked) == {"GET versions", "GET dver-store.json"}
    assert len(asked) <= 4


def test_the_dataset_that_is_not_all_there_is_named(memory: str, tmp_path: Path) -> None:
    origin = Clone.make(tmp_path / "one", remote=f"{memory}/remote")
    lost: list[str] = []
    for number, dataset in enumerate(("first", "second", "third")):
        origin.write(f"{dataset}/file", noise(3000, seed=number))
        origin.save(dataset)
        with origin.open() as repo:
            before = set(keys(repo.remote().backend, "packs/"))
        origin.push(dataset)
        with origin.open() as repo:
            lost += [key for key in keys(repo.remote().backend, "packs/") if key not in before]
    with origin.open() as repo:
        repo.remote().backend.delete(lost[1])
    other = origin.clone(tmp_path / "other")
    with pytest.raises(VersionNotFoundError, match="not all of it") as caught:
        other.fetch()
    assert caught.value.dataset == "second"
    assert not other.status("third").in_cache


def test_a_remote_is_cleaned_in_two_steps_while_others_push(cloud: str, tmp_path: Path) -> None:
    ann = Clone.make(tmp_path / "ann", remote=cloud)
    ann.write("data/a", noise(20_000, 1))
    ann.save()
    ann.push()
    bob = ann.clone(tmp_path / "bob")
    ann.write("data/b", noise(20_000, 2))
    ann.save()
    ann.push()
    ann.go_back()

    at_once = RemoteGcOptions(grace_days=0)
    with ann.open() as repo:
        assert gc_remote(repo, None, at_once).condemned is not None
        before = set(list_packs(repo.remote().backend))
    bob.pull()
    bob.write("data/c", noise(5000, 3))
    bob.save()
    bob.push()
    with ann.open() as repo:
        (swept,) = gc_remote(repo, None, at_once).swept
        after = set(list_packs(repo.remote().backend))

    assert len(swept.versions) == 1
    assert before - after
    late = bob.clone(tmp_path / "late")
    late.pull()
    assert late.data() == bob.data()
    with ann.open() as repo:
        assert gc_remote(repo, None, at_once).condemned is None
