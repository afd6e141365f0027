"""`shoal viewers`: let viewers who left, or whom the admin names, be forgotten now."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.terminal import count, heading, prose, result, say, utc
from daemon.config import PeerTubeSource
from daemon.errors import RequestError, ShoalError
from daemon.maintenance import forget_viewer

app = Commands()

Train = Annotated[
    bool, typer.Option("--train/--no-train", help="Train a new model, so that what serves forgets as well.")
]


@app.command()
def forget(
    instance: InstanceOption = HERE,
    *,
    viewer: Annotated[
        str,
        typer.Option(help="What the source calls the viewer; without it, you are asked, or a pipe is read."),
    ] = "",
    train: Train = True,
) -> None:
    """Delete everything that is stored of one viewer.

    From now on, peers get no sum with this viewer in it. On PeerTube, viewers can withdraw on their own page,
    and a deleted account is forgotten within minutes. Without --viewer, the name is asked for, or read from a
    pipe, and stays out of your shell history.
    """
    name = viewer or _asked()
    found = forget_viewer.forget(instance.store, instance.config, name, time.time())
    found |= _trained(instance, wanted=train)
    if found["trained"]:
        # The training took them out.
        found["models"] = []
    result(found, lambda: _show_forgotten(found))


@app.command()
def check(instance: InstanceOption = HERE, *, train: Train = True) -> None:
    """Ask PeerTube who still takes part, and forget the others. The daemon does so every few minutes."""
    if not isinstance(instance.config.source, PeerTubeSource):
        raise RequestError(
            "viewers of a data set cannot withdraw",
            advice="Remove them from the data set and run `shoal sync`, or see: shoal viewers forget",
        )
    found: dict[str, Any] = dict(instance.job("consent").result)
    found["next_contribution"] = forget_viewer.next_contribution(instance.store, instance.config, time.time())
    found |= _trained(instance, wanted=train and found["removed"] > 0)
    result(found, lambda: _show_checked(found))


def _asked() -> str:
    name = sys.stdin.readline() if not sys.stdin.isatty() else typer.prompt("Name of the viewer", err=True)
    if not name.strip():
        raise RequestError("no viewer is named", advice="Give --viewer, or write the name when asked.")
    return str(name).strip()


def _trained(instance: Instance, *, wanted: bool) -> dict[str, Any]:
    """Train where it is wanted; a failure is told, since what was deleted stays deleted."""
    if not wanted:
        return {"trained": None, "serves_now": None}
    try:
        outcome = instance.job("train")
    except ShoalError as error:
        say(f"No new model was trained: {error.message}")
        return {"trained": False, "serves_now": None}
    return {"trained": True, "serves_now": outcome.result.get("model")}


def _show_forgotten(found: dict[str, Any]) -> None:
    prose(f"Deleted the viewer and {count(found['engagements'], 'engagement')}.")
    _show_windows(found["windows_voided"], found["next_contribution"])
    if found["trained"]:
        prose(
            f"Trained a new model without the viewer: {found['serves_now']} serves now. Models that may hold "
            "the viewer are deleted."
        )
    else:
        prose(
            "Models that may hold the viewer go out of service and off the disk with the next training, "
            "which follows each sync: shoal train"
        )
    for model in found["models"]:
        prose(f"- {model}", hanging=2)
    if found["next_own_release"]:
        prose(
            "Until then lists rest on sums of others, content and public counters: own viewers are counted "
            f"anew at the first training after {utc(found['next_own_release'])}."
        )
    heading("What this does not undo")
    for text in found["limits"]:
        prose(f"- {text}", hanging=2)


def _show_checked(found: dict[str, Any]) -> None:
    viewers = count(found["viewers"], "viewer")
    prose(f"Checked {viewers}. Deleted {found['removed']:,} who no longer take part.")
    if found["removed"]:
        _show_windows(found.get("windows_voided", 0), found["next_contribution"])
    if found["trained"]:
        prose(f"Trained a new model without them: {found['serves_now']} serves now.")


def _show_windows(voided: int, until: float | None) -> None:
    if not voided:
        prose("No peer has data with them in it in the present data window.")
        return
    when = "" if until is None else f" before {utc(until)}, and after that"
    prose(
        f"What {count(voided, 'peer')} got in the present data window is void. They get nothing new{when} "
        "until enough other viewers have changed."
    )
