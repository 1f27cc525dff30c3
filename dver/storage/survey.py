"""What lies in a store, by the fewest requests: its description, markers, index files and packs, and their sizes.

Nothing is read but index files that are new to the local copy. A bucket with fewer than a thousand blobs shows all of
them in one request. Elsewhere markers are asked for or listed, then index files are listed, then packs: writers go the
other way, so whatever a marker needs was there before the packs were listed.

To list the packs of a large store takes a request for each thousand of them. Whoever knows a cheaper way to look at
those that matter may say so: then the survey has no packs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dver.objects.ids import PackId, VersionId
from dver.storage.backend import BlobInfo, glance
from dver.storage.condemned import GcFolder, folder_among
from dver.storage.description import DESCRIPTION_KEY, description_size
from dver.storage.markers import markers_among
from dver.storage.packs import list_packs, packs_among
from dver.storage.store import Store

# What one request lists.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Survey:
    """What lies in a store.

    Attributes:
        description: the size of the store's description in bytes, None if it has none.
        markers: those of the versions that were asked for, with their sizes in bytes.
        packs: all that are there, with their sizes in bytes; None if they were not listed.
        going: what garbage collections left word of; None where that was not listed.
    """

    description: int | None
    markers: Mapping[VersionId, int]
    packs: Mapping[PackId, int] | None
    going: GcFolder | None = None


def survey(
    store: Store, versions: Sequence[VersionId], is_worth_listing: Callable[[int], bool] = lambda _packs: True
) -> Survey:
    """Look at what lies in a store, and bring its local index copy up to date.

    `is_worth_listing` is given the number of packs, and says whether to list them where that takes requests of its own.
    """
    found: list[Survey] = []

    def look() -> Iterable[BlobInfo]:
        few = not store.backend.is_local and store.index.pack_count() < PAGE
        blobs = glance(store.backend) if few else None
        if blobs is None:
            markers = store.marker_sizes(versions)
            found.append(Survey(description_size(store.backend, store.name), markers, None))
            return store.backend.list("index/")
        described = next((info.size for info in blobs if info.key == DESCRIPTION_KEY), None)
        found.append(Survey(described, markers_among(blobs), packs_among(blobs), folder_among(blobs)))
        return blobs

    store.index.refresh(look)
    (seen,) = found
    if seen.packs is None and (store.backend.is_local or is_worth_listing(store.index.pack_count())):
        return Survey(seen.description, seen.markers, list_packs(store.backend))
    return seen
