"""Init: set dver up in a git repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dver.config import add_remote, check_chunk_size, load_settings, set_value
from dver.config.trust import TrustedPlaces
from dver.config.urls import is_url
from dver.errors import ConfigError, unwritable_place
from dver.fileio import write_atomically
from dver.git import GitRepo
from dver.operations.trust import trust_new
from dver.repo import CONFIG_FILE, LINEAGE_NAME
from dver.storage.open import check_url
from dver.workspace.pointers import DVER_DIRECTORY

REMOTE_NAME = "origin"

_GITIGNORE = b"/config.local.toml\n/cache/\n/state.db*\n/lineage.db*\n/tmp/\n"
_ATTRIBUTES = f"{LINEAGE_NAME} merge=union\n".encode()
_CONFIG = b"# dver settings of this repository; `dver config list` shows all\n"


@dataclass(frozen=True, slots=True)
class InitResult:
    """Where dver was set up, and whether it had been before."""

    root: Path
    existed: bool


def init(
    start: Path, *, remote: str | None = None, chunk_size: int | None = None, env: Mapping[str, str] | None = None
) -> InitResult:
    """Make `.dver` at the top of the git repository around `start`, and stage its files.

    Run again, it changes nothing but what is missing, and adds `remote` if it is given.

    Raises:
        NotARepositoryError: `start` is in no git repository.
        ConfigError: the chunk size is no power of two from 1 KiB to 4 MiB, or differs from that of an existing setup.
    """
    git = GitRepo.find(start, env=env or {})
    folder = git.root / DVER_DIRECTORY
    existed = (folder / CONFIG_FILE).is_file()
    _check_chunk_size(folder, chunk_size, existed=existed)
    if remote is not None and is_url(remote):
        check_url(remote)
    try:
        folder.mkdir(exist_ok=True)
        for name, content in ((".gitignore", _GITIGNORE), (".gitattributes", _ATTRIBUTES), (CONFIG_FILE, _CONFIG)):
            if not (folder / name).exists():
                write_atomically(folder / name, content)
    except OSError as exc:
        raise unwritable_place(folder, exc) from exc
    if chunk_size is not None and not existed:
        set_value(folder, "chunks.size", chunk_size, local=False)
    known = load_settings(folder).remotes.get(REMOTE_NAME)
    if remote is not None and (known is None or known.url != remote):
        add_remote(folder, REMOTE_NAME, remote, local=False)
    if remote is not None:
        trust_new(TrustedPlaces.of_user(env or {}), remote)
    git.stage([f"{DVER_DIRECTORY}/{name}" for name in (".gitignore", ".gitattributes", CONFIG_FILE)])
    return InitResult(git.root, existed)


def _check_chunk_size(folder: Path, wanted: int | None, *, existed: bool) -> None:
    if wanted is None:
        return
    check_chunk_size(wanted)
    found = load_settings(folder).chunk_size if existed else wanted
    if found != wanted:
        raise ConfigError(
            f"dver is set up here with chunks of {found} bytes, and {wanted} was asked for",
            hint=f"dver config set chunks.size {wanted}, before the first dver add",
        )
