"""`shoal viewers`: let viewers who left, or whom the admin names, be forgotten now."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result, say
from daemon.errors import RequestError, ShoalError

app = typer.Typer(help="Viewers who take part: forget one, look who left.", no_args_is_help=True)

Train = Annotated[
    bool, typer.Option("--train/--no-train", help="Train anew at once, so that what serves forgets too.")
]


@app.command("forget")
def forget(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    viewer: Annotated[
        str,
        typer.Option(help="What the source calls the viewer; left out, it is asked for or read from a pipe."),
    ] = "",
    train: Train = True,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Delete all that is stored of one viewer, now, and void what peers were to get with them in it.

    Viewers need nobody for this: on PeerTube they withdraw on their own page, and a deleted account leaves
    within minutes. Left out of the command, the name does not end up in the shell's history.
    """
    import time

    from daemon.config import load
    from daemon.maintenance import forget_viewer
    from daemon.store.engine import open_checked

    settings = load(config)
    name = viewer or _asked()
    engine = open_checked(settings.database)
    found = forget_viewer.forget(engine, settings, name, time.time())
    found |= _trained(config, wanted=train)
    found["older_models"] = [model for model in found.pop("models") if model != found["serves_now"]]
    result(output, found, lambda: _show_forgotten(found))


@app.command("check")
def check(
    config: ConfigOption = DEFAULT_CONFIG, *, train: Train = True, output: OutputOption = Output.HUMAN
) -> None:
    """Ask PeerTube now who still takes part, and forget the others; the daemon does so every few minutes."""
    import time

    from daemon.cli.sync_and_train import job
    from daemon.config import PeerTubeSource, load
    from daemon.maintenance import forget_viewer
    from daemon.store.engine import open_checked

    settings = load(config)
    if not isinstance(settings.source, PeerTubeSource):
        raise RequestError(
            "nobody in a data set can withdraw",
            advice="Take them out of the data set and run `shoal sync`, or see: shoal viewers forget.",
        )
    found: dict[str, Any] = dict(job("consent", config, settings).result)
    found["next_contribution"] = forget_viewer.next_contribution(
        open_checked(settings.database), settings, time.time()
    )
    found |= _trained(config, wanted=train and found["removed"] > 0)
    result(output, found, lambda: _show_checked(found))


def _asked() -> str:
    name = sys.stdin.readline() if not sys.stdin.isatty() else typer.prompt("Name of the viewer", err=True)
    if not name.strip():
        raise RequestError("no viewer is named", advice="Give --viewer, or write the name when asked.")
    return str(name).strip()


def _trained(config: Path, *, wanted: bool) -> dict[str, Any]:
    """Train where it is wanted; a failure is told, since what was deleted stays deleted."""
    from daemon.cli.sync_and_train import job

    if not wanted:
        return {"trained": None, "serves_now": None}
    try:
        outcome = job("train", config)
    except ShoalError as error:
        say(f"No new model was trained: {error.message}")
        return {"trained": False, "serves_now": None}
    return {"trained": True, "serves_now": outcome.result.get("model")}


def _show_forgotten(found: dict[str, Any]) -> None:
    out.print(f"Deleted the viewer, and {found['engagements']:,} engagements of theirs.")
    _show_windows(found["windows_voided"], found["next_contribution"])
    if found["trained"]:
        out.print(f"Trained anew without them: {found['serves_now']} serves now.", markup=False)
    else:
        out.print("What serves still learnt from them, until the next: shoal train")
    out.print("\nWhat this does not undo:")
    for sentence in found["limits"]:
        out.print(f"- {sentence}", markup=False)
    if found["older_models"]:
        out.print(f"\nOlder models that learnt from them: {', '.join(found['older_models'])}", markup=False)


def _show_checked(found: dict[str, Any]) -> None:
    out.print(f"Of {found['viewers']:,} viewers, {found['removed']:,} take part no longer and were deleted.")
    if found["removed"]:
        _show_windows(found.get("windows_voided", 0), found["next_contribution"])
    if found["trained"]:
        out.print(f"Trained anew without them: {found['serves_now']} serves now.", markup=False)


def _show_windows(voided: int, until: float | None) -> None:
    if not voided:
        out.print("No peer was to get anything with them in it.")
        return
    day = "" if until is None else f" before {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC, and not"
    peers = "1 peer" if voided == 1 else f"{voided} peers"
    out.print(
        f"What was given to {peers} in the present data window is void: they get nothing{day} until enough "
        "other viewers changed."
    )
