"""`dver remote key` and its subcommands: the passphrases and key files that open an encrypted remote."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dver.cli.command import PATH, CommandGroup
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.cli.wording import count_text, escape_text, path_text, size_text, table_lines
from dver.config import set_remote_option
from dver.errors import ConfigError, DverError, UsageError
from dver.repo import Repo
from dver.storage.keyring_secrets import Secret, SecretSource, make_key_file
from dver.storage.open import require_encryption

if TYPE_CHECKING:
    from dver.operations.remote_keys import KeyList, KeySetup, RotationPlan
    from dver.storage.keyring_slot import Slot

_EXAMPLES = {
    "dver remote key list origin": "the keys that open it",
    "dver remote key add origin --label laptop": "let one more passphrase open it",
    "dver remote key remove origin 3f2a90b1": "take one away",
    "dver remote key rotate origin": "a new master key, for what is pushed from now on",
}
_NAME = click.argument("name", metavar="NAME", shell_complete=complete_remote)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
_LABEL = click.option("--label", metavar="TEXT", default="", help="Whose key it is; the remote's owner can read that.")
KEY_FILE = click.option("--key-file", metavar="FILE", type=PATH, help="A key file instead of a passphrase.")
NEW_KEY_FILE = click.option("--new-key-file", metavar="FILE", type=PATH, help="Make a key file, and use it.")
_PASSPHRASE_FILE = click.option(
    "--passphrase-file", metavar="FILE", type=PATH, help="A file that holds the new passphrase, instead of asking."
)


@click.group("key", cls=CommandGroup, examples=_EXAMPLES)
def command() -> None:
    """Manage the keys of an encrypted remote.

    A key is a passphrase or a key file. All keys of a remote open the same data.
    """


def new_key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a new key to a command, which is called with what makes its secret."""

    @wraps(function)
    def collected(session: Session, /, **given: Any) -> Any:
        words = {option: given.pop(option) for option in ("key_file", "new_key_file", "passphrase_file")}
        files = {option: _absolute(session, word) for option, word in words.items() if word is not None}
        if len(files) > 1:
            raise UsageError(f"--{' and --'.join(files).replace('_', '-')} cannot go together")
        return function(session, files=files, **given)

    wrapped: Callable[..., Any] = click.pass_obj(collected)
    for option in (_PASSPHRASE_FILE, NEW_KEY_FILE, KEY_FILE):
        wrapped = option(wrapped)
    return wrapped


@command.command("init", examples={"dver remote key init origin": "once its place can be reached"})
@_NAME
@_LABEL
@click.pass_obj
def init(session: Session, name: str, label: str) -> None:
    """Set up the keys of an encrypted remote, or take up those that it has.

    dver remote add --encrypt does that by itself, unless the remote could not be reached yet.
    """
    require_encryption()
    with session.repo() as repo:
        set_up(session, repo, name, label=label)


@command.command(
    "list", examples={"dver remote key list origin": "the keys of a remote", "dver remote key list origin --json": ""}
)
@_NAME
@_JSON
@click.pass_obj
def list_command(session: Session, name: str, as_json: bool) -> None:
    """List the keys that open a remote, which takes one of them."""
    require_encryption()
    # Deferred, as everywhere here: the packages for it are an extra.
    from dver.operations.remote_keys import list_keys  # noqa: PLC0415

    with session.repo() as repo:
        keys = list_keys(repo, name)
    if as_json:
        session.console.document(_document(keys))
        return
    rows = [
        [slot.id[:8], str(slot.kind), escape_text(slot.label), slot.created[:10], _remark(keys, slot)]
        for slot in keys.slots.good
    ]
    rows += [[name[:8], "", "", "", f"cannot be used: {escape_text(exc.message)}"] for name, exc in keys.slots.bad]
    session.console.lines(table_lines(rows, "<<<<<"))
    if keys.older:
        session.console.tip(
            f"{count_text(keys.older, 'older master key')} may be needed still; dver remote key reencrypt {name}"
        )


