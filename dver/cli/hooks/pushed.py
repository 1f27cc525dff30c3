"""`dver hook pushed`."""

import sys
from collections.abc import Mapping, Sequence

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import moved_anything, moved_text
from dver.cli.wording import count_text, table_lines, version_text
from dver.errors import BackendError, ConfigError
from dver.operations.pushed import NamedVersion, PushCheck, Update, check_pushed, head_update, parse_updates
from dver.repo import Repo

_EXAMPLES = {
    "dver hook pushed": "whether the remote has what HEAD adds",
    "dver hook pushed --push origin": "send what it lacks first",
    "git push --no-verify": "push without asking, and without the data",
}
_LISTED = 20


@click.command("pushed", cls=Command, examples=_EXAMPLES)
@click.argument("remote", required=False)
@click.argument("url", required=False)
@click.option("--push", "send", is_flag=True, help="Send what the remote lacks, rather than refuse.")
@click.pass_obj
def command(session: Session, remote: str | None, url: str | None, send: bool) -> int:
    """Refuse a git push that names versions which the remote lacks.

    git gives the name and the URL of its remote, and on standard input the references that are pushed. Versions that
    the pushed commits bring must be on the default remote for data. Without that input, it is HEAD that is looked at,
    beyond what git's remotes have.
    """
    with session.hook_repo() as repo:
        if repo is None:
            return 0
        name = remote or session.env.get("PRE_COMMIT_REMOTE_NAME")
        try:
            check = check_pushed(
                repo, _updates(session, repo, by_git=url is not None), name, send=send, progress=session.console
            )
        except (BackendError, ConfigError):
            session.console.note("cannot tell whether the data is there; git push --no-verify pushes without asking")
            raise
    return _show(session, check)


def _updates(session: Session, repo: Repo, *, by_git: bool) -> list[Update]:
    """Return what is pushed, from whoever called: git, the pre-commit framework, or a person."""
    text = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if text.strip():
        return parse_updates(text)
    framework = _from_framework(repo, session.env)
    if framework is not None:
        return framework
    # git gives the URL also when all is up to date, and then no lines.
    return [] if by_git and not sys.stdin.isatty() else head_update(repo)


def _from_framework(repo: Repo, env: Mapping[str, str]) -> list[Update] | None:
    """Return the update that pre-commit tells of in variables, as it has read git's lines itself."""
    if env.get("PRE_COMMIT_TO_REF"):
        before = env.get("PRE_COMMIT_FROM_REF", "")
        known = repo.git.resolve(before) if repo.git.is_revision(before) else ""
        return [Update(repo.git.resolve(env["PRE_COMMIT_TO_REF"]), known)]
    if env.get("PRE_COMMIT_LOCAL_BRANCH"):
        return [Update(repo.git.resolve(env["PRE_COMMIT_LOCAL_BRANCH"]), "")]
    return None


def _show(session: Session, check: PushCheck) -> int:
    console = session.console
    for message in check.unreadable:
        console.note(f"passed over: {message}")
    if check.sent is not None and moved_anything(check.sent):
        console.note(moved_text("pushed", check.sent, "to"))
    if not check.missing:
        return 0
    are = "version that this push names is" if len(check.missing) == 1 else "versions that this push names are"
    console.error(f"{len(check.missing):,} {are} not on {check.remote}")
    console.say("\n".join(_lines(session, check.missing)))
    console.say(f"  hint: {check.hint}; git push --no-verify pushes without the data")
    return 1


def _lines(session: Session, missing: Sequence[NamedVersion]) -> list[str]:
    rows = [
        [session.shown(one.dataset), version_text(one.version), f"of commit {one.commit[:8]}"]
        for one in missing[:_LISTED]
    ]
    lines = [f"    {line}" for line in table_lines(rows, "<<<")]
    if len(missing) > _LISTED:
        lines.append(f"    and {count_text(len(missing) - _LISTED, 'version')} more")
    return lines
