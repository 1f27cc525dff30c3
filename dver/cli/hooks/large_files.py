"""`dver hook large-files`."""

import shlex
from collections.abc import Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, size_text, table_lines
from dver.config import parse_size
from dver.errors import ConfigError
from dver.operations.large_files import LargeFile, Limits, find_large_files
from dver.repo import Repo

_EXAMPLES = {
    "dver hook large-files": "all that is staged",
    "dver hook large-files --max-size 500KiB": "with a limit of one's own",
    "dver hook large-files --data '*.csv' --allow docs": "CSV files are data, but not those in docs",
}


def _size(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ConfigError as exc:
        raise click.BadParameter(f"{exc.message}; {exc.hint}") from exc


@click.command("large-files", cls=Command, examples=_EXAMPLES)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=PATH)
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=_size,
    help="Largest file that may enter git, in the place of the setting hooks.max_size.",
)
@click.option(
    "--allow",
    metavar="PATTERN",
    multiple=True,
    help="Files that may enter whatever they are, beside those of the setting hooks.allow.",
)
@click.option(
    "--data",
    metavar="PATTERN",
    multiple=True,
    help="Files that must not enter, however small, beside those of the setting hooks.data.",
)
@click.pass_obj
def command(
    session: Session, files: Sequence[str], max_size: int | None, allow: Sequence[str], data: Sequence[str]
) -> int:
    """Refuse large files and data that are about to enter git.

    FILEs are staged files; by default all that the next commit adds or changes. PATTERNs are written as in .gitignore.
    Pointers, symbolic links and submodules always pass. Exits with 1 if a file is refused.
    """
    with session.hook_repo() as repo:
        if repo is None:
            return 0
        limits = limits_of(repo, max_size=max_size, allow=allow, data=data)
        return 0 if passes(session, repo, limits, session.paths(repo, files) or None) else 1


def limits_of(
    repo: Repo, *, max_size: int | None = None, allow: Sequence[str] = (), data: Sequence[str] = ()
) -> Limits:
    """Return the limits that the settings and the command line give together."""
    settings = repo.settings
    return Limits(
        settings.hook_max_size if max_size is None else max_size,
        (*settings.hook_allow, *allow),
        (*settings.hook_data, *data),
    )


def passes(session: Session, repo: Repo, limits: Limits, files: Sequence[str] | None) -> bool:
    """Check files, by default those staged, say which must not enter git, and return whether all may."""
    found = find_large_files(repo, limits, files)
    if not found:
        return True
    console = session.console
    console.error(f"{count_text(len(found), 'file')} must not enter git, being large or data:")
    rows = [[session.shown(file.path), size_text(file.size), _reason(session, file, limits)] for file in found]
    console.say("\n".join(f"    {line}" for line in table_lines(rows, "<><")))
    outside = [file for file in found if file.dataset is None]
    if outside:
        path = shlex.quote(session.relative_to_start(outside[0].path))
        console.say(
            f"  hint: git rm --cached {escape_text(path)} takes one out of git, and dver add {escape_text(path)}"
            " stores it; also the folder that it is in can be added"
        )
    console.say("  hint: what may enter all the same can be listed in the setting hooks.allow")
    return False


def _reason(session: Session, file: LargeFile, limits: Limits) -> str:
    if file.dataset is not None:
        return f"is data of {session.shown(file.dataset)}: git rm --cached takes it out"
    if file.pattern is not None:
        return f"is data, by the pattern {escape_text(file.pattern)}"
    return f"is over {size_text(limits.max_size)}"
