"""The sizes of chunks that a store gets when the first version is brought to it.

Chunks of two sizes share nothing. So a store that is to hold what another has takes over its sizes, and the settings
decide only where there is none yet.
"""

from dver.objects.chunker import ChunkerParams
from dver.repo import Repo
from dver.storage.store import Store


def params_of(repo: Repo, store: Store) -> ChunkerParams:
    """Return the chunk sizes of a store, or those of the settings where there is no store yet."""
    return store.read_params() or repo.chunker.params


def prepare_cache(repo: Repo) -> None:
    """Make the cache if there is none, with the chunk sizes of the default remote where that has some."""
    if repo.cache.read_params() is None:
        repo.cache.prepare(params_of(repo, repo.remote()) if repo.has_remote else repo.chunker.params)
