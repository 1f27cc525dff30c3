"""Programs that some tests need and that not every machine has.

Without them these tests are skipped. The variable `DVER_TEST_PROGRAMS` lists those that must be there: a test that does
not find one of them fails instead, so that nothing is skipped unnoticed where they were installed on purpose.
"""

import os
import shutil

import pytest

_REQUIRED = "DVER_TEST_PROGRAMS"


def required_program(name: str) -> str:
    """Return where a program is; skip the test without it, or fail it where the program must be there."""
    found = shutil.which(name)
    if found is None and name in os.environ.get(_REQUIRED, "").split():
        pytest.fail(f"{name} is not installed, and {_REQUIRED} says that it is")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
