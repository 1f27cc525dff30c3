"""The options that choose a part of datasets, and how a choice is put for people and for programs."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from dver.cli.wording import escape_text, path_json
from dver.errors import UsageError
from dver.operations.datasets import decode_path
from dver.workspace.choice import Choice, Rule, check_patterns

_LONGEST = 60


def choice_options(whole: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--include`, `--exclude` and `--whole`; the command is called with `patterns` and `whole`.

    The parameter is the help of `--whole`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def collected(*arguments: Any, include: tuple[str, ...], exclude: tuple[str, ...], **given: Any) -> Any:
            patterns = check_patterns(include, exclude)
            if patterns and given["whole"]:
                raise UsageError("--whole leaves nothing out, so --include and --exclude have no place beside it")
            return function(*arguments, patterns=patterns, **given)

        command: Callable[..., Any] = collected
        for option in reversed(_pattern_options(whole)):
            command = option(command)
        return command

    return decorate


def _pattern_options(whole: str) -> tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...]:
    return (
        click.option(
            "--include",
            metavar="PATTERN",
            multiple=True,
            help="Only what fits, written as in .gitignore and relative to the dataset or PATH; may be repeated.",
        ),
        click.option("--exclude", metavar="PATTERN", multiple=True, help="Not what fits; may be repeated."),
        click.option("--whole", is_flag=True, help=whole),
    )


def choice_text(choice: Choice) -> str:
    """Return a choice for people, such as "*.csv, not old/"; what is too long ends in an ellipsis."""
    text = ", ".join(_rule_text(rule) for rule in choice.rules)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip(', ')}…"


def _rule_text(rule: Rule) -> str:
    path = escape_text(decode_path(rule.path))
    where = f"{path}/" if path and rule.pattern else path
    what = f"{where}{escape_text(rule.pattern).lstrip('/') if where else escape_text(rule.pattern)}" or "everything"
    return what if rule.wanted else f"not {what}"


def choice_json(choice: Choice) -> list[dict[str, object]]:
    """Return a choice for JSON."""
    return [
        {"wanted": rule.wanted, "path": path_json(decode_path(rule.path)), "pattern": path_json(rule.pattern) or None}
        for rule in choice.rules
    ]