@command.command(
    "add",
    examples={
        "dver remote key add origin --label laptop": "asks for the passphrase",
        "dver remote key add origin --new-key-file ~/ci.key": "a key file for machines",
    },
)
@_NAME
@_LABEL
@new_key_options
def add(session: Session, name: str, label: str, files: dict[str, Path]) -> None:
    """Let another passphrase or key file open a remote. It takes one that opens it already."""
    require_encryption()
    from dver.operations.remote_keys import add_key, list_keys  # noqa: PLC0415

    with session.repo() as repo:
        # Before a new one is asked for or made: who cannot open the remote need not choose one.
        list_keys(repo, name)
        slot = add_key(repo, name, _new_secret(session, repo, name, files), label=label)
    session.console.done(f"added key {slot.id[:8]} ({slot.kind}) to {name}")


@command.command("remove", examples={"dver remote key remove origin 3f2a90b1": "the id as the list shows it"})
@_NAME
@click.argument("key", metavar="ID")
@click.pass_obj
def remove(session: Session, name: str, key: str) -> None:
    """Take a key away from a remote, opened with another one.

    Whoever had the key may have kept the master key that it opened: to keep them from what is pushed from now on, run
    dver remote key rotate as well.
    """
    require_encryption()
    from dver.operations.remote_keys import remove_key  # noqa: PLC0415

    with session.repo() as repo:
        identity = remove_key(repo, name, key)
    session.console.done(f"removed key {identity[:8]} from {name}")
    session.console.done(
        f"whoever had it may have kept the master key: dver remote key rotate {name} makes a new one for new data"
    )


@command.command(
    "rotate",
    examples={
        "dver remote key rotate origin": "for what is pushed from now on",
        "dver remote key rotate origin --re-encrypt": "for what is there as well",
        "dver remote key rotate origin --new-key-file new.key": "and open it with another key",
    },
)
@_NAME
@click.option("--re-encrypt", is_flag=True, help="Encrypt what is there with the new master key as well.")
@click.option("--drop-others", is_flag=True, help="Let all other keys go; their owners are given new ones.")
@_DRY_RUN
@new_key_options
def rotate(session: Session, name: str, files: dict[str, Path], **given: bool) -> int:
    """Make a new master key, for what is pushed from now on.

    What is stored already stays encrypted with the old one, and readable for whoever had that, unless it is encrypted
    anew. Only the key that opened the remote opens it afterwards, or the one that is chosen here.
    """
    require_encryption()
    from dver.operations.remote_keys import plan_rotation, rotate_keys  # noqa: PLC0415

    with session.repo() as repo:
        if given["dry_run"]:
            _show_plan(session, name, plan_rotation(repo, name), re_encrypt=given["re_encrypt"])
            return 0
        secret = _new_secret(session, repo, name, files) if files else None
        rotated = rotate_keys(repo, name, secret, drop_others=given["drop_others"])
        if rotated.is_resumed:
            session.console.done(f"a rotation of {name} had been cut off, and is done now")
        session.console.done(
            f"{name} has a new master key, which key {rotated.slot.id[:8]} ({rotated.slot.kind}) opens"
        )
        _show_dropped(session, rotated.dropped)
        key_file = files.get("new_key_file", files.get("key_file"))
        if key_file is not None:
            # The key that opened the remote until now does so no more.
            set_remote_option(repo.dver_dir, name, "key_file", str(key_file), local=True)
            session.console.done(f"here {path_text(str(key_file))} opens {name} from now on")
        if given["re_encrypt"]:
            # What opened the remote before may not do so any more.
            code = _reencrypt(session, repo, name, secret)
        else:
            session.console.done("what was stored before stays encrypted with the old one")
            code = 0
    _tip_commit(session, is_shared=rotated.is_shared)
    return code


@command.command(
    "reencrypt",
    examples={
        "dver remote key reencrypt origin": "after a rotation, or when one was cut off",
        "dver remote key reencrypt origin --dry-run": "how much that is",
    },
)
@_NAME
@_DRY_RUN
@click.pass_obj
def reencrypt(session: Session, name: str, dry_run: bool) -> int:
    """Encrypt with the newest master key what older ones were used for, then forget these.

    All of it is read and written anew. The remote can be used meanwhile. Exits with 1 if something cannot be read.
    """
    require_encryption()
    from dver.operations.remote_keys import plan_reencryption  # noqa: PLC0415

    with session.repo() as repo:
        if dry_run:
            _show_plan(session, name, plan_reencryption(repo, name), re_encrypt=True)
            return 0
        return _reencrypt(session, repo, name)


