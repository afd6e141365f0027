"""What the admin chose on the page: a file beside the database, which only the daemon writes.

A choice holds until shoal.toml says something else than it did then: the latest decision counts, wherever it
was made. Each choice is therefore kept with the line that it was made over. A file that cannot be understood
is refused as a whole, like a broken shoal.toml: what it held may have been what protects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from daemon.errors import ConfigError

NAME: Final = "choices.json"
KEYS: Final = ("mode", "privacy.level", "schedule.enabled", "serve.discovery")
"""The settings that the page may change; every other one is for shoal.toml and variables."""
MAX_BYTES: Final = 10_000
_VERSION: Final = 1

Steps = tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """A value, and what shoal.toml said when it was chosen: None where it said nothing."""

    value: str | bool
    over: Any


def read(folder: Path) -> dict[str, Choice]:
    """Return what was chosen, by key; nothing where there is no file.

    Raises:
        ConfigError: the file is not what the daemon wrote.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _refused(f"cannot be read ({type(error).__name__})", path) from None
    try:
        found = decode(raw)
    except (ValueError, RecursionError):
        raise _refused("is not what the daemon wrote: it is damaged, or was edited by hand", path) from None
    return found


def decode(raw: bytes) -> dict[str, Choice]:
    """Read what `encode` wrote. Raises ValueError for everything else."""
    if len(raw) > MAX_BYTES:
        raise ValueError("too long")
    tree = json.loads(raw)
    if not isinstance(tree, dict) or set(tree) != {"version", "chosen"} or tree["version"] != _VERSION:
        raise ValueError("not a file of choices")
    chosen = tree["chosen"]
    if not isinstance(chosen, dict) or not set(chosen) <= set(KEYS):
        raise ValueError("unknown settings")
    found = {}
    for key, entry in chosen.items():
        if not isinstance(entry, dict) or set(entry) != {"value", "over"}:
            raise ValueError("not a choice")
        if not isinstance(entry["value"], (str, bool)):
            raise ValueError("not a value")
        found[key] = Choice(entry["value"], entry["over"])
    return found


def encode(chosen: Mapping[str, Choice]) -> bytes:
    """Return the content of the file."""
    entries = {key: vars(chosen[key]) for key in KEYS if key in chosen}
    return json.dumps({"version": _VERSION, "chosen": entries}, indent=1).encode()


def in_effect(chosen: Mapping[str, Choice], written: Mapping[str, Any], set_by: Iterable[Steps]) -> list[str]:
    """Return the keys of the choices that hold.

    `written` is the tree of shoal.toml, without variables; `set_by` are settings and tables that these set.
    """
    variables = set(set_by)

    def hidden(steps: Steps) -> bool:
        return any(steps[:length] in variables for length in range(1, len(steps) + 1))

    return [
        key
        for key, choice in chosen.items()
        if not hidden(steps_of(key)) and value_at(written, steps_of(key)) == choice.over
    ]


def steps_of(key: str) -> Steps:
    """Return where a setting is in the tree."""
    return tuple(key.split("."))


def value_at(tree: Mapping[str, Any], steps: Steps) -> Any:
    """Return what a file says of a setting, None where it says nothing."""
    node: Any = tree
    for step in steps:
        if not isinstance(node, Mapping):
            return None
        node = node.get(step)
    return node


def _refused(problem: str, path: Path) -> ConfigError:
    line = f"{NAME}: {problem}. Nothing starts, since it may have held what protects your viewers."
    advice = f"Set mode and privacy.level in shoal.toml, delete {path}, and start the daemon again."
    return ConfigError((line,), advice=advice)
