"""The help of all commands, and the reference page made from it."""

import click
import pytest

from dver.cli.boundary import root_command
from dver.cli.branching import BranchingCommand
from dver.cli.command import Command, CommandGroup
from dver.cli.main import COMMANDS
from tests.cli.reference import HOW, PAGE, page
from tests.cli.runner import Cli

NAMES = [name for commands in COMMANDS.values() for name in commands]


def test_the_reference_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == page(), f"run `{HOW}` and read what changed"


def _load(name: str) -> click.Command:
    root = root_command(COMMANDS)
    command = root.get_command(click.Context(root), name)
    assert command is not None
    return command


def _with_subcommands(name: str) -> list[click.Command]:
    command = _load(name)
    if isinstance(command, BranchingCommand):
        return [command, *filter(None, map(command.branch, command.branches))]
    if not isinstance(command, CommandGroup):
        return [command]
    context = click.Context(command)
    return [command, *filter(None, (command.get_command(context, name) for name in command.list_commands(context)))]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_described_with_its_options_and_examples(name: str) -> None:
    for command in _with_subcommands(name):
        assert isinstance(command, Command | CommandGroup)
        assert command.help
        assert command.examples
        assert all("dver " in line or line.startswith("git ") for line in command.examples)
        assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize(("name", "text"), [item for commands in COMMANDS.values() for item in commands.items()])
def test_the_table_of_commands_says_what_their_help_begins_with(name: str, text: str) -> None:
    assert (_load(name).help or "").startswith(text)


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_a_terminal_and_ends_with_examples(cli: Cli, name: str) -> None:
    out = cli.ok(name, "--help")
    assert out.startswith(f"Usage: dver {name}")
    assert "\nExamples:\n  " in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert cli.ok(name, "-h") == out


def test_help_lists_the_commands_by_section(cli: Cli) -> None:
    out = cli.ok("--help")
    positions = [out.index(f"\n{heading}:\n") for heading in COMMANDS]
    assert positions == sorted(positions)
    assert all(f"\n  {name} " in out for name in NAMES)
