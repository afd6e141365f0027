"""What every request passes: who may ask, errors as JSON, timing. Addresses and queries are never logged."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from daemon.config.types import is_loopback
from daemon.errors import ShoalError
from daemon.process.full_disk import disk_full, is_full
from daemon.serve import plugin_secret
from daemon.serve.context import CONTEXT

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ADVICE: Final = {
    404: "Known routes: /v1/related, /v1/recommendations, /v1/explain, /v1/status, /v1/vectors, "
    "/v1/vectors/ranking, /v1/viewers/known, /v1/viewers/forget, /health/ready, /metrics; for the admin: "
    "/v1/admin/openapi.json, and the page at /admin/.",
    405: "See the Allow header for the methods of this route.",
    413: "Send less: fewer videos in history or exclude.",
}
ROUTE = web.RequestKey("route", str)
"""The route that answered, where it was found below the one that aiohttp knows."""
HEALTH: Final = frozenset({"/health/live", "/health/ready"})
"""What containers and load balancers ask, who have no secret."""
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class HostRefusedError(ShoalError):
    """A request came under the name of another machine."""

    code = "host-refused"
    status = 403


def json_answer(body: Any, status: int = 200) -> web.Response:
    """Return a compact JSON answer that nobody caches."""
    return web.Response(
        body=to_json(body), status=status, content_type="application/json", charset="utf-8", headers=HEADERS
    )


def error_answer(status: int, code: str, message: str, advice: str) -> web.Response:
    """Return an error in the one form that all of them have."""
    return json_answer({"code": code, "message": message, "advice": advice}, status)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through who may ask, answer errors as JSON, count and time."""
    began = time.perf_counter()
    answer = await _guarded(request, handler)
    seconds = time.perf_counter() - began
    route = _route(request)
    metrics = request.app[CONTEXT].metrics
    metrics.requests.labels(route, str(answer.status)).inc()
    metrics.latency.labels(route).observe(seconds)
    logger.debug("request", extra={"route": route, "status": answer.status, "ms": round(seconds * 1000, 2)})
    return answer


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _admit(request)
        return await handler(request)
    except ShoalError as error:
        return error_answer(error.status, error.code, error.message, error.advice)
    except web.HTTPException as error:
        code = "-".join(error.reason.lower().split())
        answer = error_answer(error.status, code, error.reason, _ADVICE.get(error.status, ""))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception as error:
        if is_full(error):
            full = disk_full()
            return error_answer(full.status, full.code, full.message, full.advice)
        logger.exception("request failed", extra={"route": _route(request)})
        return error_answer(500, "bug", "the daemon could not answer this", "Its log has the details.")


def _admit(request: web.Request) -> None:
    """Let a request through.

    On loopback, by the Host header: a web page under a re-bound name must not read answers. Elsewhere by the
    plugin's secret, which no web page has; only whether the daemon is up and ready is told without.

    Raises:
        HostRefusedError: the Host header names another machine.
        SecretRefusedError: other machines can reach the API, and the secret is missing.
    """
    if request.app[CONTEXT].config.listen.api_is_local:
        name = request.host.lower()
        if not is_loopback(name if name.endswith("]") else name.rsplit(":", 1)[0]):
            raise HostRefusedError(
                "the Host header names another machine", advice="Call the API by its loopback address."
            )
    elif request.path not in HEALTH:
        plugin_secret.require_always(request)


def _route(request: web.Request) -> str:
    if ROUTE in request:
        return request[ROUTE]
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
