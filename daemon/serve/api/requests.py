"""Reading what a caller asks for: every number bounded, every list limited, every problem named."""

import json
from typing import Any

from aiohttp import web

from daemon.config.schema import Limits
from daemon.errors import RequestError, UnknownVideoError
from models.serving import ServedModel

MAX_KEY = 2_000
DEFAULT_LIMIT = 30


def video(model: ServedModel, key: str | None) -> int:
    """Return the catalogue position of a uuid or url.

    Raises:
        RequestError: none is given. UnknownVideoError: the model does not know it.
    """
    if not key:
        raise RequestError("the parameter video is missing", advice="Give the uuid or the url of a video.")
    position = model.index(key) if len(key) <= MAX_KEY else None
    if position is None:
        raise UnknownVideoError(
            "the model does not know this video",
            advice="It may be new: it is known after the next sync and training.",
        )
    return position


def limit(value: Any, limits: Limits) -> int:
    """Return how many videos are wanted, 30 unless told.

    Raises:
        RequestError: not a whole number from 1 to `limits.max_results`.
    """
    if value is None:
        return min(DEFAULT_LIMIT, limits.max_results)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limits.max_results:
        raise RequestError(
            "limit is not usable",
            advice=f"Give a whole number from 1 to {limits.max_results}, or leave it out.",
        )
    return value


def flag(value: Any) -> bool:
    """Return a yes or no, no unless told.

    Raises:
        RequestError: neither.
    """
    if value in (None, False, "false", "0"):
        return False
    if value in (True, "true", "1"):
        return True
    raise RequestError("nsfw is neither true nor false", advice="Give true or false, or leave it out.")


def keys(request: web.Request, name: str, most: int) -> list[str]:
    """Return a repeated query parameter; uuids may also be separated by commas.

    Raises:
        RequestError: more than `most`.
    """
    found = [
        key
        for value in request.query.getall(name, [])
        for key in ([value] if "://" in value else value.split(","))
        if key
    ]
    return check_count(found, name, most)


def check_count(values: list[str], name: str, most: int) -> list[str]:
    """Return the list unchanged.

    Raises:
        RequestError: it has more than `most` entries.
    """
    if len(values) > most:
        raise RequestError(
            f"{name} has too many entries", advice=f"Send at most {most}; for a history the newest."
        )
    return values


def known(model: ServedModel, values: list[str]) -> list[int]:
    """Return the positions of those that the model knows, in order, each once."""
    found = (model.index(value) for value in values if len(value) <= MAX_KEY)
    return list(dict.fromkeys(position for position in found if position is not None))


async def body(request: web.Request, allowed: frozenset[str]) -> dict[str, Any]:
    """Return a JSON object with no other keys than those allowed.

    Raises:
        RequestError: anything else.
    """
    if request.content_type != "application/json":
        # A form on a web page cannot send this type without asking the daemon first.
        raise RequestError("the body is not JSON", advice="Send Content-Type: application/json.")
    try:
        value = json.loads(await request.text())
    except (ValueError, RecursionError):
        raise RequestError("the body is not valid JSON", advice="Send one JSON object.") from None
    if not isinstance(value, dict):
        raise RequestError("the body is not a JSON object", advice="Send one JSON object.")
    if unknown := sorted(set(value) - allowed):
        shown = unknown[0] if unknown[0].isidentifier() and len(unknown[0]) <= 40 else "a key"
        raise RequestError(f"{shown} is not known here", advice=f"Known keys: {', '.join(sorted(allowed))}.")
    return value


def texts(value: Any, name: str, most: int) -> list[str]:
    """Return a list of texts from a JSON body; missing is empty.

    Raises:
        RequestError: anything else, or more than `most`.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RequestError(f"{name} is not a list of texts", advice="Give uuids or urls of videos.")
    return check_count(value, name, most)
