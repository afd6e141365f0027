"""shoal.toml as `shoal init` writes it: every key, its default and the reason, made from the settings."""

import json
import textwrap
from datetime import timedelta
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from daemon.config.fields import model_of, models_of
from daemon.config.schema import Config
from daemon.config.types import format_duration

WIDTH = 100

_HEADER = """\
# Settings of this Shoal daemon. Lines that start with # show the defaults; remove the # to change one.
# Every key can also be set by the environment: SHOAL_LISTEN__API_PORT=9000, SHOAL_MODE=simulate.
"""


def render(values: dict[str, dict[str, Any]]) -> str:
    """Write a complete file: the given values live, every default as a comment.

    Args:
        values: section -> key -> value, at least what has no default:
            `{"instance": {"host": ...}, "source": {"path": ...}}`; keys outside every table under "".
    """
    blocks = [_HEADER]
    top = {n: f for n, f in Config.model_fields.items() if model_of(f.annotation) is None}
    blocks += [_entry(name, field, values.get("", {})) for name, field in top.items()]
    for name, field in Config.model_fields.items():
        section = _chosen(models_of(field.annotation), values.get(name, {}))
        if section is None:
            continue
        if get_origin(field.annotation) is list:
            blocks.append(_example_list(name, field, section))
            continue
        given = values.get(name, {})
        blocks.append(f"\n[{name}]\n" + _comment((section.__doc__ or "").split("\n\n")[0]))
        blocks += [_entry(key, f, given) for key, f in section.model_fields.items()]
    return "\n".join(blocks)


def _chosen(choices: list[type[BaseModel]], given: dict[str, Any]) -> type[BaseModel] | None:
    """Return the table to write: where there are several kinds, the one that is given."""
    for section in choices[1:]:
        if given.get("kind") in get_args(section.model_fields["kind"].annotation):
            return section
    return choices[0] if choices else None


def _comment(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, initial_indent="# ", subsequent_indent="# ") + "\n"


def _entry(key: str, field: FieldInfo, given: dict[str, Any]) -> str:
    text = _comment(field.description or "")
    if key in given:
        return f"{text}{key} = {_toml(given[key])}\n"
    if field.is_required():
        return f"{text}# {key} = {_toml(field.examples[0] if field.examples else '')}\n"
    value = field.get_default(call_default_factory=True)
    shown = field.examples[0] if value is None and field.examples else value
    return f"{text}# {key} = {_toml(shown)}\n"


def _example_list(name: str, field: FieldInfo, section: type[BaseModel]) -> str:
    lines = [f"# {key} = {_toml(f.examples[0])}" for key, f in section.model_fields.items() if f.examples]
    return "\n" + _comment(field.description or "") + "\n".join([f"# [[{name}]]", *lines]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, timedelta):
        return json.dumps(format_duration(value))
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
