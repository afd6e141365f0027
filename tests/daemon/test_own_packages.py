"""Another distribution with a module of one of our names is found at every start, and named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.own_packages import NAMES
from tests import ROOT

pytestmark = pytest.mark.slow

STARTS = (
    ("daemon.cli.main", "--help"),
    ("daemon.serve", "--config", "nowhere.toml"),
    ("daemon.jobs", "sync", "--config", "nowhere.toml"),
)


def started(paths: list[Path], *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    # -S would lose our dependencies; -P keeps the folder of this project out of the path.
    return subprocess.run(
        [sys.executable, "-P", "-m", *command],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder with our packages, as pip leaves them."""
    for name in NAMES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    return tmp_path


def install(folder: Path, distribution: str, name: str) -> None:
    """Put a package of another distribution there; it overwrites what has its name."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "__init__.py").write_text('"""Somebody else\'s."""\n')
    about = folder / f"{distribution.replace('-', '_')}-0.28.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.28.0\n")
    (about / "top_level.txt").write_text(f"{name}\n")
    (about / "RECORD").write_text(f"{name}/__init__.py,,\n")


@pytest.mark.parametrize("command", STARTS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("distribution", "name"), [("federation", "federation"), ("python-daemon", "daemon")]
)
def test_what_overwrote_a_package_is_named(
    environment: Path, command: tuple[str, ...], distribution: str, name: str
) -> None:
    install(environment, distribution, name)
    done = started([environment], *command)
    assert done.returncode == 2
    assert f"`{name}`" in done.stderr
    assert f"{distribution} 0.28.0" in done.stderr
    assert "environment of its own" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_comes_first_on_the_path_is_named(environment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    install(other, "models", "models")
    done = started([other, environment], *STARTS[1])
    assert done.returncode == 2
    assert str(other / "models" / "__init__.py") in done.stderr


def test_ours_start(environment: Path) -> None:
    done = started([environment], *STARTS[0])
    assert done.returncode == 0, done.stderr
