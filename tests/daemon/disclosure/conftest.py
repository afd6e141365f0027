"""An instance that shares, for every test of what it would tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.disclosure.sharing_instance import (
    Place,
    place_of,
    write_config,
)


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = place_of(write_config(tmp_path / "one"))
    yield found
    found.engine.dispose()
