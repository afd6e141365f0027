"""`shoal models`: what was trained, what is served and why, and taking a model elsewhere."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption, one_id
from daemon.cli.terminal import ago, count, facts, heading, line, out, paragraph, prose, result, table
from daemon.config.types import format_duration
from daemon.errors import NoModelError, RequestError
from daemon.process.running_daemon import answers_from
from daemon.sentences import english
from daemon.store import current_model, model_records
from daemon.training.acceptance.report import AcceptanceReport, CheckResult, Gains, with_titles

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.training.rollback import Rollback

app = Commands()

_SEE = "shoal models list"

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help='Id of a model, its first characters, or "current".')
]


@app.command("list")
def list_(instance: InstanceOption = HERE) -> None:
    """List models, newest first. The one in service is marked."""
    found = model_records.models(instance.store)
    current = current_model.read(instance.config.models_dir)

    def show() -> None:
        if not found:
            line("No model yet. Train one with: shoal train")
            return
        now = time.time()
        rows = [
            (
                "*" if one.directory == current else "",
                one.id,
                "served" if one.directory == current else one.state,
                ago(now - one.created),
                _number(one.quality.get(model_records.MEASURE)),
                (one.round_id or "")[:12],
            )
            for one in found
        ]
        table(["", "MODEL", "STATE", "TRAINED", "NDCG@10", "SUM"], rows, right=("NDCG@10",))
        prose("* is served. NDCG@10 is measured on held-out engagements of this instance.")
        if any(one.state in ("awaiting", "quarantined") for one in found):
            prose("Why a model waits or is quarantined: shoal models show MODEL")

    result([{**vars(one), "current": one.directory == current} for one in found], show)


@app.command()
def show(model: Model = "current", instance: InstanceOption = HERE) -> None:
    """Show what a model was trained from, and why it serves or does not."""
    # Loads NumPy.
    from models.artefact import read_manifest

    directory = model_folder(instance, model)
    manifest = read_manifest(directory)
    record = model_records.model(instance.store, directory.name)
    state = "" if record is None else record.state
    report = None if record is None else with_titles(instance.store, record.report)

    def show() -> None:
        facts(_described(directory.name, state, manifest))
        if report:
            _show_acceptance(directory.name, state, report)

    result({"model": directory.name, "state": state, "report": report, **manifest}, show)


@app.command()
def accept(model: Model, instance: InstanceOption = HERE) -> None:
    """Let a model serve that waits for you or is quarantined. See `shoal models show` first."""
    _decide("accept", model, instance, "{} serves now.")


@app.command()
def reject(model: Model, instance: InstanceOption = HERE) -> None:
    """Keep a model out of service, and its sums out of later ones. The one in service stays."""
    _decide("reject", model, instance, "{} will not serve. The model in service stays.")


@app.command()
def rollback(
    instance: InstanceOption = HERE,
    *,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Id of a model, or its first characters. Default: the one that served before.",
        ),
    ] = "",
) -> None:
    """Go back to a model that served before.

    A running daemon serves it a second later. A model that holds a peer that was removed or reverted, or a
    viewer who withdrew, does not come back. The next training makes a new model, which then serves.
    """
    # Loads NumPy.
    from daemon.training.rollback import roll_back

    config, store = instance.config, instance.store
    chosen = one_id([one.id for one in model_records.models(store)], model, "model", _SEE) if model else ""
    done = roll_back(store, config, chosen)
    follows = asyncio.run(answers_from(config.data_dir, done.now.id))
    found = {
        "before": None if done.before is None else done.before.id,
        "model": done.now.id,
        "created": done.now.created,
        "learnt_again": list(done.learnt_again),
        "daemon_follows": follows,
    }
    result(found, lambda: _show_rollback(done, config, follows=follows))


@app.command()
def export(
    destination: Annotated[Path, typer.Argument(help="New folder for the model.")],
    instance: InstanceOption = HERE,
    *,
    model: Annotated[
        str, typer.Option(help='Id of a model, its first characters, or "current".')
    ] = "current",
) -> None:
    """Write a model for use without Shoal, as safetensors arrays with labels and a description."""
    # Loads NumPy.
    from models.export import export as write

    directory = model_folder(instance, model)
    if destination.exists():
        raise RequestError(f"{destination} exists already", advice="Give a new folder.")
    destination.absolute().parent.mkdir(parents=True, exist_ok=True)
    write(directory, destination.absolute())
    written = {path.name: path.stat().st_size for path in sorted(destination.iterdir())}

    def show() -> None:
        line(f"Wrote {destination} from model {directory.name}:")
        table(["FILE", "BYTES"], [(name, f"{size:,}") for name, size in written.items()], right=("BYTES",))

    result({"model": directory.name, "directory": str(destination), "files": written}, show)


def model_folder(instance: Instance, name: str) -> Path:
    """Return the folder of a model by its id, its first characters, or "current".

    Raises:
        NoModelError: there is none yet. RequestError: none or several have that name.

    """
    models_dir = instance.config.models_dir
    if name == "current":
        current = current_model.read(models_dir)
        if current is None:
            raise NoModelError("there is no model yet", advice="Run `shoal sync`, then `shoal train`.")
        return models_dir / current
    folders = models_dir.iterdir() if models_dir.is_dir() else ()
    known = [path.name for path in folders if path.is_dir() and not path.name.startswith(".")]
    return models_dir / one_id(known, name, "model", _SEE)


def _show_rollback(done: Rollback, config: Config, *, follows: bool) -> None:
    line(f"{done.now.id} serves again, trained {ago(time.time() - done.now.created)}.")
    if not follows:
        prose("The running daemon did not confirm that it changed over; see shoal logs, or restart it.")
    schedule = config.schedule
    when = "when you run shoal train"
    if schedule.enabled and schedule.train_after_sync:
        when = f"after the next sync, within {format_duration(schedule.sync)} (schedule.train_after_sync)"
    prose(f"The next training puts a new model into service: {when}.")
    if done.before is not None and done.learnt_again:
        prose(
            f"It learns again from {count(len(done.learnt_again), 'sum')} that this model does not hold. To "
            f"prevent that: shoal models reject {done.before.id}"
        )


def _decide(decision: Literal["accept", "reject"], name: str, instance: Instance, told: str) -> None:
    # Loads NumPy.
    from daemon.training.acceptance import decisions

    directory = model_folder(instance, name)
    decide = {"accept": decisions.accept, "reject": decisions.reject}[decision]
    record = decide(instance.store, instance.config, directory.name, time.time())
    result(vars(record), lambda: line(told.format(record.id)))


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else ""


# What a model was trained from.


def _described(name: str, state: str, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a manifest says, for people; what it lacks is left out."""
    origin, sizes, quality = manifest["provenance"], manifest["sizes"], manifest.get("quality", {})
    seconds = manifest.get("seconds", {})
    chosen = manifest.get("chosen", {})
    sums = [str(one)[:12] for one in origin.get("rounds") or [origin.get("round")] if one]
    rows = {
        "model": name,
        "state": "served" if state == "current" else state,
        "trained": _moment(manifest["created"]),
        "by": origin.get("host", ""),
        "kind": _KINDS.get(origin.get("kind", ""), origin.get("kind", "")),
        "sums": ", ".join(sums),
        "members": ", ".join(map(str, origin.get("survivors", ()))),
        "videos": ", ".join(
            f"{sizes[key]:,} {words}" for key, words in _SIZES.items() if sizes.get(key) is not None
        ),
        "settings": ", ".join(f"{key} {_plain(value)}" for key, value in chosen.items()),
        "took": f"{sum(seconds.values()):.1f} s" if seconds else "",
    }
    rows |= {_QUALITY.get(key, key.replace("_", " ")): _plain(value) for key, value in quality.items()}
    return [(key, value) for key, value in rows.items() if value]


