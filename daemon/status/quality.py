"""How well models find what own viewers liked: over time, and in two numbers, alone and with others.

These are exact totals over own viewers, for the admin, who holds the database. Nothing of them leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.ledger.chain import Kind
from daemon.sentences import Sentence, sentence
from daemon.store import activity, ledger_rows, model_records
from daemon.store.activity import JobRecord
from daemon.store.model_records import ERROR, MEASURE, NOT_MEASURED

MOST_ENTRIES: Final = 2_000
MOST_POINTS: Final = 400
_WIDTH: Final = 1.96
"""Standard errors to each side of a mean that hold it in 95 of 100 cases."""


@dataclass(frozen=True)
class Trained:
    """A model that was trained; `value` and `error` are None where nothing was measured."""

    id: str
    at: float
    kind: model_records.Kind
    state: model_records.State
    value: float | None
    error: float | None


class QualityPoint(TypedDict):
    """One training: NDCG@10 on held-out likes of the model it gave, and of the local one made with it."""

    at: float
    model: str
    kind: model_records.Kind
    state: model_records.State
    local: float | None
    federated: float | None


class Measurement(TypedDict):
    """The mean over own viewers at one training, and the interval that holds it in 95 of 100 cases."""

    at: Annotated[float, Field(description="Unix seconds.")]
    value: float
    low: Annotated[float | None, Field(description="Null where only the mean is on record.")]
    high: float | None


class TwoNumbers(TypedDict):
    """The newest quality alone and with others; where one is null, why."""

    alone: Measurement | None
    alone_why: Sentence | None
    together: Measurement | None
    together_why: Sentence | None


def trained(engine: Engine) -> list[Trained]:
    """Return the models that were trained, oldest first: those on record, and older ones by the ledger."""
    rows = {model.id: model for model in model_records.models(engine)}
    found = {
        entry.subject: Trained(
            entry.subject,
            entry.at,
            "local" if entry.details.get("kind") == "local" else "federated",
            "deleted",
            _number(entry.details.get("quality")),
            None,
        )
        for entry in ledger_rows.newest(engine, limit=MOST_ENTRIES, kinds=(Kind.MODEL,))
    }
    for model in rows.values():
        value, error = _number(model.quality.get(MEASURE)), _number(model.quality.get(ERROR))
        found[model.id] = Trained(model.id, model.created, model.kind, model.state, value, error)
    return sorted(found.values(), key=lambda one: (one.at, one.kind != "local"))


def over_time(models: Sequence[Trained]) -> list[QualityPoint]:
    """Return one point per training, oldest first: the model it gave, and the local one made with it.

    A training makes the local model first; what was learnt with others comes after it, if there was a sum.
    """
    points: list[QualityPoint] = []
    for model in models:
        local, federated = (model.value, None) if model.kind == "local" else (None, model.value)
        if model.kind == "federated" and points and points[-1]["kind"] == "local":
            local = points.pop()["local"]
        points.append(
            {
                "at": model.at,
                "model": model.id,
                "kind": model.kind,
                "state": model.state,
                "local": local,
                "federated": federated,
            }
        )
    # No more than a chart can show; the newest is always there.
    step = max(1, -(-len(points) // MOST_POINTS))
    return points[(len(points) - 1) % step :: step]


def two_numbers(engine: Engine, models: Sequence[Trained]) -> TwoNumbers:
    """Return the newest measurement of each kind of model."""
    last = activity.last_runs(engine).get("train")
    alone, together = _newest(models, "local"), _newest(models, "federated")
    return {
        "alone": alone,
        "alone_why": None if alone else _why(last),
        "together": together,
        "together_why": None if together else _why_not_together(models, last),
    }


def _newest(models: Sequence[Trained], kind: str) -> Measurement | None:
    newest = next((one for one in reversed(models) if one.kind == kind), None)
    if newest is None or newest.value is None:
        return None
    value, error = newest.value, newest.error
    if error is None:
        return {"at": newest.at, "value": value, "low": None, "high": None}
    low, high = max(0.0, value - _WIDTH * error), min(1.0, value + _WIDTH * error)
    return {"at": newest.at, "value": value, "low": low, "high": high}


def _why_not_together(models: Sequence[Trained], last: JobRecord | None) -> Sentence:
    if any(one.kind == "federated" for one in models):
        return _why(last)
    return sentence("unmeasuredAlone")


def _why(last: JobRecord | None) -> Sentence:
    """Say why the newest training measured nothing."""
    if last is None:
        return sentence("unmeasuredUntrained")
    if last.outcome != "done":
        return sentence("unmeasuredFailed")
    told = last.result.get(NOT_MEASURED)
    if isinstance(told, dict) and isinstance(told.get("code"), str):
        return {"code": told["code"], "params": dict(told.get("params", {}))}
    return sentence("unmeasuredViewers")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
