"""Going back to a model that served before. Serving processes may call this too."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import NoModelError, RequestError
from daemon.ledger.chain import Kind
from daemon.store import current_model, ledger_rows, model_records, sums
from daemon.store.model_records import ModelRecord
from daemon.training import deploy
from daemon.training.deploy import MayServe
from daemon.training.kept_models import loads

_REASON = "the admin went back to it"


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Attributes:
        before: the model that served, None where none did or nobody knows it any more.
        now: the one that serves now.
        learnt_again: the sums, by round, that `before` was learnt from and `now` was not, and that the next
            training learns from again.
    """

    before: ModelRecord | None
    now: ModelRecord
    learnt_again: tuple[str, ...]


def roll_back(engine: Engine, config: Config, model_id: str = "") -> Rollback:
    """Let a model serve that is kept; without an id, the one that served before.

    That is the newest of those that are older than the model in service, have served, and may serve now.

    Raises:
        NoModelError: there is none of these. RequestError: that model serves already, or waits for a
            decision. JobError: it must not serve any more.

    """
    serving = current_model.read(config.models_dir)
    records = model_records.models(engine)
    before = next((record for record in records if record.directory == serving), None)
    if model_id:
        chosen = next((record for record in records if record.id == model_id), None)
        if chosen is None:
            raise RequestError(f"there is no model {model_id}", advice="See: shoal models list")
        _require_ready(chosen, before)
    else:
        chosen = _served_before(engine, config, records, before)
    if not loads(config, chosen):
        raise NoModelError(
            f"the files of model {chosen.id} are damaged, so it cannot serve",
            advice="Choose another one: shoal models list. Or train a new one: shoal train.",
        )
    now = deploy.put_into_service(engine, config, chosen.id, reason=_REASON)
    return Rollback(before, now, _learnt_again(engine, before, now))


def _require_ready(chosen: ModelRecord, before: ModelRecord | None) -> None:
    if before is not None and chosen.id == before.id:
        raise RequestError(f"model {chosen.id} serves already", advice="See: shoal models list")
    if chosen.state not in ("ready", "current"):
        waits = "waits for your decision" if chosen.state == "awaiting" else "is quarantined"
        raise RequestError(
            f"model {chosen.id} {waits}, so there is nothing to go back to",
            advice=f"See why: shoal models show {chosen.id}. Let it serve: shoal models accept {chosen.id}",
        )


def _served_before(
    engine: Engine, config: Config, records: list[ModelRecord], before: ModelRecord | None
) -> ModelRecord:
    may_serve = MayServe(engine, config)
    problem = ""
    for record in records:
        older = before is None or record.created < before.created
        if not older or record.state not in ("ready", "current") or not _has_served(engine, record):
            continue
        refused = may_serve.refusal(record)
        if refused is None and loads(config, record):
            return record
        problem = problem or f". {record.id}: {refused[0] if refused else 'its files are damaged'}"
    raise NoModelError(
        f"no earlier model is kept that has served and may serve now{problem}",
        advice="See what is kept: shoal models list. Or train a new one: shoal train.",
    )


def _has_served(engine: Engine, record: ModelRecord) -> bool:
    return bool(ledger_rows.newest(engine, limit=1, kinds=(Kind.SERVED,), subject=record.id))


def _learnt_again(engine: Engine, before: ModelRecord | None, now: ModelRecord) -> tuple[str, ...]:
    if before is None:
        return ()
    again = set(before.report.get("sums", ())) - set(now.report.get("sums", ()))
    return tuple(
        one.round_id for one in sums.records(engine) if one.round_id in again and one.verdict == "accepted"
    )
