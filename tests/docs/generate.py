"""`make docs`: writes the parts of the documentation that are made from the code.

Each page keeps its hand-written introduction; what stands between the marks is made. Commands come from
click, settings from their pydantic models, routes and metrics from the two web applications, the page's types
from the OpenAPI description. No daemon is started.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
import click
import typer
from aiohttp import web
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample
from pydantic.fields import FieldInfo

from daemon.cli.main import app
from daemon.config import Config, load
from daemon.config.schema import tables_in
from daemon.config.template import descriptions
from daemon.config.types import format_duration
from daemon.disclosure import data_kinds
from daemon.serve.admin import openapi
from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.routes import ROUTES
from daemon.serve.api.metrics import Metrics
from daemon.serve.background import peers_app
from daemon.serve.federation_app import open_service
from daemon.serve.server import build_api, build_context
from daemon.store.migrate import migrate
from tests import ROOT
from tests.docs import bounds, noise_picture

BEGIN: Final = "<!-- made by `make docs`: begin -->\n"
END: Final = "<!-- made by `make docs`: end -->\n"
EVERYWHERE: Final = frozenset({"--config", "--output", "--help"})
"""Options that mean the same in every command: the introduction of docs/cli.md describes them."""
OPENAPI_TYPESCRIPT: Final = ROOT / "tests" / "plugin" / "node_modules" / ".bin" / "openapi-typescript"
_INSTANCE: Final = 'mode = "consume"\n[instance]\nhost = "video.example.org"\n[source]\npath = "."\n'


@dataclass(frozen=True)
class Command:
    """One command: its name as it is typed, what click knows of it, and its own parameters."""

    name: str
    command: click.Command
    parameters: list[click.Parameter]


def commands() -> list[Command]:
    """Return every command and group below `shoal`, in the order of the help."""
    root = typer.main.get_command(app)
    return list(_below(root, click.Context(root, info_name="shoal")))


def _below(group: click.Command, context: click.Context) -> Iterator[Command]:
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if found is not None and not found.hidden:
            inner = click.Context(found, info_name=name, parent=context)
            yield Command(inner.command_path, found, found.get_params(inner))
            yield from _below(found, inner)


def cli() -> str:
    """Return one section for each command."""
    return "\n".join(_section(item) for item in commands())


def _section(item: Command) -> str:
    text = re.sub(r"\\(?=\[)", "", inspect.cleandoc(item.command.help or ""))
    if isinstance(item.command, click.Group):
        return f"## {item.name}\n{text}\n"
    own = [one for one in item.parameters if not EVERYWHERE & set(one.opts)]
    lines = [f"### {item.name}", f"`{' '.join([item.name, *(_usage(one) for one in own)])}`", "", text, ""]
    described = [one for one in own if getattr(one, "help", None)]
    if described:
        lines += ["| | |", "|---|---|", *(f"| {_names(one)} | {_meaning(one)} |" for one in described), ""]
    return "\n".join(lines)


def _usage(parameter: click.Parameter) -> str:
    text = _metavar(parameter)
    if isinstance(parameter, click.Option):
        text = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {text}"
    text = text if parameter.required else f"[{text}]"
    return f"{text}..." if parameter.multiple or parameter.nargs == -1 else text


def _metavar(parameter: click.Parameter) -> str:
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.type, click.Choice):
        return "|".join(_value(one) for one in parameter.type.choices)
    if isinstance(parameter, click.Argument):
        return str(parameter.name).upper()
    return parameter.type.name.upper().removesuffix(" RANGE")


def _names(parameter: click.Parameter) -> str:
    if not isinstance(parameter, click.Option):
        return f"`{_metavar(parameter)}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _meaning(parameter: click.Parameter) -> str:
    kind = parameter.type
    text = re.sub(r"\\(?=\[)", "", str(getattr(parameter, "help", "")))
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        text += _between(kind.min, kind.max)
    default = parameter.default
    if isinstance(default, bool):
        text += f" Default: `{parameter.opts[0]}`." if default and parameter.secondary_opts else ""
    elif default not in (None, "", []) and type(default).__name__ != "Sentinel":
        text += f" Default: `{_value(default)}`."
    return _cell(text)


def _value(value: Any) -> str:
    return str(getattr(value, "value", value))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _between(low: Any, high: Any) -> str:
    if low is not None and high is not None:
        return f" From {_number(low)} to {_number(high)}."
    return f" At least {_number(low)}." if low is not None else f" At most {_number(high)}." if high else ""


def _number(value: Any) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def settings() -> str:
    """Return one section for each table of shoal.toml, with every key; keys outside all tables come first."""
    top = {name: field for name, field in Config.model_fields.items() if not tables_in(field.annotation)}
    texts = descriptions(Config)
    parts = ["## Outside every table", _keys(top, texts)]
    for name, field in Config.model_fields.items():
        several = get_origin(field.annotation) is list
        for model in tables_in(field.annotation):
            kind = model.model_fields.get("kind")
            brackets = f"`[[{name}]]`" if several else f"`[{name}]`"
            choice = f' with `kind = "{get_args(kind.annotation)[0]}"`' if kind else ""
            meaning = texts[name] if several else inspect.getdoc(model)
            own = {key: item for key, item in model.model_fields.items() if key != "kind"}
            parts += [f"## {brackets}{choice}", _cell(meaning or ""), "", _keys(own, descriptions(model))]
    return "\n".join(parts)


def _keys(fields: dict[str, FieldInfo], texts: dict[str, str]) -> str:
    rows = [
        f"| `{key}` | {_default(field)} | {_cell(texts[key] + _allowed(field))} |"
        for key, field in fields.items()
    ]
    return "\n".join(["| Key | Default | |", "|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, timedelta):
        value = format_duration(value)
    return f"`{json.dumps(value if isinstance(value, (bool, int, float, list)) else _value(value))}`"


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " One of " + ", ".join(f'`"{value}"`' for value in get_args(field.annotation)) + "."
    low = next((item.ge for item in field.metadata if isinstance(item, annotated_types.Ge)), None)
    high = next((item.le for item in field.metadata if isinstance(item, annotated_types.Le)), None)
    return _between(low, high)


@dataclass(frozen=True)
class Served:
    """What a daemon serves: routes (method, path, meaning), metrics (name, type, labels, reader, meaning)."""

    local: list[tuple[str, str, str]]
    peers: list[tuple[str, str, str]]
    metrics: list[tuple[str, str, str, str, str]]


@cache
def served() -> Served:
    """Build both applications over an empty instance, and look at them."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "shoal.toml"
        path.write_text(_INSTANCE, "utf-8")
        return asyncio.run(_served(path))


async def _served(path: Path) -> Served:
    config = load(path, {})
    migrate(config.database)
    context = build_context(config, path)
    try:
        async with open_service(config, path, context.engine) as service:
            context.federation_routes = service.routes()
            local = [*_routes(build_api(context)), *_admin_routes()]
            return Served(local, _routes(peers_app(context)), _metrics(context.metrics))
    finally:
        context.engine.dispose()


def _routes(application: web.Application) -> list[tuple[str, str, str]]:
    found = []
    for route in application.router.routes():
        path = route.resource.canonical if route.resource else ""
        # For the admin, the application knows one route of any method, below which are those of the table.
        if route.method not in {"HEAD", "*"}:
            meaning = inspect.getdoc(route.handler) or ""
            found.append((route.method, path, _cell(meaning.split("\n\n")[0])))
    return found


def _admin_routes() -> list[tuple[str, str, str]]:
    return [(row.method, PREFIX + row.path, _cell(f"{row.summary}.")) for row in ROUTES]


def _metrics(metrics: Metrics) -> list[tuple[str, str, str, str, str]]:
    wrappers = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    labels = {one._name: one._labelnames for one in wrappers}
    found = []
    for reader, registry in (("anybody", metrics.public), ("admin", metrics.private)):
        for family in registry.collect():
            if family.name.startswith("shoal_"):
                name = f"{family.name}_total" if family.type == "counter" else family.name
                names = getattr(family, "_labelnames", labels.get(family.name, ()))
                text = ", ".join(_label(label, family.samples) for label in names)
                found.append((name, family.type, text, reader, _cell(family.documentation)))
    return sorted(found)


def _label(label: str, samples: list[Sample]) -> str:
    values = dict.fromkeys(sample.labels[label] for sample in samples if label in sample.labels)
    return f"`{label}` ({', '.join(f'`{value}`' for value in values)})" if values else f"`{label}`"


def api() -> str:
    """Return the routes of both listeners; those of the admin have a table of their own."""
    ours = [row for row in served().local if row[1].startswith((PREFIX, "/admin"))]
    local = [row for row in served().local if row not in ours]
    parts = []
    titles = ("Local API", "Admin API and page", "Listener for peers")
    for title, rows in zip(titles, (local, ours, served().peers), strict=True):
        lines = [f"| {method} | `{path}` | {meaning} |" for method, path, meaning in rows]
        parts.append("\n".join([f"## {title}", "| | Path | |", "|---|---|---|", *lines, ""]))
    return "\n".join(parts)


def metrics() -> str:
    """Return one row for each metric of Shoal's own."""
    rows = [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in served().metrics]
    return "\n".join(["| Name | Type | Labels | For | |", "|---|---|---|---|---|", *rows, ""])


def api_types(_old: str = "") -> str:
    """Return the types of what the admin API is asked and answers, for the page.

    Raises:
        OSError: openapi-typescript is not installed.
        subprocess.CalledProcessError: it failed.
    """
    # What has a default may be left out of an order.
    command = [str(OPENAPI_TYPESCRIPT), "--default-non-nullable=false"]
    described = json.dumps(openapi.describe(ROUTES))
    return subprocess.run(command, input=described, capture_output=True, check=True, encoding="utf-8").stdout


def renewed(text: str, made: str) -> str:
    """Return a page with what stands between its marks replaced.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise ValueError("the marks for what `make docs` writes are missing")
    return f"{before}{BEGIN}{made}{END}{after}"


PAGES: Final[dict[Path, Callable[[str], str]]] = {
    ROOT / "docs" / "what-leaves.md": data_kinds.written_into,
    ROOT / "docs" / "cli.md": lambda text: renewed(text, cli()),
    ROOT / "docs" / "settings.md": lambda text: renewed(text, settings()),
    ROOT / "docs" / "api.md": lambda text: renewed(text, api()),
    ROOT / "docs" / "metrics.md": lambda text: renewed(text, metrics()),
    ROOT / "daemon" / "admin_page" / "api.d.ts": api_types,
    ROOT / "docs" / "bounds.md": bounds.renewed,
    ROOT / "docs" / "images" / "noise.svg": noise_picture.drawn,
}
"""Each page, and what makes its new text from its old one."""


def main() -> None:
    """Write every page anew, and name those that changed."""
    for path, make in PAGES.items():
        old = path.read_text("utf-8")
        new = make(old)
        if new != old:
            path.write_text(new, "utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}: written\n")


if __name__ == "__main__":
    main()
