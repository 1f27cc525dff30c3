"""Versions that somebody made to do harm: whatever a command does with them, it stays in the dataset and ends.

They are put into the cache as a fetch would leave them there: every node and chunk fits its id.
"""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, DverError, FormatError, IntegrityError, PathError
from dver.objects.codec import Codec
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, encode_entry, pack_chunk
from dver.objects.ids import NodeId, VersionId, chunk_id, node_id
from dver.objects.node import NodeType, encode_node, pack_chunk_child
from dver.objects.pack import RECORD_HEADER_LENGTH, Kind, Record, encode_record_header
from dver.objects.paths import MAX_DEPTH
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations import checkout_limits
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.diff import diff
from dver.operations.drop import drop
from dver.operations.status import State
from dver.operations.tree import cat, ls
from dver.storage.writer import StoreWriter
from dver.workspace.choice import Patterns
from dver.workspace.clashes import NameProbe
from dver.workspace.pointers import write_pointer
from tests.clones import Clone, everything_but_dvers_own, snapshot
from tests.integration.folding import KINDS, mounted

TEXT = b"#!/bin/sh\ntouch owned\n"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository with a remote, and with a folder beside it that nobody may write to."""
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    clone.commit()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_bytes(b"mine")
    return clone


def plant(clone: Clone, root: bytes, nodes: Iterable[bytes] = (), chunks: Iterable[bytes] = (TEXT,)) -> VersionId:
    """Put a version into the cache whose root node is `root`, and let the pointer of `data` name it."""
    with clone.open() as repo:
        repo.cache.prepare(repo.chunker.params)
        with StoreWriter(repo.cache) as writer:
            for chunk in chunks:
                if writer.claim([chunk_id(chunk)]):
                    writer.put([Record(chunk_id(chunk), Kind.DATA, Codec.RAW, len(chunk), chunk)])
            for node in (*nodes, root):
                writer.put_node(node_id(node), node)
            writer.flush()
        version = VersionId(node_id(root))
        repo.cache.mark_version(version, files=1, size=1)
    point_to(clone, version)
    return version


def point_to(clone: Clone, version: VersionId) -> None:
    """Commit a pointer of `data` to a version."""
    write_pointer(clone.root, "data", Pointer(DatasetKind.DIRECTORY, version, 1, 1))
    clone.git("add", "--force", "data.dver")
    clone.git("commit", "--quiet", "--message", "hostile")


def leaf(*entries: Entry | list[object]) -> bytes:
    """Return a node of entries, which need not be good ones."""
    return encode_node(NodeType.ENTRIES, 0, [one if isinstance(one, list) else encode_entry(one) for one in entries])


def file(path: bytes, data: bytes = TEXT) -> FileEntry:
    """Return the entry of an executable file of one chunk."""
    return FileEntry(path, len(data), True, pack_chunk(chunk_id(data), len(data)))


def commands(clone: Clone) -> Mapping[str, Callable[[], object]]:
    """Return what a user might do with a dataset, by name."""

    def in_repo(act: Callable[..., object], *arguments: object, **options: object) -> Callable[[], object]:
        def call() -> object:
            with clone.open() as repo:
                result = act(repo, *arguments, **options)
                return list(islice(result, 50)) if isinstance(result, Iterator) else result

        return call

    return {
        "status": clone.status,
        "ls": in_repo(ls, "HEAD", "data", recursive=True),
        "cat": in_repo(lambda repo: next(iter(cat(repo, "HEAD", "data/x")))),
        "diff": in_repo(lambda repo: diff(repo, "HEAD~1", "HEAD")),
        "checkout": clone.checkout,
        "force": lambda: clone.checkout(force=True),
        "diff-working": in_repo(diff),
        "add": clone.add,
        "push": clone.push,
        "fetch": clone.fetch,
        "drop": in_repo(drop, ["data"], force=True),
    }


def run_all(clone: Clone, *, but: Iterable[str] = ()) -> dict[str, DverError]:
    """Run every command, and return what was refused and why; anything but a DverError comes through."""
    refused = {}
    for name, command in commands(clone).items():
        if name in but:
            continue
        try:
            command()
        except DverError as exc:
            refused[name] = exc
    return refused


BAD_PATHS = [
    *(b"..", b"../outside/x", b"/etc/x", b"a/../../outside/x", b"./x", b"a//x", b"a/", b"a/./x", b"a\0b", b"."),
    *(b".git", b".git/hooks/post-checkout", b".GIT/config", b"sub/.git/config", b"git~1/hooks/post-checkout"),
    *(b".git::$INDEX_ALLOCATION/x", b".git./x", b".git /x", ".g\u200cit/config".encode(), "\ufeff.GIT/x".encode()),
    *("\uff0egit/x".encode(), b"a\\..\\.git\\x", b"x" * 5000),
]


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_written(
    clone: Clone, path: bytes, kind: str
) -> None:
    entries: dict[str, Entry] = {
        "file": file(path),
        "link": LinkEntry(path, b"/etc/passwd"),
        "folder": DirectoryEntry(path),
    }
    plant(clone, leaf(entries[kind]))
    before = snapshot(clone.root.parent / "outside"), everything_but_dvers_own(clone)

    refused = run_all(clone, but={"drop"})

    assert isinstance(refused["checkout"], FormatError)
    assert isinstance(refused["force"], FormatError)
    assert "refused the path" in str(refused["ls"])
    assert (snapshot(clone.root.parent / "outside"), everything_but_dvers_own(clone)) == before
    assert not (clone.root / ".git/hooks/post-checkout").exists()


@pytest.mark.parametrize(
    "entries",
    [
        [LinkEntry(b"a", b"../../outside"), file(b"a/mine")],
        [LinkEntry(b"a", b"../../outside"), DirectoryEntry(b"a/new")],
        [file(b"a"), file(b"a/b")],
        [file(b"b"), file(b"a")],
        [file(b"a"), file(b"a")],
    ],
    ids=["file behind a link", "folder behind a link", "below a file", "out of order", "twice"],
)
def test_entries_that_stand_in_each_others_way_are_refused(clone: Clone, entries: list[Entry]) -> None:
    plant(clone, leaf(*entries))
    refused = run_all(clone, but={"drop"})
    assert {"checkout", "force", "ls", "diff"} <= refused.keys()
    assert snapshot(clone.root.parent / "outside") == {b"mine": ("file", b"mine")}


def test_links_that_point_outside_are_data_and_nobody_goes_through_them(clone: Clone) -> None:
    outside = clone.root.parent / "outside"
    targets = {b"d": b"../../outside", b"f": b"../../outside/mine", b"l": b"/etc/passwd", b"n": b"/dev/zero"}
    plant(clone, leaf(*(LinkEntry(path, target) for path, target in targets.items()), file(b"x")))

    refused = run_all(clone, but={"drop"})

    assert refused == {}
    assert {path: os.readlink(os.fsencode(clone.root / "data") + b"/" + path) for path in targets} == targets
    assert clone.status().state is State.UNCHANGED
    with clone.open() as repo:
        for path in targets:
            with pytest.raises(DverError):
                list(cat(repo, None, f"data/{path.decode()}"))
        drop(repo, ["data"], force=True)
    assert not (clone.root / "data").exists()
    assert snapshot(outside) == {b"mine": ("file", b"mine")}


def test_a_link_becomes_a_folder_of_the_dataset_and_not_of_what_it_points_to(clone: Clone) -> None:
    plant(clone, leaf(LinkEntry(b"a", b"../../outside"), file(b"x")))
    clone.checkout()
    plant(clone, leaf(file(b"a/mine"), file(b"x")))
    clone.checkout()
    assert (clone.root / "data/a/mine").read_bytes() == TEXT
    assert not (clone.root / "data/a").is_symlink()
    plant(clone, leaf(LinkEntry(b"a", b"../../outside"), file(b"x")))
    clone.checkout()
    assert (clone.root / "data/a").is_symlink()
    assert snapshot(clone.root.parent / "outside") == {b"mine": ("file", b"mine")}


@pytest.mark.parametrize("target", [b"/dev/zero", b"../../outside/mine", b"nowhere"])
def test_rules_are_not_read_through_a_link(clone: Clone, target: bytes) -> None:
    (clone.root.parent / "outside/mine").write_bytes(b"x\n")
    plant(clone, leaf(LinkEntry(b".dverignore", target), file(b"x")))
    assert run_all(clone, but={"drop"}) == {}
    assert (clone.root / "data/x").exists()


def exabytes(size: int = 256 * 1024) -> tuple[list[bytes], FileEntry]:
    """Return the nodes of a file of more than an exabyte that repeats one chunk."""
    nodes = [encode_node(NodeType.CHUNKS, 0, pack_chunk(chunk_id(bytes(size)), size) * 4096)]
    total = size * 4096
    for level in (1, 2, 3):
        count = 4096 if level < 3 else 200
        nodes.append(encode_node(NodeType.CHUNKS, level, pack_chunk_child(node_id(nodes[-1]), total) * count))
        total *= count
    return nodes, FileEntry(b"x", total, False, b"", node_id(nodes[-1]))


def test_a_file_that_claims_exabytes_stops_a_checkout_before_it_begins(clone: Clone) -> None:
    chunk = bytes(256 * 1024)
    nodes, entry = exabytes()
    plant(clone, leaf(file(b"a"), entry), nodes, [TEXT, chunk])

    refused = run_all(clone, but={"drop", "add"})

    assert refused.keys() == {"checkout", "force"}
    problem = refused["checkout"]
    assert isinstance(problem, BackendError)
    assert problem.problem is BackendProblem.NO_SPACE
    assert f"{entry.size + len(TEXT):,} bytes" in problem.message
    assert not (clone.root / "data").exists()
    with clone.open() as repo:
        assert [one.size for one in ls(repo, "HEAD", "data")] == [len(TEXT), entry.size]
        assert list(islice(cat(repo, "HEAD", "data/x"), 3)) == [chunk] * 3
        # What it really holds is fetched as anything else.
        assert repo.remote().has_version(VersionId(node_id(leaf(file(b"a"), entry))))


def test_a_file_of_very_many_tiny_chunks_is_written_and_takes_little_memory(clone: Clone) -> None:
    chunk = b"x"
    leaf_node = encode_node(NodeType.CHUNKS, 0, pack_chunk(chunk_id(chunk), 1) * 4096)
    root = encode_node(NodeType.CHUNKS, 1, pack_chunk_child(node_id(leaf_node), 4096) * 50)
    entry = FileEntry(b"x", 4096 * 50, False, b"", NodeId(node_id(root)))
    plant(clone, leaf(entry), [leaf_node, root], [chunk])
    clone.checkout()
    assert (clone.root / "data/x").read_bytes() == b"x" * 4096 * 50


def test_a_chunk_of_another_length_than_the_list_says_is_refused(clone: Clone) -> None:
    claimed = FileEntry(b"x", 5, False, pack_chunk(chunk_id(TEXT), 5))
    plant(clone, leaf(claimed))
    refused = run_all(clone, but={"drop"})
    assert "a chunk is said to have 5 bytes" in str(refused["checkout"])
    assert "a chunk is said to have 5 bytes" in str(refused["cat"])
    assert not (clone.root / "data/x").exists()


def test_a_files_bytes_are_never_taken_for_a_manifest(clone: Clone) -> None:
    node = leaf(file(b"x"))
    plant(clone, leaf(), chunks=[TEXT, node])
    # The id of the chunk, where that of the node should be.
    point_to(clone, VersionId(chunk_id(node)))
    refused = run_all(clone, but={"drop", "status"})
    assert {"checkout", "force", "ls", "cat", "diff"} <= refused.keys()
    assert all(isinstance(one, IntegrityError) for name, one in refused.items() if name in ("checkout", "ls", "cat"))
    assert not (clone.root / "data").exists()


def test_a_manifests_bytes_are_never_taken_for_a_file(clone: Clone) -> None:
    node = leaf(file(b"x"))
    lying = FileEntry(b"x", len(node), False, node_id(node) + len(node).to_bytes(4, "little"))
    plant(clone, leaf(lying), [node])
    refused = run_all(clone, but={"drop"})
    assert {"checkout", "force", "cat"} <= refused.keys()
    assert "is a manifest node where a chunk should be" in str(refused["checkout"])
    assert not (clone.root / "data/x").exists()


def test_a_fetch_takes_no_manifests_bytes_for_a_file(clone: Clone, tmp_path: Path) -> None:
    node = leaf(file(b"x"))
    lying = FileEntry(b"x", len(node), False, node_id(node) + len(node).to_bytes(4, "little"))
    plant(clone, leaf(lying), [node])
    clone.commit()
    clone.push()
    other = clone.clone(tmp_path / "other")
    with pytest.raises(IntegrityError, match="is a manifest node where a chunk should be"):
        other.fetch()
    assert not other.status().in_cache


def test_a_very_deep_path_is_written_and_read_and_deleted(clone: Clone) -> None:
    plant(clone, leaf(file(b"a/" * (MAX_DEPTH - 1) + b"x"), file(b"x")))
    assert run_all(clone) == {}
    assert not (clone.root / "data").exists()


@pytest.mark.parametrize("depth", [MAX_DEPTH, 900, 2000])
def test_a_deeper_path_than_anybody_has_is_refused(clone: Clone, depth: int) -> None:
    plant(clone, leaf(file(b"a/" * depth + b"x"), file(b"x")))
    refused = run_all(clone, but={"drop"})
    assert {"checkout", "force", "ls", "diff"} <= refused.keys()
    assert not (clone.root / "data").exists()


def swap_payloads(remote: Path) -> None:
    """Let the first two chunks of each pack have each other's bytes, with checksums that fit: only ids tell."""
    for path in remote.glob("packs/*/*.pack"):
        data = bytearray(path.read_bytes())
        first, second = (RECORD_HEADER_LENGTH + 8 + at * (RECORD_HEADER_LENGTH + 1000) for at in range(2))
        if len(data) < second + 1000:
            continue
        one, other = bytes(data[first : first + 1000]), bytes(data[second : second + 1000])
        for at, payload in ((first, other), (second, one)):
            identity = bytes(data[at - RECORD_HEADER_LENGTH : at - RECORD_HEADER_LENGTH + 32])
            header = encode_record_header(Record(chunk_id(b"")[:0] + identity, Kind.DATA, Codec.RAW, 1000, payload))  # type: ignore[arg-type]
            data[at - RECORD_HEADER_LENGTH : at + 1000] = header + payload
        path.chmod(0o644)
        path.write_bytes(data)


