"""What is kept of a failure that nobody expected, for a report."""

import os
import platform
import tempfile
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dver import __version__


def write_crash_log(exc: BaseException, root: Path | None) -> Path | None:
    """Write what a report needs, without arguments, which may hold secrets; return None where no file can be."""
    now = datetime.now(UTC)
    lines = [
        f"dver {__version__}",
        f"Python {platform.python_version()} on {platform.platform()}",
        f"{now.isoformat(timespec='seconds')}",
        "",
        *traceback.format_exception(exc),
    ]
    name = f"dver-crash-{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
    folders = [Path(tempfile.gettempdir())]
    if root is not None and (root / ".dver" / "tmp").is_dir():
        folders.insert(0, root / ".dver" / "tmp")
    for folder in folders:
        with suppress(OSError):
            (folder / name).write_text("\n".join(lines), "utf-8", "backslashreplace")
            return folder / name
    return None
