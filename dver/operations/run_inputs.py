"""The driver's first half: what goes into a run, found by content.

An input is a dataset or a part of one, whose working files must be what its pointer says, or a file that git tracks,
as it is in the work tree. Everything else is refused with the command that helps, before anything runs.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from dver.errors import DverError, GitError, ObjectNotFoundError, PathError
from dver.git import CommitId
from dver.objects.builder import build_manifest
from dver.objects.entry import DirectoryEntry, Entry, LinkEntry
from dver.objects.ids import format_version
from dver.objects.manifest import Manifest
from dver.objects.paths import is_within, is_within_any
from dver.objects.pointer import Pointer, dataset_path, may_be_dataset
from dver.operations.add import Added, add
from dver.operations.datasets import Target, encode_path, typed, working_datasets
from dver.operations.loose_files import FILE, LOOSE_KINDS, loose_version
from dver.operations.reading import missing_version, open_manifest
from dver.operations.status import Changes, DatasetStatus, State, status
from dver.operations.working import working_manifest
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import BLOB_PREFIX, Artifact
from dver.repo import Repo

CODE = "code"
ENV = "env"

_FILES = {CODE: "code", ENV: "file of the environment"}
_CHECKED_OUT = (State.UNCHANGED, State.MODIFIED)
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Adding:
    """What to do about inputs that are not added, or were changed since.

    Attributes:
        wanted: whether they are to be added, and not refused.
        pretend: only work out what adding them would give.
        is_option: whether the user can ask for it, so that hints may say so.
    """

    wanted: bool = False
    pretend: bool = False
    is_option: bool = True


@dataclass(frozen=True, slots=True)
class Files:
    """Files that git tracks, and what they are to the command: code, or what it runs on."""

    code: Sequence[str] = ()
    env: Sequence[str] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each file; one that is named as both is part of the environment."""
        return {**dict.fromkeys(self.code, CODE), **dict.fromkeys(self.env, ENV)}


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs in the order in which they were named, and the datasets that were or would be added for them."""

    artifacts: tuple[Artifact, ...]
    added: tuple[Added, ...]
    to_add: tuple[str, ...]


def resolve_inputs(
    repo: Repo,
    paths: Sequence[str],
    files: Files,
    adding: Adding,
    progress: Progress,
    *,
    recorded: Sequence[Artifact] = (),
) -> Inputs:
    """Return the versions of the inputs at `paths`, and of `files` (all relative to the repository).

    A part of a dataset that is one of `recorded`, in the version of the dataset that is here, is not looked up.

    Raises:
        PathError: one is missing, not added, changed since, or not wholly here; the hint names what helps.
    """
    known = working_datasets(repo)
    for file, kind in files.kinds.items():
        _check_file(repo, file, kind, known)
    found = {path: find_target(path, known) for path in dict.fromkeys(paths)}
    new = [path for path, target in found.items() if target is None and not repo.git.is_tracked(path)]
    for path in new:
        problem = _obstacle(repo, path, known)
        if problem is not None or not adding.wanted:
            raise problem or _unknown(path)
    return _Resolver(repo, adding, progress, recorded).resolve(found, new, files.kinds)


def changed_inputs(repo: Repo, artifacts: Sequence[Artifact], progress: Progress) -> list[str]:
    """Return the paths of those inputs that are not any more what they were."""
    datasets = {_dataset_of(artifact) for artifact in artifacts if not artifact.version.startswith(BLOB_PREFIX)}
    present = sorted(datasets.intersection(working_datasets(repo))) if datasets else []
    found = {one.dataset: one for one in status(repo, present, progress=progress)} if present else {}
    return [artifact.path for artifact in artifacts if not _is_still(repo, artifact, found)]


def uncommitted_files(repo: Repo, artifacts: Sequence[Artifact], commit: str) -> tuple[str, ...]:
    """Return the paths of those files of git's that are not what a commit has; "" is no commit."""
    files = [one for one in artifacts if one.version.startswith(BLOB_PREFIX)]
    return tuple(one.path for one in files if not _is_committed(repo, one, commit))


