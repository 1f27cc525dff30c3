"""`dver fsck`."""

import os
import re
from collections.abc import Sequence
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.fsck_words import damage_lines, fsck_json, repair_lines, summary
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.errors import UsageError
from dver.operations.fsck import fsck
from dver.operations.fsck_results import FsckOptions
from dver.storage.audit_findings import Depth

_EXAMPLES = {
    "dver fsck": "the whole cache",
    "dver fsck --remote origin --quick": "a remote, without reading all of it",
    "dver fsck --full --max-age 30d": "every byte that was not checked for a month",
    "dver fsck --remote origin --sample 5%": "a twentieth of a remote, another one each time",
    "dver fsck --repair data/raw": "put right what is wrong, reading only what one dataset needs",
}
_AGE = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%?")
_WHOLE = 100.0


@click.command("fsck", cls=Command, examples=_EXAMPLES)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=PATH)
@click.option(
    "-r", "--remote", metavar="REMOTE", shell_complete=complete_remote, help="Check this remote instead of the cache."
)
@click.option("--quick", is_flag=True, help="Check structure only, and read no data.")
@click.option("--full", is_flag=True, help="Hash all data anew, and do not only compare checksums.")
@click.option(
    "--sample", metavar="N%", help="Read only so much of the packs, those first that were not read for longest."
)
@click.option("--max-age", metavar="AGE", help="Read only packs not checked for so long: 7d, 12h, 30m.")
@click.option("--repair", is_flag=True, help="Put right what is wrong; what is damaged is set aside and never deleted.")
@click.option(
    "--from",
    "sources",
    metavar="PATH",
    multiple=True,
    type=PATH,
    help="With --repair, look for what is missing in this store or repository too.",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(
    session: Session, /, paths: Sequence[str], remote: str | None, as_json: bool, sources: Sequence[str], **given: Any
) -> int:
    """Check that what is stored is whole and undamaged, and put it right.

    Looks at the cache, or at a remote: index files, packs, version markers, manifests, and every stored object by its
    checksum; and at the pointers and the lineage file, here and on branches and tags. Each finding says which datasets,
    paths and commits it touches. Exits with 1 if there are any. With PATHs, only data of these datasets is read.

    With --repair, damaged packs are moved into the folder quarantine of the same store, and what can be read in them is
    copied back. What is missing comes from remotes, the cache, the working files, or those of linked work trees and of
    repositories that use the same cache. Exits with 1 if something could not be had; dver fetch, push or add fill it
    when it can.
    """
    options = _options(**given, sources=[os.path.normpath(os.path.join(session.start, path)) for path in sources])
    session.when_interrupted = "run the same command again to go on from there"
    with session.repo() as repo:
        result = fsck(repo, session.paths(repo, paths), remote=remote, options=options, progress=session.console)
        if as_json:
            session.console.document(fsck_json(result))
        else:
            for note in result.notes:
                session.console.note(note)
            session.console.lines(damage_lines(session, result.damages, with_remedy=result.repaired is None))
            session.console.lines(repair_lines(session, result))
            session.console.done(summary(result))
    return 0 if result.is_sound else 1


def _options(
    *, quick: bool, full: bool, sample: str | None, max_age: str | None, repair: bool, sources: Sequence[str]
) -> FsckOptions:
    if quick and full:
        raise UsageError("--quick and --full cannot go together")
    depth = Depth.STRUCTURE if quick else Depth.CONTENT if full else Depth.RECORDS
    if sources and not repair:
        raise UsageError("--from is for --repair only", hint="dver fsck --repair --from PATH")
    return FsckOptions(depth, _share(sample), _age(max_age), repair, tuple(sources))


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    found = _SHARE.fullmatch(text)
    if found is None or not 0 < float(found[1]) <= _WHOLE:
        raise UsageError(f"--sample {text}: not a share of the packs", hint="dver fsck --sample 5%")
    return float(found[1]) / _WHOLE


def _age(text: str | None) -> float | None:
    if text is None:
        return None
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageError(f"--max-age {text}: not a time", hint="write it as 7d, 12h, 30m or 90s")
    return float(int(found[1]) * _SECONDS[found[2]])
