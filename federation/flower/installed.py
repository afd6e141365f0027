"""Whether Flower is installed, in a version whose private parts are those used here. Imports none of it."""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec
from typing import Final

VERSIONS: Final = ("1.41", "1.42")
"""The contract tests pass with these, and pip takes no other: `group` and `simulation` in pyproject.toml."""


def lacking(*, simulation: bool = False) -> str:
    """Return what is lacking to carry a group's sum, with `simulation` to simulate one; "" for nothing."""
    if find_spec("flwr") is None:
        return "Flower, which carries the sums of groups, is not installed"
    found = metadata.version("flwr")
    if ".".join(re.findall(r"\d+", found)[:2]) not in VERSIONS:
        return f"Flower {found} is installed, and groups need {' or '.join(VERSIONS)}"
    if simulation and find_spec("ray") is None:
        return "Flower's simulation engine is not installed (ray is missing)"
    return ""
