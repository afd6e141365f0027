"""Forgets one viewer at the admin's request: deletes, voids, and says what still contains them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config, PeerTubeSource
from daemon.errors import RequestError
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.store import loss, model_records
from daemon.store.releases import OWN
from daemon.store.viewers import Pseudonyms, consent_lock, forget_viewers, viewer_rows
from daemon.training import deploy
from policies.window import BETWEEN_REDRAWS, Closed


def forget(engine: Engine, config: Config, viewer: str, now: float) -> dict[str, Any]:
    """Delete a viewer, named as the source names them, and void what was given with them in it.

    Returns `{"engagements", "windows_voided", "next_contribution", "next_own_release", "models", "limits"}`:
    how many rows were deleted, and how many peers' windows are void; from when on a peer may get something
    from this instance again, and when own viewers may be counted anew for lists, Unix seconds, None where
    nothing waits; the models that may hold the viewer, and go with the next training. None of it names the
    viewer.

    Raises:
        RequestError: nobody of that name is stored.

    """
    pseudonym = Pseudonyms.open(config.data_dir / "viewers.key").of(viewer)
    with consent_lock(config.data_dir):
        engagements = len(viewer_rows(engine, pseudonym))
        if not forget_viewers(engine, [pseudonym]):
            raise RequestError("no viewer of that name is stored", advice=_advice(config))
    voided = withdraw_viewers(config, engine, lambda: now, removed=1)
    # Nobody can be taken out of a database that cannot be read.
    loss.discard_damaged(config, before=math.inf)
    identity = open_identity(config.identity_file, config.instance.host)
    ledger.append(engine, identity, Kind.WITHDRAWAL, identity.host, {"viewers": 1, "windows": voided}, now)
    return {
        "engagements": engagements,
        "windows_voided": voided,
        "next_contribution": next_contribution(engine, config, now),
        "next_own_release": next_own_release(engine, config, now),
        "models": learnt_with(engine, config),
        "limits": _limits(config),
    }


def next_contribution(engine: Engine, config: Config, now: float) -> float | None:
    """Return when the first voided window ends, Unix seconds; None where none is voided."""
    if not config.windows_dir.is_dir():
        return None
    windows = _windows(engine, config, now)
    own = windows.read(OWN)
    void = [kept for kept in windows.all() if kept.window.closed is Closed.VOID]
    return min((kept.window.ends for kept in void if own is None or kept.id != own.id), default=None)


def next_own_release(engine: Engine, config: Config, now: float) -> float | None:
    """Return when own viewers may be counted anew for lists, Unix seconds; None where nothing waits."""
    kept = _windows(engine, config, now).read(OWN) if config.windows_dir.is_dir() else None
    if kept is None or kept.window.closed is not Closed.VOID:
        return None
    return min(kept.window.ends, kept.window.opened + BETWEEN_REDRAWS)


def _windows(engine: Engine, config: Config, now: float) -> DataWindows:
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, engine, lambda: now)


def learnt_with(engine: Engine, config: Config) -> list[str]:
    """Return the models on disk that may hold somebody who withdrew, newest first."""
    return [
        record.id
        for record in model_records.models(engine)
        if deploy.holds_withdrawn(record, config) and Path(config.models_dir / record.directory).is_dir()
    ]


def _limits(config: Config) -> list[str]:
    again = "The next sync reads them again as long as the data set contains them."
    if isinstance(config.source, PeerTubeSource):
        again = (
            "The next sync reads them again as long as they take part on PeerTube. To stop that, they "
            "withdraw on their own page, or their account is deleted."
        )
    return [
        again,
        "Sums that peers already have stay with them; no later sum includes the viewer.",
    ]


def _advice(config: Config) -> str:
    if isinstance(config.source, PeerTubeSource):
        return (
            "Use the name from the plugin's export, not the user name. For viewers who withdrew or were "
            "deleted on PeerTube, run: shoal viewers check."
        )
    return "Use the name in the data set's column user."
