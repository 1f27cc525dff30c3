"""Which objects versions need: their manifests' nodes, and the chunks that these name.

Nodes that versions have in common are read once. Of a version that is marked in a store all nodes must be there: if one
is missing or damaged, nobody can say what is needed, so that is an error. Of any other version only that is looked at
which is there: a cache may hold parts, or nothing, of a version.
"""

from collections.abc import Iterable, Sequence

from dver.database import batches
from dver.errors import DverError, FormatError, IntegrityError, ObjectNotFoundError, UnsupportedFormatError
from dver.objects.ids import Bytes, NodeId, VersionId, format_version
from dver.objects.references import References, node_references
from dver.progress import NO_TASK, Task
from dver.storage.objectset import ObjectSet
from dver.storage.store import Store

_BATCH = 256


def live_objects(
    store: Store, versions: Iterable[VersionId], *, nearer: Store | None = None, task: Task = NO_TASK
) -> ObjectSet:
    """Return the ids of all nodes and chunks in a store that versions need; the caller closes the set.

    Chunks are taken from what nodes name: whether they are there is not asked.

    Args:
        nearer: a store from which nodes are read where it has them, such as the cache for a remote.
        task: told of each version that is done, as a file.

    Raises:
        ObjectNotFoundError: a node of a version that is marked in the store is missing there.
        IntegrityError: a node that is there is damaged.
    """
    # What this copy of the index does not know would be taken for absent.
    for one in (store, nearer):
        if one is not None:
            one.index.ensure_fresh()
    marked = store.versions()
    found = ObjectSet()
    try:
        walk = LiveWalk(store, found, nearer=nearer)
        # Marked versions first: they must be whole, and what is missing of others is then surely not theirs.
        for version in sorted(set(versions), key=lambda one: (one not in marked, one)):
            walk.add(version, whole=version in marked)
            task.advance(files=1)
    except BaseException:
        found.close()
        raise
    return found


class LiveWalk:
    """Adds what versions need to a set, one version after the other."""

    def __init__(self, store: Store, found: ObjectSet, *, nearer: Store | None = None) -> None:
        self._store = store
        self._nearer = nearer
        self._found = found
        self._seen: set[NodeId] = set()

    def add(self, version: VersionId, *, whole: bool) -> None:
        """Add the objects of a version; with `whole` a missing node is an error."""
        self._add([NodeId(version)], version, whole=whole)

    def add_trees(self, nodes: Sequence[NodeId]) -> None:
        """Add some nodes and all below them, as far as it is there."""
        for batch in batches(nodes, _BATCH):
            self._add(batch, VersionId(batch[0]), whole=False)

    def _add(self, nodes: Sequence[NodeId], version: VersionId, *, whole: bool) -> None:
        pending = [*nodes]
        while pending:
            batch = [node for node in dict.fromkeys(pending[-_BATCH:]) if node not in self._seen]
            del pending[-_BATCH:]
            here = self._here(batch, version, whole=whole)
            for node, encoded in zip(here, self._load(here, version), strict=True):
                references = self._references(encoded, version)
                self._found.update([node, *references.nodes, *references.chunks])
                pending.extend(references.nodes)
            self._seen.update(here)

    def _here(self, nodes: Sequence[NodeId], version: VersionId, *, whole: bool) -> list[NodeId]:
        located = self._store.index.located(nodes)
        if whole and len(located) < len(nodes):
            lost = next(node for node in nodes if node not in located)
            raise ObjectNotFoundError(lost, self._where(version), hint=_hint(self._store))
        return [node for node in nodes if node in located]

    def _load(self, nodes: Sequence[NodeId], version: VersionId) -> Sequence[Bytes]:
        near: dict[NodeId, Bytes] = {}
        if self._nearer is not None:
            held = self._nearer.index.located(nodes)
            ids = [node for node in nodes if node in held]
            near = dict(zip(ids, self._nearer.load_nodes(ids), strict=True))
        far = [node for node in nodes if node not in near]
        try:
            near.update(zip(far, self._store.load_nodes(far), strict=True))
        except UnsupportedFormatError:
            raise
        except (IntegrityError, FormatError) as exc:
            raise IntegrityError(exc.where, exc.reason, hint=_hint(self._store)) from exc
        except ObjectNotFoundError as exc:
            raise ObjectNotFoundError(exc.object_id, self._where(version), hint=_hint(self._store)) from exc
        return [near[node] for node in nodes]

    def _references(self, encoded: Bytes, version: VersionId) -> References:
        return node_references(encoded, self._where(version))

    def _where(self, version: VersionId) -> str:
        return f"{self._store.name}, which version {format_version(version)[:15]}… needs"


def _hint(store: Store) -> str:
    return f"dver fsck says what {store.name} lacks, and dver fsck --repair mends it; nothing was deleted"


def totals_of_garbage(store: Store, version: VersionId) -> tuple[int | None, int | None]:
    """Return the number of files and bytes of a version that is to go, None where its manifest cannot be read."""
    try:
        return store.manifest(version).totals()
    except DverError:
        # What goes need not be sound.
        return None, None
