"""The tests that the documentation names as those that hold a promise are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs/design/threat-model.md", ROOT / "docs/design/invariants.md"]
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def named() -> list[tuple[str, str]]:
    return sorted({(path, name) for page in PAGES for path, name in TEST_ID.findall(page.read_text())})


@pytest.mark.parametrize(("path", "name"), named())
def test_a_test_that_holds_a_promise_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_name_tests(page: Path) -> None:
    assert TEST_ID.findall(page.read_text())
