"""Fsck: whether what a store has is whole, what it means for whom where it is not, and putting it right.

One store is looked at: the cache, or a remote. What is wrong there is said with the datasets, paths and commits that it
touches. Beside the store, the pointers at the tips of branches and tags are read, and the lineage file there.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from dver.errors import ConfigError, DverError, FormatError, IntegrityError, first_of
from dver.objects.chunker import ChunkerParams
from dver.objects.ids import NodeId, VersionId, format_version
from dver.operations.datasets import typed
from dver.operations.fsck_extent import EVERYTHING, extent_of, versions_needing
from dver.operations.fsck_lineage import find_bad_lines
from dver.operations.fsck_missing import MissingVersions, missing_here, missing_notes, missing_there, partly_wanted
from dver.operations.fsck_names import Names, find_names
from dver.operations.fsck_pointers import pointer_damage
from dver.operations.fsck_results import LINEAGE, POINTER, Damage, Effect, FsckOptions, FsckResult, Repaired
from dver.operations.fsck_scope import versions_at
from dver.operations.fsck_sources import Wanted, repair_sources
from dver.operations.fsck_touched import Needing, Touched, find_touched
from dver.operations.reading import no_store_hint
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.storage.audit import AuditOptions, Auditor, AuditTools
from dver.storage.audit_findings import Audit, Counts, Depth, Finding, Problem, Thing
from dver.storage.audit_map import StoreMap
from dver.storage.audit_misplaced import misplaced, set_misplaced_aside
from dver.storage.markers import version_key
from dver.storage.repair import Mender
from dver.storage.store import Store

_MOST_TIPS = 3
_DEFAULTS = FsckOptions()
# What a repair of the store leaves to people.
_NOT_MENDED = frozenset({POINTER, LINEAGE, Thing.KEY.value, Thing.REPOSITORY.value, Thing.GARBAGE.value})
_AGES = 100 * 365 * 24 * 3600.0


def fsck(
    repo: Repo,
    paths: Sequence[str] = (),
    *,
    remote: str | None = None,
    options: FsckOptions = _DEFAULTS,
    progress: Progress = NO_PROGRESS,
) -> FsckResult:
    """Look at the cache, or at a remote, and with `options.repair` put right what is wrong.

    With `paths`, only packs are read that hold something of these datasets; structure is looked at as a whole.

    Raises:
        PathError: a path is no dataset.
        ConfigError: there is no such remote, or no store at it.
        UnsupportedFormatError: a newer dver wrote something in the store.
        BackendError: the store does not answer, or cannot be written for a repair.
    """
    store = repo.cache if remote is None else repo.remote(remote)
    aside = _clear_way(repo, store, remote, options)
    if aside and not options.repair:
        return _blocked(store, remote, options, aside)
    scope = None if not paths else versions_at(repo, find_names(repo), paths)
    check = _Fsck(repo, store, remote, options, scope)
    with repo.scratch() as scratch, progress.task(f"checking {store.name}", bytes=0) as task:
        audit_options = AuditOptions(options.depth, options.sample, options.max_age, scope, is_whole=remote is not None)
        tools = AuditTools(repo.workers_for(store.backend), _below(scratch, "first"), task, _nearer(repo, remote))
        with Auditor(store, audit_options, tools).opened() as auditor:
            audit = auditor.run()
            if remote is not None and _is_nothing(audit) and store.read_params() is None:
                raise ConfigError(f"there is no store at {store.name}", hint=no_store_hint(store.remote))
            if not options.repair:
                return check.describe(audit, auditor.found)
            with repo.lock():
                # Names are read in there: before, other commands may still change them and what they stand for.
                result = check.describe(audit, auditor.found)
                result = replace(result, damages=(*aside, *result.damages))
                return check.repair(result, audit, auditor, scratch, task)


def _clear_way(repo: Repo, store: Store, remote: str | None, options: FsckOptions) -> list[Damage]:
    """Return what is a folder where a file should be, or the other way round; a repair sets it aside first."""
    found = []
    for key, thing, detail in misplaced(store.backend):
        found.append(Damage(thing.value, Problem.DAMAGED.value, key, "", detail, 0, (), _command(remote), EVERYTHING))
        if options.repair:
            with repo.lock():
                set_misplaced_aside(store.backend, key)
    return found


def _blocked(store: Store, remote: str | None, options: FsckOptions, damages: Sequence[Damage]) -> FsckResult:
    note = "nothing else was looked at: with that in the way, nothing in the store can be counted on"
    location = store.backend.location
    return FsckResult(store.name, location, remote, options.depth, tuple(damages), (note,), Counts())


def _command(remote: str | None) -> str:
    return "dver fsck --repair" if remote is None else f"dver fsck --remote {typed(remote)} --repair"


def _below(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder


def _nearer(repo: Repo, remote: str | None) -> Store | None:
    return None if remote is None else repo.cache


def _is_nothing(audit: Audit) -> bool:
    counts = audit.counts
    return not (counts.packs or counts.indexes or counts.versions or audit.findings)


class _Fsck:
    """One look at one store."""

    def __init__(
        self,
        repo: Repo,
        store: Store,
        remote: str | None,
        options: FsckOptions,
        scope: frozenset[VersionId] | None,
    ) -> None:
        self._repo = repo
        self._store = store
        self._remote = remote
        self._options = options
        self._scope = scope
        self._names = Names()
        self._lost: set[VersionId] = set()
        self._gone: tuple[VersionId, ...] = ()

    def describe(self, audit: Audit, found: StoreMap) -> FsckResult:
        """Read what is named now, and say what an audit means for whom."""
        self._names = find_names(self._repo)
        touched = self._touched(audit, found)
        # What a repair does not bring back of these stays damage, be its marker there or not. What only a stash or a
        # working tree names may share what was lost, and never have been pushed.
        self._lost = (touched.versions() & self._names.historic()) | set(audit.marked)
        unmarked = self._unmarked(found)
        damages = [self._damage(finding, touched, audit, found) for finding in audit.findings]
        damages += [pointer_damage(self._repo, one) for one in self._names.problems]
        lines = find_bad_lines(self._repo, self._names.tips)
        damages += lines.damages
        damages += [self._markerless(version) for version in self._wanted(unmarked)]
        missing = self._missing(unmarked)
        self._gone = missing.versions
        damages += [self._nowhere(version) for version in missing.versions]
        return FsckResult(
            self._store.name,
            self._store.backend.location,
            self._remote,
            self._options.depth,
            tuple(damages),
            (
                *audit.notes,
                *self._names.notes,
                *lines.notes,
                *self._unmarked_note(unmarked),
                *missing_notes(missing, self._remote),
            ),
            audit.counts,
        )

    def repair(self, result: FsckResult, audit: Audit, auditor: Auditor, scratch: Path, task: Task) -> FsckResult:
        """Put right what is wrong, and return the result with what came of it."""
        mender = Mender(self._store, auditor.found, audit, is_whole=self._remote is not None)
        unmarked = self._unmarked(auditor.found)
        rest = tuple(one for one in result.damages if one.thing in _NOT_MENDED)
        if audit.is_sound and not unmarked and not audit.unlisted_packs and not self._gone:
            return _with(result, Repaired(mender.done, (*rest, *self._still_missing(()))))
        params = self._params()
        mender.describe(params)
        mender.clear(auditor.footer)
        wanted = Wanted(self._store, params, self._names.datasets(), task)
        places = (self._names.neighbours, self._options.sources)
        with repair_sources(self._repo, wanted, *places, is_remote=self._remote is not None) as sources:
            mender.done.trouble += sources.trouble
            mender.restore(sources.stores, sources.files, task, self._gone)
        options = AuditOptions(Depth.STRUCTURE, max_age=_AGES, is_whole=self._remote is not None)
        tools = AuditTools(self._repo.workers_for(self._store.backend), _below(scratch, "second"), task)
        with Auditor(self._store, options, tools).opened() as again:
            after = again.run()
            touched = self._touched(after, again.found)
            left = [self._left(version, touched) for version in after.incomplete]
            mender.settle(after, again.found, self._dataset)
            for version in self._unmarked(again.found):
                mender.mark(version, self._dataset(version))
        left += [self._stuck(key) for key in mender.done.stuck]
        return _with(result, Repaired(mender.done, (*left, *rest, *self._still_missing(after.incomplete))))

    def _touched(self, audit: Audit, found: StoreMap) -> Touched:
        if not found.any_lost() and not audit.incomplete:
            return Touched()
        versions = {*self._names.versions, *audit.marked}
        others = [self._repo.cache] if self._remote is not None else self._default_remote()
        return find_touched(self._store, found, versions, audit.marked, others)

    def _default_remote(self) -> list[Store]:
        if not self._repo.has_remote:
            return []
        try:
            return [self._repo.remote()]
        except DverError:
            return []

    def _damage(self, finding: Finding, touched: Touched, audit: Audit, found: StoreMap) -> Damage:
        effects: list[Effect] = []
        needing: list[VersionId] = []
        if finding.packs:
            needing = versions_needing(found, finding.packs, audit.marked)
        if finding.thing is Thing.PACK:
            for version, lacking in touched.at(finding.pack).items():
                effects += self._effects(version, lacking)
        elif finding.version is not None:
            effects += self._effects(finding.version, touched.at(None).get(finding.version, Needing()))
        for version in needing:
            effects += self._effects(version, Needing())
        return Damage(
            finding.thing.value,
            finding.problem.value,
            finding.key,
            "",
            finding.detail,
            finding.lost,
            tuple(effects),
            self._remedy(finding),
            extent_of(finding, needing, audit.marked),
        )

    def _remedy(self, finding: Finding) -> str:
        if finding.thing is Thing.KEY:
            return f"dver remote key remove {self._remote} {finding.key.rpartition('/')[2]}"
        if finding.thing is Thing.REPOSITORY:
            name = finding.key.rpartition("/")[2].removesuffix(".json")
            identity = name.rpartition("-")[0] or name
            where = f"--remote {self._remote} --forget {identity}" if self._remote else f"--forget {finding.key}"
            return f"dver gc {where}, then dver push in that repository"
        if finding.thing is Thing.GARBAGE and self._remote is None:
            return f"delete {finding.key} there, once nobody cleans the cache as a remote"
        if finding.thing is Thing.GARBAGE:
            return f"delete {finding.key} there; dver gc --remote {self._remote} makes such lists anew"
        return _command(self._remote)

    def _effects(self, version: VersionId, needing: Needing) -> Iterator[Effect]:
        shared = (tuple(needing.paths), needing.count, needing.unknown)
        named = self._names.of(version)
        for dataset, naming in sorted(named.items()):
            commits = (tuple(naming.commits), naming.count)
            yield Effect(dataset, version, *shared, *commits, () if naming.historic else tuple(naming.by))
        if not named:
            yield Effect(self._dataset(version), version, *shared)

    def _left(self, version: VersionId, touched: Touched) -> Damage:
        needing = Needing()
        for by_version in touched.by_pack.values():
            one = by_version.get(version, Needing())
            needing.paths = list(dict.fromkeys([*needing.paths, *one.paths]))
            # A file may need what was lost with several packs.
            needing.count = max(needing.count, one.count, len(needing.paths))
            needing.unknown |= one.unknown
        other = "dver fetch -r REMOTE, if another one has it"
        remedy = other if self._remote is None else "dver push, in a clone that has it"
        detail = "something of it is nowhere to be had; its marker was set aside, so that it can be filled again"
        return Damage(
            Thing.VERSION.value,
            Problem.INCOMPLETE.value,
            format_version(version),
            "",
            detail,
            0,
            tuple(self._effects(version, needing)),
            f"{remedy}; or dver add where the files are as they were",
        )

    def _dataset(self, version: VersionId) -> str:
        """Return a dataset that a version is of, as commits name it or its marker says; "" where nobody knows."""
        known = [dataset for dataset in self._names.of(version) if dataset]
        if known:
            return min(known)
        try:
            return self._store.marked_dataset(version)
        except IntegrityError:
            return ""

    def _stuck(self, key: str) -> Damage:
        remedy = "move it to another place by the storage's own means"
        return Damage(Thing.PACK.value, Problem.DAMAGED.value, key, "", "it cannot be moved", 0, (), remedy)

    def _missing(self, held: Iterable[VersionId]) -> MissingVersions:
        """Return the versions that are named and that nobody has; those that are `held` have all but a marker."""
        if self._remote is None:
            missing = missing_here(self._repo, self._names, {*held, *self._partial})
        else:
            missing = missing_there(self._store, self._names, self._lost, held)
        shown = [one for one in missing.versions if one not in held and (self._scope is None or one in self._scope)]
        return replace(missing, versions=tuple(shown))

    def _still_missing(self, said: Collection[VersionId]) -> Iterator[Damage]:
        yield from (self._nowhere(version) for version in self._missing(()).versions if version not in said)

    def _nowhere(self, version: VersionId) -> Damage:
        datasets = self._names.of(version)
        shown = " ".join(typed(dataset) for dataset in sorted(datasets) if dataset)
        add = f"dver add {shown}, if the files are as they were; or " if shown else ""
        if self._remote is None:
            known = bool(self._repo.settings.remotes)
            detail = "is not in the cache, and there is no remote to fetch it from"
            other = "dver remote add NAME URL, then dver fetch"
            if known:
                detail, other = "is neither in the cache nor on a remote", "dver push in a clone that has it"
            remedy = f"{add}{other}"
        else:
            detail = "was here, and something of it was lost"
            remedy = f"dver push --all -r {typed(self._remote)}, in a clone that has it"
        namers = self._names.namers_of(version)
        effects = tuple(self._effects(version, Needing()))
        name = format_version(version)
        return Damage(
            Thing.VERSION.value, Problem.MISSING.value, name, first_of(namers, _MOST_TIPS), detail, 0, effects, remedy
        )

    def _markerless(self, version: VersionId) -> Damage:
        effects = tuple(self._effects(version, Needing()))
        key, kind = version_key(version), Problem.MISSING.value
        detail = "is missing, and all that the version needs is there"
        return Damage(Thing.MARKER.value, kind, key, "", detail, 0, effects, _command(self._remote))

    def _wanted(self, unmarked: Collection[VersionId]) -> list[VersionId]:
        """Return those whose markers ought to be there: elsewhere than in a cache, a push may not have come to them."""
        if self._remote is not None:
            return []
        return sorted(self._names.current().intersection(unmarked) - self._partial)

    @cached_property
    def _partial(self) -> set[VersionId]:
        return partly_wanted(self._repo)

    def _unmarked(self, found: StoreMap) -> list[VersionId]:
        """Return the versions that commits name, that are wholly there and have no marker."""
        named = self._names.versions.keys() - self._store.versions()
        absent = found.incomplete([NodeId(version) for version in named])
        return sorted(version for version in named if NodeId(version) not in absent)

    def _unmarked_note(self, unmarked: Sequence[VersionId]) -> Iterator[str]:
        # What only a reflog or working data goes back to is not asked for.
        known = (self._names.current() | self._names.historic()).intersection(unmarked)
        count = len(known.difference(self._wanted(unmarked)))
        if count:
            are, it = ("1 version is", "it") if count == 1 else (f"{count:,} versions are", "them")
            command = _command(self._remote)
            yield f"{are} wholly there without a marker, so nobody can have {it} from there: {command} marks {it}"

    def _params(self) -> ChunkerParams:
        """Return the chunk sizes of the store or, where nobody can read these, those that it must have."""
        for read in (self._store, self._repo.cache):
            try:
                params = read.read_params()
            except (FormatError, IntegrityError):
                continue
            if params is not None:
                return params
        return self._repo.chunker.params


def _with(result: FsckResult, repaired: Repaired) -> FsckResult:
    return replace(result, repaired=repaired)
