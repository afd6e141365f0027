"""Every setting as it is in effect: its value, where that comes from, and why the setting is there.

Secrets are replaced: what is returned here may be shown.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from daemon.config.load import load, origins
from daemon.config.schema import Peer, Section
from daemon.config.template import descriptions
from daemon.config.types import format_duration

DEFAULT: Final = "default"
HIDDEN: Final = "(set, not shown)"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: as in shoal.toml, such as "listen.api_port".
        value: a JSON value; durations as they are written, `HIDDEN` for a secret, hosts for a list of peers.
        origin: "default", the name of the file, "choices.json" for a choice on the page, or the variable that
            set it.
        reason: what it does and why, one paragraph.
        free_text: whether the value is text of the admin's own choice: a name, path or address.
    """

    key: str
    value: Any
    origin: str
    reason: str
    free_text: bool


def effective(path: Path, environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Return every setting in the order of the file. Raises ConfigError, as `load`."""
    environ = os.environ if environ is None else environ
    config, set_by = load(path, environ), origins(path, environ)

    def below(table: Section, at: tuple[str, ...]) -> Iterator[Setting]:
        reasons = _reasons(type(table))
        for name in type(table).model_fields:
            steps, value = (*at, name), getattr(table, name)
            if isinstance(value, Section):
                yield from below(value, steps)
                continue
            # A list or table that a variable gives as JSON sets what is in it.
            origin = next(
                (set_by[steps[:n]] for n in range(len(steps), 0, -1) if steps[:n] in set_by), DEFAULT
            )
            yield Setting(
                ".".join(steps), _shown(value), origin, reasons[name], _is_free_text(table, name, value)
            )

    found = list(below(config, ()))
    # Outside every table first, as in the file.
    return sorted(found, key=lambda one: "." in one.key)


@cache
def _reasons(table: type[Section]) -> Mapping[str, str]:
    return {name: inspect.cleandoc(text).replace("\n", " ") for name, text in descriptions(table).items()}


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return [one.host if isinstance(one, Peer) else one for one in value]
    return value


def _is_free_text(table: Section, name: str, value: Any) -> bool:
    choices = getattr(type(table).model_fields[name].annotation, "__args__", ())
    if isinstance(value, (SecretStr, str)) and value in choices:
        return False
    return isinstance(value, (str, Path, list, SecretStr)) and bool(value)
