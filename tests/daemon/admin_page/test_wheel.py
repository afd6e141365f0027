"""A wheel has the whole page, also what a checkout only links to."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from daemon.serve.admin.page import Page
from tests import ROOT

pytestmark = pytest.mark.slow

NEEDED = ("daemon", "federation", "models", "policies", "peertube-plugin/client/lib")


def test_the_page_of_a_wheel_is_that_of_the_checkout(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in NEEDED:
        left_out = shutil.ignore_patterns("__pycache__", "data")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    # What builds it is in the environment of the tests: nothing is downloaded.
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet"]
    local = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, *local, "--wheel-dir", tmp_path, source], check=True, timeout=240)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        # Where a wheel is installed, no link can lead back to where it was made.
        assert not [one for one in archive.infolist() if stat.S_ISLNK(one.external_attr >> 16)]
    shutil.rmtree(source)
    assert Page.load(tmp_path / "installed" / "daemon" / "admin_page").version == Page.load().version
