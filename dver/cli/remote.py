"""`dver remote` and its subcommands."""

import sys
from functools import partial

import click

from dver.cli import remote_key, remote_test, remote_trust
from dver.cli.command import CommandGroup
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.cli.wording import escape_text, table_lines
from dver.config import (
    STORE_OPTIONS,
    Value,
    add_remote,
    list_values,
    remove_remote,
    set_default_remote,
    set_remote_option,
)
from dver.config.urls import is_url
from dver.errors import BackendError, UsageError, redact_url
from dver.operations.as_remote import check_location
from dver.operations.trust import keeping_trust, trust_new
from dver.repo import Repo
from dver.storage.check import CheckStep, check_backend
from dver.storage.open import check_url, require_encryption

_EXAMPLES = {
    "dver remote add origin s3://bucket/data": "name a remote; the first one is the default",
    "dver remote set origin endpoint_url https://…": "for a service other than Amazon's",
    "dver remote check": "see whether its address and your rights are as they should be",
    "dver remote test": "find out what it can do, and what it cannot",
}
_LOCAL = click.option(
    "--local", is_flag=True, help="Write to config.local.toml, which git ignores; the only place for secrets."
)
_NAME = click.argument("name", metavar="NAME", shell_complete=complete_remote)


@click.group("remote", cls=CommandGroup, examples=_EXAMPLES, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Manage the remotes that data is pushed to and fetched from.

    Without a subcommand, lists them.
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.ensure_object(Session), as_json=False)


@command.command(
    "add",
    examples={
        "dver remote add origin s3://bucket/data": "a bucket",
        "dver remote add disk /mnt/share/data": "a folder",
        "dver remote add host sftp://user@host/data": "a folder on another machine",
        "dver remote add safe s3://bucket/safe --encrypt": "nobody there can read it",
    },
)
@click.argument("name", metavar="NAME")
@click.argument("url", metavar="URL")
@_LOCAL
@click.option("--encrypt", is_flag=True, help="Encrypt on this machine all that is sent there.")
@remote_key.KEY_FILE
@remote_key.NEW_KEY_FILE
@click.pass_obj
def add(session: Session, /, name: str, url: str, local: bool, encrypt: bool, **files: str | None) -> None:
    """Add a remote.

    URL is a folder, or a URL such as s3://bucket/path, gs://, az:// or sftp://. The first remote is the default one.
    Nothing is looked up there: dver remote check does that.

    With --encrypt a passphrase is asked for, or taken from DVER_PASSPHRASE or the file that DVER_PASSPHRASE_FILE names,
    unless a key file is to be used. Where the remote has keys already, one of them is needed.
    """
    if encrypt:
        require_encryption()
    elif any(files.values()):
        raise UsageError("a key file is for a remote with --encrypt")
    with session.repo() as repo:
        url = _checked_location(session, url, repo)
        check_location(repo, url, name)
        key_file = remote_key.chosen_key_file(session, repo, **files)
        is_default = add_remote(
            repo.dver_dir, name, url, local=local, encrypt=encrypt, key_file=str(key_file) if key_file else None
        )
        trust_new(repo.trusted, url)
        if encrypt:
            _set_up_keys(session, repo, name)
    remarks = [*(["encrypted"] if encrypt else []), *(["the default"] if is_default else [])]
    session.console.done(f"added remote {name}: {redact_url(url)}" + (f" ({', '.join(remarks)})" if remarks else ""))
    _tip_commit(session, local=local)


def _checked_location(session: Session, url: str, repo: Repo) -> str:
    """Return a location as settings have it; ConfigError for a URL that no store can have."""
    location = session.location(url, repo.root)
    if is_url(location):
        check_url(location)
    return location


def _set_up_keys(session: Session, repo: Repo, name: str) -> None:
    """Set up the keys of a new remote; one whose keys do not open, or that is not encrypted, is not added."""
    try:
        remote_key.set_up(session, repo, name)
    except BackendError as exc:
        # Options such as its endpoint can only be set once it is there.
        exc.hint = f"the remote is added; when it can be reached, dver remote key init {name}"
        raise
    except BaseException:
        remove_remote(repo.dver_dir, name)
        raise


@command.command("list", examples={"dver remote list": "names and URLs", "dver remote list --json": "for programs"})
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def list_remotes(session: Session, as_json: bool) -> None:
    """List remotes and their URLs."""
    _list(session, as_json=as_json)


@command.command("remove", examples={"dver remote remove backup": "what is stored there stays there"})
@_NAME
@click.pass_obj
def remove(session: Session, name: str) -> None:
    """Forget a remote; what is stored there stays."""
    with session.repo() as repo:
        without_default = remove_remote(repo.dver_dir, name)
        others = list(repo.settings.remotes)
    session.console.done(f"removed remote {name}")
    if without_default and others:
        session.console.note(f"no remote is the default now; dver remote default {others[0]} makes one")


