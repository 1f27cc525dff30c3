"""Looking into a store without its index."""

from dver.objects.ids import ObjectId, PackId
from dver.storage.packs import read_pack_entries
from dver.storage.store import Store
from tests.clones import Clone


def list_objects(store: Store) -> set[ObjectId]:
    """Return all objects of a store that its packs list."""
    found: set[ObjectId] = set()
    for info in store.backend.list("packs/"):
        name = PackId(bytes.fromhex(info.key.rpartition("/")[2].removesuffix(".pack")))
        found.update(entry.id for entry in read_pack_entries(store.backend, name, info.size))
    return found


def objects_in_cache(clone: Clone) -> int:
    with clone.open() as repo:
        return len(list_objects(repo.cache))


def check_all_objects(clone: Clone) -> None:
    """Read every object of a cache, and check it against its id."""
    with clone.open() as repo:
        for span in repo.cache.plan(sorted(list_objects(repo.cache))):
            for record in repo.cache.read_span(span):
                record.verified("the cache")
