"""The text of the shell scripts that `dver install` puts where git looks for hooks.

A script runs the hook that was there before with the same arguments and the same standard input, then dver. In a hook
that comes before what git does, the first that fails ends it; a hook that comes after cannot stop anything, so dver's
part of it never changes how git's command ends. The scripts are plain POSIX shell and carry one marked line.
"""

import os
import shlex
from dataclasses import dataclass

MARK = b"# dver hook\n"
BEFORE = ".before-dver"
_BEGINNING = 200

_HEAD = """\
#!/bin/sh
# dver hook
# Written by `dver install`, taken away by `dver uninstall`. Changes made here are lost with the next install.

"""

_KEEP_INPUT = """\
input=$(cat; echo .)
input=${input%.}
"""

_GIVE_INPUT = 'printf %s "$input" 2>/dev/null | '

_RUN_BEFORE = """\
before=%(before)s
if [ -f "$before" ] && [ -x "$before" ]; then
    %(give)s"$before" "$@" %(failed)s
fi
"""

_FIND_DVER = """\
python=%(python)s
if [ -x "$python" ]; then
    set -- "$python" -P -m dver %(command)s "$@"
elif command -v dver >/dev/null; then
    set -- dver %(command)s "$@"
else
    echo "dver: not found at $python or on PATH, so the hook %(name)s did nothing; run dver install again" >&2
    exit %(missing)s
fi
%(give)s%(run)s
"""

_PASS_ON = """\
before=%(before)s
if [ -f "$before" ] && [ -x "$before" ]; then
    exec "$before" "$@"
fi
"""


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook of git that dver has a part in.

    Attributes:
        name: git's name for it.
        command: what follows `dver`; the hook's own arguments come after that.
        has_input: whether git writes something to its standard input.
    """

    name: str
    command: str
    has_input: bool = False

    def script(self, python: str, folder: str | None) -> bytes:
        """Return the script.

        Args:
            python: the interpreter that has dver; the command `dver` stands in where it is gone.
            folder: where the hook that was there before is; None for beside the script, under a name of ours.
        """
        comes_before = self.name.startswith("pre-")
        give = _GIVE_INPUT if self.has_input else ""
        fields = {
            "name": self.name,
            "command": self.command,
            "python": shlex.quote(python),
            "before": _before(self.name, folder),
            "give": give,
            "failed": "|| exit" if comes_before else "|| status=$?",
            "missing": "2" if comes_before else '"$status"',
            "run": '"$@"' if comes_before else '"$@"\nexit "$status"',
        }
        start = (_KEEP_INPUT if self.has_input else "") + ("" if comes_before else "status=0\n")
        return os.fsencode(_HEAD + start + (_RUN_BEFORE + _FIND_DVER) % fields)


def pass_on_script(name: str, folder: str) -> bytes:
    """Return the script of a hook that dver has no part in, which only runs the one in another folder."""
    return os.fsencode(_HEAD + _PASS_ON % {"before": _before(name, folder)})


def is_script(data: bytes) -> bool:
    """Return whether a hook's text is one of these scripts."""
    return b"\n" + MARK in data[:_BEGINNING]


def _before(name: str, folder: str | None) -> str:
    if folder is None:
        return f'"${{0%/*}}/{name}{BEFORE}"'
    # As git does: a relative folder is looked for where the hook runs.
    return shlex.quote(f"{folder}/{name}")