def _is_committed(repo: Repo, artifact: Artifact, commit: str) -> bool:
    with suppress(GitError):
        then = repo.git.read(CommitId(commit), artifact.path) if commit else None
        return then is not None and then == repo.git.read_blob(artifact.version.removeprefix(BLOB_PREFIX))
    return False


def _is_still(repo: Repo, artifact: Artifact, found: Mapping[str, DatasetStatus]) -> bool:
    is_loose = artifact.observed and artifact.kind in LOOSE_KINDS
    if is_loose or artifact.version.startswith(BLOB_PREFIX):
        with suppress(DverError):
            now = loose_version(repo, artifact.path, artifact.kind, NO_PROGRESS) if is_loose else None
            return (now if is_loose else _blob_version(repo, artifact.path)) == artifact.version
        return False
    dataset = _dataset_of(artifact)
    one = found.get(dataset)
    part = artifact.path[len(dataset) + 1 :]
    if one is None or one.pointer is None or not matches_pointer(one, part):
        return False
    version = format_version(one.pointer.version)
    if version == (artifact.dataset_version or artifact.version):
        return True
    # What was seen to be read of a dataset counts by itself, whatever else of it is another.
    return artifact.observed and bool(part) and _part_now(repo, one.pointer, artifact) == artifact.version


def _part_now(repo: Repo, pointer: Pointer, artifact: Artifact) -> str | None:
    """Return the version that a part of a dataset has now; None for one that is gone, or not to be found out."""
    with suppress(DverError):
        manifest = open_manifest(repo, pointer.version, artifact.dataset)
        return part_version(manifest, encode_path(artifact.path[len(artifact.dataset) + 1 :]), artifact.path)
    return None


def matches_pointer(one: DatasetStatus, part: str) -> bool:
    """Whether the files of a dataset, or in a part of it, are what its pointer says."""
    return one.state in _CHECKED_OUT and not _changes_within(one.changes, part)


def _dataset_of(artifact: Artifact) -> str:
    return artifact.dataset or artifact.path


def find_target(path: str, known: Sequence[str]) -> Target | None:
    """Return the dataset of those `known`, or the part of one, that a path names; None for what is in none."""
    for dataset in known:
        if dataset in (path, dataset_path(path)):
            return Target(dataset)
        if path.startswith(dataset + "/"):
            return Target(dataset, encode_path(path[len(dataset) + 1 :]))
    return None


def _check_file(repo: Repo, file: str, kind: str, known: Sequence[str]) -> None:
    if find_target(file, known) is not None:
        raise PathError(file, f"is data and no {_FILES[kind]}", hint=f"-d {typed(file)} names it as an input")
    if not repo.git.is_tracked(file):
        is_there = os.path.isfile(repo.root / file)
        reason = "is not tracked by git" if is_there else "is no file that git tracks"
        naming = "name files one by one; git ls-files lists those that it tracks"
        hint = f"git add {typed(file)}" if is_there else naming
        raise PathError(file or ".", reason, hint=hint)


def _obstacle(repo: Repo, path: str, known: Sequence[str]) -> PathError | None:
    """Return why what is neither a dataset nor a file that git tracks cannot become a dataset; None if it may."""
    if not os.path.lexists(repo.root / path):
        return PathError(path, "there is no such file or directory", hint="dver ls lists the datasets")
    if path and not may_be_dataset(path):
        return PathError(
            path,
            "belongs to git or dver itself and is no input",
            hint="the commit that is checked out is in every record; -d and --code name files that git tracks",
        )
    real = os.path.relpath(os.path.realpath(repo.root / path), os.path.realpath(repo.root))
    if path and real != os.path.normpath(path):
        where = f"name the real path: {typed(real)}" if real.partition(os.sep)[0] != os.pardir else "copy it into here"
        return PathError(path, "is a symbolic link, or lies behind one", hint=where)
    inner = [dataset for dataset in known if dataset.startswith(path + "/") or not path]
    tracked = repo.git.tracked_under(path)
    if inner or tracked:
        more = " …" if len(inner or tracked) > _NAMED else ""
        what = "datasets" if inner else "files that git tracks"
        names = " ".join(f"-d {typed(name)}" for name in (inner or tracked)[:_NAMED])
        return PathError(path or ".", f"is a folder that holds {what}", hint=f"name them: {names}{more}")
    return None


