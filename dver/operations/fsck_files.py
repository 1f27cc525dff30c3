"""Working files as a place where missing chunks may be had.

The files of datasets are cut as `dver add` cuts them, and whatever is wanted of that is taken. Nothing is believed of
them: a file that was changed gives other chunks, which nobody wants. What the files' manifests come to is offered too,
so that a manifest comes back whose files are all here as they were.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dver.errors import DverError
from dver.objects.builder import ManifestBuilder
from dver.objects.chunker import Chunker, ChunkerParams
from dver.progress import Task
from dver.storage.repair_sources import Sink
from dver.workers import Workers
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingester
from dver.workspace.walk import FileType, WalkItem, walk_dataset

NAME = "the working files"


class WorkingFiles:
    """The files of some datasets of a working tree."""

    def __init__(
        self, root: Path, datasets: Sequence[str], params: ChunkerParams, workers: Workers, task: Task
    ) -> None:
        self.name = NAME
        self._root = root
        self._datasets = datasets
        self._chunker = Chunker(params)
        self._workers = workers
        self._task = task
        self.trouble: list[DverError] = []

    def offer(self, sink: Sink) -> None:
        """Cut the files into chunks, and give these and the nodes over them to `sink`."""
        for dataset in self._datasets:
            try:
                self._offer_dataset(dataset, sink)
            except DverError as exc:
                # A file that changes while it is read, most of all; the other datasets may still help.
                self.trouble.append(exc)
            except (FileNotFoundError, NotADirectoryError):
                continue

    def _offer_dataset(self, dataset: str, sink: Sink) -> None:
        root = os.fsencode(self._root / dataset)
        ingester = Ingester(root, sink, self._chunker, self._workers, self._task)
        walked = walk_dataset(root, IgnoreRules.for_dataset(self._root, dataset))
        builder = ManifestBuilder(sink.put_node)
        for ingested in ingester.run(item for item in walked if _is_data(item)):
            builder.add(ingested.entry)
        builder.finish()


def _is_data(item: WalkItem) -> bool:
    return item.type is not FileType.OTHER
