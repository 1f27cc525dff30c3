"""`dver completion`."""

import click
from click.shell_completion import get_completion_class

from dver.cli.command import Command
from dver.cli.session import Session

_SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = {
    'eval "$(dver completion bash)"': "in ~/.bashrc",
    'eval "$(dver completion zsh)"': "in ~/.zshrc, after compinit",
    "dver completion fish | source": "in ~/.config/fish/config.fish",
}


@click.command("completion", cls=Command, examples=_EXAMPLES)
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
@click.pass_obj
def command(session: Session, shell: str) -> None:
    """Print a script for tab completion in your shell.

    SHELL is bash, zsh or fish. Completes commands, options, paths and the names of remotes.
    """
    root = click.get_current_context().find_root().command
    script = get_completion_class(shell)
    assert script is not None
    session.console.out(script(root, {}, "dver", "_DVER_COMPLETE").source().rstrip("\n"))
