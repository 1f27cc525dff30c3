"""`python -m tests.fuzz.guided TARGET [-runs=N] [-max_len=N] [CORPUS]`: fuzzing that follows the code's branches.

For whoever has atheris (`pip install atheris`, Linux only); the suite does without it. The arguments after the target
are libFuzzer's. It ends at the first fault, and leaves the input in a file `crash-…`.
"""

import importlib
import sys
import tempfile
from pathlib import Path

from dver.errors import DverError


def main() -> None:
    """Run the command line."""
    atheris = importlib.import_module("atheris")
    name, arguments = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["dver"]):
        target = importlib.import_module("tests.fuzz.hammer").TARGETS[name]

    def test(data: bytes) -> None:
        for candidate in (data, target.mend(data)):
            try:
                target.parse(candidate)
            except DverError:
                continue

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], "-rss_limit_mb=1024", "-timeout=20", *arguments, folder], test)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
