"""Checks what a request holds against a pydantic model, and says what is wrong without repeating it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.errors import RequestError


class RequestModel(BaseModel):
    """What a request may hold: nothing that is not named, nothing of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lists: ClassVar[frozenset[str]] = frozenset()
    """Parameters of a query that may be repeated, or hold several uuids separated by commas."""


M = TypeVar("M", bound=RequestModel)

BODY_WITHIN: Final = 10.0
"""Seconds that a body may take to arrive: whoever sends it is on this machine, or beside it."""


class SlowBodyError(RequestError):
    """A body that takes too long: its connection would stay open for as long as the sender likes."""

    code = "slow-body"
    status = 408


def read_query(model: type[M], request: web.Request, context: object = None) -> M:
    """Read the parameters of a query; the validators of the model are given the context.

    Raises:
        RequestError: one is unknown, unusable or repeated.
    """
    query = request.query
    values: dict[str, Any] = {}
    for name in query:
        every = query.getall(name)
        if name in model.lists:
            values[name] = [key for value in every for key in _keys(value) if key]
        elif len(every) == 1:
            values[name] = every[0]
        else:
            raise RequestError(f"{_shown(name)} was sent more than once", advice="Send it once.")
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        raise _unusable(error, model) from None


async def read_body(model: type[M], request: web.Request, context: object = None) -> M:
    """Read a body, which is one JSON object; the validators of the model are given the context.

    Raises:
        RequestError: it is something else, or a value is unknown or unusable.
    """
    if request.content_type != "application/json":
        # A form on a web page cannot send this type without asking the daemon first.
        raise RequestError("the body is not JSON", advice="Send Content-Type: application/json.")
    try:
        async with asyncio.timeout(BODY_WITHIN):
            body = await request.read()
        return model.model_validate_json(body, strict=True, context=context)
    except TimeoutError:
        raise SlowBodyError("the body did not arrive in time", advice="Send it again.") from None
    except ValidationError as error:
        raise _unusable(error, model) from None


def _keys(value: str) -> list[str]:
    return [value] if "://" in value else value.split(",")


def _unusable(error: ValidationError, model: type[RequestModel]) -> RequestError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = _shown(first["loc"][0]) if first["loc"] else "the body"
    what = first["msg"].removeprefix("Value error, ").rstrip(".")
    known = f"Known names: {', '.join(model.model_fields) or 'none'}."
    if first["type"] == "value_error":
        # Raised by a validator of ours, which may know better what to do.
        return RequestError(f"{where} {what}", advice=getattr(first["ctx"]["error"], "advice", known))
    what = " is not known here" if first["type"] == "extra_forbidden" else f": {what[:1].lower()}{what[1:]}"
    return RequestError(f"{where}{what}", advice=known)


def _shown(name: object) -> str:
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else "a name"
