"""Lint: whether what git has of dver is whole, and has none of the data.

Staged content is looked at, because it is what a commit will hold. Every finding is returned, not only the first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby

from dver.config import COMMITTED_FILE, LOCAL_FILE, committed_problems
from dver.errors import BackendError, DverError, FormatError, first_of
from dver.git import GitRepo
from dver.objects.ids import ObjectId, VersionId
from dver.objects.pointer import CONFLICT_HINT, SUFFIX, checked_dataset_path, dataset_path, decode_pointer, pointer_path
from dver.operations.datasets import typed
from dver.operations.reading import missing_version
from dver.operations.status import present_versions
from dver.operations.wanted import Wanted, can_complete
from dver.records.record import LINE_ENDS, read_fields
from dver.repo import LINEAGE_FILE, Repo
from dver.storage.store import Store
from dver.workspace.pointers import DVER_DIRECTORY

CONFIG = f"{DVER_DIRECTORY}/{COMMITTED_FILE}"

_SECRETS = f"{DVER_DIRECTORY}/{LOCAL_FILE}"
_PRIVATE = (_SECRETS, *(f"{DVER_DIRECTORY}/{name}" for name in ("cache/", "state.db", "lineage.db", "tmp/")))
_MARKS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_NAMED = 5
_UNASKED = "what is new is in the cache; the rest was on the remote when it was last asked, and now it does not answer"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong in git.

    Attributes:
        path: what it is about, "" for the repository.
        problem: what is wrong there.
        hint: what helps.
        is_note: whether it is only worth knowing, and nothing is wrong.
    """

    path: str
    problem: str
    hint: str | None
    is_note: bool = False


def lint(repo: Repo, files: Sequence[str] | None = None) -> list[Finding]:
    """Return what is wrong with the staged `files`, by default with all that git tracks, in the order of the paths.

    Remotes are asked only about versions that the cache lacks, the default one first.
    """
    named = None if files is None else frozenset(files)
    pointers = _staged_pointers(repo.git, named)
    versions, found = _read_pointers(repo.git, pointers)
    settings = list(_settings_findings(repo.git, named))
    found += settings
    found += _conflict_findings(repo.git, named)
    found += _lineage_findings(repo.git, named)
    found += _private_findings(repo.git, named)
    found += _data_findings(repo.git, [dataset_path(path) for path in pointers], named or ())
    # Without settings nobody knows where the cache is.
    if not settings:
        found += _version_findings(repo, versions)
    return sorted(found, key=lambda finding: finding.path)


def _staged_pointers(git: GitRepo, named: AbstractSet[str] | None) -> dict[str, str]:
    """Return the blobs of the pointers to look at, by path."""
    # Most commits change none, and the index may be long.
    if named is not None and not any(path.endswith(SUFFIX) for path in named):
        return {}
    staged = git.index_files(SUFFIX)
    return staged if named is None else {path: staged[path] for path in staged.keys() & named}


def _read_pointers(git: GitRepo, pointers: Mapping[str, str]) -> tuple[dict[str, VersionId], list[Finding]]:
    """Return the versions of datasets that staged pointers name, and what is wrong with those that name none."""
    versions: dict[str, VersionId] = {}
    found: list[Finding] = []
    for path, blob in pointers.items():
        try:
            versions[checked_dataset_path(path, path)] = decode_pointer(git.read_blob(blob), path).version
        except FormatError as exc:
            found.append(Finding(path, exc.reason, exc.hint))
    return versions, found


def _conflict_findings(git: GitRepo, named: AbstractSet[str] | None) -> Iterator[Finding]:
    for path in git.conflicts(SUFFIX):
        if named is None or path in named:
            yield Finding(path, "is in a merge conflict", CONFLICT_HINT)


def _settings_findings(git: GitRepo, named: AbstractSet[str] | None) -> Iterator[Finding]:
    for problem in committed_problems(_staged_content(git, CONFIG, named), CONFIG):
        yield Finding(CONFIG, problem.message.removeprefix(f"{CONFIG}: "), problem.hint)


def _lineage_findings(git: GitRepo, named: AbstractSet[str] | None) -> Iterator[Finding]:
    lines = list(enumerate(_staged_content(git, LINEAGE_FILE, named).split(b"\n"), start=1))
    head = git.head_commit() if named is not None and len(lines) > 1 else None
    # A commit adds some lines to very many, which were looked at when they were committed.
    known = frozenset((git.read(head, LINEAGE_FILE) or b"").split(b"\n") if head is not None else ())
    problems = ((number, "" if line in known else _line_problem(line)) for number, line in lines)
    for problem, run in groupby(problems, key=lambda pair: pair[1]):
        if problem:
            numbers = [number for number, _ in run]
            where = f"line {numbers[0]}" if len(numbers) == 1 else f"lines {numbers[0]} to {numbers[-1]}"
            yield Finding(LINEAGE_FILE, f"{where}: {problem}", f"edit the file, then git add {LINEAGE_FILE}")


