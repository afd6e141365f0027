"""For all tests: what takes long comes first, so that no worker is left alone with it; no clock decides."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code. Speed is for benchmarks.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

STARTS_PROCESSES = ("flower", "daemon")
WITH_PROCESSES = 1200
"""Seconds for a test that starts processes: ten times what the longest takes, for a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by what they start; within one, the order stays."""
    for item in items:
        if any(map(item.get_closest_marker, STARTS_PROCESSES)):
            item.add_marker(pytest.mark.timeout(WITH_PROCESSES))
    items.sort(key=lambda item: not any(map(item.get_closest_marker, (*STARTS_PROCESSES, "slow"))))
