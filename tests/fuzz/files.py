"""Parsers of files and of whole stores: settings, notes of runs, lists for git, and what a remote serves."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from dver.config import load_settings, resolve_url
from dver.config.document import edit_document
from dver.config.files import committed_problems
from dver.config.trust import place_of
from dver.errors import BackendError, BackendProblem, DverError
from dver.objects.chunker import ChunkerParams
from dver.objects.entry import FileEntry
from dver.objects.ids import Bytes, ChunkId, VersionId
from dver.operations.run_register import RunNote, found_runs
from dver.records.journal import Journal
from dver.records.record import encode_record
from dver.storage.backend import BlobInfo
from dver.storage.clones import known_clones
from dver.storage.index import ChunkIndex
from dver.storage.keyring import is_encrypted_description
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from dver.workspace.gitattributes import add_attributes, remove_attributes
from dver.workspace.gitignore import ignore_dataset, unignore_dataset
from dver.workspace.ignore import IgnoreRules
from tests.fuzz.formats import JSON_WORDS, TOML_WORDS
from tests.fuzz.target import Target
from tests.golden.dataset import golden_records
from tests.stores import put_files

_PARAMS = ChunkerParams.from_average(1024)
_FILES = {"a/b": bytes(range(256)) * 9, "c": b"text " * 700, "d/e/f": b"", "g": bytes(200_000)}
_CONFIG = b"""\
[core]
remote = "origin"
jobs = 2
[remotes.origin]
url = "s3://bucket/data"
endpoint_url = "https://example.org"
region = "eu"
[remotes."a.b"]
url = "../store"
[chunks]
size = "64KiB"
[hooks]
allow = ["*.png"]
"""
_IGNORE = b"# a comment\n*.tmp\n!keep.tmp\n/build/\na/**/b\n**/x?[a-z].csv\n\\#odd\n"
_PATHS = (
    b"a",
    b"x/y.tmp",
    b"keep.tmp",
    b"build/z",
    b"a/b/c/b",
    b"xab.csv",
    b"a" * 200,
    b"\xff/\xc3\xa4",
    b"a/" * 60 + b"b",
)


@cache
def _folder() -> Path:
    """Return a folder of this process, in memory where there is one."""
    folder = Path(_temporary().name)
    (folder / ".dver/tmp/runs/20261123-1-1").mkdir(parents=True)
    return folder


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="dver-fuzz-", dir=memory if os.access(memory, os.W_OK) else None)


def _parse_config(data: bytes) -> None:
    committed_problems(data, "here")
    dver_dir = _folder() / ".dver"
    for name, content in (("config.toml", data), ("config.local.toml", b"")):
        (dver_dir / name).write_bytes(content)
    settings = load_settings(dver_dir)
    for remote in settings.remotes.values():
        place_of(resolve_url(remote.url, _folder()), remote.options)


def _edit_config(data: bytes) -> None:
    edit_document(data.decode("utf-8", "replace"), {("core", "jobs"): 3, ("remotes", "new", "url"): "/x"}, "here")


def _parse_run_note(data: bytes) -> None:
    place = _folder() / ".dver/tmp/runs/20261123-1-1"
    (place / "run.json").write_bytes(data)
    for run in found_runs(_folder() / ".dver"):
        assert isinstance(run.note, RunNote)
        assert not any(".." in output.split("/") for output in run.note.outputs)


def _parse_ignore(data: bytes) -> None:
    (_folder() / ".dverignore").write_bytes(data)
    rules = IgnoreRules.for_dataset(_folder(), "data")
    for path in _PATHS:
        rules.matches(path, is_directory=len(path) % 2 == 0)


def _parse_gitignore(data: bytes) -> None:
    file = _folder() / ".gitignore"
    file.write_bytes(data)
    ignore_dataset(_folder(), "data [x]")
    assert not ignore_dataset(_folder(), "data [x]")
    unignore_dataset(_folder(), "data [x]")


def _parse_gitattributes(data: bytes) -> None:
    (_folder() / ".gitattributes").write_bytes(data)
    add_attributes(_folder())
    remove_attributes(_folder())


def _parse_lineage_file(data: bytes) -> None:
    path = _folder() / "lineage.jsonl"
    path.write_bytes(data)
    numbers = [line.number for line in Journal(path).read()]
    assert numbers == sorted(numbers)


class MemoryBackend:
    """Blobs in memory, as some remote serves them: what it says of a blob's size need not be true."""

    location = "memory"

    def __init__(self, *, is_local: bool = False) -> None:
        self.blobs: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.is_local = is_local

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self.blobs[key] = b"".join(map(bytes, pieces))

    def read(self, key: str) -> bytes:
        if key not in self.blobs:
            raise BackendError(self.location, BackendProblem.NOT_FOUND, "not there")
        return self.blobs[key]

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        data = self.read(key)[offset : offset + length]
        if len(data) != length:
            raise BackendError(self.location, BackendProblem.OTHER, "too short")
        return data

    def size(self, key: str) -> int | None:
        return self.sizes.get(key, len(self.blobs[key])) if key in self.blobs else None

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        for key in sorted(self.blobs):
            if key.startswith(prefix):
                yield BlobInfo(key, self.sizes.get(key, len(self.blobs[key])))

    def delete(self, key: str) -> None:
        self.blobs.pop(key, None)


@cache
def _served() -> tuple[dict[str, bytes], VersionId]:
    """Return the blobs of a small store, and the version in it."""
    backend = MemoryBackend()
    store = Store(backend, ChunkIndex(None, backend), name="the store")
    store.prepare(_PARAMS)
    with StoreWriter(store) as writer:
        summary = put_files(writer, _FILES)
        writer.flush()
    store.mark_version(summary.version, files=summary.files, size=summary.size)
    store.close()
    return backend.blobs, summary.version


