"""What a checkout has besides the store: working files that have what is to be written, whole or for the most part.

A file that was moved or copied in the new version is in the work tree already, under another path. Where files can
share blocks, its content is kept in dver's own folder before anything is deleted or overwritten, which takes no space,
since blocks are shared there too. A large file that changes in places has most of its new content itself.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dver.config import Link
from dver.errors import NotFoundError, PathError
from dver.objects.diff import diff_manifests
from dver.objects.entry import Entry, FileEntry
from dver.objects.manifest import Manifest
from dver.operations.checkout_plan import DatasetPlan
from dver.operations.datasets import encode_path
from dver.operations.reading import open_manifest
from dver.repo import Repo
from dver.workspace.assemble import LARGE_FILE
from dver.workspace.reflink import Cloner, Content, content_of, is_worth_sharing, why_not_shared

# Looking at an entry of a manifest takes about a tenth of the time in which so many bytes are written.
_BYTES_PER_ENTRY = 32 * 1024


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the files of a dataset come from, besides the store.

    Attributes:
        cloner: what shares blocks between files of the same content, where that is possible.
        earlier: the manifest of the files that are replaced, where these may have much of the new content.
    """

    cloner: Cloner | None
    earlier: Manifest | None


class Sharing:
    """What one checkout does about content that is in the work tree or is to be there more than once."""

    def __init__(self, repo: Repo, link: Link | None, scratch: Path, plans: Iterable[DatasetPlan]) -> None:
        """Find out whether blocks can be shared; `link` is None for what the settings say.

        Raises:
            PathError: they must be, and cannot.
        """
        self._repo = repo
        self._scratch = scratch
        chosen = repo.settings.checkout_link if link is None else link
        asked = chosen is Link.REFLINK or (chosen is Link.AUTO and any(map(_worthwhile, plans)))
        refusal = why_not_shared(scratch) if asked else None
        if refusal is not None and chosen is Link.REFLINK:
            raise PathError(
                str(repo.root),
                f"files cannot share blocks on this file system: {refusal.strerror}",
                hint="dver checkout --link auto writes them out where they cannot; checkout.link is the setting",
            )
        self._possible = asked and refusal is None
        # Where only time counts, waiting for a new file to reach the disk takes longer than writing it again.
        self._among_new = chosen is Link.REFLINK

    def sources(self, plan: DatasetPlan, *, work_tree: bool) -> Sources:
        """Return what there is for a dataset; the working files are as they were when the plan was made."""
        old = self._old(plan) if work_tree else None
        return Sources(self._cloner(plan, from_work_tree=work_tree), old)

    def _old(self, plan: DatasetPlan) -> Manifest | None:
        """Return the manifest of what was here, if a file is to be written that may have most of its content."""
        base = self._repo.stat_cache.base(plan.dataset)
        if base is None or plan.writes.largest < LARGE_FILE:
            return None
        with suppress(NotFoundError):
            return open_manifest(self._repo, base.version, plan.dataset)
        return None

    def _cloner(self, plan: DatasetPlan, *, from_work_tree: bool) -> Cloner | None:
        if not self._possible:
            return None
        wanted = _worthwhile(plan)
        cloner = Cloner(self._scratch, among_new=self._among_new)
        if wanted and from_work_tree:
            # Without the manifest of what is here, everything is written.
            with suppress(NotFoundError):
                self._keep(cloner, plan, wanted)
        return cloner

    def _keep(self, cloner: Cloner, plan: DatasetPlan, wanted: dict[Content, int]) -> None:
        base = self._repo.stat_cache.base(plan.dataset)
        if base is None:
            return
        old = open_manifest(self._repo, base.version, plan.dataset)
        root = encode_path(str(self._repo.root / plan.dataset))
        for entry in _entries_here(old, plan.manifest, sum(wanted.values())):
            if not isinstance(entry, FileEntry) or content_of(entry) not in wanted:
                continue
            row = self._repo.stat_cache.row(plan.dataset, entry.path)
            if row is not None and cloner.keep(content_of(entry), b"/".join(filter(None, (root, entry.path))), row):
                del wanted[content_of(entry)]
                if not wanted:
                    return


def _worthwhile(plan: DatasetPlan) -> dict[Content, int]:
    """Return what a plan writes that could be shared, by content, with the size of each."""
    if not is_worth_sharing(plan.writes.largest):
        return {}
    return {content_of(entry): entry.size for entry in plan.writes.file_entries() if is_worth_sharing(entry.size)}


def _entries_here(old: Manifest, new: Manifest, wanted_bytes: int) -> Iterator[Entry]:
    """Yield the entries of the working files: all, or where that would take long, those that changed."""
    if old.totals()[0] * _BYTES_PER_ENTRY <= wanted_bytes:
        yield from old.entries()
    else:
        yield from (change.old for change in diff_manifests(old, new) if change.old is not None)
