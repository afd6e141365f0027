"""What requests to the local API may hold; models are validated with `[limits]` as their context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo

from daemon.errors import UnknownVideoError
from daemon.serve.validation import RequestModel
from models.related_order import Discovery
from models.serving import ServedModel

MAX_KEY = 2_000
MAX_VIEWER = 200

N = TypeVar("N", int, tuple[str, ...])


def _within_limits(value: N, info: ValidationInfo) -> N:
    setting = "max_results" if isinstance(value, int) else f"max_{info.field_name}"
    most = getattr(info.context, setting)
    if (value if isinstance(value, int) else len(value)) > most:
        raise ValueError(f"is over the limit of {most}, which limits.{setting} sets")
    return value


Count = Annotated[int, Field(ge=1), AfterValidator(_within_limits)]
Keys = Annotated[tuple[str, ...], AfterValidator(_within_limits)]
Viewer = Annotated[str, Field(max_length=MAX_VIEWER)]


class RelatedQuery(RequestModel):
    """A video, by uuid or url, and who watches it; videos of `language` come first."""

    lists: ClassVar = frozenset({"exclude"})
    video: str = Field(min_length=1)
    limit: Count = 30
    exclude: Keys = ()
    nsfw: bool = False
    viewer: Viewer = ""
    language: str = ""
    discovery: Discovery | None = None


class RecommendationsBody(RequestModel):
    """A viewer, by a history or by the pseudonym of a stored one."""

    history: Keys = ()
    viewer: Viewer = ""
    limit: Count = 30
    exclude: Keys = ()
    nsfw: bool = False
    discovery: Discovery | None = None


class ExplainQuery(RequestModel):
    """A video, and the history that it is explained for."""

    lists: ClassVar = frozenset({"history"})
    video: str = Field(min_length=1)
    history: Keys = ()


class RankingQuery(RequestModel):
    """The history that a browser has."""

    lists: ClassVar = frozenset({"history"})
    history: Keys = ()
    limit: Count = 10


class ViewerBody(RequestModel):
    """A viewer, by pseudonym."""

    viewer: Viewer = Field(min_length=1)


def video(model: ServedModel, key: str) -> int:
    """Return the catalogue position of a uuid or url.

    Raises:
        UnknownVideoError: the model does not know it.
    """
    position = model.index(key) if len(key) <= MAX_KEY else None
    if position is None:
        raise UnknownVideoError(
            "the model does not know this video",
            advice="If it is new, the next sync and training add it.",
        )
    return position


def known(model: ServedModel, keys: Iterable[str]) -> list[int]:
    """Return the positions of the videos that the model knows, in order, each once."""
    found = (model.index(key) for key in keys if len(key) <= MAX_KEY)
    return list(dict.fromkeys(position for position in found if position is not None))