def _parse_store(data: bytes) -> None:
    """Read a version from a store that serves other bytes than it should, or lies about sizes.

    The first byte chooses the blob, the second how: what follows is the blob, or a size.
    """
    blobs, version = _served()
    backend = MemoryBackend(is_local=bool(data[:1]) and data[0] % 2 == 0)
    backend.blobs = dict(blobs)
    keys = sorted(blobs)
    key = keys[data[0] // 2 % len(keys)] if data else keys[0]
    if data[1:2] == b"s":
        backend.sizes[key] = int.from_bytes(data[2:10], "little")
    elif data[1:2] == b"d":
        del backend.blobs[key]
    elif data[1:2] == b"k":
        backend.blobs[key[: len(key) // 2] + data[2:100].decode("latin-1")] = backend.blobs.pop(key)
    else:
        backend.blobs[key] = data[2:]
    if data[2:3] == b"x":
        # Without index files the packs themselves are read.
        for name in [one for one in backend.blobs if one.startswith("index/")]:
            del backend.blobs[name]
    _read_all(backend, version)


def _read_all(backend: MemoryBackend, version: VersionId) -> None:
    store = Store(backend, ChunkIndex(None, backend), name="the store")
    try:
        for ask in (store.read_params, store.versions):
            try:
                ask()
            except DverError:
                continue
        manifest = store.manifest(version)
        for entry in islice(manifest.entries(), 1000):
            assert isinstance(entry, FileEntry)
            ids = [chunk for chunk, _ in manifest.chunks(entry)]
            plain = {
                ChunkId(record.id): bytes(record.chunk("here", verify=True))
                for span in store.plan(list(dict.fromkeys(ids)))
                for record in store.read_span(span)
            }
            assert b"".join(plain[chunk] for chunk in ids) == _FILES[entry.path.decode()]
    finally:
        store.close()


def _store_seeds() -> list[bytes]:
    blobs, _ = _served()
    seeds = []
    for number, key in enumerate(sorted(blobs)):
        seeds += [bytes([2 * number]) + b"-" + blobs[key], bytes([2 * number + 1]) + b"-" + blobs[key]]
        seeds += [bytes([2 * number]) + b"s" + len(blobs[key]).to_bytes(8, "little"), bytes([2 * number]) + b"d"]
    return seeds


def _parse_description(data: bytes) -> None:
    backend = MemoryBackend()
    backend.blobs["dver-store.json"] = data
    is_encrypted_description(data)
    store = Store(backend, ChunkIndex(None, backend), name="the store")
    try:
        store.read_params()
    finally:
        store.close()


def _parse_marker(data: bytes) -> None:
    blobs, version = _served()
    backend = MemoryBackend()
    backend.blobs = {f"versions/{version.hex()}": data, "versions/" + data[:80].decode("latin-1"): b"", **blobs}
    backend.blobs[f"versions/{version.hex()}"] = data
    store = Store(backend, ChunkIndex(None, backend), name="the store")
    try:
        assert all(len(one) == len(version) for one in store.versions())
        store.marked_dataset(version)
    finally:
        store.close()


def _parse_clone(data: bytes) -> None:
    backend = MemoryBackend()
    backend.blobs["clones/" + "0" * 32 + ".json"] = data
    known_clones(backend)


_NOTE = (
    b'{"format": 1, "name": "", "command": ["a"], "shell": false, "folder": "", "outputs": ["out"],'
    b' "started": "2026-11-23T13:00:00Z", "host": "h", "pid": 1}\n{"command_pid": 2}\n'
)
_CLONE = (
    b'{"format": 1, "git_dir": "../../../.git", "host": "h", "id": "00112233445566778899aabbccddeeff",'
    b' "root": "../../.."}\n'
)
_PATTERN_WORDS = (
    b"*",
    b"**",
    b"**/",
    b"/**/",
    b"?",
    b"[a-z]",
    b"[!b]",
    b"[",
    b"]",
    b"\\",
    b"!",
    b"#",
    b"/",
    b"\n",
    b"*a",
)

TARGETS = {
    "config": Target(_parse_config, [_CONFIG], (*TOML_WORDS, b"[remotes.x]\n", b'url = "s3://[::1"\n', b"://", b"~x/")),
    "config-edit": Target(_edit_config, [_CONFIG], TOML_WORDS),
    "run-note": Target(_parse_run_note, [_NOTE], JSON_WORDS),
    "dverignore": Target(_parse_ignore, [_IGNORE], _PATTERN_WORDS),
    "gitignore": Target(_parse_gitignore, [_IGNORE, b"/data\\ \\[x]\n"], _PATTERN_WORDS),
    "gitattributes": Target(
        _parse_gitattributes,
        [b"*.png binary\n", b"\xef\xbb\xbf*.dver merge=dver diff=dver\n"],
        (b"*.dver", b"merge=dver"),
    ),
    "lineage-file": Target(
        _parse_lineage_file, [b"\n".join(encode_record(record) for record in golden_records())], JSON_WORDS
    ),
    "store": Target(_parse_store, _store_seeds(), (b"DVPK", b"DVPE", b"DVIX", b"\xff" * 8, b"\x28\xb5\x2f\xfd")),
    "description": Target(_parse_description, [_served()[0]["dver-store.json"]], JSON_WORDS),
    "marker": Target(
        _parse_marker, [b'{"dataset": "data", "files": 1, "format": 1, "size": 2}\n', b"ab" * 32], JSON_WORDS
    ),
    "clone": Target(_parse_clone, [_CLONE], JSON_WORDS),
}
