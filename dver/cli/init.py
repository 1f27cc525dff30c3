"""`dver init`."""

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.config import check_chunk_size, parse_size
from dver.errors import ConfigError
from dver.git import GitRepo
from dver.operations.init import init


class _ChunkSize(click.ParamType[int]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return check_chunk_size(parse_size(str(value)))
        except ConfigError as exc:
            self.fail(f"{exc.message}; {exc.hint}", param, ctx)


_EXAMPLES = {
    "dver init": "set dver up in this git repository",
    "dver init --remote s3://bucket/data": "also name where data is pushed to",
    "dver init --chunk-size 256KiB": "for data that is mostly very large files",
}


@click.command("init", cls=Command, examples=_EXAMPLES)
@click.option("--remote", metavar="URL", help="Add a remote named origin: a folder, or a URL such as s3://bucket/path.")
@click.option(
    "--chunk-size",
    metavar="SIZE",
    type=_ChunkSize(),
    help="Average size of the pieces that data is cut into, a power of two; 64KiB unless given.",
)
@click.pass_obj
def command(session: Session, remote: str | None, chunk_size: int | None) -> None:
    """Set dver up in a git repository.

    Makes the folder .dver at its top and stages the files in it that belong into git. Run again, it only puts back
    what is missing.
    """
    if remote is not None:
        remote = session.location(remote, GitRepo.find(session.start, env=session.env).root)
    result = init(session.start, remote=remote, chunk_size=chunk_size, env=session.env)
    console = session.console
    if result.existed:
        console.done(f"dver was already set up in {result.root}" + (", now with a remote" if remote else ""))
        return
    console.done(f"dver is set up in {result.root}")
    console.tip("next: dver add PATH stores a file or folder of data; git commit records it")
