"""Work that makes very many objects without cycles, and that Python's look for garbage would only hold up."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting_garbage() -> Iterator[None]:
    """Let Python not look for cycles meanwhile; what nothing refers to is freed as ever."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
