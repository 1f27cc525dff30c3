"""What a checkout brings from the default remote: the chunks that the cache lacks of what is to be written."""

from collections.abc import Sequence

from dver.errors import ObjectNotFoundError, VersionNotFoundError
from dver.objects.ids import ChunkId
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.chunk_sizes import params_of
from dver.operations.datasets import typed
from dver.operations.transfer import Transfer
from dver.operations.wanted import chunks_of, missing_chunks
from dver.progress import Progress
from dver.repo import Repo
from dver.storage.writer import StoreWriter


def fetch_missing(repo: Repo, dataset: DatasetPlan, missing: Sequence[ChunkId], progress: Progress) -> None:
    """Bring `missing` chunks and the manifest of a plan into the cache.

    Raises:
        VersionNotFoundError: the default remote lacks some of it, or there is none.
    """
    if not repo.has_remote:
        raise _not_here(repo, dataset)
    remote = repo.remote()
    repo.cache.prepare(params_of(repo, remote))
    with StoreWriter(repo.cache) as writer, progress.task(f"fetching {dataset.dataset}", bytes=0) as task:
        transfer = Transfer(remote, writer, repo.transfer_workers, into_cache=True, task=task)
        try:
            transfer.copy_chunks(missing)
            transfer.copy_nodes(dataset.manifest)
        except ObjectNotFoundError as exc:
            raise _not_here(repo, dataset) from exc
        transfer.flush()
    if not any(missing_chunks(repo.cache, chunks_of(dataset.manifest, dataset.manifest.entries()))):
        files, size = dataset.manifest.totals()
        repo.cache.mark_version(dataset.version, files=files, size=size, dataset=dataset.dataset)


def _not_here(repo: Repo, dataset: DatasetPlan) -> VersionNotFoundError:
    where = f"the cache and {repo.remote().name}" if repo.has_remote else "the cache, and no remote is set up"
    hint = (
        f"dver fetch -r REMOTE {typed(dataset.dataset)}, if another remote has it; or dver push where it was added"
        if repo.has_remote
        else f"dver remote add origin URL, then dver pull {typed(dataset.dataset)}"
    )
    return VersionNotFoundError(dataset.version, dataset.dataset, where, hint=hint)
