"""The admin's word on a model that waits for it, or is quarantined. Serving processes call this too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import RequestError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.store import model_records, sums
from daemon.store.model_records import ModelRecord
from daemon.training import deploy

DECIDED = "decided"
"""In a report: {"verdict": ..., "at": Unix seconds, "before": the verdict of the rules}."""


def accept(engine: Engine, config: Config, model_id: str, now: float) -> ModelRecord:
    """Let a model serve that awaits the admin's look, or that is quarantined.

    Its sums may be learnt from again. What the rules said of it stays in the report.

    Raises:
        RequestError: there is no such model, or it needs no decision.
        JobError: it was learnt from somebody whose learning was taken out since.

    """
    record = _open(engine, model_id)
    of = _sums(record)
    deploy.put_into_service(engine, config, record.id, trained_from=[one for one in of if one])
    _write(engine, config, record, "accepted", now)
    return _again(engine, record)


def reject(engine: Engine, config: Config, model_id: str, now: float) -> ModelRecord:
    """Keep a model from serving; what serves now stays, and its sums are not learnt from.

    Raises:
        RequestError: there is no such model, or it serves.

    """
    with deploy.turn(config):
        record = _known(engine, model_id)
        if record.state == "current":
            raise RequestError(
                "this model serves", advice="Go back to another one first: shoal models rollback"
            )
        model_records.set_state(engine, record.id, "quarantined")
        _write(engine, config, record, "quarantined", now)
    return _again(engine, record)


def _known(engine: Engine, model_id: str) -> ModelRecord:
    record = model_records.model(engine, model_id)
    if record is None:
        raise RequestError(f"there is no model {model_id}", advice="See: shoal models list")
    return record


def _open(engine: Engine, model_id: str) -> ModelRecord:
    record = _known(engine, model_id)
    if record.state not in ("awaiting", "quarantined"):
        raise RequestError(
            "this model waits for no decision: it serves, or it may serve",
            advice="To let another model serve that may: shoal models rollback MODEL",
        )
    return record


def _sums(record: ModelRecord) -> list[str]:
    return [str(round_) for round_ in record.report.get("sums", [])]


def _write(engine: Engine, config: Config, record: ModelRecord, verdict: sums.Verdict, now: float) -> None:
    before = record.report.get("verdict", record.state)
    decided = {"verdict": verdict, "at": now, "before": before}
    report: dict[str, Any] = {**record.report, "verdict": verdict, DECIDED: decided}
    model_records.set_report(engine, record.id, report)
    sums.set_verdict(engine, _sums(record), verdict, report)
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    details = {
        "verdict": verdict,
        "by": "admin",
        "before": before,
        "sums": _sums(record),
        "survivors": list(record.survivors),
    }
    append(engine, identity, Kind.ACCEPTANCE, record.id, details, now=now)


def _again(engine: Engine, record: ModelRecord) -> ModelRecord:
    return model_records.model(engine, record.id) or record