def _unknown(path: str) -> PathError:
    return PathError(
        path,
        "is known neither to dver nor to git",
        hint=f"dver add {typed(path)}, or dver run --add-inputs, for data; git add {typed(path)} for code",
    )


class _Resolver:
    """Resolves the inputs of one run."""

    def __init__(self, repo: Repo, adding: Adding, progress: Progress, recorded: Sequence[Artifact]) -> None:
        self._repo = repo
        self._adding = adding
        self._progress = progress
        self._recorded = {(one.path, one.dataset_version): one for one in recorded if one.dataset}
        self._statuses: dict[str, DatasetStatus] = {}
        self._pending: set[str] = set()
        self._added: list[Added] = []

    def resolve(self, found: Mapping[str, Target | None], new: Sequence[str], kinds: Mapping[str, str]) -> Inputs:
        targets = {path: Target(path) if path in new else target for path, target in found.items()}
        self._look([target.dataset for target in targets.values() if target and target.dataset not in new])
        stale = {target.dataset for target in targets.values() if target and self._needs_adding(target, new)}
        for path, target in targets.items():
            if target is not None and target.dataset not in new:
                self._check(path, target, stale)
        if stale and self._adding.pretend:
            self._pending = stale
        elif stale:
            result = add(self._repo, sorted(stale), stage=self._repo.settings.add_stage, progress=self._progress)
            self._added += result.added
            self._look(sorted(stale))
        artifacts = [
            self._file(path, kinds.get(path, FILE)) if target is None else self._data(path, target)
            for path, target in targets.items()
        ]
        files = [self._file(path, kind) for path, kind in kinds.items() if path not in targets]
        return Inputs((*artifacts, *files), tuple(self._added), tuple(sorted(self._pending)))

    def _look(self, datasets: Sequence[str]) -> None:
        if datasets:
            found = status(self._repo, list(dict.fromkeys(datasets)), progress=self._progress)
            self._statuses.update((one.dataset, one) for one in found)

    def _needs_adding(self, target: Target, new: Sequence[str]) -> bool:
        if target.dataset in new:
            return True
        one = self._statuses[target.dataset]
        return one.state is State.MODIFIED and _changes_within(one.changes, os.fsdecode(target.part))

    def _check(self, path: str, target: Target, stale: set[str]) -> None:
        """Refuse a dataset whose working files are not what a pointer will say when the command runs."""
        one = self._statuses[target.dataset]
        if one.problem is not None:
            raise one.problem
        if one.state is State.CONFLICT:
            raise PathError(path, "its pointer is in a merge conflict", hint=f"dver checkout {path} merges what it can")
        bring = self._way_here(path, one)
        if one.state not in _CHECKED_OUT:
            raise PathError(path, _WRONG[one.state], hint=bring)
        if target.dataset in stale:
            if not self._adding.wanted:
                raise self._changed(path, target)
        elif one.partial and not self._is_here(target):
            raise PathError(path, "is only partly checked out", hint=bring)

    def _way_here(self, path: str, one: DatasetStatus) -> str:
        """Return what brings data that is not here."""
        if one.in_cache:
            return f"dver checkout {typed(path)}"
        pull = f"dver pull {typed(path)}"
        return pull if self._repo.has_remote else f"dver remote add origin URL, then {pull}"

    def _changed(self, path: str, target: Target) -> PathError:
        """Return the error for an input that is not what was added."""
        one, dataset = self._statuses[target.dataset], typed(target.dataset)
        back = f"dver checkout --force {dataset} puts back {self._what_it_was(one)}"
        if _is_only_deleted(one.changes, os.fsdecode(target.part)):
            is_there = os.path.lexists(self._repo.root / path)
            reason = "has lost files since it was added" if is_there else "was deleted"
            return PathError(path, reason, hint=back)
        if self._adding.is_option:
            hint = f"dver add {dataset}, or dver run --add-inputs, takes the change up; {back}"
        else:
            hint = f"{back}; dver add {dataset} keeps the change"
        return PathError(path, "was changed since it was added", hint=hint)

    def _what_it_was(self, one: DatasetStatus) -> str:
        version = format_version(one.pointer.version) if one.pointer is not None else ""
        made = self._repo.lineage.producers(one.dataset, version)
        return "what the run made" if any(record.command for record in made) else "what was added"

    def _is_here(self, target: Target) -> bool:
        base = self._repo.stat_cache.base(target.dataset)
        parts = None if base is None else base.parts
        return parts is None or is_within_any(target.part, set(parts))

    def _data(self, path: str, target: Target) -> Artifact:
        dataset = target.dataset
        if dataset in self._pending:
            base = self._repo.stat_cache.base(dataset)
            with self._progress.task(f"comparing {dataset}", bytes=0, files=0) as task:
                manifest = working_manifest(self._repo, dataset, base, task)
            version = manifest.version
        else:
            pointer = self._statuses[dataset].pointer
            assert isinstance(pointer, Pointer)
            version = pointer.version
            known = self._recorded.get((path, format_version(version)))
            if known is not None:
                return Artifact(path, known.version, dataset, known.dataset_version)
            if target.part:
                manifest = open_manifest(self._repo, version, dataset)
        if not target.part:
            return Artifact(dataset, format_version(version))
        try:
            part = part_version(manifest, target.part, path)
        except ObjectNotFoundError as exc:
            raise missing_version(self._repo, version, dataset) from exc
        return Artifact(path, part, dataset, format_version(version))

    def _file(self, path: str, kind: str) -> Artifact:
        return Artifact(path, _blob_version(self._repo, path), kind=kind)


