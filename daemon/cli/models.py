"""`shoal models`: what was trained, what is served and why, and taking a model elsewhere."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, ago, out, result, table
from daemon.errors import NoModelError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from daemon.config import Config
    from daemon.store.model_records import ModelRecord

app = typer.Typer(help="Trained models: list, show, accept, reject, export.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """List models, newest first; the served one is marked."""
    from daemon.config import load
    from daemon.store import current_model
    from daemon.store.engine import open_checked
    from daemon.store.model_records import models

    settings = load(config)
    found = models(open_checked(settings.database))
    current = current_model.read(settings.models_dir)

    def show() -> None:
        if not found:
            out.print("No model yet. Train one with: shoal train")
            return
        now = time.time()
        table(
            ["", "MODEL", "STATE", "TRAINED", "NDCG@10", "SUM"],
            [
                (
                    "*" if m.directory == current else "",
                    m.id,
                    "served" if m.directory == current else m.state,
                    ago(now - m.created),
                    _number(m.quality.get("held_out_ndcg10")),
                    (m.session_id or "")[:12],
                )
                for m in found
            ],
            right=("NDCG@10",),
        )
        out.print("* is served. NDCG@10 is measured on held-out engagements of this instance.")
        if any(m.state in ("awaiting", "quarantined") for m in found):
            out.print("Why a model waits or is quarantined: shoal models show MODEL")

    result(output, [{**vars(m), "current": m.directory == current} for m in found], show)


@app.command("show")
def show_(
    model: Annotated[str, typer.Argument(help="Id of a model, or how it begins.")] = "current",
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show what a model was learnt from and how, and why it serves or does not."""
    from daemon.cli.acceptance_view import show_report
    from daemon.config import load
    from daemon.store.engine import open_checked
    from daemon.store.model_records import model as recorded
    from daemon.training.acceptance.report import with_titles
    from models.artefact import read_manifest

    settings = load(config)
    directory = find(settings.models_dir, model)
    manifest = read_manifest(directory)
    store = open_checked(settings.database)
    record = recorded(store, directory.name)
    state, report = ("", {}) if record is None else (record.state, with_titles(store, record.report))

    def show() -> None:
        rows: list[tuple[str, Any]] = [("model", directory.name), ("created", manifest["created"])]
        for part in ("provenance", "sizes", "chosen", "quality", "seconds"):
            values = manifest.get(part, {})
            rows += [(f"{part}.{key}", _plain(value)) for key, value in values.items()]
        table(["", ""], rows)
        if report:
            show_report(directory.name, state, report)

    result(output, {"model": directory.name, "state": state, "report": report, **manifest}, show)


@app.command("accept")
def accept_(
    model: Annotated[str, typer.Argument(help="Id of a model, or how it begins.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Let a model serve that waits for you, or that was quarantined; see `show` first."""
    from daemon.training.acceptance.decisions import accept

    _decide(accept, model, config, output, "{} serves now.")


@app.command("reject")
def reject_(
    model: Annotated[str, typer.Argument(help="Id of a model, or how it begins.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Keep a model that waits for you from serving; what serves now stays."""
    from daemon.training.acceptance.decisions import reject

    _decide(reject, model, config, output, "{} will not serve; what served before stays.")


@app.command("export")
def export(
    destination: Annotated[Path, typer.Argument(help="New folder for the model.")],
    model: Annotated[str, typer.Option(help="Id of a model, or how it begins.")] = "current",
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write a model that others can use without Shoal: safetensors arrays, labels and a description."""
    from daemon.config import load
    from models.export import export as write

    directory = find(load(config).models_dir, model)
    if destination.exists():
        raise RequestError(f"{destination} exists already", advice="Give a new folder.")
    destination.absolute().parent.mkdir(parents=True, exist_ok=True)
    write(directory, destination.absolute())
    written = {path.name: path.stat().st_size for path in sorted(destination.iterdir())}

    def show() -> None:
        out.print(f"Wrote {destination} from model {directory.name}:", markup=False)
        table(["FILE", "BYTES"], [(name, f"{count:,}") for name, count in written.items()], right=("BYTES",))

    result(output, {"model": directory.name, "directory": str(destination), "files": written}, show)


def _decide(
    decide: "Callable[[Engine, Config, str, float], ModelRecord]",
    name: str,
    config: Path,
    output: Output,
    told: str,
) -> None:
    from daemon.config import load
    from daemon.store.engine import open_checked

    settings = load(config)
    directory = find(settings.models_dir, name)
    record = decide(open_checked(settings.database), settings, directory.name, time.time())
    result(output, vars(record), lambda: out.print(told.format(record.id), markup=False))


def find(models_dir: Path, name: str) -> Path:
    """Return the folder of a model by its id, the beginning of it, or "current".

    Raises:
        NoModelError: there is none yet. RequestError: none or several have that name.
    """
    from daemon.store import current_model

    if name == "current":
        current = current_model.read(models_dir)
        if current is None:
            raise NoModelError("there is no model yet", advice="Run `shoal sync`, then `shoal train`.")
        return models_dir / current
    folders = sorted(models_dir.iterdir()) if models_dir.is_dir() else []
    matches = [p for p in folders if p.is_dir() and p.name.startswith(name) and not p.name.startswith(".")]
    if len(matches) != 1:
        several = "several models begin" if matches else "no model begins"
        raise RequestError(f"{several} with {name}", advice="See: shoal models list")
    return matches[0]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else ""


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