_KINDS = {"local": "local, from own viewers only", "federated": "federated, from sums with other instances"}
_SIZES = {"videos": "in the catalogue", "items": "with viewers", "tags": "tags", "words": "title words"}
_QUALITY = {
    model_records.MEASURE: "NDCG@10 on own held-out engagements",
    model_records.ERROR: "its standard error",
}


def _moment(text: str) -> str:
    """Write a time of the manifest, ISO 8601 in UTC, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


# Why a model serves or does not.

_VERDICTS = {
    "accepted": "Accepted.",
    "awaiting": "It passed and waits for you, because it is the first model learnt with others.",
    "quarantined": "Quarantined: it does not serve. The model in service stays.",
}
_PASSED = {False: "FAILED: ", None: "", True: "Passed: "}
_REFERENCES = {"local": "your own local model", "month": "the model of a month ago"}


def _show_acceptance(model_id: str, state: str, report: AcceptanceReport) -> None:
    """Print what the checks found, who was in the sum, and which videos gain."""
    heading("Acceptance")
    paragraph(_VERDICTS.get(report["verdict"], "It was not checked."))
    if decided := report.get("decided"):
        paragraph(f"You decided so. By the rules it was {decided['before']}.")
    checks = sorted(report["checks"], key=lambda check: list(_PASSED).index(check["ok"]))
    for check in checks:
        failed = f" [{check['id']}{_bounds(check)}]" if check["ok"] is False else ""
        paragraph(f"{_PASSED[check['ok']]}{english(check['sentence'])}{failed}", hanging=2)
    for warning in report["warnings"]:
        paragraph(f"Note: {english(warning)}", hanging=2)
    if survivors := report["survivors"]:
        paragraph(f"In the sum: {', '.join(survivors)} ({count(len(survivors), 'member')}).", hanging=2)
    for gains in report["gains"]:
        _show_gains(gains)
    if state in ("awaiting", "quarantined"):
        out.print()
        prose(f"Let it serve: shoal models accept {model_id}")
        if state == "awaiting":
            prose(f"Keep it out: shoal models reject {model_id}")


def _bounds(check: CheckResult) -> str:
    value, bound = check["value"], check["bound"]
    return "" if value is None or bound is None else f": {value:,.4g}, at most {bound:,.4g}"


def _show_gains(gains: Gains) -> None:
    gained = [
        *(("video", one["title"] or one["url"], one["before"], one["after"]) for one in gains["videos"][:5]),
        *(("channel", one["name"], one["before"], one["after"]) for one in gains["channels"][:5]),
        *(("instance", one["name"], one["before"], one["after"]) for one in gains["hosts"][:5]),
    ]
    rows = [
        (kind, name or "(unnamed)", f"{before:.1%}", f"{after:.1%}") for kind, name, before, after in gained
    ]
    against = _REFERENCES[gains["against"]]
    if not rows:
        paragraph(f"Compared with {against}, nothing gains places.")
        return
    heading(f"What gains most in lists of ten, compared with {against}")
    table(["", "", "BEFORE", "AFTER"], rows, right=("BEFORE", "AFTER"))
