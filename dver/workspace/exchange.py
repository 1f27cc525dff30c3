"""Exchanging two names in one step, for putting a large file into the place of another.

A rename over a file makes some file systems (ext4, btrfs) write the new one out before they go on, which takes as long
as the disk does; an exchange of names does not, and is one step as well. The system call is Linux's renameat2.
"""

import ctypes
import os

_EXCHANGE = 2


def exchange(source: str, source_dir: int, target: bytes, target_dir: int) -> bool:
    """Exchange the names of two existing files, each given with a descriptor of its folder; False if that cannot be."""
    # Made here and not once: few commands come by.
    call = getattr(ctypes.CDLL(None), "renameat2", None)
    return call is not None and call(source_dir, os.fsencode(source), target_dir, target, _EXCHANGE) == 0
