"""One table of the admin API's routes: what is asked, what is answered, who does it.

What is served and the OpenAPI description are both made from it, so neither can know anything that the other
does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import Problem
from daemon.ledger.chain import Verification
from daemon.serve.admin.executor import Executor, Running
from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.shared_videos import SharedVideos
from daemon.serve.context import ServeContext
from daemon.serve.middleware import ROUTE, json_answer
from daemon.serve.validation import RequestModel, read_body, read_query

_SAME_ORIGIN: Final = ("Cross-Origin-Resource-Policy", "same-origin")


class EmptyBody(RequestModel):
    """An empty object: the path says it all."""


@dataclass(frozen=True)
class EndedRevert:
    """A revert, or the preview of one, that ended at `at`: its report as it is stored, or why it failed."""

    host: str
    dry_run: bool
    at: float
    report: dict[str, Any] | None
    problem: Problem | None


@dataclass
class AdminState:
    """What all handlers share.

    Attributes:
        reverts: those in progress; `revert_ended` tells how the latest of them ended.
        ledger: what was verified of it, and when (seconds of the monotonic clock).
        shared: the videos that would leave next, as they were counted last.
    """

    context: ServeContext
    work: Executor
    reverts: dict[str, Running[Any]] = field(default_factory=dict)
    revert_ended: EndedRevert | None = None
    ledger: tuple[Verification | None, float] = (None, 0.0)
    shared: SharedVideos = field(default_factory=SharedVideos)


@dataclass(frozen=True)
class AdminRequest:
    """One admitted request, already checked against its route."""

    state: AdminState
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def context(self) -> ServeContext:
        """What the serving process shares."""
        return self.state.context

    @property
    def config(self) -> Config:
        """The settings."""
        return self.context.config

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.context.engine

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.context.clock()

    @property
    def work(self) -> Executor:
        """Where slow things are done."""
        return self.state.work


@dataclass(frozen=True)
class Reply:
    """An answer with another status than 200."""

    body: Any
    status: int


Handler = Callable[[AdminRequest], Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Route:
    """One row of the table; `path` is below `/v1/admin`, `answer` the shape of a good answer by status."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    answer: Mapping[int, Any]
    handler: Handler
    query: type[RequestModel] | None = None
    body: type[RequestModel] | None = None


class Table:
    """Collects rows; handlers are put in with a decorator."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def get(
        self, path: str, summary: str, answer: Any, *, query: type[RequestModel] | None = None
    ) -> Callable[[H], H]:
        """Add a route that changes nothing."""

        def add(handler: H) -> H:
            self.routes.append(Route("GET", path, summary, {200: answer}, handler, query=query))
            return handler

        return add

    def post(
        self,
        path: str,
        summary: str,
        answer: Any,
        *,
        body: type[RequestModel] = EmptyBody,
        later: Any = None,
    ) -> Callable[[H], H]:
        """Add a route that changes something; `later` is answered, with 202, while it is still being done."""

        def add(handler: H) -> H:
            answers = {200: answer} | ({} if later is None else {202: later})
            self.routes.append(Route("POST", path, summary, answers, handler, body=body))
            return handler

        return add


class AdminApi:
    """Answers admitted requests by a table of routes."""

    def __init__(self, context: ServeContext, routes: Iterable[Route]) -> None:
        self.state = AdminState(context, Executor(context))
        self._router = web.UrlDispatcher()
        self._rows = {
            self._router.add_route(row.method, PREFIX + row.path, self.answer): row for row in routes
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Raises ShoalError, and what aiohttp raises where there is no such route."""
        match = await self._router.resolve(request)
        if match.http_exception is not None:
            raise match.http_exception
        row = self._rows[match.route]
        request[ROUTE] = PREFIX + row.path
        query = None if row.query is None else read_query(row.query, request)
        body = None if row.body is None else await read_body(row.body, request)
        found = await row.handler(AdminRequest(self.state, match, query, body))
        reply = found if isinstance(found, Reply) else Reply(found, 200)
        answer = json_answer(reply.body, reply.status)
        answer.headers.add(*_SAME_ORIGIN)
        return answer

    async def close(self) -> None:
        """End what is being done."""
        await self.state.work.close()
        self.state.shared.close()
