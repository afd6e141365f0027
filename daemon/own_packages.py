"""Whether the packages that are imported as `daemon`, `federation`, `models` and `policies` are Shoal's.

Other distributions have modules of these names (`federation` on PyPI speaks ActivityPub, `python-daemon` is
imported as `daemon`). Installed in the same environment, one overwrites files of the other, and what breaks
then is anybody's guess. So every start looks before anything else is imported. Standard library only.
"""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NAMES: Final = ("daemon", "federation", "models", "policies")
MARK: Final = '__distribution__ = "shoal"'
"""A line of the `__init__.py` of each package of ours."""


def require_own_packages() -> None:
    """Return if all four packages are ours; otherwise say which is not and end the process with status 2."""
    for name in NAMES:
        where = _file(name)
        if where is None or MARK not in where.read_text("utf-8", errors="replace"):
            sys.stderr.write(
                f"Error: the package `{name}` that Python finds is not Shoal's ({where or 'not found'}).\n"
                f"{_advice(name)}\n"
            )
            raise SystemExit(2)


def _file(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        origin = getattr(loaded, "__file__", None)
    else:
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
    return Path(origin) if origin and Path(origin).is_file() else None


def _advice(name: str) -> str:
    others = sorted(set(metadata.packages_distributions().get(name, ())) - {"shoal"})
    known = [f"{other} {metadata.version(other)}" for other in others]
    culprit = f"It comes from {' and '.join(known)}. " if known else ""
    return f"{culprit}Install Shoal into an environment of its own: python3 -m venv, or pipx install shoal."
