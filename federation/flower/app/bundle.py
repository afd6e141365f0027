"""The stock app as Flower wants it: a folder for `flwr run`, or the same as one file (FAB).

It holds two lines of code that import this installation's own: what a SuperNode then runs is what its
environment has installed. Protocol and rules never travel.
"""

from __future__ import annotations

from pathlib import Path

NAME = "shoal-stock-app"
_MODULE = "shoal_stock_app"
_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shoal-stock-app"
version = "1.0.0"
description = "One secure sum of Shoal over stock Flower nodes"
license = { text = "AGPL-3.0-or-later" }
dependencies = []

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "shoal"

[tool.flwr.app.components]
serverapp = "shoal_stock_app.apps:server"
clientapp = "shoal_stock_app.apps:client"

[tool.flwr.app.config]
instance = ""
out = ""
length = 1000
entry-bound = 1000
patience = 120.0
grace = 20.0
poll = 0.5
"""
_APPS = '''\
"""Both apps are those of the installed `federation.flower.app`."""

from federation.flower.app.client import app as client
from federation.flower.app.server import app as server

__all__ = ["client", "server"]
'''


def files() -> dict[str, bytes]:
    """Return the app's files by their path inside the folder."""
    return {
        "pyproject.toml": _PROJECT.encode(),
        "README.md": b"# Stock Flower app of Shoal\n\nOne secure sum; see federation/flower/app in Shoal.\n",
        f"{_MODULE}/__init__.py": b'"""Stock Flower app of Shoal."""\n',
        f"{_MODULE}/apps.py": _APPS.encode(),
    }


def write(parent: Path) -> Path:
    """Write the app below `parent`; return its folder, for `flwr run`."""
    folder = parent / NAME
    for name, content in files().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def fab() -> bytes:
    """Return the app as one file. The same installation gives the same bytes.

    Raises:
        ValueError: Flower finds fault with the app's description.

    """
    from flwr.cli.build import build_fab_from_files

    bundle: bytes = build_fab_from_files(files())[0]
    return bundle
