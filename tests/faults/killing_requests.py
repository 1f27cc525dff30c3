"""Kill a command at each request that it makes to a bucket, and look at what it leaves there and here.

Run as a program of its own: `python -m tests.faults.killing_requests FOLDER SCENARIO`. For each request that changes
something there are two kills: before it is carried out, and after that, when no answer has come yet. For one that only
reads these are the same. What is checked is what `tests/faults/killing.py` checks after kills at the steps that a
command takes on a disk.
"""

import argparse
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import botocore.session
import s3fs
from botocore.loaders import JSONFileLoader

from dver.config import add_remote, set_value
from dver.objects.ids import chunk_id
from tests.clones import Clone, noise
from tests.faults.bucket import Bucket, running_bucket
from tests.faults.killing import Expected, Tally, Trial, copy, look, try_scenario
from tests.faults.scenarios import (
    Scenario,
    clean_remote,
    first_chunk,
    flip_record,
    pack_of,
    prepare_marking,
    prepare_push,
    prepare_remote_repair,
    prepare_sweeping,
    push_and_verify,
    repair_remote,
)
from tests.faults.steps import Step


def over(bucket: Bucket, prepare: Callable[[Path], None], folder: Path) -> None:
    """Prepare a scenario with a bucket for a remote."""

    def make(place: Path) -> Clone:
        clone = Clone.make(place / "repo")
        settings = clone.root / ".dver"
        add_remote(settings, "origin", bucket.url, local=False)
        for name, value in bucket.options.items():
            set_value(settings, f"remotes.origin.{name}", value, local=True)
        return clone

    with patch("tests.faults.scenarios.make", make):
        prepare(folder)


def prepare_fetch(folder: Path) -> None:
    """Leave a repository whose cache has a part of a version, and a remote that has all."""
    prepare_push(folder)
    clone = Clone(folder / "repo")
    clone.push()
    clone.checkout("v1")
    clone.git("reset", "--quiet", "--hard")
    clone.delete_cache()
    clone.fetch("data/same")


def damage(clone: Clone) -> None:
    """Damage a pack of the remote, and delete another."""
    with clone.open() as repo:
        store = repo.remote()
        flip_record(store, chunk_id(first_chunk(clone, noise(5000, 2))))
        store.backend.delete(pack_of(store, chunk_id(first_chunk(clone, noise(3000, 4)))))


def at_once(command: Callable[[Clone], object], clone: Clone) -> None:
    """Run a command that knows that nothing is on its way any more of what one that was killed had asked for."""
    with patch("dver.storage.lease._ECHO_SECONDS", 0):
        command(clone)


SCENARIOS = {
    "push": Scenario(prepare_push, Clone.push, reads=True),
    "push --verify": Scenario(prepare_push, push_and_verify, reads=True),
    "fetch": Scenario(prepare_fetch, Clone.fetch, reads=True),
    "gc --remote, marking": Scenario(prepare_marking, partial(at_once, clean_remote), reads=True),
    "gc --remote, sweeping": Scenario(prepare_sweeping, partial(at_once, clean_remote), reads=True, cleans=True),
    "fsck --remote --repair": Scenario(prepare_remote_repair, repair_remote, damage=damage, reads=True),
}


class BucketTrial(Trial):
    """One scenario over a bucket. Its steps are points at requests."""

    def __init__(self, scenario: Scenario, folder: Path, tally: Tally, bucket: Bucket) -> None:
        over_bucket = replace(scenario, prepare=partial(over, bucket, scenario.prepare))
        super().__init__(over_bucket, folder, 0, tally)
        self.bucket = bucket
        self._blobs = folder / "blobs.pickle"

    def prepare(self) -> Expected:
        """Make the repository and what is in the bucket, and run the command undisturbed."""
        self.bucket.watch()
        self.bucket.restore({})
        return super().prepare()

    def _undisturbed(self) -> Expected:
        # In a copy, as those that are killed: a remote is told that a repository is one.
        copy(self._template, self.place)
        self._blobs.write_bytes(pickle.dumps(self.bucket.blobs()))
        # What this learns is noted elsewhere, so that the command asks for as much as the one that is killed.
        with patch.dict(os.environ, DVER_INDEX_DIR=str(self.folder / "indexes")):
            before = look(self.clone)
        self._damage()
        self.bucket.watch()
        self.scenario.command(self.clone)
        points = self.bucket.passed()
        self.bucket.watch()
        return Expected(before, look(self.clone), points)

    def _begin(self) -> None:
        self.bucket.watch()
        self.bucket.restore(pickle.loads(self._blobs.read_bytes()))
        super()._begin()

    def _run(self, number: int, *, resumed: bool = False) -> None:
        self.bucket.watch(number)
        self.scenario.command(self.clone)

    def _check(self, check: Callable[[], None], when: str) -> None:
        self.bucket.watch()
        super()._check(check, when)


def load_once() -> None:
    """Read what a client for S3 needs now, and not in each process that is forked."""
    read = cache(JSONFileLoader().load_file)
    patch.object(JSONFileLoader, "load_file", lambda _self, path: read(path)).start()
    botocore.session.Session().create_client(
        "s3", region_name="us-east-1", aws_access_key_id="a-key", aws_secret_access_key="a-secret"
    )
    assert s3fs


def main(arguments: Sequence[str]) -> int:
    """Kill the commands of scenarios at some or all requests; return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.killing_requests", description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder to work in")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="without any, all: " + ", ".join(SCENARIOS))
    parser.add_argument("--most", type=int, default=0, help="at so many points of each; without it at all of them")
    parser.add_argument("--only", type=int, help="at this point")
    given = parser.parse_args(arguments)
    seen: set[Step] = set()
    tally = Tally()
    load_once()
    with running_bucket() as bucket:
        os.environ["DVER_TRUST_REMOTES"] = f"{bucket.url} {bucket.options['endpoint_url']}"
        for name in given.scenarios or SCENARIOS:
            folder = given.folder.resolve() / name.replace(" ", "-")
            try_scenario(BucketTrial(SCENARIOS[name], folder, tally, bucket), given.most, given.only, seen)
    sys.stdout.write(f"{tally.kills} kills, {tally.failures} failures\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
