"""Reads versions back from a store and checks every byte: what `dver push --verify` promises.

The packs that hold a part of the versions are read as a whole, each once: every record in them must match its checksum
and its id, and the pack its name. So must the index files, which are read anew and not taken from the local copy. The
store's description and the markers must say what they should.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import FormatError, IntegrityError, ObjectNotFoundError
from dver.objects.ids import PackId, VersionId, format_version
from dver.operations.stock import Stock
from dver.progress import Progress
from dver.repo import Repo
from dver.storage.audit_findings import Depth
from dver.storage.audit_pack import PackCheck, check_pack
from dver.storage.description import DESCRIPTION_KEY, description_problem
from dver.storage.index_files import damaged_index_files
from dver.storage.markers import read_if_there, version_key
from dver.storage.packs import pack_key
from dver.storage.store import Store, marker_problem
from dver.workers import Workers


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was read back.

    Attributes:
        versions: how many versions.
        packs: how many packs hold a part of them.
        bytes: how many bytes these have.
        problems: what is wrong, each with the key that it is about.
    """

    versions: int
    packs: int
    bytes: int
    problems: tuple[str, ...] = ()


def read_back(repo: Repo, store: Store, versions: Sequence[VersionId], *, label: str, progress: Progress) -> ReadBack:
    """Read all of some versions, the description and all index files from a store; damage is a result and no error."""
    problems = [f"{key}: the index file is damaged" for key in damaged_index_files(store.backend)]
    damage = description_problem(store.backend, store.name)
    if damage is not None and not store.backend.is_local:
        # From afar it may have been damaged on its way.
        damage = description_problem(store.backend, store.name)
    if damage is not None:
        problems.append(f"{DESCRIPTION_KEY}: {damage.reason}")
    problems += _check_markers(store, repo.cache, versions)
    stock = Stock(store, nearer=repo.cache)
    packs: set[PackId] = set()
    for version in versions:
        needed, is_all = stock.packs(version)
        packs |= needed
        if not is_all and not stock.has(version):
            problems.append(f"{format_version(version)}: not all of it is there")
    checks = _check(repo.workers_for(store.backend), store, sorted(packs), label, progress)
    problems += [f"{pack_key(check.pack)}: {check.problem}" for check in checks if check.problem]
    return ReadBack(len(versions), len(packs), sum(check.bytes for check in checks), tuple(problems))


def _check_markers(store: Store, here: Store, versions: Sequence[VersionId]) -> Iterator[str]:
    for version in versions:
        totals = _totals(here, version)
        problem = _look_at_marker(store, version, totals)
        if problem is not None and not store.backend.is_local:
            problem = _look_at_marker(store, version, totals)
        if problem is not None:
            yield f"{version_key(version)}: {problem}"


def _look_at_marker(store: Store, version: VersionId, totals: tuple[int, int] | None) -> str | None:
    try:
        data = read_if_there(store.backend, version_key(version))
    except (FormatError, IntegrityError) as exc:
        return exc.reason
    return "is gone" if data is None else marker_problem(data, totals)


def _totals(here: Store, version: VersionId) -> tuple[int, int] | None:
    with suppress(ObjectNotFoundError, IntegrityError, FormatError):
        return here.manifest(version).totals()
    return None


def _check(workers: Workers, store: Store, packs: Sequence[PackId], label: str, progress: Progress) -> list[PackCheck]:
    sizes = {pack: store.index.pack_size(pack) or 0 for pack in packs}
    found = []
    with progress.task(label, bytes=sum(sizes.values())) as task:
        started = (
            workers.executor.submit(check_pack, store.backend, pack, size, Depth.CONTENT, _no_footer)
            for pack, size in sizes.items()
        )
        for check in workers.in_order(started):
            found.append(check)
            task.advance(bytes=check.size)
    return found


def _no_footer(_pack: PackId) -> None:
    """Say that a damaged pack's footer is not wanted from elsewhere: that it is damaged is all that is asked."""
