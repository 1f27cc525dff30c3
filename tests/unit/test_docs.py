"""The documentation says what is there: every module has its line, every link leads somewhere, every choice is told."""

import re
import shlex
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from dver.cli.boundary import root_command
from dver.cli.branching import BranchingCommand
from dver.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "docs" / "design" / "architecture.md"
DECISIONS = ROOT / "docs" / "design" / "decisions.md"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(<?([^)>\s]+)>?(?:\s[^)]*)?\)")
BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(dver [a-z-][^`]*)`")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
MODULE_ROW = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)
PACKAGE_HEADING = re.compile(r"^### `([\w.]+)`", re.MULTILINE)
DEPENDENCY_ENTRY = re.compile(r"^### \d{4}-\d{2}: ([\w-]+),", re.MULTILINE)


def modules() -> Iterator[str]:
    for path in sorted((ROOT / "dver").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            yield ".".join(parts[1:-1]) or "dver"
        else:
            yield ".".join(parts[1:])


def described() -> set[str]:
    text = ARCHITECTURE.read_text()
    modules_part = text.partition("\n## Modules\n")[2]
    return {*MODULE_ROW.findall(modules_part), *PACKAGE_HEADING.findall(modules_part)}


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(prose(page))}


def slug(heading: str) -> str:
    text = unicodedata.normalize("NFKD", re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading))
    text = re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower()
    return re.sub(r"[-\s]+", "-", text)


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            yield link


def command_lines(page: Path) -> Iterator[str]:
    """Yield the dver command lines that a page shows, in blocks and in running text."""
    for kind, body in BLOCK.findall(page.read_text()):
        for line in body.splitlines():
            command = line.removeprefix("$ ") if kind == "console" and line.startswith("$ ") else line
            if command.startswith("dver ") and (kind == "sh" or command != line):
                yield command
    for span in SPAN.findall(prose(page)):
        yield " ".join(span.split())


def mistake(line: str) -> str | None:
    """Return what is wrong with a command line: a command or an option that there is not."""
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
    command: click.Command = root_command(COMMANDS)
    # Commands keep the help option that they were first asked for, for all tests of the process.
    context = click.Context(command, **command.context_settings)
    words = words[2:] if words[:1] == ["-C"] else words
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]!r}"
        command, words = found, words[1:]
    branch = command.branch(words[0]) if isinstance(command, BranchingCommand) and words else None
    command, words = (branch, words[1:]) if branch is not None else (command, words)
    known = {
        option for parameter in command.get_params(context) for option in parameter.opts + parameter.secondary_opts
    }
    return next((f"no option {word!r}" for word in options(words) if word not in known), None)


def options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word in {"--", "|", ">", "&&", "<"}:
            return
        if word.startswith("-"):
            yield word.partition("=")[0]


def test_every_module_has_its_line_in_the_architecture() -> None:
    assert sorted(set(modules()) - described()) == []


def test_the_architecture_names_no_module_that_is_gone() -> None:
    assert sorted(described() - set(modules())) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_dependency_has_its_decision() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0] for requirement in project["dependencies"]}
    assert sorted(names - set(DEPENDENCY_ENTRY.findall(DECISIONS.read_text()))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_the_pages_show_are_there_with_their_options(page: Path) -> None:
    assert [(line, wrong) for line in command_lines(page) if (wrong := mistake(line))] == []
