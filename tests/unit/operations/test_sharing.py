"""Checkouts in which files of equal content share blocks: the same files come out, and nothing is written twice.

A stand-in for what the file system does copies the bytes, so that these tests run everywhere.
"""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.config import Link, set_value
from dver.errors import DataLossError, PathError
from dver.objects.ids import ObjectId
from dver.objects.pack import Kind, Record
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, checkout
from dver.operations.status import State
from dver.storage.store import Span, Store
from dver.workspace import assemble, reflink
from tests.clones import Clone, noise

SIZE = 20_000


@pytest.fixture(autouse=True)
def small_files_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflink, "SMALLEST", SIZE)
    monkeypatch.setattr("dver.operations.sharing._BYTES_PER_ENTRY", 1)


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose files can share blocks."""

    def copy(source: int, target: int) -> None:
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)

    monkeypatch.setattr(reflink, "share_blocks", copy)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose files cannot."""

    def refuse(_source: int, _target: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(reflink, "share_blocks", refuse)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[ObjectId]:
    """The chunks that were read from stores."""
    found: list[ObjectId] = []
    read_span = Store.read_span

    def noting(store: Store, span: Span) -> Iterator[Record]:
        for record in read_span(store, span):
            if record.kind is Kind.DATA:
                found.append(record.id)
            yield record

    monkeypatch.setattr(Store, "read_span", noting)
    return found


@pytest.fixture
def moves(clone: Clone) -> Clone:
    """Two versions: in the second, files were moved and copied. It is checked out, and its files are long known."""
    clone.write("data/a", noise(SIZE))
    clone.write("data/twin", noise(SIZE), executable=True)
    clone.write("data/sub/b", noise(2 * SIZE, 2))
    clone.write("data/stays", noise(SIZE, 3))
    clone.save()
    clone.git("tag", "v1")
    (clone.root / "data/a").unlink()
    (clone.root / "data/twin").rename(clone.root / "data/moved")
    (clone.root / "data/sub/b").rename(clone.root / "data/a")
    clone.write("data/copy of stays", noise(SIZE, 3))
    clone.save()
    clone.git("tag", "v2")
    return clone


def check_out(clone: Clone, rev: str, link: Link | None = None, *, verify: bool = False) -> CheckoutPlan:
    # Only what is older than a tick of the clock is trusted.
    time.sleep(0.03)
    with clone.open() as repo:
        return checkout(repo, rev, options=CheckoutOptions(link=link, verify=verify))


def wipe(clone: Clone) -> None:
    for path in sorted((clone.root / "data").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (clone.root / "data").rmdir()


def shared(plan: CheckoutPlan) -> tuple[int, int]:
    return plan.datasets[0].shared, plan.datasets[0].shared_bytes


@pytest.mark.usefixtures("sharing")
def test_equal_files_share_the_blocks_of_the_first(moves: Clone) -> None:
    wanted = moves.data()
    wipe(moves)
    assert shared(check_out(moves, "v2", Link.REFLINK)) == (1, SIZE)
    assert moves.data() == wanted
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("sharing")
def test_auto_does_not_wait_for_new_files_to_reach_the_disk(moves: Clone) -> None:
    wanted = moves.data()
    wipe(moves)
    assert shared(check_out(moves, "v2")) == (0, 0)
    assert moves.data() == wanted


@pytest.mark.usefixtures("sharing")
def test_large_files_share_blocks_as_well(moves: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "LARGE_FILE", SIZE)
    wanted = moves.data()
    wipe(moves)
    assert shared(check_out(moves, "v2", Link.REFLINK)) == (1, SIZE)
    assert moves.data() == wanted


@pytest.mark.usefixtures("sharing")
def test_moved_and_copied_files_take_over_their_blocks_and_no_chunk_is_read(
    moves: Clone, reads: list[ObjectId]
) -> None:
    second = moves.data()
    plan = check_out(moves, "v1")
    assert shared(plan) == (3, 4 * SIZE)
    assert not reads
    assert moves.data() == {
        b"a": ("file", noise(SIZE)),
        b"twin": ("executable", noise(SIZE)),
        b"sub/b": ("file", noise(2 * SIZE, 2)),
        b"stays": ("file", noise(SIZE, 3)),
    }
    assert moves.status().state is State.UNCHANGED
    assert shared(check_out(moves, "v2")) == (3, 4 * SIZE)
    assert not reads
    assert moves.data() == second


@pytest.mark.usefixtures("sharing")
def test_where_a_manifest_is_long_only_what_changed_is_a_source(moves: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.operations.sharing._BYTES_PER_ENTRY", 1 << 40)
    check_out(moves, "v1")
    second = check_out(moves, "v2")
    assert shared(second) == (2, 3 * SIZE)
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("sharing")
def test_a_changed_file_is_no_source(moves: Clone) -> None:
    wanted = moves.data()
    check_out(moves, "v1")
    first = moves.write("data/sub/b", bytes(2 * SIZE))
    with pytest.raises(DataLossError):
        check_out(moves, "v2")
    assert first.read_bytes() == bytes(2 * SIZE)
    with moves.open() as repo:
        plan = checkout(repo, "v2", options=CheckoutOptions(force=True))
    assert moves.data() == wanted
    assert shared(plan)[1] < 4 * SIZE


@pytest.mark.usefixtures("sharing")
def test_with_verify_nothing_is_taken_from_working_files(moves: Clone, reads: list[ObjectId]) -> None:
    plan = check_out(moves, "v1", Link.REFLINK, verify=True)
    assert shared(plan) == (1, SIZE)
    assert reads
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("sharing")
def test_copy_shares_nothing(moves: Clone) -> None:
    assert shared(check_out(moves, "v1", Link.COPY)) == (0, 0)
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("refusing")
def test_auto_writes_everything_where_blocks_cannot_be_shared(moves: Clone) -> None:
    second = moves.data()
    assert shared(check_out(moves, "v1", Link.AUTO)) == (0, 0)
    assert shared(check_out(moves, "v2")) == (0, 0)
    assert moves.data() == second


def test_a_file_that_cannot_share_after_all_is_written(moves: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def sometimes(source: int, target: int) -> None:
        nonlocal calls
        data = os.pread(source, os.fstat(source).st_size, 0)
        # Trying with a little is no promise for all, and may leave something behind.
        os.pwrite(target, data[:4096], 0)
        calls += len(data) > 4096
        if calls % 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        os.pwrite(target, data, 0)

    monkeypatch.setattr(reflink, "share_blocks", sometimes)
    second = moves.data()
    check_out(moves, "v1", Link.REFLINK)
    assert moves.status().state is State.UNCHANGED
    check_out(moves, "v2", Link.REFLINK)
    assert moves.data() == second
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("refusing")
def test_reflink_is_refused_before_anything_is_touched_where_it_is_not_possible(moves: Clone) -> None:
    second = moves.data()
    with pytest.raises(PathError, match="cannot share blocks on this file system: Operation not supported") as caught:
        check_out(moves, "v1", Link.REFLINK)
    assert "--link auto" in str(caught.value.hint)
    assert moves.data() == second
    assert moves.status().state is State.UNCHANGED


@pytest.mark.usefixtures("refusing")
def test_the_setting_decides_unless_the_command_does(moves: Clone) -> None:
    set_value(moves.root / ".dver", "checkout.link", "reflink", local=True)
    with pytest.raises(PathError):
        check_out(moves, "v1")
    check_out(moves, "v1", Link.AUTO)
    assert moves.status().state is State.UNCHANGED


def test_where_the_file_system_can_the_blocks_are_really_shared(moves: Clone, tmp_path: Path) -> None:
    reason = reflink.why_not_shared(tmp_path)
    if reason is not None:
        pytest.skip(f"the folder for temporary files cannot: {reason.strerror}")
    assert shared(check_out(moves, "v1", Link.REFLINK)) == (3, 4 * SIZE)
    assert moves.status().state is State.UNCHANGED
    with (moves.root / "data/a").open("r+b") as file:
        file.write(b"changed")
    assert (moves.root / "data/twin").read_bytes() == noise(SIZE)


@pytest.fixture
def edited(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """Two versions of a large file that differ at one place. The second is checked out."""
    monkeypatch.setattr(assemble, "LARGE_FILE", SIZE)
    monkeypatch.setattr("dver.operations.sharing.LARGE_FILE", SIZE)
    content = noise(100_000)
    clone.write("data/large", content)
    clone.save()
    clone.git("tag", "v1")
    clone.write("data/large", content[:50_000] + b"edit" + content[50_004:])
    clone.save()
    return clone


@pytest.mark.parametrize("verify", [False, True])
def test_a_large_file_takes_what_stays_from_the_one_that_it_replaces_unless_all_is_to_be_verified(
    edited: Clone, reads: list[ObjectId], verify: bool
) -> None:
    reads.clear()
    with edited.open() as repo:
        checkout(repo, "v1", options=CheckoutOptions(verify=verify))

    assert edited.data()[b"large"] == ("file", noise(100_000))
    assert (len(reads) > 50) == verify
    assert reads
    assert edited.status().state is State.UNCHANGED
