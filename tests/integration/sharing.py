"""A process that adds to a shared store, or reads from it: what `test_shared_store` starts several of.

    python -m tests.integration.sharing FOLDER add SEED
    python -m tests.integration.sharing FOLDER read

An adding process prints its versions. A reading one reads all versions that come up, until the file `FOLDER/done`
appears, and prints how many it has read.
"""

import sys
from pathlib import Path

from dver.objects.ids import VersionId
from tests.stores import local_place, noise, read_files, store_files

VERSIONS = 4


def files_of(process: int, turn: int) -> dict[str, bytes]:
    """Return files most of which another process adds as well."""
    shared = {f"shared-{number}": noise(4000, number) for number in range(turn, turn + 8)}
    return {**shared, f"own-{process}": noise(3000, 1000 + process * 100 + turn)}


def main() -> None:
    """Do what the arguments say, on a store and an index copy in the folder that they name."""
    place = local_place(Path(sys.argv[1]))
    if sys.argv[2] == "add":
        for turn in range(VERSIONS):
            # Opened anew each time, as by a command.
            store = place.open("shared")
            print(store_files(store, files_of(int(sys.argv[3]), turn), pack_size=16 * 1024).hex())  # noqa: T201
            store.close()
        return
    read: set[VersionId] = set()
    while True:
        done = (Path(sys.argv[1]) / "done").exists()
        store = place.open("shared")
        for version in store.versions() - read:
            assert read_files(store, version)
            read.add(version)
        store.close()
        if done:
            break
    print(len(read))  # noqa: T201


if __name__ == "__main__":
    main()
