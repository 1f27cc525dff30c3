"""Each promise that the documentation makes names the tests that hold it, and these are there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THREATS, INVARIANTS = ROOT / "docs/design/threat-model.md", ROOT / "docs/design/invariants.md"
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
TABLE_OF_TESTS = re.compile(r"^\|[^|\n]*\| test \|\n\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)
# These say who there is, and what is not promised.
WITHOUT_PROMISES = {"Who", "What each can do, and cannot", "What is not promised", "Limits today"}


def named() -> list[tuple[str, str]]:
    return sorted({(path, name) for page in (THREATS, INVARIANTS) for path, name in TEST_ID.findall(page.read_text())})


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the sections of a page that promise something: the title and all below it."""
    for part in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        title, text = part.split("\n", 1)
        if title not in WITHOUT_PROMISES:
            yield title, text


def paragraphs(page: Path) -> Iterator[tuple[str, str]]:
    """Yield what begins with a few words of its own, as **Paths.** or *Readers.*, up to the next such."""
    for _, text in sections(page):
        leads = [*re.finditer(r"^\*{1,2}([A-Z][^*\n]*)\.\*{1,2} ", text, flags=re.MULTILINE)]
        ends = [*(lead.start() for lead in leads[1:]), len(text)]
        for lead, end in zip(leads, ends, strict=False):
            yield lead[1], text[lead.start() : end]


def rows(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the rows of tables that name tests: the promise and its tests."""
    for table in TABLE_OF_TESTS.findall(page.read_text()):
        for row in table.splitlines():
            promise, tests = row.strip("| ").rsplit(" | ", 1)
            yield promise, tests


def promises() -> list[tuple[str, str]]:
    return [
        (f"{page.stem}: {what}", text)
        for page in (THREATS, INVARIANTS)
        for parts in (sections, paragraphs, rows)
        for what, text in parts(page)
    ]


@pytest.mark.parametrize(("path", "name"), named())
def test_a_test_that_holds_a_promise_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert not name or name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("text", [pytest.param(text, id=what) for what, text in promises()])
def test_each_promise_names_a_test(text: str) -> None:
    assert TEST_ID.search(text) or "[Trust](#trust)" in text


def test_all_promises_are_looked_at() -> None:
    """What each kind of part of the pages is recognised by has not changed."""
    found = {what for what, _ in promises()}
    wanted = ["Checking out", "Unchanged or not", "How a blob is written", "Secrets", "Readers", *map(str, range(1, 9))]
    assert found >= {f"invariants: {what}" for what in wanted}
    assert "threat-model: Encrypted remotes hide and hold" in found
    numbered = re.findall(r"^(\d)\. ", INVARIANTS.read_text().split("## ")[0], flags=re.MULTILINE)
    assert len(numbered) == 8
