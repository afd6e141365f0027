"""The wheel as it would be published, and an environment of it and what its base dependencies need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import ROOT

PUBLISHED = (
    *("pyproject.toml", "README.md", "LICENSE"),
    *("daemon", "federation", "models", "policies"),
    *("peertube-plugin/client/lib", "peertube-plugin/languages"),
)
"""What a wheel is made of; the page and its sentences have links to the last two."""


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the project, without fetching anything; returns its path."""
    source = folder / "source"
    source.mkdir()
    for name in PUBLISHED:
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=left_out)
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def environment(folder: Path, wheel: Path) -> Path:
    """Make an environment of a wheel and its base dependencies, linked from this one; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in _needed("shoal"):
        _link(metadata.distribution(name), site)
    return folder / "bin" / "python"


def _needed(name: str) -> set[str]:
    """Return all that pip installs with a distribution, without its extras and itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in _requirements(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _requirements(name: str) -> Iterator[str]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Link the packages, modules and description of a distribution."""
    for top in {Path(file).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        target = Path(str(distribution.locate_file(top)))
        if not (site / top).exists():
            (site / top).symlink_to(target)
