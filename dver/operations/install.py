"""Install: let git's own commands keep data and pointers together, through hooks, a merge driver and a diff driver.

What git runs is set up in the repository's own hooks and settings, for a repository that is cloned must not bring
programs to run. Only `.gitattributes`, which names the drivers, is shared. Uninstall undoes exactly that.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dver.git import GitRepo
from dver.git.configuration import ConfigFile, Configuration
from dver.git.hook_script import Hook
from dver.git.hooks import HookChange, Hooks, check_writable
from dver.workspace.gitattributes import add_attributes, check_attributes, remove_attributes

HOOKS = (
    Hook("pre-commit", "hook pre-commit"),
    Hook("pre-push", "hook pushed", has_input=True),
    Hook("post-checkout", "hook checkout post-checkout"),
    Hook("post-merge", "hook checkout post-merge"),
    Hook("post-rewrite", "hook checkout post-rewrite", has_input=True),
    Hook("post-commit", "hook checkout post-commit"),
)
"""The hooks of git that dver has a part in."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an install or uninstall changed.

    Attributes:
        hooks: the changes to hooks.
        drivers: the drivers of git's settings that changed, by section.
        attributes: whether `.gitattributes` changed.
        shared: whether the repository has further work trees, for which hooks and drivers hold as well.
    """

    hooks: tuple[HookChange, ...]
    drivers: tuple[str, ...]
    attributes: bool
    shared: bool

    @property
    def is_nothing(self) -> bool:
        """Whether everything was as it should be."""
        return not (self.hooks or self.drivers or self.attributes)


def install(git: GitRepo, *, python: str, with_hooks: bool = True) -> Installed:
    """Set up hooks and drivers that run dver with the interpreter `python`. Run again, it mends what differs.

    Without hooks, those that are there stay as they are.

    Raises:
        PathError: a file or folder is in the way, or cannot be written; nothing was changed.
    """
    hooks, file = _open(git)
    changes: list[HookChange] = []
    if with_hooks:
        hooks.check(HOOKS)
        changes = hooks.install(HOOKS, python)
    drivers = [_set_up(file, section, settings) for section, settings in _drivers(python).items()]
    return _installed(git, changes, drivers, attributes=add_attributes(git.root))


def uninstall(git: GitRepo) -> Installed:
    """Undo what `install` did, and leave everything else.

    Raises:
        PathError: a file or folder cannot be written; nothing was changed.
    """
    hooks, file = _open(git)
    hooks.check_removal()
    changes = hooks.uninstall()
    drivers = [_take_down(file, section, settings) for section, settings in _drivers("").items()]
    return _installed(git, changes, drivers, attributes=remove_attributes(git.root))


def _open(git: GitRepo) -> tuple[Hooks, ConfigFile]:
    configuration = Configuration(git.root, git.git_dir, git.common_dir)
    check_writable(git.common_dir)
    check_attributes(git.root)
    return Hooks(configuration), configuration.shared


def _drivers(python: str) -> dict[str, dict[str, str]]:
    """Return the settings of the drivers by section. git gives both commands to a shell."""
    words = f"{shlex.quote(python)} -P -m dver hook"
    return {
        "merge.dver": {
            "name": "versions of datasets, merged file by file",
            # git replaces what begins with a percent sign, and two of them by one.
            "driver": f"{words.replace('%', '%%')} merge --marker-size %L -- %O %A %B %P",
        },
        # A textconv that fails ends `git log` and `git diff`, so where Python is gone the pointer is shown as it is.
        "diff.dver": {"textconv": f'show() {{ {words} textconv -- "$1" || cat -- "$1"; }}; show'},
    }


def _set_up(file: ConfigFile, section: str, settings: Mapping[str, str]) -> str | None:
    changed = [name for name, value in settings.items() if file.set(f"{section}.{name}", value)]
    return section if changed else None


def _take_down(file: ConfigFile, section: str, settings: Mapping[str, str]) -> str | None:
    changed = [name for name in settings if file.unset(f"{section}.{name}")]
    return section if changed else None


def _installed(
    git: GitRepo, hooks: Sequence[HookChange], drivers: Sequence[str | None], *, attributes: bool
) -> Installed:
    linked = git.common_dir / "worktrees"
    shared = linked.is_dir() and any(linked.iterdir())
    return Installed(tuple(hooks), tuple(filter(None, drivers)), attributes, shared)
