"""Reading shoal.toml and the environment, and saying precisely what is wrong with them.

Order: defaults, then the file, then `SHOAL_SECTION__KEY` variables. Every problem becomes one line
`key: what is wrong. How to correct it.`; values appear only where they cannot be secret.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from daemon.config.fields import Place, is_scalar, keys_below, locate, model_of, variable, variables
from daemon.config.schema import Config, DatasetSource
from daemon.config.types import format_duration
from daemon.errors import ConfigError

PREFIX: Final = "SHOAL_"
RESERVED: Final = frozenset({"SHOAL_CONFIG", "SHOAL_REQUIRE_BROWSER"})
"""No settings: the first is the command line's, the second says that browser tests must not be skipped."""
FILE_NAME: Final = "shoal.toml"
MAX_FILE_BYTES: Final = 1_000_000
_SECRET_WORDS: Final = ("secret", "token", "password", "key")


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration; relative paths in it are resolved against its folder.

    Raises:
        ConfigError: with one line per problem.
    """
    environ = os.environ if environ is None else environ
    path = path / FILE_NAME if path.is_dir() else path
    tree = _read(path)
    problems = _apply_environment(tree, environ)
    origin = {k for k in environ if k.startswith(PREFIX)}
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        lines = [describe(item) for item in error.errors(include_url=False)]
        raise ConfigError(tuple(problems + lines), where=_where(path, origin)) from None
    if problems:
        raise ConfigError(tuple(problems), where=_where(path, origin))
    base = path.resolve().parent
    source = config.source
    if isinstance(source, DatasetSource):
        source = source.model_copy(update={"path": (base / source.path.expanduser()).resolve()})
    data_dir = (base / config.data_dir.expanduser()).resolve()
    group = config.group
    files = {
        name: str((base / Path(value).expanduser()).resolve())
        for name in ("certificate", "certificate_key")
        if (value := getattr(group, name))
    }
    group = group.model_copy(update=files)
    return config.model_copy(update={"data_dir": data_dir, "source": source, "group": group})


def _where(path: Path, variables: set[str]) -> str:
    return f"{path.name} or the SHOAL_* variables" if variables - RESERVED else path.name


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError((f"{path.name}: is larger than 1 MB, so it is not a configuration.",))
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        folder = path.parent if path.suffix == ".toml" else path
        line = f"{path}: there is no such file. Create one with: shoal init {folder}"
        raise ConfigError((line,), where="the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            (f"{path.name}: cannot be read ({type(error).__name__}). Check its owner and encoding.",)
        ) from None
    except RecursionError:
        line = f"{path.name}: is nested too deeply. Settings have at most one list in another."
        raise ConfigError((line,), where=path.name) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            (f"{path.name}: is not valid TOML: {error}. Strings need quotes, tables need [brackets].",)
        ) from None


def _apply_environment(tree: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    problems: list[str] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        field = variable(steps)
        if field is None:
            close = difflib.get_close_matches(name, variables(Config, PREFIX), n=1)
            hint = (
                f" Did you mean {close[0]}?"
                if close
                else " Remove it, or see the keys that shoal init writes."
            )
            problems.append(f"{name}: there is no such setting.{hint}")
            continue
        value: Any = environ[name]
        if not is_scalar(field.annotation):
            try:
                value = json.loads(value)
            except (json.JSONDecodeError, RecursionError):
                problems.append(
                    f"{name}: is not JSON. Lists and tables in the environment are written as JSON."
                )
                continue
        node = tree
        for step in steps[:-1]:
            child = node.setdefault(step, {})
            if not isinstance(child, dict):
                break
            node = child
        else:
            node[steps[-1]] = value
    return problems


def describe(error: ErrorDetails) -> str:
    """One pydantic error as `key: problem. Fix.`, without the value where the key may hold a secret."""
    place = locate([str(step) for step in error["loc"]])
    steps, field = place.steps, place.field
    key = _spell(steps)
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{key}: there is no such setting.{_suggest(place)}"
    if kind == "union_tag_invalid":
        return f"{key}.kind: is not one of {context['expected_tags']}. The first is the default."
    if kind == "missing":
        return f"{key}: is missing. {_fix(steps, field) or 'Add it.'}"
    if kind == "value_error":
        message = str(context.get("error", error["msg"]))
        return f"{key}: {message}." if key else f"{message}."
    problem = _PROBLEMS.get(kind, error["msg"][:1].lower() + error["msg"][1:]).format(**context)
    shown = _shown(steps, error.get("input"))
    return f"{key}: {shown}{problem}. {_fix(steps, field)}".rstrip()


_PROBLEMS: Final = {
    "greater_than_equal": "is too low, the least is {ge}",
    "less_than_equal": "is too high, the most is {le}",
    "literal_error": "is not one of {expected}",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not text in quotes",
    "path_type": "is not a path in quotes",
    "list_type": "is not a list",
    "model_type": "is not a table",
    "too_long": "has too many entries, the most is {max_length}",
}


def _spell(steps: list[str]) -> str:
    return "".join(f"[{s}]" if s.isdecimal() else f".{s}" for s in steps).lstrip(".")


def _shown(steps: list[str], value: object) -> str:
    secret = any(word in steps[-1] for word in _SECRET_WORDS) if steps else True
    if secret or not isinstance(value, (str, int, float, bool)):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f"{text if len(text) <= 60 else text[:57] + '...'} "


def _suggest(place: Place) -> str:
    steps = place.steps
    names = [name for model in place.within for name in model.model_fields]
    close = difflib.get_close_matches(steps[-1], names, n=1)
    if close:
        return f" Did you mean {_spell([*steps[:-1], close[0]])}?"
    everywhere = [name for section in Config.model_fields for name in keys_below(section)]
    elsewhere = [name for name in everywhere if name.endswith(f".{steps[-1]}")]
    if elsewhere:
        return f" Did you mean {elsewhere[0]}?"
    return f" Remove it; known here: {', '.join(names)}." if names else " Remove it."


def _fix(steps: list[str], field: FieldInfo | None) -> str:
    if field is None:
        return ""
    if field.examples:
        return f"Set it like: {steps[-1]} = {json.dumps(field.examples[0])}"
    child = model_of(field.annotation)
    if child is not None:
        required = [name for name, f in child.model_fields.items() if f.is_required()]
        return (
            f"Add a [{steps[-1]}] table with {' and '.join(required)}."
            if required
            else f"Write [{steps[-1]}] as a table."
        )
    default = field.get_default(call_default_factory=False)
    origin = get_origin(field.annotation)
    if default is None or origin in {Union, UnionType, list}:
        return ""
    value = format_duration(default) if isinstance(default, timedelta) else default
    return f"The default is {json.dumps(value, default=str)}."
