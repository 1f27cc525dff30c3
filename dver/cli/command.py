"""The shape of all commands: how they are loaded, how their help reads, and the options that each of them has."""

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dver.cli.session import Session
from dver.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PATH = click.Path(readable=False)
"""A path argument: the shell completes it, and only the operation says whether it can be used."""

_COMMAND_PACKAGE = "dver.cli"
_GIT_WORDS = {
    "branch": "branches are git's: git branch, git switch, then dver checkout brings their data",
    "clone": "git clone URL, then dver pull in the clone",
    "commit": "dver add PATH, then git commit records the version",
    "merge": "git merge, then dver checkout brings the data",
    "restore": "dver checkout --force PATH makes the data what its pointer says",
    "switch": "git switch BRANCH, then dver checkout brings its data",
}


class Command(click.Command):
    """A command whose help ends with examples, and which takes `-q` and `-v` like dver itself."""

    def __init__(self, *args: Any, examples: Mapping[str, str], **kwargs: Any) -> None:
        """`examples` maps command lines to what they do."""
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params += quiet_and_verbose()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, self.examples)


class CommandGroup(click.Group):
    """A command that consists of others, such as `dver remote`."""

    command_class = Command

    def __init__(self, *args: Any, examples: Mapping[str, str], **kwargs: Any) -> None:
        """`examples` maps command lines to what they do."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, self.examples)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a subcommand, or say which one may have been meant."""
        check_command(ctx, args[0], self.commands)
        return super().resolve_command(ctx, args)


class LazyCommandGroup(CommandGroup):
    """A command that consists of others, each loaded from its own module when it is called for."""

    def __init__(self, *args: Any, package: str, summaries: Mapping[str, str], **kwargs: Any) -> None:
        """`package` has a module for each name of `summaries`, which says what the command does."""
        super().__init__(*args, **kwargs)
        self._package = package
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        return _load(self._package, cmd_name) if cmd_name in self._summaries else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a subcommand, or say which one may have been meant."""
        check_command(ctx, args[0], self._summaries)
        return click.Group.resolve_command(self, ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return completions without loading any command."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        names = [
            CompletionItem(name, help=text) for name, text in self._summaries.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


class LazyGroup(click.Group):
    """All commands, each loaded from the module of its name when it is called for."""

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        """`sections` maps headings to command names and what the commands do."""
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._names = [name for section in sections.values() for name in section]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return self._names

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        return _load(_COMMAND_PACKAGE, cmd_name) if cmd_name in self._names else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may have been meant; `help` stands for `--help`, as in git."""
        if args[0] == "help":
            args = [*args[1:], "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
        if args[0] in _GIT_WORDS:
            raise UsageError(f"dver has no command {args[0]!r}", hint=_GIT_WORDS[args[0]])
        check_command(ctx, args[0], self._names)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return completions without loading any command."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        commands = [
            CompletionItem(name, help=text)
            for section in self._sections.values()
            for name, text in section.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        width = max(map(len, self._names))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


def _load(package: str, name: str) -> click.Command:
    command = importlib.import_module(f"{package}.{name.replace('-', '_')}").command
    assert isinstance(command, click.Command)
    return command


def quiet_and_verbose() -> list[click.Parameter]:
    """Return the options that every command has."""
    return [
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_be_quiet, help="Say only what was asked for."
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_be_verbose,
            help="Show where in dver an error came from.",
        ),
    ]


def write_examples(formatter: click.HelpFormatter, examples: Mapping[str, str]) -> None:
    """Write the section of examples."""
    with formatter.section("Examples"):
        formatter.write_dl(list(examples.items()), col_max=46)


def check_command(ctx: click.Context, name: str, known: Sequence[str] | Mapping[str, object]) -> None:
    """Raise UsageError for a name that is no command."""
    if name not in known and not name.startswith("-"):
        # Deferred: a command that is there has no need of it.
        from difflib import get_close_matches  # noqa: PLC0415

        close = get_close_matches(name, list(known), n=1)
        hint = f"did you mean {ctx.command_path} {close[0]}?" if close else f"{ctx.command_path} --help lists them"
        raise UsageError(f"{ctx.command_path} has no command {name!r}", hint=hint)


def _be_quiet(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if value and session is not None:
        session.console.quiet = True


def _be_verbose(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if value and session is not None:
        session.console.verbose = True
