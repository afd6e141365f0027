"""What tests of data windows share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.daemon.rounds.window_store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return windows of which nothing is flushed: nobody cuts the power, and flushing takes time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return Store(tmp_path / "windows")
