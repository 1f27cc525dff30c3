"""Before a git push: whether the remote for data has the versions that the pushed commits name.

Only versions that a commit brings count: those that its pointer names and the same pointer of no parent does. Where
there are none, no remote is opened, so that pushing code needs no network for data.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import FormatError, UsageError
from dver.git import CommitId
from dver.git.ranges import ChangedFile
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, checked_dataset_path, decode_pointer, looks_like_pointer
from dver.operations.datasets import readable_pointers_at
from dver.operations.looking import held_versions
from dver.operations.push import TransferResult, push
from dver.operations.wanted import Wanted
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo

# The local name is whatever the user typed, such as ":/fix the bug", so it may hold spaces.
_LINE = re.compile(r".+ (?P<local>[0-9a-f]{40,64}) \S+ (?P<remote>[0-9a-f]{40,64})", re.DOTALL)
_FEW_COMMITS = 3
_SHOWN_OF_LINE = 200


@dataclass(frozen=True, slots=True)
class Update:
    """What a push does to one reference: the ids of what it is to be, and of what it is over there."""

    local: str
    remote: str

    @property
    def is_deletion(self) -> bool:
        """Whether the reference goes away over there."""
        return not self.local.strip("0")


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """A version and the newest of the pushed commits that brings it."""

    version: VersionId
    dataset: str
    commit: CommitId


@dataclass(frozen=True, slots=True)
class PushCheck:
    """What a check found.

    Attributes:
        remote: the name of the remote for data; "" where none was asked.
        missing: versions that are not there, after what could be sent was sent.
        sent: what was sent, where that was asked for and anything was missing.
        unreadable: pointers that name no version, with the commit and the reason.
        hint: the command that sends what is missing.
    """

    remote: str = ""
    missing: tuple[NamedVersion, ...] = ()
    sent: TransferResult | None = None
    unreadable: tuple[str, ...] = ()
    hint: str = ""


def parse_updates(text: str) -> list[Update]:
    """Return what git's lines for a pre-push hook say: local name, local id, remote name, remote id.

    Raises:
        UsageError: they are something else.
    """
    found = []
    for line in text.split("\n"):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(
                f"not a line as git gives it to a pre-push hook: {line[:_SHOWN_OF_LINE]!r}",
                hint="LOCAL_NAME LOCAL_ID REMOTE_NAME REMOTE_ID; without any input HEAD is looked at",
            )
        found.append(Update(match["local"], match["remote"]))
    return found


def head_update(repo: Repo) -> list[Update]:
    """Return the update that would push HEAD to where nothing is known of it; none before the first commit."""
    head = repo.git.head_commit()
    return [] if head is None else [Update(head, "")]


def check_pushed(
    repo: Repo,
    updates: Sequence[Update],
    git_remote: str | None = None,
    *,
    send: bool = False,
    progress: Progress = NO_PROGRESS,
) -> PushCheck:
    """Return which versions of the commits that `updates` bring the default remote for data lacks.

    Args:
        git_remote: the name of git's remote, whose branches as last seen bound the commits; None for all remotes. Of a
            remote that has no name nothing is known but what `updates` say.
        send: push what is missing first.

    Raises:
        ConfigError: there are versions and no default remote.
    """
    unreadable: list[str] = []
    named = _named_versions(repo, updates, git_remote, unreadable)
    if not named:
        return PushCheck(unreadable=tuple(unreadable))
    name = repo.remote_settings().name
    present = held_versions(repo, repo.remote(), list(named)).versions
    missing = [one for version, one in named.items() if version not in present]
    sent = None
    if send and missing:
        sent = push(repo, [Wanted(one.version, one.dataset) for one in missing], progress=progress)
        left = {want.version for want in sent.missing}
        missing = [one for one in missing if one.version in left]
    return PushCheck(name, tuple(missing), sent, tuple(unreadable), _hint(repo, missing, tried=send))


def _named_versions(
    repo: Repo, updates: Sequence[Update], git_remote: str | None, unreadable: list[str]
) -> dict[VersionId, NamedVersion]:
    starts = [update.local for update in updates if not update.is_deletion]
    if not starts:
        return {}
    known = [*(update.remote for update in updates if update.remote.strip("0")), *repo.git.remote_heads(git_remote)]
    found: dict[VersionId, NamedVersion] = {}
    for change in repo.git.changes_leading_to(starts, known, suffix=SUFFIX):
        where = f"{change.path} in commit {change.commit[:8]}"
        try:
            dataset, version = checked_dataset_path(change.path, where), decode_pointer(change.content, where).version
        except FormatError as exc:
            if looks_like_pointer(change.content):
                unreadable.append(exc.message)
            continue
        if version not in _versions_before(change):
            found.setdefault(version, NamedVersion(version, dataset, change.commit))
    return found


def _versions_before(change: ChangedFile) -> set[VersionId]:
    found = set()
    for content in change.before:
        with suppress(FormatError):
            found.add(decode_pointer(content, change.path).version)
    return found


def _hint(repo: Repo, missing: Sequence[NamedVersion], *, tried: bool) -> str:
    """Return the shortest command that sends what is missing, "" for nothing."""
    if not missing:
        return ""
    if tried:
        return "dver push --all, run where they were added; or dver fetch -r REMOTE from where they are"
    head = repo.git.head_commit()
    at_head = {pointer.version for pointer in readable_pointers_at(repo, head).values()} if head else set()
    elsewhere = [one.commit[:12] for one in missing if one.version not in at_head]
    if not elsewhere:
        return "dver push"
    commits = list(dict.fromkeys(one.commit[:12] for one in missing))
    return f"dver push --rev {' --rev '.join(commits)}" if len(commits) <= _FEW_COMMITS else "dver push --all"
