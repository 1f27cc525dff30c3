"""`dver config` and its subcommands."""

import click
from click.shell_completion import CompletionItem

from dver.cli.command import CommandGroup
from dver.cli.session import Session
from dver.cli.wording import escape_text, table_lines
from dver.config import SETTINGS, Value, get_value, list_values, set_value, unset_value

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
    """Print the value of a setting; exit with 1 if it has none."""
    with session.repo() as repo:
        value = get_value(repo.dver_dir, key)
    if value is None:
        return 1
    session.console.out(_text(value))
    return 0


@command.command("set", examples={"dver config set cache.dir /mnt/share/cache": "a cache that clones share"})
@_KEY
@click.argument("value", metavar="VALUE")
@_LOCAL
@click.pass_obj
def set_(session: Session, key: str, value: str, local: bool) -> None:
    """Set a value."""
    with session.repo() as repo:
        set_value(repo.dver_dir, key, value, local=local)
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
        found = unset_value(repo.dver_dir, key, local=local)
    where = "config.local.toml" if local else "config.toml"
    session.console.done(f"unset {key}" if found else f"{key} is not set in {where}")
    return 0 if found else 1


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