def _line_problem(line: bytes) -> str:
    if line.startswith(_MARKS):
        return "a mark of an unfinished merge"
    if line.isspace() or not line:
        return ""
    try:
        read_fields(line.rstrip(LINE_ENDS), LINEAGE_FILE)
    except FormatError as exc:
        return exc.reason
    return ""


def _private_findings(git: GitRepo, named: AbstractSet[str] | None) -> Iterator[Finding]:
    tracked = {path for path in git.tracked_under(DVER_DIRECTORY) if path.startswith(_PRIVATE)}
    for path in sorted(tracked if named is None else tracked & named):
        if path == _SECRETS:
            hint = f"git rm --cached {typed(path)}; and change the secrets in it, if they were ever pushed"
            yield Finding(path, "git tracks it, and it may hold secrets", hint)
        else:
            yield Finding(path, "git tracks it, and it belongs to this clone alone", f"git rm --cached {typed(path)}")


def _data_findings(git: GitRepo, datasets: Iterable[str], named: Iterable[str]) -> Iterator[Finding]:
    """Find data that git tracks: below `datasets`, and those of the `named` files that lie in any dataset."""
    is_tracked = cache(git.is_tracked)
    tracked: dict[str, dict[str, None]] = defaultdict(dict)
    for dataset in datasets:
        tracked[dataset].update(dict.fromkeys(git.tracked_under(dataset)))
    for path in named:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            dataset = "/".join(parts[:length])
            if is_tracked(pointer_path(dataset)) and is_tracked(path):
                tracked[dataset][path] = None
    for dataset, paths in tracked.items():
        if paths:
            hint = f"git rm -r --cached {typed(dataset)}; the data stays here"
            yield Finding(dataset, _data_problem(sorted(paths)), hint)


def _data_problem(paths: Sequence[str]) -> str:
    return f"is a dataset, and git tracks its data too: {first_of(paths, _NAMED)}"


def _version_findings(repo: Repo, versions: Mapping[str, VersionId]) -> Iterator[Finding]:
    lacking = dict(versions)
    trouble: DverError | None = None
    silent: list[Callable[[], Store]] = []
    for opened in _stores(repo):
        if not lacking:
            return
        try:
            lacking = _lacking_in(repo, opened(), lacking)
        except DverError as exc:
            trouble = trouble or exc
            silent += [opened] if isinstance(exc, BackendError) else []
    for opened in silent:
        left = _unknown_to(repo, opened, lacking)
        for dataset in lacking.keys() - left.keys():
            yield Finding(pointer_path(dataset), _UNASKED, None, is_note=True)
        lacking = left
    if lacking and trouble is not None:
        names = ", ".join(sorted(lacking)[:_NAMED]) + (", …" if len(lacking) > _NAMED else "")
        yield Finding("", f"cannot tell whether the data of {names} is stored: {trouble.message}", trouble.hint)
        return
    for dataset, version in lacking.items():
        problem = missing_version(repo, version, dataset)
        yield Finding(pointer_path(dataset), f"names a version that is not in {problem.where}", problem.hint)


def _stores(repo: Repo) -> Iterator[Callable[[], Store]]:
    """Yield what opens the cache, the default remote, and all others, each only when it is called for."""
    yield lambda: repo.cache
    default = repo.settings.default_remote
    for name in sorted(repo.settings.remotes, key=lambda name: (name != default, name)):
        yield partial(repo.remote, name)


def _absent(store: Store, versions: Mapping[str, VersionId]) -> dict[str, VersionId]:
    present = present_versions(store, list(versions.values()))
    return {dataset: version for dataset, version in versions.items() if version not in present}


def _lacking_in(repo: Repo, store: Store, versions: Mapping[str, VersionId]) -> dict[str, VersionId]:
    """Return the versions that are not in a store; a remote is as good as one that has what the cache lacks of them."""
    absent = _absent(store, versions)
    return absent if store is repo.cache else _incomplete(repo, absent, store.present)


def _unknown_to(repo: Repo, opened: Callable[[], Store], versions: dict[str, VersionId]) -> dict[str, VersionId]:
    """Return the versions that a remote that does not answer could not complete, as far as it was seen before."""
    try:
        return _incomplete(repo, versions, opened().index.known)
    except DverError:
        return versions


def _incomplete(
    repo: Repo, versions: Mapping[str, VersionId], held: Callable[[Iterable[ObjectId]], AbstractSet[ObjectId]]
) -> dict[str, VersionId]:
    """Return the versions of which something is neither in the cache nor `held`, so that no push can complete them."""
    return {
        dataset: version
        for dataset, version in versions.items()
        if not can_complete(repo.cache, Wanted(version, dataset), held)
    }


def _staged_content(git: GitRepo, path: str, named: AbstractSet[str] | None) -> bytes:
    staged = git.staged_file(path) if named is None or path in named else None
    return b"" if staged is None else git.read_blob(staged.blob_id)
