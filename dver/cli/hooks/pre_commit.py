"""`dver hook pre-commit`."""

import click

from dver.cli.command import Command
from dver.cli.hooks import large_files, lint, status
from dver.cli.session import Session
from dver.errors import ConfigError

_EXAMPLES = {"dver hook pre-commit": "what the git hook of dver install runs"}


@click.command("pre-commit", cls=Command, examples=_EXAMPLES)
@click.pass_obj
def command(session: Session) -> int:
    """Check what is about to be committed: lint, large-files and status in one.

    Only what the commit adds or changes is linted and measured; the data of all datasets is compared with its pointers.
    Exits with 1 if one of the checks fails, after all of them.
    """
    with session.hook_repo() as repo:
        if repo is None:
            return 0
        staged = [file.path for file in repo.git.staged_changes()]
        is_clean = lint.passes(session, repo, staged)
        try:
            is_small = large_files.passes(session, repo, large_files.limits_of(repo), staged)
            has_no_drift = status.passes(session, repo)
        except ConfigError:
            if is_clean:
                raise
            # Settings that cannot be read keep the others from their work, and have been named.
            return 1
        return 0 if is_clean and is_small and has_no_drift else 1
