"""How the instance is, read from the store and from what the running daemon says of itself.

The admin page and `shoal status` show this one view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine

from daemon.config import Config, Mode
from daemon.config.schema import PrivacyLevel
from daemon.disclosure import waiting
from daemon.disclosure.waiting import Waiting
from daemon.group import messages
from daemon.group import repository as groups
from daemon.peers import listing, repository
from daemon.peers.messages import Cohort
from daemon.process.live import Live
from daemon.status import notices
from daemon.status.next_dates import NextDate, next_dates
from daemon.status.notices import Notice
from daemon.store import activity, current_model, model_records
from daemon.store.activity import JobRecord
from daemon.store.model_records import MEASURE, ModelRecord
from federation.identity import PublicIdentity, format_key
from federation.key_words import words
from models.artefact import read_manifest
from models.errors import ModelError


@dataclass(frozen=True)
class ModelInService:
    """The model that serves.

    Attributes:
        kind: "local", or "federated" where others' sums are in it.
        trained: when it was made, `since` when it began to serve, Unix seconds.
        videos: how many it covers; `survivors` are the other instances whose viewers it was learnt from.
        quality: NDCG@10, None where it was not measured.
    """

    id: str
    kind: str
    trained: float
    since: float
    videos: int
    survivors: tuple[str, ...]
    quality: float | None = None


@dataclass(frozen=True)
class FailedJob:
    """A job that failed when it last ran; no message where that was a bug."""

    job: str
    at: float
    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class PeerNumbers:
    """How many instances are approved, paused, and wait to be approved."""

    approved: int
    paused: int
    asking: int


@dataclass(frozen=True)
class LearntThrough:
    """The group that this instance is in; meanwhile it asks its peers for no sums."""

    group: str
    host: str
    role: Literal["host", "member"]


@dataclass(frozen=True)
class Status:
    """How the instance is; times in Unix seconds.

    Attributes:
        words: of its key, to compare on the telephone.
        running: jobs that run now and since when, None without a daemon.
        cohort: whether there are enough peers for a sum.
        failed: jobs that failed when they last ran.
    """

    host: str
    key: str
    words: tuple[str, ...]
    mode: Mode
    level: PrivacyLevel
    running: dict[str, float] | None
    model: ModelInService | None
    group: LearntThrough | None
    waiting: Waiting
    next: tuple[NextDate, ...]
    cohort: Cohort
    peers: PeerNumbers
    failed: tuple[FailedJob, ...]
    notices: tuple[Notice, ...]


def gather(config: Config, engine: Engine, public: PublicIdentity, live: Live | None, now: float) -> Status:
    """Read how the instance is, which is known to others as `public`.

    Raises:
        StoreError: the database cannot be used.

    """
    group, known = groups.current(engine), repository.read(engine, config)
    states = Counter(peer.state for peer in known.peers.values())
    asking = [p for p in known.peers.values() if p.state == "candidate" and p.theirs in {"asked", "approved"}]
    found = waiting.gather(config, engine, now)
    inside = group if group is not None and group.active else None
    return Status(
        host=public.host,
        key=format_key(public.key),
        words=tuple(words(public.key)),
        mode=config.mode,
        level=config.privacy.level,
        running=None if live is None else dict(live.running),
        model=model_in_service(config.models_dir, live, model_records.models(engine)),
        group=None if inside is None else LearntThrough(inside.group, inside.host, inside.role),
        waiting=found,
        next=next_dates(config, live, found),
        cohort=listing.cohort(engine, known, config, messages.learns_in_group(group)),
        peers=PeerNumbers(states["approved"], states["paused"], len(asking)),
        failed=tuple(_failed(run) for run in activity.last_runs(engine).values() if run.outcome == "failed"),
        notices=tuple(notices.current(engine, config, now)),
    )


def model_in_service(
    models_dir: Path, live: Live | None, records: Iterable[ModelRecord]
) -> ModelInService | None:
    """Return the model that serves, or where no daemon runs the one that would; None where none can."""
    name = current_model.read(models_dir) if live is None else live.model
    if name is None:
        return None
    try:
        since = None if live is None else live.model_since
        pointer = models_dir / current_model.POINTER_NAME
        found = _described(name, read_manifest(models_dir / name), since or pointer.stat().st_mtime)
    except (ModelError, OSError, KeyError, ValueError):
        return None
    measured = next((one.quality.get(MEASURE) for one in records if one.directory == name), None)
    return replace(found, quality=float(measured) if isinstance(measured, (int, float)) else None)


def _described(name: str, manifest: Mapping[str, Any], since: float) -> ModelInService:
    provenance = manifest.get("provenance", {})
    return ModelInService(
        id=name,
        kind=provenance.get("kind", "local"),
        trained=datetime.fromisoformat(manifest["created"]).timestamp(),
        since=since,
        videos=manifest["sizes"]["videos"],
        survivors=tuple(provenance.get("survivors", ())),
    )


def _failed(run: JobRecord) -> FailedJob:
    message, advice = (str(run.result.get(key, "")) for key in ("message", "advice"))
    return FailedJob(run.name, run.ended, run.code, message, advice)
