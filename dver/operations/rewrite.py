"""Giving a dataset a new version made from its manifest alone, without reading or fetching data."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from dver.errors import PathError
from dver.objects.entry import Entry
from dver.objects.manifest import Manifest, build_manifest
from dver.objects.pointer import Pointer, pointer_path
from dver.operations.datasets import Target, decode_path, typed
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
        PathError: the part is not in it, or data, pointer and cache are not in step.
    """
    dataset, part = target.dataset, target.part
    pointer = pointer_of(repo, dataset)
    base = repo.stat_cache.base(dataset)
    if base is not None and base.version != pointer.version:
        hint = f"dver checkout {typed(dataset)}"
        raise PathError(dataset, "its data is at another version than its pointer", hint=hint)
    if not repo.cache.has_version(pointer.version):
        raise PathError(dataset, "its version is not wholly in the cache", hint=f"dver fetch {typed(dataset)}")
    manifest = repo.cache.manifest(pointer.version)
    if next(manifest.entries(part), None) is None:
        raise PathError(
            f"{dataset}/{decode_path(part)}", f"is not in the dataset {dataset}", hint=f"dver add {typed(dataset)}"
        )
    return manifest


def rewrite(
    repo: Repo,
    dataset: str,
    entries: Iterable[Entry],
    *,
    rows: Callable[[dict[bytes, Row]], dict[bytes, Row]],
    removed: Iterable[bytes],
) -> None:
    """Store the version with these entries, write and stage the pointer, and carry the stat cache over.

    `rows` gets the rows of the old base and returns those to change; the rows of `removed` paths go.
    """
    pointer = pointer_of(repo, dataset)
    with StoreWriter(repo.cache) as writer:
        summary = build_manifest(entries, writer.put_node)
        writer.flush()
    repo.cache.mark_version(summary.version, files=summary.files, size=summary.size)
    write_pointer(repo.root, dataset, replace(pointer, version=summary.version, size=summary.size, files=summary.files))
    base = repo.stat_cache.base(dataset)
    if base is not None:
        changed = rows(repo.stat_cache.rows(dataset))
        repo.stat_cache.rebase(
            dataset, replace(base, version=summary.version), changed, removed=removed, keep_rows=True
        )
    repo.git.stage([pointer_path(dataset)])
