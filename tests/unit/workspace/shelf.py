"""A store that tests fill from a folder, and write out again to another."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dver.objects.builder import build_manifest
from dver.objects.chunker import Chunker
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry
from dver.objects.manifest import Manifest
from dver.progress import NO_TASK
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from dver.workers import Workers
from dver.workspace.assemble import Assembler
from dver.workspace.folders import Folders
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingested, Ingester
from dver.workspace.walk import walk_dataset


@dataclass(frozen=True, slots=True)
class Shelf:
    """A store with what is needed to fill it and to read from it."""

    store: Store
    workers: Workers
    chunker: Chunker
    scratch: Path

    def ingest(self, folder: Path) -> list[Ingested]:
        """Store all that is in a folder and return what came of it."""
        root = os.fsencode(folder)
        with StoreWriter(self.store) as writer:
            ingester = Ingester(root, writer, self.chunker, self.workers, NO_TASK)
            results = list(ingester.run(walk_dataset(root, IgnoreRules())))
            writer.flush()
        return results

    def store_folder(self, folder: Path) -> Manifest:
        """Store all that is in a folder as a version and return its manifest."""
        entries = [ingested.entry for ingested in self.ingest(folder)]
        return self.store_entries(entries)

    def store_entries(self, entries: Sequence[Entry]) -> Manifest:
        """Store a manifest of these entries and return it."""
        with StoreWriter(self.store) as writer:
            summary = build_manifest(entries, writer.put_node)
            writer.flush()
        return self.store.manifest(summary.version)

    def assembler(self, folder: Path, *, verify: bool = False) -> Assembler:
        """Return what writes files below a folder."""
        folders = Folders(os.fsencode(folder.parent), os.fsencode(folder.name))
        return Assembler(folders, self.store, self.scratch, self.workers, verify=verify, task=NO_TASK)

    def write_out(self, manifest: Manifest, folder: Path, *, verify: bool = False) -> None:
        """Write all of a version to a folder."""
        assembler = self.assembler(folder, verify=verify)
        entries = list(manifest.entries())
        for _ in assembler.write((entry for entry in entries if isinstance(entry, FileEntry)), manifest):
            pass
        for entry in entries:
            if isinstance(entry, LinkEntry):
                assembler.write_link(entry.path, entry.target)
            elif isinstance(entry, DirectoryEntry):
                assembler.make_directory(entry.path)
