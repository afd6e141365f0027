"""The record of trained models; the models themselves are folders below `models/`."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, delete, desc, insert, select, update

from daemon.store.engine import reads, writes
from daemon.store.tables import ModelRecord as Row

Kind = Literal["local", "federated"]
State = Literal["ready", "current", "deleted"]


@dataclass(frozen=True)
class ModelRecord:
    """A trained model: `created` in Unix seconds, `directory` the name of its folder below `models/`."""

    id: str
    created: float
    kind: Kind
    session_id: str | None
    directory: str
    manifest_sha256: str
    quality: dict[str, Any]
    state: State = "ready"


def save(engine: Engine, record: ModelRecord) -> None:
    """Insert a model."""
    with writes(engine) as connection:
        connection.execute(insert(Row).values(vars(record)))


def make_current(engine: Engine, model_id: str) -> None:
    """Record which model is served now."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.state == "current").values(state="ready"))
        connection.execute(update(Row).where(Row.id == model_id).values(state="current"))


def models(engine: Engine) -> list[ModelRecord]:
    """Newest first."""
    with reads(engine) as connection:
        rows = connection.execute(select(Row.__table__).order_by(desc(Row.created))).mappings()
        return [ModelRecord(**row) for row in rows]


def forget(engine: Engine, model_ids: list[str]) -> None:
    """Remove models from the record."""
    with writes(engine) as connection:
        connection.execute(delete(Row).where(Row.id.in_(model_ids)))
