"""For all tests: files that take long come first, so that the last minutes are not one worker's alone."""

from __future__ import annotations

import pytest

LONG = (
    "test_group_live.py",
    "test_demo.py",
    "test_stock_app.py",
    "test_import_rules.py",
    "test_parts.py",
    "test_carrier.py",
    "test_sessions.py",
    "test_noisy_sessions.py",
    "test_simulate.py",
    "test_cli.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file; within one, the order stays."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
