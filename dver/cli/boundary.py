"""Where everything that goes wrong ends: errors become messages and exit codes here, and nowhere else.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is "no", or "differs" |
| 2 | the command line makes no sense |
| 3 | an error |
| 126, 127 | a command that was to be run cannot be executed, or is not found, as in a shell |
| 130 | interrupted by Ctrl-C; 128 and the number of any other signal that ends dver in good order |
| 141 | whoever read the output stopped reading |
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import singledispatch
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

import click

from dver import __version__
from dver.cli.command import LazyGroup, quiet_and_verbose
from dver.cli.session import Session
from dver.errors import (
    CommandNotStartedError,
    DataLossError,
    DverError,
    PathError,
    UsageError,
    VersionNotFoundError,
    os_hint,
)

DONE = 0
USAGE = 2
FAILED = 3
_SIGNAL_BASE = 128
_BROKEN_PIPE = _SIGNAL_BASE + signal.SIGPIPE
_COMPLETE_VARIABLE = "_DVER_COMPLETE"
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_WITH_REPOSITORY_PATHS = (PathError, DataLossError, VersionNotFoundError)

_HELP = """Git-style versioning of datasets.

Data lives in a store of its own, on this machine or in the cloud; git holds small pointer files that name its versions.
"""


class _SignalledError(KeyboardInterrupt):
    """A signal asks the process to end, in good order as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(argv: Sequence[str], env: Mapping[str, str], sections: Mapping[str, Mapping[str, str]]) -> int:
    """Run the command line and return its exit code; whatever goes wrong is said on standard error."""
    _accept_any_text()
    session = Session(env)
    with _signals_end_in_order(session):
        try:
            code = _invoke(root_command(sections), list(argv), session)
            # Here and not when Python ends, where nobody could say what went wrong.
            sys.stdout.flush()
        except BaseException as exc:  # noqa: BLE001
            code = _settle(exc, session)
            _give_up_output()
    return code


def root_command(sections: Mapping[str, Mapping[str, str]]) -> LazyGroup:
    """Return the command `dver` with everything below it."""
    return LazyGroup(
        "dver",
        sections=sections,
        help=_HELP,
        callback=_start,
        context_settings={"help_option_names": ["-h", "--help"]},
        subcommand_metavar="COMMAND [ARGUMENT]...",
        params=[
            click.Option(
                ["-C", "directory"],
                metavar="DIR",
                multiple=True,
                type=click.Path(file_okay=False, readable=False),
                help="Run as if started in DIR.",
            ),
            *quiet_and_verbose(),
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_version,
                help="Show the version and exit.",
            ),
        ],
    )


def _invoke(root: LazyGroup, argv: list[str], session: Session) -> int:
    instruction = session.env.get(_COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete  # noqa: PLC0415

        return shell_complete(root, {"obj": session}, "dver", _COMPLETE_VARIABLE, instruction)
    try:
        with root.make_context("dver", argv, obj=session) as context:
            code = root.invoke(context)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return code if isinstance(code, int) else DONE


@click.pass_obj
def _start(session: Session, directory: Sequence[str]) -> None:
    for path in directory:
        session.start = Path(os.path.normpath(session.start / path))
        if not session.start.is_dir():
            raise UsageError(f"-C {path}: there is no such folder")


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        sys.stdout.write(f"dver {__version__}\n")
        ctx.exit()


@singledispatch
def _settle(exc: BaseException, session: Session) -> int:
    """Say what went wrong and return the exit code for it; here for what nobody expected."""
    # Deferred, as nobody should ever need it.
    from dver.cli.crash import write_crash_log  # noqa: PLC0415

    _show_trace(exc, session)
    log = write_crash_log(exc, session.root)
    where = f"the details are in {log}" if log else "dver -v shows the details"
    session.console.error(
        f"dver failed in a way that it should not: {type(exc).__name__}",
        hint=f"please report this as a bug; {where}",
    )
    return FAILED


@_settle.register
def _(exc: SystemExit, _session: Session) -> int:
    return exc.code if isinstance(exc.code, int) else DONE if exc.code is None else FAILED


@_settle.register
def _(exc: KeyboardInterrupt, session: Session) -> int:
    session.console.say(f"interrupted; {session.when_interrupted}")
    return _SIGNAL_BASE + (exc.number if isinstance(exc, _SignalledError) else signal.SIGINT)


@_settle.register
def _(_exc: click.Abort, session: Session) -> int:
    return _settle(KeyboardInterrupt(), session)


@_settle.register
def _(exc: click.ClickException, session: Session) -> int:
    _show_trace(exc, session)
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    hint = f"{context.command_path} --help" if context is not None else None
    message = exc.format_message().replace(". Choose from:", "; choose from").replace("\n\t", " ")
    session.console.error(_as_clause(message), hint=hint)
    return USAGE


@_settle.register
def _(exc: click.exceptions.NoArgsIsHelpError, session: Session) -> int:
    session.console.say(exc.format_message())
    return USAGE


@_settle.register
def _(exc: DverError, session: Session) -> int:
    _show_trace(exc, session)
    paths = exc.paths if isinstance(exc, DataLossError) else ()
    session.console.error(exc.message, hint=exc.hint, paths=paths)
    if isinstance(exc, _WITH_REPOSITORY_PATHS):
        session.say_where_paths_start()
    if isinstance(exc, CommandNotStartedError):
        return exc.exit_code
    return USAGE if isinstance(exc, UsageError) else FAILED


@_settle.register
def _(exc: OSError, session: Session) -> int:
    _show_trace(exc, session)
    place = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, str | bytes) else ""
    session.console.error(f"{place}{exc.strerror or exc}", hint=os_hint(exc))
    return FAILED


@_settle.register
def _(_exc: BrokenPipeError, _session: Session) -> int:
    return _BROKEN_PIPE


def _show_trace(exc: BaseException, session: Session) -> None:
    if session.console.verbose:
        # Deferred, as is all that only errors need.
        import traceback  # noqa: PLC0415

        session.console.say("".join(traceback.format_exception(exc)))


def _as_clause(sentence: str) -> str:
    text = sentence.rstrip(".")
    return text[:1].lower() + text[1:]


def _accept_any_text() -> None:
    """Let no file name break the output, whatever the locale can write."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Write what a failed command has said so far; if that cannot be, keep Python from trying again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _signals_end_in_order(session: Session) -> Iterator[None]:
    """Let signals that ask for an end be exceptions, so that temporary files are removed."""

    def end(number: int, _frame: FrameType | None) -> None:
        session.is_interrupted = True
        raise KeyboardInterrupt if number == signal.SIGINT else _SignalledError(number)

    previous = {}
    with suppress(ValueError):  # not in the main thread, where signals are none of ours
        for number in _ENDING_SIGNALS:
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                previous[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
