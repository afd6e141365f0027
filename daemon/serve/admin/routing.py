"""One table of the admin API's routes: what is asked, what is answered, who does it.

The routes of the web application and the OpenAPI description are both made from it, so neither can know
anything that the other does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.errors import RequestError
from daemon.serve.admin.access import Access
from daemon.serve.admin.executor import Executor, Running
from daemon.serve.admin.ledger_check import LedgerCheck
from daemon.serve.context import ServeContext
from daemon.serve.middleware import json_answer

PREFIX: Final = "/v1/admin"
_SAME_ORIGIN: Final = ("Cross-Origin-Resource-Policy", "same-origin")


class Asked(BaseModel):
    """What a request may hold: nothing that is not named, nothing of another type."""

    # Built when the first admin asks: a daemon that serves lists only needs none of it.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Nothing(Asked):
    """An empty object: the path says all."""


@dataclass
class Parts:
    """What all handlers share; `reverts` are in progress, `ended` is how the latest of them ended."""

    context: ServeContext
    access: Access
    work: Executor
    ledger: LedgerCheck = field(default_factory=LedgerCheck)
    reverts: dict[str, Running] = field(default_factory=dict)
    ended: dict[str, Any] | None = None


@dataclass(frozen=True)
class Call:
    """One admitted request, already checked against its route."""

    parts: Parts
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def context(self) -> ServeContext:
        """What the serving process shares."""
        return self.parts.context

    @property
    def work(self) -> Executor:
        """Where slow things are done."""
        return self.parts.work


@dataclass(frozen=True)
class Reply:
    """An answer with another status than 200."""

    body: Any
    status: int


Handler = Callable[[Call], Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Route:
    """One row of the table; `path` is below `/v1/admin`, `answer` the shape of a good answer by status."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    answer: Mapping[int, Any]
    handler: Handler
    query: type[Asked] | None = None
    body: type[Asked] | None = None


class Table:
    """Collects rows; handlers are put in with a decorator."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def get(
        self, path: str, summary: str, answer: Any, *, query: type[Asked] | None = None
    ) -> Callable[[H], H]:
        """Add a route that only looks."""

        def add(handler: H) -> H:
            self.routes.append(Route("GET", path, summary, {200: answer}, handler, query=query))
            return handler

        return add

    def post(
        self, path: str, summary: str, answer: Any, *, body: type[Asked] = Nothing, later: Any = None
    ) -> Callable[[H], H]:
        """Add a route that changes something; `later` is answered, with 202, while it is still being done."""

        def add(handler: H) -> H:
            answers = {200: answer} | ({} if later is None else {202: later})
            self.routes.append(Route("POST", path, summary, answers, handler, body=body))
            return handler

        return add


def mount(app: web.Application, routes: Iterable[Route], parts: Parts) -> None:
    """Serve every row of a table."""
    for row in routes:
        app.router.add_route(row.method, PREFIX + row.path, _served(row, parts))


def _served(row: Route, parts: Parts) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        # Before anything is read: whoever has no credential costs next to nothing.
        parts.access.require(request)
        call = Call(
            parts,
            dict(request.match_info),
            None if row.query is None else _query(row.query, request),
            None if row.body is None else await _body(row.body, request),
        )
        found = await row.handler(call)
        reply = found if isinstance(found, Reply) else Reply(found, 200)
        answer = json_answer(reply.body, reply.status)
        answer.headers.add(*_SAME_ORIGIN)
        return answer

    return serve


def _query(shape: type[Asked], request: web.Request) -> Asked:
    given = request.query
    for name in given:
        if len(given.getall(name)) > 1:
            raise RequestError(f"{_shown(name)} is given twice", advice="Give each parameter once.")
    try:
        return shape.model_validate(dict(given))
    except ValidationError as error:
        raise _unusable(error, shape) from None


async def _body(shape: type[Asked], request: web.Request) -> Asked:
    if request.content_type != "application/json":
        # A form on a web page cannot send this type without asking the daemon first.
        raise RequestError("the body is not JSON", advice="Send Content-Type: application/json.")
    raw = await request.read()
    try:
        return shape.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _unusable(error, shape) from None


def _unusable(error: ValidationError, shape: type[Asked]) -> RequestError:
    """Say what is wrong without repeating what was sent."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    known = ", ".join(shape.model_fields) or "none"
    if first["type"] == "extra_forbidden":
        return RequestError(f"{_shown(first['loc'][0])} is not known here", advice=f"Known names: {known}.")
    where = _shown(first["loc"][0]) if first["loc"] else "the body"
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    return RequestError(f"{where}: {said}", advice=f"See {PREFIX}/openapi.json for what is expected.")


def _shown(name: object) -> str:
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else "a name"
