"""The vectors that browsers rank from, without what must not be suggested, and the list they make of them."""

import asyncio
import hashlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from daemon.errors import ShoalError
from daemon.serve.api.requests import RankingQuery
from daemon.serve.context import CONTEXT
from daemon.serve.middleware import HEADERS, json_answer
from daemon.serve.model_loader import Loaded
from daemon.serve.validation import read_query
from models import vector_file
from models.errors import ModelFileError
from models.serving import ServedModel
from models.vector_file import VideoVectors

logger = logging.getLogger(__name__)

routes = web.RouteTableDef()


class NoVectorsError(ShoalError):
    """The model in service has no vectors that may be offered."""

    code = "no-vectors"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "there are no vectors for browsers",
            advice="Set privacy.publish_vectors; they come with the next sum, if the peers agree to it.",
        )


@dataclass(frozen=True)
class Offer:
    """What is offered of one model under one set of exclusions."""

    model: str
    shown: NDArray[np.bool_]
    vectors: VideoVectors
    content: bytes
    tag: str


class Offers:
    """Keeps the file that is offered until the model or the exclusions change."""

    def __init__(self, models_dir: Path) -> None:
        self._dir = models_dir
        self._lock = threading.Lock()
        self._kept: tuple[str, NDArray[np.bool_], Offer | None] | None = None

    def of(self, loaded: Loaded) -> Offer:
        """Return what is offered of a model now; reads a file, so not for the event loop.

        Raises:
            NoVectorsError: nothing is.
        """
        shown = loaded.model.visibility.shown
        with self._lock:
            # Exclusions are replaced as a whole, so the same object means that nothing changed.
            if self._kept is None or self._kept[0] != loaded.id or self._kept[1] is not shown:
                self._kept = (loaded.id, shown, self._read(loaded, shown))
            offer = self._kept[2]
        if offer is None:
            raise NoVectorsError
        return offer

    def _read(self, loaded: Loaded, shown: NDArray[np.bool_]) -> Offer | None:
        try:
            vectors = vector_file.load(self._dir / loaded.id)
        except ModelFileError as error:
            logger.error("vectors refused", extra={"model": loaded.id, "problem": str(error)})
            return None
        if vectors is None:
            return None
        vectors = vectors.only(_allowed(loaded.model, vectors))
        content = vectors.to_bytes()
        return Offer(loaded.id, shown, vectors, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@routes.get("/v1/vectors")
async def vectors(request: web.Request) -> web.Response:
    """Answer with the file that `models.vector_file` describes, or 304 where `If-None-Match` still holds."""
    offer = await _offer(request)
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": offer.tag}
    if offer.tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=offer.content, content_type="application/octet-stream", headers=headers)


@routes.get("/v1/vectors/ranking")
async def ranking(request: web.Request) -> web.Response:
    """Answer `?history=&limit=` with the list that a browser with that history makes, for comparison.

    The plugin never asks this: histories of people who are not logged in stay in their browsers.
    """
    limits = request.app[CONTEXT].config.limits
    query = read_query(RankingQuery, request, limits)
    offer = await _offer(request)
    known = (offer.vectors.index(key) for key in query.history)
    history = [row for row in known if row is not None]
    names = offer.vectors.names()
    videos = [
        {"uuid": names[item.row], "score": item.score, "via": names[item.via]}
        for item in vector_file.rank(offer.vectors, history, min(query.limit, limits.max_results))
    ]
    return json_answer({"model": offer.model, "history": len(history), "videos": videos})


async def _offer(request: web.Request) -> Offer:
    context = request.app[CONTEXT]
    if not context.config.privacy.publish_vectors:
        raise NoVectorsError
    loaded = context.model.get()
    return await asyncio.to_thread(request.app[OFFERS].of, loaded)


def _allowed(model: ServedModel, vectors: VideoVectors) -> NDArray[np.bool_]:
    """Mark the rows, (n,), of videos that are known, safe for work and not excluded."""
    mask = model.visibility.allowed()
    positions: list[Any] = [model.index(name) for name in vectors.names()]
    return np.array([position is not None and bool(mask[position]) for position in positions], np.bool_)


OFFERS = web.AppKey("offers", Offers)