def set_up(session: Session, repo: Repo, name: str, *, label: str = "") -> "KeySetup":
    """Set up the keys of a remote, and say what came of it."""
    from dver.operations.remote_keys import set_up_keys  # noqa: PLC0415

    done = set_up_keys(repo, name, label=label)
    verb = "set up" if done.is_new else "took up"
    session.console.done(f"{verb} the keys of {name}: key {done.slot.id[:8]} ({done.slot.kind}) opens it")
    if done.is_new:
        session.console.done("nobody can read it without: keep the passphrase or key file where it cannot get lost")
    _tip_commit(session, is_shared=done.is_shared)
    return done


def chosen_key_file(session: Session, repo: Repo, key_file: str | None, new_key_file: str | None) -> Path | None:
    """Return the key file that the options of a command name, and make it where it is to be new."""
    if key_file is not None and new_key_file is not None:
        raise UsageError("--key-file and --new-key-file cannot go together")
    word = new_key_file if key_file is None else key_file
    if word is None:
        return None
    path = _absolute(session, word)
    _check_outside(repo, path)
    if new_key_file is not None:
        make_key_file(path)
    return path


def _new_secret(session: Session, repo: Repo, name: str, files: dict[str, Path]) -> Secret:
    if "new_key_file" in files:
        _check_outside(repo, files["new_key_file"])
        return make_key_file(files["new_key_file"])
    ask = session.asker()
    if not files and ask is None:
        raise UsageError(
            "nobody is there to choose a passphrase", hint="--passphrase-file, --key-file or --new-key-file gives a key"
        )
    return SecretSource(
        f"remote {name}", key_file=files.get("key_file"), passphrase_file=files.get("passphrase_file"), ask=ask
    ).fresh()


def _absolute(session: Session, word: str) -> Path:
    return Path(os.path.normpath(session.start / Path(word).expanduser()))


def _check_outside(repo: Repo, path: Path) -> None:
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(repo.root)):
        raise ConfigError(f"{path} lies in this repository, where git could take it", hint="keep keys outside of it")


def _reencrypt(session: Session, repo: Repo, name: str, secret: Secret | None = None) -> int:
    from dver.operations.remote_keys import reencrypt_remote  # noqa: PLC0415

    done = reencrypt_remote(repo, name, secret, progress=session.console)
    session.console.done(f"encrypted {count_text(done.blobs, 'file')} of {name} anew")
    for key in done.damaged:
        session.console.error(f"{key} cannot be read, and stays as it is")
    if done.is_clean:
        session.console.done("nothing needs an older master key any more")
    return 1 if done.damaged else 0


def _show_plan(session: Session, name: str, plan: "RotationPlan", *, re_encrypt: bool) -> None:
    _show_dropped(session, plan.dropped, "would be gone")
    if re_encrypt:
        what = f"{count_text(plan.blobs, 'file')} of {name}, {size_text(plan.bytes)}"
        session.console.out(f"would encrypt {what} anew")
    else:
        session.console.out(f"would make a new master key for {name}")


def _show_dropped(session: Session, dropped: "Sequence[Slot]", verb: str = "is gone") -> None:
    for slot in dropped:
        label = f', "{escape_text(slot.label)}"' if slot.label else ""
        session.console.done(f"key {slot.id[:8]} ({slot.kind}{label}) {verb}")


def _remark(keys: "KeyList", slot: "Slot") -> str:
    if slot.id == keys.opened:
        return "(opened just now)"
    return "" if keys.vouched[slot.id] else "(not made with the newest master key)"


def _document(keys: "KeyList") -> dict[str, object]:
    return {
        "remote": keys.remote,
        "fingerprint": keys.fingerprint,
        "older": keys.older,
        "keys": [
            {
                "id": slot.id,
                "kind": str(slot.kind),
                "label": slot.label,
                "created": slot.created,
                "opened": slot.id == keys.opened,
                "vouched": keys.vouched[slot.id],
            }
            for slot in keys.slots.good
        ],
        "unusable": [{"id": identity, "problem": _problem(exc)} for identity, exc in keys.slots.bad],
    }


def _problem(exc: DverError) -> str:
    return exc.message


def _tip_commit(session: Session, *, is_shared: bool) -> None:
    if is_shared:
        session.console.tip("next: git commit .dver/config.toml shares this with others")