def test_a_remote_that_serves_the_bytes_of_another_chunk_is_found_out(clone: Clone, tmp_path: Path) -> None:
    chunks = [os.urandom(1000) for _ in range(4)]
    plant(clone, leaf(*(file(b"%d" % number, chunk) for number, chunk in enumerate(chunks))), chunks=chunks)
    clone.push()
    other = clone.clone(tmp_path / "other")
    swap_payloads(tmp_path / "remote")

    for act in (other.fetch, other.pull, other.checkout):
        with pytest.raises(IntegrityError, match="does not match its id"):
            act()
    with other.open() as repo, pytest.raises(IntegrityError, match="does not match its id"):
        list(cat(repo, "HEAD", "data/0"))
    assert not (other.root / "data").exists()
    with other.open() as repo:
        assert not repo.cache.versions()


@pytest.mark.parametrize("damage", ["longer", "shorter", "other", "empty", "endless"])
@pytest.mark.parametrize("what", ["packs", "index", "versions", "dver-store.json"])
def test_a_remote_that_serves_other_bytes_than_it_listed_does_no_harm(
    clone: Clone, tmp_path: Path, what: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.write("data/x", os.urandom(5000))
    clone.save("data")
    clone.push()
    other = clone.clone(tmp_path / "other")
    # Another machine, which has no copy of the index yet.
    monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "indexes"))
    for path in [one for one in (tmp_path / "remote").rglob("*") if one.is_file()]:
        if not str(path.relative_to(tmp_path / "remote")).startswith(what):
            continue
        path.chmod(0o644)
        if damage == "endless":
            # A sparse file of a terabyte; reading it whole would end the process.
            os.truncate(path, 1 << 40)
            continue
        data = path.read_bytes()
        changed = {"longer": data + b"x" * 100, "shorter": data[:-9], "other": data[::-1], "empty": b""}[damage]
        path.write_bytes(changed)

    try:
        other.pull()
    except DverError:
        assert not (other.root / "data/x").exists()
    else:
        assert other.data() == clone.data()


