"""What an audit of a store says: findings, each about one thing in the store, and what was looked at for them.

A finding is damage. What is merely worth knowing, such as a pack that a killed writer left behind and nothing needs, is
a note. Which datasets and commits a finding touches is not known here: it names versions and objects, and the operation
on top knows what these are to people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from dver.objects.ids import IndexId, PackId, VersionId


class Depth(IntEnum):
    """How closely packs are looked at."""

    STRUCTURE = 0
    """Sizes, and the lists at the ends of packs."""

    RECORDS = 1
    """All bytes, against the XXH3 of each record."""

    CONTENT = 2
    """All bytes, against the XXH3 and the BLAKE3 of each record."""


class Thing(StrEnum):
    """What a finding is about."""

    DESCRIPTION = "description"
    KEY = "key"
    PACK = "pack"
    INDEX = "index"
    MARKER = "marker"
    VERSION = "version"
    REPOSITORY = "repository"
    GARBAGE = "garbage"


class Problem(StrEnum):
    """What is wrong with it."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNLISTED = "unlisted"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a store.

    Attributes:
        key: of the blob that is damaged or missing; of a version's marker for an incomplete version.
        detail: what is wrong, for people.
        pack: the pack that it is about.
        version: the version that it is about.
        lost: how many objects are in no other place of the store because of it.
        packs: packs that no index file lists any more, where that is what it is about.
    """

    thing: Thing
    problem: Problem
    key: str
    detail: str
    pack: PackId | None = None
    version: VersionId | None = None
    lost: int = 0
    packs: frozenset[PackId] = frozenset()


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was looked at.

    Attributes:
        packs: how many packs there are.
        read: how many of them were read in this run, as deep as was asked for.
        remembered: how many were read before, and lately enough.
        bytes: how many bytes of packs were read.
        objects: how many chunks and nodes the packs hold, copies of one included.
        nodes: how many manifest nodes were read.
        indexes: how many sound index files there are.
        versions: how many versions are marked.
    """

    packs: int = 0
    read: int = 0
    remembered: int = 0
    bytes: int = 0
    objects: int = 0
    nodes: int = 0
    indexes: int = 0
    versions: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a store.

    Attributes:
        findings: what is wrong, in the order of things.
        notes: what is worth knowing and no damage, for people.
        marked: versions that have a marker, those left out that were not asked about.
        incomplete: versions that are marked, and of which something is nowhere in the store.
        damaged_packs: packs that are to be set aside.
        damaged_indexes: index files that are to be made anew, by their keys.
        damaged_markers: versions whose marker says nothing or something wrong.
        unlisted_packs: packs that are sound, with their sizes, and that no index file lists.
        listings: which packs each sound index file lists.
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Counts = Counts()
    marked: frozenset[VersionId] = frozenset()
    incomplete: tuple[VersionId, ...] = ()
    damaged_packs: frozenset[PackId] = frozenset()
    damaged_indexes: frozenset[str] = frozenset()
    damaged_markers: frozenset[VersionId] = frozenset()
    unlisted_packs: Mapping[PackId, int] = field(default_factory=dict)
    listings: Mapping[IndexId, frozenset[PackId]] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings
