"""Reading shoal.toml and the environment, and saying precisely what is wrong with them.

Order: defaults, then the file, then what was chosen on the admin page (`daemon.config.choices`), then
`SHOAL_SECTION__KEY` variables. A secret may be in a file of its own, as Docker's are, which
`SHOAL_SECTION__KEY_FILE` names. Every problem becomes one line
`key: what is wrong. How to correct it.`, where a setting from a variable goes by the variable's name; values
appear only where they cannot be secret.
"""

import copy
import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from daemon.config import choices
from daemon.config.schema import Config, DatasetSource, Section, tables_in
from daemon.config.types import format_duration
from daemon.errors import ConfigError

PREFIX: Final = "SHOAL_"
RESERVED: Final = frozenset({"SHOAL_CONFIG", "SHOAL_REQUIRE_BROWSER"})
"""No settings: the first is the command line's, the second says that browser tests must not be skipped."""
FILE_NAME: Final = "shoal.toml"
MAX_FILE_BYTES: Final = 1_000_000
MAX_SECRET_BYTES: Final = 10_000
_FILE: Final = "_file"
"""How the name of a variable ends whose value is the file with a secret."""
_SECRET_WORDS: Final = ("secret", "token", "password", "key")

Steps = tuple[str, ...]


def load(
    path: Path,
    environ: Mapping[str, str] | None = None,
    *,
    chosen: Mapping[str, choices.Choice] | None = None,
) -> Config:
    """Read and check a configuration; relative paths in it are resolved against its folder.

    `chosen` stands for what is stored of the page's choices, to look at settings before they hold.

    Raises:
        ConfigError: with one line per problem.
    """
    environ = os.environ if environ is None else environ
    path = _file(path)
    tree = _read(path)
    written = copy.deepcopy(tree)
    variables, texts, lines = _with_secret_files(_variables(environ), environ)
    problems = [_apply(tree, steps, name, texts[name]) for steps, name in variables.items()]
    lines += [problem for problem in problems if problem]
    if chosen is None:
        chosen = _stored_choices(tree, path)
    names = dict(variables)
    for key in choices.in_effect(chosen, written, variables):
        steps = choices.steps_of(key)
        names[steps] = f"{key} in {choices.NAME}"
        _put(tree, steps, chosen[key].value)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        lines += [describe(item, names) for item in error.errors(include_url=False)]
    if lines:
        where = f"{path.name} or the SHOAL_* variables" if variables else path.name
        raise ConfigError(tuple(lines), where=where)
    return _resolved(config, path.resolve().parent)


def origins(path: Path, environ: Mapping[str, str]) -> dict[Steps, str]:
    """Return what set each setting that is no default: the name of a file, or of a variable.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = _file(path)

    def below(tree: Mapping[str, Any], at: Steps) -> Iterator[Steps]:
        for name, value in tree.items():
            yield from below(value, (*at, name)) if isinstance(value, dict) else [(*at, name)]

    tree = _read(path)
    variables, texts, _problems = _with_secret_files(_variables(environ), environ)
    written = copy.deepcopy(tree)
    for steps, name in variables.items():
        _apply(tree, steps, name, texts[name])
    chosen = choices.in_effect(_stored_choices(tree, path), written, variables)
    by_page = {choices.steps_of(key): choices.NAME for key in chosen}
    return dict.fromkeys(below(written, ()), path.name) | by_page | variables


def written_in(path: Path) -> Mapping[str, Any]:
    """Return what shoal.toml itself says, unchecked: without defaults, choices and variables.

    Raises:
        ConfigError: the file cannot be read.
    """
    return _read(_file(path))


def _stored_choices(tree: Mapping[str, Any], path: Path) -> dict[str, choices.Choice]:
    """Read the choices in the data folder that a tree, variables included, names."""
    folder = tree.get("data_dir", "")
    if not isinstance(folder, str):
        # What is wrong with it is said when all is checked.
        return {}
    return choices.read((path.resolve().parent / Path(folder).expanduser()).resolve())


def _file(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() else path


def _variables(environ: Mapping[str, str]) -> dict[Steps, str]:
    return {
        tuple(name.removeprefix(PREFIX).lower().split("__")): name
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in RESERVED
    }


def _resolved(config: Config, base: Path) -> Config:
    """Return the settings with absolute paths."""

    def absolute(path: str | Path) -> Path:
        return (base / Path(path).expanduser()).resolve()

    source, group = config.source, config.group
    if isinstance(source, DatasetSource):
        source = source.model_copy(update={"path": absolute(source.path)})
    files = {name: getattr(group, name) for name in ("certificate", "certificate_key")}
    group = group.model_copy(update={name: str(absolute(file)) for name, file in files.items() if file})
    update = {"data_dir": absolute(config.data_dir), "source": source, "group": group}
    return config.model_copy(update=update)


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


def _settings(table: type[Section] = Config, at: Steps = ()) -> Iterator[tuple[Steps, FieldInfo]]:
    """Yield every setting below a table, where pydantic locates its errors but without positions in lists."""
    for name, field in table.model_fields.items():
        yield (*at, name), field
        tables = tables_in(field.annotation)
        for below in tables:
            kind = get_args(below.model_fields["kind"].annotation) if len(tables) > 1 else ()
            yield from _settings(below, (*at, name, *kind))


def is_setting(key: str) -> bool:
    """Tell whether a key, as in a problem's line, is that of a setting; others hold what somebody typed."""
    return re.sub(r"\[\d+\]", "", key) in {".".join(_plain(at)) for at, _ in _settings()}


def _plain(steps: Steps) -> Steps:
    """Leave out the kind of the source, which pydantic names where it locates an error."""
    return steps[:1] + steps[2:] if steps[:1] == ("source",) and steps[1:2] in _KINDS else steps


_KINDS: Final = (("dataset",), ("peertube",))


def _with_secret_files(
    variables: Mapping[Steps, str], environ: Mapping[str, str]
) -> tuple[dict[Steps, str], dict[str, str], list[str]]:
    """Return variables by the setting that they are for, their texts by name, and problems with files."""
    secrets = {_plain(at) for at, field in _settings() if field.annotation is SecretStr}
    found: dict[Steps, str] = {}
    texts = {name: environ[name] for name in variables.values()}
    problems: list[str] = []
    for steps, name in variables.items():
        setting = (*steps[:-1], steps[-1].removesuffix(_FILE))
        if not steps[-1].endswith(_FILE) or setting not in secrets:
            found[steps] = name
        elif setting in variables:
            problems.append(f"{name}: {variables[setting]} is set as well. Keep one of them.")
        else:
            try:
                texts[name] = _secret_in(Path(environ[name]))
                found[setting] = name
            except ValueError as error:
                problems.append(f"{name}: {error}")
    return found, texts, problems


def _secret_in(path: Path) -> str:
    """Return the only line of a file. Raises ValueError with what is wrong, and nothing of the content."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        kind = os.strerror(error.errno or 0)
        raise ValueError(f"{path} cannot be read ({kind}). Check the path, and who may read it.") from None
    lines = raw.decode("utf-8", "replace").splitlines()
    if len(raw) > MAX_SECRET_BYTES or len(lines) != 1:
        raise ValueError(f"{path} does not hold one line. Write the secret into it, and nothing else.")
    return lines[0].strip()


def _apply(tree: dict[str, Any], steps: Steps, name: str, text: str) -> str:
    """Put one variable in its place; return what is wrong with it, empty where nothing is."""
    known = {_plain(at): field for at, field in _settings() if at[0] != "peers" or len(at) == 1}
    field = known.get(steps)
    if field is None:
        names = [PREFIX + "__".join(at).upper() for at in known]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]}?" if close else "Remove it, or see the keys that shoal init writes."
        return f"{name}: there is no such setting. {hint}"
    value: Any = text
    if get_origin(field.annotation) is list or tables_in(field.annotation):
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            return f"{name}: is not JSON. Lists and tables in the environment are written as JSON."
    _put(tree, steps, value)
    return ""


def _put(tree: dict[str, Any], steps: Steps, value: Any) -> None:
    """Put a value in its place; where something is in the way, that is said when all is checked."""
    node = tree
    for step in steps[:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            return
    node[steps[-1]] = value


def describe(error: ErrorDetails, variables: Mapping[Steps, str]) -> str:
    """One pydantic error as `key: problem. Fix.`, without the value where the key may hold a secret."""
    located = tuple(str(step) for step in error["loc"])
    steps = _plain(located)
    field = dict(_settings()).get(_without_positions(located))
    key = _spelled(steps, variables)
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{key}: there is no such setting. {_suggestion(located, variables)}"
    if kind == "union_tag_invalid":
        key = _spelled((*steps, "kind"), variables)
        return f"{key}: is not one of {context['expected_tags']}. The first is the default."
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
    "model_attributes_type": "is not a table",
    "too_long": "has too many entries, the most is {max_length}",
}


def _without_positions(steps: Steps) -> Steps:
    return tuple(step for step in steps if not step.isdecimal())


def _spelled(steps: Steps, variables: Mapping[Steps, str]) -> str:
    """Write a key as in the file, or by the variable that set it."""
    length = next((n for n in range(len(steps), 0, -1) if steps[:n] in variables), 0)
    rest = "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps[length:])
    return variables[steps[:length]] + rest if length else rest.lstrip(".")


def _shown(steps: Steps, value: object) -> str:
    secret = any(word in steps[-1] for word in _SECRET_WORDS) if steps else True
    if secret or not isinstance(value, (str, int, float, bool)):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f"{text if len(text) <= 60 else text[:57] + '...'} "


def _suggestion(located: Steps, variables: Mapping[Steps, str]) -> str:
    """Say what an unknown key may be meant for: one of its table, else one of that name elsewhere."""
    *table, name = located
    keys = [at for at, _ in _settings()]
    beside = [at[-1] for at in keys if at[:-1] == _without_positions(tuple(table))]
    if close := difflib.get_close_matches(name, beside, n=1):
        return f"Did you mean {_spelled(_plain((*table, close[0])), variables)}?"
    if elsewhere := [at for at in keys if len(at) > 1 and at[-1] == name]:
        if _plain(elsewhere[0]) == _plain(located):
            return f'It is for source.kind = "{elsewhere[0][1]}".'
        return f"Did you mean {_spelled(_plain(elsewhere[0]), variables)}?"
    return f"Remove it; known here: {', '.join(beside)}." if beside else "Remove it."


def _fix(steps: Steps, field: FieldInfo | None) -> str:
    if field is None:
        return ""
    if field.examples:
        return f"Set it like: {steps[-1]} = {json.dumps(field.examples[0])}"
    if tables := tables_in(field.annotation):
        heading = f"[{_without_positions(steps)[-1]}]"
        heading = f"[{heading}]" if get_origin(field.annotation) is list else heading
        required = [name for name, f in tables[0].model_fields.items() if f.is_required()]
        return (
            f"Add a {heading} table with {' and '.join(required)}."
            if required
            else f"Write {heading} as a table."
        )
    default = field.get_default()
    if default is None or get_origin(field.annotation) in {Union, UnionType, list}:
        return ""
    value = format_duration(default) if isinstance(default, timedelta) else default
    return f"The default is {json.dumps(value, default=str)}."