class _Merging(NameProbe):
    """A file system that does not tell letter case and spellings of accents apart."""

    def merges_names(self) -> bool:
        return True

    def are_one(self, first: bytes, second: bytes) -> bool:
        return first.lower() == second.lower() or {first, second} == {"é".encode(), "e\u0301".encode()}


@pytest.mark.parametrize(
    ("first", "second"),
    [(b"README", b"readme"), (b"A/x", b"a/y"), ("é".encode(), "e\u0301".encode()), (b"sub/a", b"sub/A")],
)
def test_two_names_that_the_file_system_takes_for_one_are_refused_with_both(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, first: bytes, second: bytes
) -> None:
    plant(clone, leaf(*sorted((file(first), file(second)), key=lambda entry: entry.path)))
    with monkeypatch.context() as patch:
        patch.setattr(checkout_limits, "NameProbe", _Merging)
        for force in (False, True):
            with pytest.raises(PathError, match="for one name") as caught:
                clone.checkout(force=force)
    for path in (first, second):
        assert path.split(b"/")[0].decode() in str(caught.value)
    assert not (clone.root / "data").exists()
    clone.checkout()
    assert len(clone.data()) == 2


def test_two_datasets_whose_names_are_one_are_refused(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(clone, leaf(file(b"x")))
    (clone.root / "DATA.dver").write_bytes((clone.root / "data.dver").read_bytes())
    clone.git("add", "DATA.dver")
    monkeypatch.setattr(checkout_limits, "NameProbe", _Merging)
    with pytest.raises(PathError, match="for one name"):
        clone.checkout()


def test_links_are_refused_before_anything_is_written_where_there_can_be_none(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(clone, leaf(file(b"a"), LinkEntry(b"l", b"a"), LinkEntry(b"m", b"a")))
    with monkeypatch.context() as patch:

        def refuse(*_args: object, **_options: object) -> None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        patch.setattr(os, "symlink", refuse)
        with pytest.raises(
            PathError, match="data/l: is a symbolic link, one of 2, and this file system has none"
        ) as caught:
            clone.checkout()
        assert not (clone.root / "data").exists()
        assert clone.status().state is State.NOT_CHECKED_OUT
        assert "--exclude /l data" in str(caught.value.hint)
        with clone.open() as repo:
            checkout(repo, None, ["data"], options=CheckoutOptions(patterns=Patterns(exclude=("/l", "/m"))))
    assert list(clone.data()) == [b"a"]
    assert clone.status().state is State.UNCHANGED


def test_names_that_windows_reserves_are_a_users_own_here(clone: Clone) -> None:
    names = [b"AUX", b"CON", b"aux.c", b"com1.txt", b"ends with a dot.", b"nul", b'what?*<>|:"', b"x"]
    plant(clone, leaf(*(file(name) for name in sorted(names))))
    assert run_all(clone, but={"drop"}) == {}
    assert sorted(clone.data()) == sorted(names)


@pytest.mark.skipif(sys.platform != "linux", reason="the file systems are Linux's")
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_file_system_that_folds_names_is_recognised(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path) as place:
        if place is None:
            pytest.skip(f"{kind} cannot be mounted here")
        folder = place / "folder"
        folder.mkdir()
        # Which ext4 needs.
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["chattr", "+F", str(folder)], capture_output=True, check=False)
        assert NameProbe(folder, tmp_path).merges_names()
        assert NameProbe(folder, tmp_path).are_one(b"a", b"A")
        assert not NameProbe(folder, tmp_path).are_one(b"a", b"b")
        assert list(folder.iterdir()) == []
