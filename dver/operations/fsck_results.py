"""What fsck is asked for, and what it says: damage in the words of datasets, commits and paths."""

from dataclasses import dataclass

from dver.git import CommitId
from dver.objects.ids import VersionId
from dver.storage.audit_findings import Counts, Depth
from dver.storage.repair import Mended

POINTER = "pointer"
LINEAGE = "lineage"
SHOWN_DIGITS = 7
"""How many digits of a commit are shown."""


@dataclass(frozen=True, slots=True)
class FsckOptions:
    """What to look at; see `dver.storage.audit.AuditOptions`. `repair` says to mend what is wrong.

    Attributes:
        sources: folders of stores and repositories where a repair looks too, absolute.
    """

    depth: Depth = Depth.RECORDS
    sample: float | None = None
    max_age: float | None = None
    repair: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What damage does to one version of a dataset.

    Attributes:
        dataset: its path, "" where no commit here names the version.
        version: None where a damaged pointer does not say it.
        paths: of files in it that cannot be had, some of them where there are very many; "" for a dataset of one file.
        files: how many files these are.
        unknown: whether more files may be among them, since a part of the manifest cannot be had either.
        commits: commits that name the version, some of them where there are very many.
        commit_count: how many there are.
        named_by: where no branch or tag leads to such a commit, what else names the version, such as "stash".
    """

    dataset: str
    version: VersionId | None
    paths: tuple[str, ...] = ()
    files: int = 0
    unknown: bool = False
    commits: tuple[CommitId, ...] = ()
    commit_count: int = 0
    named_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        thing: "description", "key", "pack", "index", "marker", "version", "repository", "garbage",
            "pointer" or "lineage".
        problem: "missing", "damaged", "unlisted" or "incomplete".
        name: of the blob in the store, or of the file in the repository.
        where: which state of the file; "" for a blob.
        lost: how many objects are nowhere in the store because of it.
        remedy: the command that puts it right, or what else helps.
        extent: what it touches, in words, where that is not a matter of some versions; "" else.
    """

    thing: str
    problem: str
    name: str
    where: str
    detail: str
    lost: int
    effects: tuple[Effect, ...]
    remedy: str
    extent: str = ""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Attributes:
        left: what could not be put right.
    """

    mended: Mended
    left: tuple[Damage, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FsckResult:
    """What was found.

    Attributes:
        store: what messages call the store.
        remote: the name of the remote, None for the cache.
    """

    store: str
    location: str
    remote: str | None
    depth: Depth
    damages: tuple[Damage, ...]
    notes: tuple[str, ...]
    counts: Counts
    repaired: Repaired | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, or nothing is any more."""
        return not (self.damages if self.repaired is None else self.repaired.left)
