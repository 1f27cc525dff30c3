"""The command line reference, generated from the commands themselves.

python -m tests.cli.reference --write      writes docs/reference/cli.md
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dver.cli.boundary import root_command
from dver.cli.branching import BranchingCommand
from dver.cli.command import Command, CommandGroup
from dver.cli.main import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
HOW = "python -m tests.cli.reference --write"

_EXIT_CODES = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is "no", or "differs": `status --exit-code`, `diff --exit-code`, `remote check`, \
`lineage verify`, `config get` and `config unset` of what is not there, `checkout --dry-run` with files in the way |
| 2 | the command line makes no sense |
| 3 | an error; the message says what happened, and where there is one, the hint names the command that helps |
| 130 | interrupted by Ctrl-C; 143, 129 and 131 for SIGTERM, SIGHUP and SIGQUIT. The same command run again goes on |
| 141 | whoever read the output stopped reading |

Results go to standard output; errors, notes and progress bars go to standard error. Bars are drawn on a terminal only,
and the variable `NO_COLOR` turns colours off.
"""

_PATHS = """\
## Paths and revisions

Paths may be given from any folder of the repository. Where a dataset is meant, its pointer (`data.dver`) will do as
well, and so will a folder that holds datasets, except for `dver add`, which takes the data itself. REV is anything that
git takes for a commit: a branch, a tag, an id, `HEAD~2`. Where both may stand, a first word that names a commit is a
revision and one that names a dataset is a path; a word that is both is asked about, and `--` settles it: what stands
before it is a revision, what follows is a path. `REV:PATH` is a path as a revision has it, from the current folder,
too.
"""


def page() -> str:
    """Return the whole page."""
    root = root_command(COMMANDS)
    context = click.Context(root, info_name="dver", **root.context_settings)
    parts = [
        "# Command line\n",
        f"<!-- Generated from the help of the commands: {HOW} -->\n",
        *_overview(),
        _options(root, context),
        _PATHS,
        _EXIT_CODES,
    ]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        parts += _command(command, context, "##")
    return "\n".join(parts)


def _overview() -> Iterator[str]:
    for heading, commands in COMMANDS.items():
        yield f"**{heading}**\n"
        yield "\n".join(f"- [`dver {name}`](#dver-{name}): {text}" for name, text in commands.items()) + "\n"


def _command(command: click.Command, parent: click.Context, level: str, *, called: str = "") -> Iterator[str]:
    assert isinstance(command, Command | CommandGroup)
    context = click.Context(command, info_name=called or command.name, parent=parent)
    yield f"{level} {context.command_path}\n"
    if not isinstance(command, CommandGroup):
        yield f"```\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    options = _options(command, context)
    if options:
        yield options
    examples = "\n".join(f"{line.ljust(_longest(command))}  # {text}" for line, text in command.examples.items())
    yield f"```sh\n{examples}\n```\n"
    if isinstance(command, CommandGroup):
        for name in command.list_commands(context):
            yield from _command(_subcommand(command, context, name), context, level + "#")
    if isinstance(command, BranchingCommand):
        for branch in command.branches:
            below = command.branch(branch)
            assert below is not None
            yield from _command(below, parent, level + "#", called=f"{command.name} {branch}")


def _subcommand(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    assert command is not None
    return command


def _longest(command: Command | CommandGroup) -> int:
    return max(map(len, command.examples))


def _options(command: click.Command, context: click.Context) -> str:
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    records = [option.get_help_record(context) for option in options]
    rows = [
        f"| `{record[0]}` | {record[1]} |"
        for record in records
        # Those that every command has are described once, at the top.
        if record is not None and (command.name == "dver" or not record[0].startswith(("-q", "-v", "-h")))
    ]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n" if rows else ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
