"""Which versions fsck is to look at, where it is given paths."""

from collections.abc import Sequence

from dver.errors import DverError, PathError
from dver.objects.ids import VersionId
from dver.operations.datasets import Target, decode_path, select
from dver.operations.fsck_names import Names
from dver.repo import Repo


def versions_at(repo: Repo, names: Names, paths: Sequence[str]) -> frozenset[VersionId]:
    """Return the versions of the datasets that paths mean.

    Raises:
        PathError: there is no dataset, or a path is in none of its versions.
    """
    targets = select(names.datasets(), paths)
    for target in targets:
        if target.part and not _is_known(repo, names, target):
            path = f"{target.dataset}/{decode_path(target.part)}"
            raise PathError(path, f"no version of {target.dataset} has it", hint="dver ls -R DATASET lists its files")
    chosen = {target.dataset for target in targets}
    return frozenset(version for version, datasets in names.versions.items() if not chosen.isdisjoint(datasets))


def _is_known(repo: Repo, names: Names, target: Target) -> bool:
    """Whether a path is in a version of its dataset, or may be in one of which the manifest is not here."""
    for version in (version for version, datasets in names.versions.items() if target.dataset in datasets):
        try:
            manifest = repo.cache.manifest(version)
            if next(manifest.entries(target.part), None) is not None:
                return True
        except DverError:
            return True
    return False
