"""Hooks of git written by hand, which run the dver that is tested."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import dver

FOLLOWING = {name: f"checkout {name}" for name in ("post-checkout", "post-merge", "post-rewrite", "post-commit")}
"""What `dver hook` is given in the hooks after which data follows."""

PUSHING = {"pre-push": "pushed"}
"""The same for the hook before a push."""


def write_hooks(folder: Path, hooks: Mapping[str, str]) -> None:
    """Write hooks that run `dver hook` with what is given for each, and the arguments of git."""
    folder.mkdir(parents=True, exist_ok=True)
    package = shlex.quote(str(Path(dver.__file__).parent.parent))
    for name, words in hooks.items():
        hook = folder / name
        command = f'exec {shlex.quote(sys.executable)} -P -m dver hook {words} "$@"'
        hook.write_text(f"#!/bin/sh\nPYTHONPATH={package}\nexport PYTHONPATH\n{command}\n")
        hook.chmod(0o755)