_WRONG = {
    State.POINTER_CHANGED: "its data is not at the version that its pointer names",
    State.INTERRUPTED: "its last checkout was interrupted",
    State.NOT_CHECKED_OUT: "its data is not here",
}


def part_version(manifest: Manifest, part: bytes, path: str) -> str:
    """Return the version that a part of a dataset would have as a dataset of its own; `path` names it in errors."""
    found = False

    def entries() -> Iterator[Entry]:
        nonlocal found
        for entry in manifest.entries(part):
            found = True
            if entry.path == part and isinstance(entry, LinkEntry):
                raise PathError(path, "is a symbolic link", hint="name what it points to, or the folder it lies in")
            if entry.path != part:
                yield replace(entry, path=entry.path[len(part) + 1 :])
            elif not isinstance(entry, DirectoryEntry):
                yield replace(entry, path=b"")

    version = build_manifest(entries(), lambda _identity, _encoded: None).version
    if not found:
        raise PathError(path, "is not in the dataset that it lies in", hint=f"dver ls {typed(os.path.dirname(path))}")
    return format_version(version)


def _blob_version(repo: Repo, path: str) -> str:
    try:
        mode = os.lstat(repo.root / path).st_mode
    except OSError as exc:
        raise PathError(path, "is tracked by git, but is not here", hint=f"git restore {path}") from exc
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "no file"
        raise PathError(path, f"is {what}", hint="name a file, a dataset, or a path in one")
    try:
        return BLOB_PREFIX + repo.git.store_blob(path)
    except GitError as exc:
        raise PathError(path, "cannot be read") from exc


def _changes_within(changes: Changes, part: str) -> bool:
    wanted = encode_path(part)
    return any(is_within(encode_path(path), wanted) for path in (*changes.added, *changes.modified, *changes.deleted))


def _is_only_deleted(changes: Changes, part: str) -> bool:
    """Whether all that changed of a part is that files of it are gone."""
    return not _changes_within(replace(changes, deleted=()), part)
