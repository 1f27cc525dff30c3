"""The scratch tree in which a recorded command is run again: what the run saw, from what is stored of it.

Files that git tracks are those of the recorded commit, except for those that the record names, which are as recorded.
Of data there is what the record names, and nothing else. Files of parameters have the recorded values. What cannot be
exactly as it was is said. The real working tree is only read, and nothing is written through a link that leads out of
the scratch tree.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from dver.errors import DverError, PathError
from dver.git.borrowing import borrow
from dver.objects.entry import DirectoryEntry, FileEntry, LinkEntry
from dver.operations.addable import check_parents
from dver.operations.datasets import encode_path
from dver.operations.param_files import read_param_file
from dver.operations.reading import lazy_manifest, missing_version, stores_to_read
from dver.operations.run_params import ParamSource, read_params
from dver.operations.run_secrets import mask
from dver.operations.staleness import declared_outputs, param_sources
from dver.operations.verify_stores import is_data, is_here, is_loose, version_of
from dver.progress import Progress
from dver.records.record import BLOB_PREFIX, Artifact, Record, Scalar, scalar_text
from dver.repo import Repo
from dver.workspace.assemble import Assembler, translated
from dver.workspace.deletion import dataset_folders

_MOST_VERSIONS = 200


class Kind(StrEnum):
    """What of a scratch tree is not surely as it was."""

    DIRTY = "dirty"
    COMMIT = "commit"
    PARAMS = "params"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Approximation:
    """One thing that is not surely as it was.

    Attributes:
        name: the commit that the files are of, or the file that it is about; "" for no commit.
        source: the commit that a file of parameters was taken from; "" for the working tree.
    """

    kind: Kind
    name: str = ""
    source: str = ""


def lay_out(repo: Repo, record: Record, root: Path, temporary: Path, progress: Progress) -> list[Approximation]:
    """Fill an empty folder with what a run saw; `temporary` is another one on the same file system.

    Raises:
        DverError: something that the run needs cannot be had.
    """
    with translated(os.fsencode(root)):
        approximations = _check_out_commit(repo, record, root)
        # A dataset before its parts.
        for artifact in sorted(record.inputs, key=lambda one: one.path):
            _check_place(root, artifact)
            _write_input(repo, artifact, root, temporary, progress)
        approximations += _settle_params(repo, record, root)
        for artifact in declared_outputs(record):
            check_parents(root, artifact.path)
            _make_room(root / artifact.path)
        inside = f"{record.folder}/inside".lstrip("/")
        check_parents(root, inside)
        (root / record.folder).mkdir(parents=True, exist_ok=True)
    return approximations


def _check_place(root: Path, artifact: Artifact) -> None:
    """Raise PathError if a link leads away from where an input is written."""
    check_parents(root, artifact.path)
    if artifact.dataset not in ("", artifact.path):
        # Data is written below the dataset, whatever the path says.
        check_parents(root, f"{artifact.dataset}/inside")


def _write_input(repo: Repo, artifact: Artifact, root: Path, temporary: Path, progress: Progress) -> None:
    path = root / artifact.path
    # A version of git's does not say whether a file can be executed, but the commit's file does, or the one here.
    is_executable = any(place.is_file() and os.access(place, os.X_OK) for place in (path, repo.root / artifact.path))
    _make_room(path)
    if is_loose(artifact):
        _copy_loose(repo, artifact, root, progress)
    elif is_data(artifact):
        _write_data(repo, artifact, root, temporary, progress)
    else:
        path.write_bytes(repo.git.read_blob(artifact.version.removeprefix(BLOB_PREFIX)))
        path.chmod(0o755 if is_executable else 0o644)


def _check_out_commit(repo: Repo, record: Record, root: Path) -> list[Approximation]:
    commit = repo.git.find_commit(record.commit)
    if commit is not None:
        borrow(repo.git, root, commit)
        return [Approximation(Kind.DIRTY, commit)] if record.dirty else []
    head = repo.git.head_commit()
    borrow(repo.git, root, head)
    # Before the first commit, what git tracked is known only as far as the record names it.
    return [Approximation(Kind.COMMIT, head or "")] if record.commit or record.dirty else []


def _copy_loose(repo: Repo, artifact: Artifact, root: Path, progress: Progress) -> None:
    """Copy what neither dver nor git has from the working tree, provided that it is what it was."""
    source, target = repo.root / artifact.path, root / artifact.path
    if not is_here(repo, artifact, progress):
        raise PathError(artifact.path, "neither dver nor git had it, and it is not here any more as it was")
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy(source, target)


def _write_data(repo: Repo, artifact: Artifact, root: Path, temporary: Path, progress: Progress) -> None:
    version, dataset = version_of(artifact), artifact.dataset or artifact.path
    store = next((one for one in stores_to_read(repo) if one.has_version(version)), None)
    if store is None:
        raise missing_version(repo, version, dataset)
    manifest = lazy_manifest(repo, version, dataset)
    part = encode_path(artifact.path[len(dataset) + 1 :])
    with progress.task(f"checking out {dataset}", bytes=0, files=0) as task:
        workers, is_local = repo.workers_for(store.backend), store.backend.is_local
        assembler = Assembler(dataset_folders(root, dataset), store, temporary, workers, verify=not is_local, task=task)
        if manifest.get(b"") is None:
            (root / dataset).mkdir(exist_ok=True)
        files = (entry for entry in manifest.entries(part) if isinstance(entry, FileEntry))
        for _ in assembler.write(files, manifest):
            pass
        for entry in manifest.entries(part):
            if isinstance(entry, LinkEntry):
                assembler.write_link(entry.path, entry.target)
            elif isinstance(entry, DirectoryEntry):
                assembler.make_directory(entry.path)


def _settle_params(repo: Repo, record: Record, root: Path) -> list[Approximation]:
    """See to it that the files of parameters have the recorded values; return which came from elsewhere."""
    files: dict[str, list[ParamSource]] = {}
    for source in param_sources(record):
        if source.file:
            files.setdefault(source.file, []).append(source)
    fixed = {artifact.path for artifact in record.inputs}
    found = []
    for file, sources in files.items():
        # A record is anybody's work.
        repo.relative(file, repo.root)
        check_parents(root, file)
        wanted = {f"{file}:{source.key}": record.params[f"{file}:{source.key}"] for source in sources}
        if _has_values(root, sources, wanted):
            continue
        origin = None if file in fixed else _find_file(repo, root, sources, wanted)
        if origin is None:
            names = ", ".join(f"{source.key} = {scalar_text(wanted[f'{file}:{source.key}'])}" for source in sources)
            raise PathError(file, f"no version of it at hand has {names}", hint="git log may know where it went")
        found.append(Approximation(Kind.PARAMS, file, origin))
    return found


def _find_file(repo: Repo, root: Path, sources: Sequence[ParamSource], wanted: Mapping[str, Scalar]) -> str | None:
    """Put a version of a file in place that has the values; return its commit, "" for none, or None if none has."""
    file = sources[0].file
    assert file is not None
    for content, commit in _versions(repo, file):
        _make_room(root / file)
        (root / file).write_bytes(content)
        if _has_values(root, sources, wanted):
            return commit
    return None


def _versions(repo: Repo, file: str) -> Iterator[tuple[bytes, str]]:
    """Yield the contents that a file has here and had in the latest commits that changed it, with these."""
    # What is there may be no file, or lead elsewhere; the file that the run had is in the history then.
    here = None
    with suppress(FileNotFoundError, PathError):
        here = read_param_file(repo.root, file)
    if here is not None:
        yield here, ""
    head = repo.git.head_commit()
    for item in islice(repo.git.history(file, start=head), _MOST_VERSIONS) if head else ():
        if item.blob is not None:
            yield item.blob, item.commit


def _has_values(root: Path, sources: Sequence[ParamSource], wanted: Mapping[str, Scalar]) -> bool:
    try:
        found = mask((), read_params(root, sources), {}).params
    except DverError:
        return False
    return {name: (type(value), value) for name, value in found.items()} == {
        name: (type(value), value) for name, value in wanted.items()
    }


def _make_room(path: Path) -> None:
    """Remove what is at a path of the scratch tree, and make the folders above it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        # Where a file is in the place of a folder, making that says so.
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
