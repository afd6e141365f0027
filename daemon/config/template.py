"""shoal.toml as `shoal init` writes it: every key, its default and the reason, made from the settings."""

import ast
import inspect
import itertools
import json
import textwrap
from datetime import timedelta
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from daemon.config.schema import Config, Section, tables_in
from daemon.config.types import format_duration

WIDTH = 100

_HEADER = """\
# Settings of this Shoal daemon. Lines that start with # show the defaults; remove the # to change one.
# Every key can also be set by a variable: SHOAL_LISTEN__API_PORT=9000, SHOAL_MODE=simulate. A secret can be
# in a file of its own: SHOAL_SOURCE__SECRET_FILE=/run/secrets/shoal. What was chosen on the admin page comes
# before a line here until you change that line; to see what holds and why, run: shoal config show
"""


def render(values: dict[str, dict[str, Any]]) -> str:
    """Return a complete file: the given values live, every default as a comment.

    Args:
        values: section -> key -> value, at least what has no default:
            `{"instance": {"host": ...}, "source": {"path": ...}}`; keys outside every table under "".
    """
    texts = descriptions(Config)
    settings = Config.model_fields.items()
    blocks = [_HEADER]
    blocks += [_entry(n, f, texts[n], values.get("", {})) for n, f in settings if not tables_in(f.annotation)]
    for name, field in settings:
        tables, given = tables_in(field.annotation), values.get(name, {})
        if not tables:
            continue
        # Where there are several kinds, the one that is given.
        table = next((t for t in tables if given.get("kind") in _kinds(t)), tables[0])
        if get_origin(field.annotation) is list:
            example = [
                f"# {key} = {_toml(f.examples[0])}" for key, f in table.model_fields.items() if f.examples
            ]
            blocks.append("\n".join([f"\n{_comment(texts[name])}# [[{name}]]", *example, ""]))
            continue
        blocks.append(f"\n[{name}]\n{_comment(inspect.getdoc(table) or '')}")
        below = descriptions(table)
        blocks += [_entry(key, f, below[key], given) for key, f in table.model_fields.items()]
    return "\n".join(blocks)


def descriptions(table: type[Section]) -> dict[str, str]:
    """Return what the source says below each setting of a table.

    Read from the source when a file is written, so that no other start has to hold or parse it.
    """
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(table))).body
    texts = {}
    for pair in itertools.pairwise(found.body if isinstance(found, ast.ClassDef) else ()):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = text
    return texts


def _kinds(table: type[Section]) -> tuple[Any, ...]:
    return get_args(table.model_fields["kind"].annotation) if "kind" in table.model_fields else ()


def _comment(text: str) -> str:
    lines = textwrap.wrap(" ".join(text.split()), WIDTH - 2, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _entry(key: str, field: FieldInfo, text: str, given: dict[str, Any]) -> str:
    if key in given:
        return f"{_comment(text)}{key} = {_toml(given[key])}\n"
    value = field.get_default() if not field.is_required() else None
    shown = field.examples[0] if value is None and field.examples else value
    return f"{_comment(text)}# {key} = {_toml(shown)}\n"


def _toml(value: Any) -> str:
    if isinstance(value, timedelta):
        value = format_duration(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
