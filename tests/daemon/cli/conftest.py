"""Fixtures of the tests of `shoal privacy`."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.daemon.cli.spending_instance import (
    DAY,
    World,
)
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 viewers of 40 videos, read once."""
    folder = tmp_path_factory.mktemp("stored")
    write_set(folder / "dataset")
    made = World(folder, 0.0).write()
    assert shoal("sync", "-c", made.config_file).returncode == 0
    return folder


@pytest.fixture
def world(stored: Path, tmp_path: Path) -> World:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    return World(tmp_path, time.time() - 30 * DAY).write()
