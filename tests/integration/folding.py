"""File systems that take names in another case for the same, made in an image file and mounted for a test.

FUSE needs no support in the kernel but its own. exFAT keeps names as they were written and has neither symbolic links
nor modes; NTFS, mounted to ignore case, has links, and lists all names in lower case.
"""

import gc
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

IMAGE_SIZE = 64 << 20


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path | None]:
    """Yield the top of a new file system of one of `KINDS`, or None if it cannot be made or mounted here."""
    make, ways = KINDS[kind]
    image, place = folder / f"{kind}.image", folder / kind
    place.mkdir()
    with image.open("wb") as created:
        created.truncate(IMAGE_SIZE)
    if not _succeeds(*make, str(image)) or not any(_mount(way, image, place) for way in ways):
        yield None
        return
    try:
        yield place
    finally:
        # An error that a test has caught holds what was open on it.
        gc.collect()
        # At the latest with this process, nothing is open there any more.
        ended = any(_succeeds(*way, str(place)) for way in (["umount"], ["fusermount3", "-u"], ["umount", "--lazy"]))
        assert ended, f"{place} is still mounted"


def _mount(way: Sequence[str], image: Path, place: Path) -> bool:
    return _succeeds(*way, str(image), str(place)) and place.is_mount()


KINDS: dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]] = {
    "ext4": (["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"], [["mount", "-o", "loop"]]),
    "vfat": (["mkfs.vfat"], [["mount", "-o", "loop"]]),
    "ntfs": (["mkntfs", "-F", "-Q"], [["lowntfs-3g", "-o", "ignore_case"]]),
    # Root may mount devices only, and `mount` makes one of the image.
    "exfat": (["mkfs.exfat"], [["mount.exfat-fuse"], ["mount", "-o", "loop", "-t", "exfat-fuse"]]),
}
