"""Looking ahead with copies of the process: it finds what a walk finds, whatever becomes of the copies."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workspace import ahead_checks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no copies are made")

_CHECKS = sorted(name for name in vars(ahead_checks) if name.startswith("check_"))
_TOP = Path(__file__).parents[3]


@pytest.mark.parametrize("name", _CHECKS)
def test_looking_ahead(name: str, tmp_path: Path) -> None:
    program = f"import sys; from pathlib import Path; from tests.unit.workspace.ahead_checks import {name}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{program}; {name}(Path(sys.argv[1]))", tmp_path],
        cwd=_TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == ("once" if name == "check_output" else "")
    assert done.returncode == 0
