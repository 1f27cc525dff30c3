"""`dver config` and its subcommands."""

from collections.abc import Sequence
from functools import partial

import click
from click.shell_completion import CompletionItem

from dver.cli.command import CommandGroup
from dver.cli.session import Session
from dver.cli.wording import escape_text, table_lines
from dver.config import SETTINGS, Kind, Value, find_setting, get_value, list_values, set_value, unset_value
from dver.errors import UsageError
from dver.operations.as_remote import check_cache_location
from dver.operations.trust import keeping_trust

_EXAMPLES = {
    "dver config list": "all settings that have a value",
    "dver config set core.jobs 4 --local": "in this clone only",
    "dver config get cache.dir": "one value",
}
_LOCAL = click.option("--local", is_flag=True, help="Use config.local.toml, which git ignores, instead of config.toml.")


def _complete_key(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=one.help) for name, one in SETTINGS.items() if name.startswith(incomplete)]


_KEY = click.argument("key", metavar="KEY", shell_complete=_complete_key)


@click.group("config", cls=CommandGroup, examples=_EXAMPLES)
def command() -> None:
    """Read and change settings.

    They are in .dver/config.toml, which is committed, and in .dver/config.local.toml, which belongs to one clone and
    wins over the other.
    """


@command.command("get", examples={"dver config get chunks.size": "prints the value; exits with 1 if there is none"})
@_KEY
@click.pass_obj
def get(session: Session, key: str) -> int:
    """Print the value of a setting, a list one a line; exit with 1 if it has none."""
    with session.repo() as repo:
        value = get_value(repo.dver_dir, key)
    if value is None:
        return 1
    session.console.lines(value if isinstance(value, tuple) else [_text(value)])
    return 0


@command.command(
    "set",
    examples={
        "dver config set cache.dir /mnt/share/cache": "a cache that clones share",
        "dver config set hooks.allow '*.png' 'docs/*.pdf'": "a list, in the place of the one before",
    },
)
@_KEY
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@_LOCAL
@click.pass_obj
def set_(session: Session, key: str, values: Sequence[str], local: bool) -> None:
    """Set a value; for a setting that is a list, all its values."""
    if len(values) > 1 and find_setting(key).kind is not Kind.PATTERNS:
        raise UsageError(f"{key} takes one value, and here are {len(values)}", hint="quote a value that has spaces")
    with session.repo() as repo:
        value = values if len(values) > 1 else values[0]
        if key == "cache.dir":
            check_cache_location(repo, values[0])
        keeping_trust(repo, key, partial(set_value, repo.dver_dir, key, value, local=local))
    session.console.done(f"set {key}")


@command.command("list", examples={"dver config list": "secrets are masked"})
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def list_(session: Session, as_json: bool) -> None:
    """List the settings that have a value, and where it comes from."""
    with session.repo() as repo:
        listed = list_values(repo.dver_dir)
    if as_json:
        documents = [{"key": one.key, "value": one.value, "origin": one.origin} for one in listed]
        session.console.document({"settings": documents})
        return
    rows = [[one.key, escape_text(_text(one.value)), f"({one.origin})"] for one in listed]
    session.console.lines(table_lines(rows, "<<<"))


@command.command("unset", examples={"dver config unset cache.dir": "back to the default"})
@_KEY
@_LOCAL
@click.pass_obj
def unset(session: Session, key: str, local: bool) -> int:
    """Take a value out of a settings file; exit with 1 if it is not there."""
    with session.repo() as repo:
        found = keeping_trust(repo, key, partial(unset_value, repo.dver_dir, key, local=local))
    where = "config.local.toml" if local else "config.toml"
    session.console.done(f"unset {key}" if found else f"{key} is not set in {where}")
    return 0 if found else 1


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
