"""The wheel as it would be published, and an environment of it and what its base dependencies need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
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
    return build_from(source, folder)


def build_from(source: Path, folder: Path) -> Path:
    """Build the wheel of a project in a folder that nobody else needs; returns its path."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def environment(folder: Path, wheel: Path) -> Path:
    """Make an environment of a wheel and its base dependencies, linked from this one; returns its Python.

    Raises:
        LookupError: something that the wheel needs is not here, or not in a version that it takes.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    [own] = metadata.distributions(name="shoal", path=[str(site)])
    for name in _needed(own.requires or ()):
        _link(metadata.distribution(name), site)
    return folder / "bin" / "python"


def _needed(requires: Iterable[str]) -> set[str]:
    """Return all that pip installs for these requirements, without extras."""
    found: set[str] = set()
    waiting = list(requires)
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        here = metadata.distribution(requirement.name)
        if not requirement.specifier.contains(here.version, prereleases=True):
            raise LookupError(f"it needs {requirement}, and {here.version} is installed here")
        if (name := canonicalize_name(requirement.name)) not in found:
            found.add(name)
            waiting += here.requires or ()
    return found


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Link the packages, modules and description of a distribution."""
    for top in {Path(file).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        target = Path(str(distribution.locate_file(top)))
        if not (site / top).exists():
            (site / top).symlink_to(target)