@command.command(
    "default", examples={"dver remote default backup": "make it the default", "dver remote default": "name it"}
)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_remote)
@click.pass_obj
def default(session: Session, name: str | None) -> None:
    """Make a remote the default, or name the one that is."""
    with session.repo() as repo:
        if name is None:
            session.console.out(repo.remote_settings().name)
            return
        set_default_remote(repo.dver_dir, name)
    session.console.done(f"{name} is the default remote now")


@command.command(
    "set",
    examples={
        "dver remote set origin region eu-central-1": "an option that all may know",
        "dver remote set origin key AKIA… --local": "a secret, in this clone only",
        "dver remote set origin secret --local": "a secret that is asked for",
        "dver remote set origin url s3://other/data": "where the remote is",
    },
)
@_NAME
@click.argument("key", metavar="KEY", type=click.Choice(["url", "key_file", *STORE_OPTIONS]))
@click.argument("value", metavar="[VALUE]", required=False)
@_LOCAL
@click.pass_obj
def set_option(session: Session, name: str, key: str, value: str | None, local: bool) -> None:
    """Set an option of a remote, or its URL.

    KEY is url, endpoint_url, region, profile, anonymous, key, secret, token and more, depending on the kind of remote,
    and key_file for an encrypted one.
    Without VALUE it is asked for, or read from standard input, so that a secret need not stand in the shell's history.
    """
    if value is None:
        value = _ask(name, key)
    with session.repo() as repo:
        if key == "url":
            value = _checked_location(session, value, repo)
            check_location(repo, value, name)
        elif key == "key_file":
            value = session.location(value, repo.root)
        keeping_trust(
            repo,
            f"remotes.{name}.{key}",
            partial(set_remote_option, repo.dver_dir, name, key, value, local=local),
        )
    session.console.done(f"set {key} of remote {name}")
    _tip_commit(session, local=local)


@command.command("check", examples={"dver remote check": "the default remote", "dver remote check backup": "another"})
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_remote)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def check(session: Session, name: str | None, as_json: bool) -> int:
    """See whether a remote can be reached and used, and say what is wrong.

    Writes, reads, lists and deletes one small file: the quick question whether address, credentials and rights are as
    they should be. dver remote test tries out all that dver counts on. Exits with 1 if something does not work.
    """
    console = session.console
    with session.repo() as repo:
        remote = repo.remote(name)
        steps = check_backend(remote.backend)
        name, location = repo.remote_settings(name).name, remote.backend.location
    works = all(step.ok for step in steps)
    if as_json:
        console.document({"remote": name, "location": location, "usable": works, "steps": list(map(_step, steps))})
        return 0 if works else 1
    title = f"{name} ({location})"
    rows = [
        [step.name, "ok" if step.ok else "failed", f"{step.seconds:.2f} s", escape_text(step.detail)] for step in steps
    ]
    console.lines(table_lines(rows, "<<><"))
    console.out(f"{title} can be used" if works else f"{title} cannot be used")
    return 0 if works else 1


def _step(step: CheckStep) -> dict[str, object]:
    return {"name": step.name, "ok": step.ok, "seconds": round(step.seconds, 3), "detail": step.detail}


def _list(session: Session, *, as_json: bool) -> None:
    with session.repo() as repo:
        remotes = repo.settings.remotes
        default_name = repo.settings.default_remote
        options = _shown_options(repo)
    if as_json:
        documents = [
            {
                "name": remote.name,
                "url": redact_url(remote.url),
                "default": remote.name == default_name,
                "options": options[remote.name],
            }
            for remote in remotes.values()
        ]
        session.console.document({"remotes": documents})
        return
    rows = [
        [
            remote.name,
            redact_url(remote.url),
            "(encrypted)" if remote.encrypt else "",
            "(default)" if remote.name == default_name else "",
        ]
        for remote in remotes.values()
    ]
    session.console.lines(table_lines(rows, "<<<<"))
    if not rows:
        session.console.tip("no remotes yet; dver remote add NAME URL adds one")


def _shown_options(repo: Repo) -> dict[str, dict[str, Value]]:
    """Return the options of each remote, with secrets masked."""
    shown: dict[str, dict[str, Value]] = {name: {} for name in repo.settings.remotes}
    for listed in list_values(repo.dver_dir):
        section, _, rest = listed.key.partition(".")
        name, _, option = rest.rpartition(".")
        if section == "remotes" and name in shown and option != "url":
            shown[name][option] = listed.value
    return shown


def _ask(name: str, key: str) -> str:
    if sys.stdin.isatty():
        secret = key in STORE_OPTIONS and STORE_OPTIONS[key].secret
        return str(click.prompt(f"{key} of {name}", hide_input=secret, err=True))
    return sys.stdin.readline().rstrip("\n")


def _tip_commit(session: Session, *, local: bool) -> None:
    if not local:
        session.console.tip("next: git commit .dver/config.toml shares this with others")


# Those that are more than a few lines have modules of their own.
for subcommand in (remote_key.command, remote_test.test, remote_trust.trust):
    command.add_command(subcommand)
