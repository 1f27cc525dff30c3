"""A command whose first word may be that of a subcommand, such as `verify` in `dver lineage verify`.

Any other first word is the argument that the command takes anyhow, so what is named like a subcommand needs a `./`
before it.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from dver.cli.command import Command

_BEFORE = ("-q", "--quiet", "-v", "--verbose")


class BranchingCommand(Command):
    """A command with subcommands beside its arguments."""

    def __init__(self, *args: Any, branches: Mapping[str, str], **kwargs: Any) -> None:
        """`branches` maps subcommands to the modules that hold them, each loaded when it is called for."""
        super().__init__(*args, **kwargs)
        self.branches = branches

    def branch(self, name: str) -> click.Command | None:
        """Load a subcommand; None where there is none of that name."""
        if name not in self.branches:
            return None
        command = importlib.import_module(self.branches[name]).command
        assert isinstance(command, click.Command)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of the command, or that of a subcommand which the first word names."""
        at = next((at for at, word in enumerate(args) if word not in _BEFORE), len(args))
        found = self.branch(args[at]) if at < len(args) else None
        if found is None:
            return super().make_context(info_name, args, parent, **extra)
        # Not below this command's own context, whose arguments would be shown as part of the usage.
        return found.make_context(f"{info_name} {args[at]}", [*args[:at], *args[at + 1 :]], parent=parent, **extra)


class BranchPath(click.Path):
    """A path argument of a command with subcommands, whose names are completed as well."""

    def __init__(self, branches: Mapping[str, str]) -> None:
        super().__init__(readable=False)
        self._branches = branches

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names of subcommands that begin so; without a letter of one, files are what is asked for."""
        names = [CompletionItem(name) for name in self._branches if incomplete and name.startswith(incomplete)]
        return names or super().shell_complete(ctx, param, incomplete)
