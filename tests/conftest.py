"""For all tests: what takes long comes first, so that no worker is left alone with it; no clock decides."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code. Speed is for benchmarks.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

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
