"""Files that neither dver nor git has, which a command may be seen to use all the same, and their versions.

A file is named by the BLAKE3-256 of its content, and a folder by the version that it would have as a dataset.
"""

import os
import stat

from blake3 import blake3

from dver.errors import PathError, os_hint
from dver.objects.ids import VERSION_PREFIX, format_version
from dver.operations.working import working_manifest
from dver.progress import Progress
from dver.repo import Repo

FILE = "file"
FOLDER = "folder"
LOOSE_KINDS = (FILE, FOLDER)


def loose_version(repo: Repo, path: str, kind: str, progress: Progress) -> str | None:
    """Return the version of what is at a path now; None where there is no such file or folder.

    Raises:
        PathError: it cannot be read, or a folder holds what has no version, such as a socket.
    """
    place = repo.root / path
    try:
        mode = os.stat(place).st_mode
        if kind == FILE:
            if not stat.S_ISREG(mode):
                return None
            with progress.task(f"reading {path}", bytes=0):
                return VERSION_PREFIX + blake3().update_mmap(place).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise PathError(path, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    if not stat.S_ISDIR(mode):
        return None
    with progress.task(f"reading {path}", bytes=0, files=0) as task:
        return format_version(working_manifest(repo, path, None, task).version)
