"""The mark of the long run: `pytest -m long tests/fuzz`."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "long: a million hostile inputs, about half an hour; `pytest -m long tests/fuzz`"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take what is long out of the usual run, which leaves out what is slow."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
