"""Giving a dataset a new version made from its manifest alone, without reading or fetching data.

Of the manifest, only the nodes on the way to what changes are read, wherever they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from dver.errors import PathError
from dver.objects.edit import edit_manifest
from dver.objects.entry import Entry
from dver.objects.manifest import Manifest
from dver.objects.pointer import Pointer, pointer_path
from dver.operations.chunk_sizes import prepare_cache
from dver.operations.datasets import Target, decode_path, typed
from dver.operations.reading import open_manifest
from dver.repo import Repo
from dver.storage.writer import StoreWriter
from dver.workspace.pointers import read_pointer, write_pointer
from dver.workspace.statcache import Row


def pointer_of(repo: Repo, dataset: str) -> Pointer:
    """Return a dataset's pointer in the working tree; PathError if there is none."""
    pointer = read_pointer(repo.root, dataset)
    if pointer is None:
        raise PathError(pointer_path(dataset), "the pointer is missing")
    return pointer


def check_rewritable(repo: Repo, target: Target) -> Manifest:
    """Return the manifest of a dataset whose version may be rewritten around `target.part`.

    Raises:
        PathError: the part is not in it, or data and pointer are not in step.
        VersionNotFoundError: its manifest is neither in the cache nor on the default remote.
    """
    dataset, part = target.dataset, target.part
    pointer = pointer_of(repo, dataset)
    base = repo.stat_cache.base(dataset)
    if base is not None and base.version != pointer.version:
        hint = f"dver checkout {typed(dataset)}"
        raise PathError(dataset, "its data is at another version than its pointer", hint=hint)
    manifest = open_manifest(repo, pointer.version, dataset)
    if next(manifest.entries(part), None) is None:
        raise PathError(
            f"{dataset}/{decode_path(part)}", f"is not in the dataset {dataset}", hint=f"dver add {typed(dataset)}"
        )
    return manifest


def rewrite(
    repo: Repo,
    dataset: str,
    changes: Mapping[bytes, Entry | None],
    *,
    removed: Iterable[bytes],
    rows: Mapping[bytes, Row] = MappingProxyType({}),
) -> None:
    """Store the version with other entries at some paths, or none, and write and stage the pointer.

    Of the rows of the old base, those of `removed` paths go, and `rows` are changed.
    """
    pointer = pointer_of(repo, dataset)
    cache = repo.cache
    prepare_cache(repo)
    with StoreWriter(cache) as writer:
        summary = edit_manifest(open_manifest(repo, pointer.version, dataset), changes, writer.put_node)
        writer.flush()
    if cache.has_version(pointer.version):
        cache.mark_version(summary.version, files=summary.files, size=summary.size, dataset=dataset)
    write_pointer(repo.root, dataset, replace(pointer, version=summary.version, size=summary.size, files=summary.files))
    base = repo.stat_cache.base(dataset)
    if base is not None:
        repo.stat_cache.rebase(dataset, replace(base, version=summary.version), rows, removed=removed, keep_rows=True)
    repo.git.stage([pointer_path(dataset)])
