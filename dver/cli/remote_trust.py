"""`dver remote trust`."""

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.cli.wording import escape_text
from dver.errors import UsageError
from dver.operations.trust import trust_cache, trust_remote


@click.command(
    "trust",
    cls=Command,
    examples={
        "dver remote trust origin": "dver may sign in there from this machine",
        "dver remote trust --cache": "the same for a cache that is not a folder",
    },
)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_remote)
@click.option("--cache", is_flag=True, help="Trust the place of the cache instead.")
@click.pass_obj
def trust(session: Session, name: str | None, cache: bool) -> None:
    """Let dver sign in to a remote that came with the repository.

    A remote that somebody else wrote into the settings decides where your credentials and data go. So the first time
    that dver would sign in to a place from this machine it asks, and in a script it refuses. This command answers for
    good, for this and all repositories. Remotes that you add yourself are trusted, and folders need no trust.
    """
    if name and cache:
        raise UsageError("name a remote, or give --cache", hint="dver remote trust --cache")
    with session.repo() as repo:
        place = trust_cache(repo) if cache else trust_remote(repo, name)
    if place is None:
        session.console.done("nobody signs in there, so it needs no trust")
    else:
        session.console.done(f"trusted from this machine: {escape_text(place.text)}")
