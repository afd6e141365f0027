"""The record of trained models; the models themselves are folders below `models/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Engine, delete, desc, insert, select, update

from daemon.store.engine import reads, writes
from daemon.store.tables import ModelRecord as Row

Kind = Literal["local", "federated"]
State = Literal["ready", "current", "awaiting", "quarantined", "deleted"]
MEASURE: Final = "held_out_ndcg10"
"""Quality of a model, by this name: NDCG@10 on likes of own viewers that were left out."""
ERROR: Final = "held_out_ndcg10_error"
"""Its standard error, over viewers."""
NOT_MEASURED: Final = "not_measured"
"""By this name, the result of a training says why there is none."""


@dataclass(frozen=True)
class ModelRecord:
    """A trained model: `created` in Unix seconds, `directory` the name of its folder below `models/`.

    `survivors` are the hosts whose viewers it was learnt from beside our own, with the peer that passed their
    sum on where one did; `report` is how it was accepted. A model that awaits the admin's look, or is
    quarantined, never serves.
    """

    id: str
    created: float
    kind: Kind
    round_id: str | None
    directory: str
    manifest_sha256: str
    quality: dict[str, Any]
    state: State = "ready"
    survivors: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    drawn: float = 0.0
    """When the numbers of own viewers that it was learnt from were drawn, Unix seconds; 0 without any."""
    exact: bool = False
    """Whether these numbers carry no noise."""


def save(engine: Engine, record: ModelRecord) -> None:
    """Insert a model."""
    with writes(engine) as connection:
        connection.execute(insert(Row).values(vars(record)))


def make_current(engine: Engine, model_id: str | None) -> None:
    """Record which model is served now; None where there is none any more."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.state == "current").values(state="ready"))
        if model_id is not None:
            connection.execute(update(Row).where(Row.id == model_id).values(state="current"))


def models(engine: Engine) -> list[ModelRecord]:
    """Newest first."""
    with reads(engine) as connection:
        rows = connection.execute(select(Row.__table__).order_by(desc(Row.created))).mappings()
        return [ModelRecord(**row) for row in rows]


def model(engine: Engine, model_id: str) -> ModelRecord | None:
    """Return one model."""
    with reads(engine) as connection:
        row = connection.execute(select(Row.__table__).where(Row.id == model_id)).mappings().first()
        return None if row is None else ModelRecord(**row)


def set_state(engine: Engine, model_id: str, state: State) -> None:
    """Record what may be done with a model."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.id == model_id).values(state=state))


def set_report(engine: Engine, model_id: str, report: Mapping[str, Any]) -> None:
    """Record how a model was accepted, or why it was not."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.id == model_id).values(report=dict(report)))


def forget(engine: Engine, model_ids: list[str]) -> None:
    """Remove models from the record."""
    with writes(engine) as connection:
        connection.execute(delete(Row).where(Row.id.in_(model_ids)))
