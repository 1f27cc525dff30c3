"""What push, fetch and pull share: their options, which versions they mean, and how their results read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

from dver.cli.command import PATH
from dver.cli.session import Session
from dver.cli.wording import count_text, path_json, size_text
from dver.errors import DverError, UsageError
from dver.objects.ids import format_version
from dver.operations.push import TransferResult, wanted_versions
from dver.operations.wanted import Wanted
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks to be transferred."""

    paths: tuple[str, ...]
    remote: str | None
    revisions: tuple[str, ...]
    all_refs: bool
    as_json: bool

    def wanted(self, session: Session, repo: Repo) -> list[Wanted]:
        """Return the versions that are meant."""
        paths = session.paths(repo, self.paths)
        return wanted_versions(repo, paths, revs=self.revisions, all_refs=self.all_refs)


def transfer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which is called with the session and a `Request`."""

    @click.pass_obj
    @wraps(function)
    def collected(session: Session, /, **given: Any) -> Any:
        if given["revisions"] and given["all_refs"]:
            raise UsageError("--rev and --all cannot go together")
        request = Request(**{name: given.pop(name) for name in Request.__slots__})
        return function(session, request, **given)

    command: Callable[..., Any] = collected
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def complete_remote(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of remotes that begin so."""
    session = ctx.find_object(Session)
    if session is None:
        return []
    try:
        with session.repo() as repo:
            return [CompletionItem(name) for name in repo.settings.remotes if name.startswith(incomplete)]
    except DverError:
        return []


_OPTIONS = (
    click.argument("paths", metavar="[PATH]...", nargs=-1, type=PATH),
    click.option(
        "-r",
        "--remote",
        metavar="REMOTE",
        shell_complete=complete_remote,
        help="The remote to use instead of the default one.",
    ),
    click.option(
        "--rev",
        "revisions",
        metavar="REV",
        multiple=True,
        help="The versions of this commit, tag or branch; may be given several times.",
    ),
    click.option("--all", "all_refs", is_flag=True, help="The versions of all commits that branches and tags lead to."),
    click.option("--json", "as_json", is_flag=True, help="Write one JSON document."),
)


def conclude(
    session: Session,
    request: Request,
    result: TransferResult,
    problem: DverError | None,
    show: Callable[[Session, TransferResult], None],
    describe: Callable[[TransferResult], dict[str, object]] | None = None,
) -> None:
    """Report a transfer in the form that was asked for, then raise what is wrong with it."""
    if request.as_json:
        session.console.document((describe or document)(result))
    else:
        show(session, result)
    if problem is not None:
        raise problem


def moved_text(verb: str, result: TransferResult, direction: str) -> str:
    """Return the sentence for a transfer that moved something, such as "pushed 2 versions to origin: …"."""
    sent = result.sent
    lists = f"{count_text(result.package_lists, 'list')} of packages" if result.package_lists else ""
    what = count_text(len(sent.versions), "version") if sent.versions else "" if lists else "part of a version"
    what = " and ".join(filter(None, (what, lists)))
    objects = count_text(sent.objects, "object")
    return f"{verb} {what} {direction} {result.remote}: {objects}, {size_text(sent.bytes)}"


def moved_anything(result: TransferResult) -> bool:
    """Return whether a transfer did something."""
    return bool(result.sent.versions or result.sent.objects)


def document(result: TransferResult) -> dict[str, object]:
    """Return a result for JSON."""
    return {
        "remote": result.remote,
        "wanted": result.versions,
        "transferred": {
            "versions": [format_version(version) for version in result.sent.versions],
            "objects": result.sent.objects,
            "bytes": result.sent.bytes,
        },
        "missing": missing_documents(result.missing),
    }


def missing_documents(missing: Sequence[Wanted]) -> list[dict[str, object]]:
    """Return versions that were not found for JSON."""
    return [{"dataset": path_json(want.dataset), "version": format_version(want.version)} for want in missing]
