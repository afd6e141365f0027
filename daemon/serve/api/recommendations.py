"""The local API: related videos, recommendations, explanations."""

from typing import Final

from aiohttp import web

from daemon.serve import plugin_secret
from daemon.serve.api import requests, suggestions
from daemon.serve.api.requests import ExplainQuery, RecommendationsBody, RelatedQuery
from daemon.serve.context import CONTEXT
from daemon.serve.middleware import json_answer
from daemon.serve.model_loader import is_exact
from daemon.serve.validation import read_body, read_query

MIXED_HISTORY: Final = 200
"""Newest videos of a viewer that a list beside a video is made from: a page is waiting for it."""

routes = web.RouteTableDef()


@routes.get("/v1/related")
async def related(request: web.Request) -> web.Response:
    """Answer `?video=<uuid|url>&limit=&exclude=&nsfw=&viewer=&language=&discovery=`: videos related to one.

    With a viewer, videos that suit the viewer take turns with those like the one that is watched. Videos in
    the language come first; without one, those in the language of the viewer's history or of the seed.
    """
    context = request.app[CONTEXT]
    loaded = context.model.get()
    limits = context.config.limits
    query = read_query(RelatedQuery, request, limits)
    seed = requests.video(loaded.model, query.video)
    history: list[int] = []
    if query.viewer:
        plugin_secret.require(request)
        history = await context.stored.history(loaded.model, context.pseudonyms.of(query.viewer))
    found = loaded.model.mixed(
        seed,
        history[:MIXED_HISTORY],
        limit=min(query.limit, limits.max_results),
        exclude=requests.known(loaded.model, query.exclude),
        nsfw=query.nsfw,
        language=loaded.model.labels.language_numbers.get(query.language, -1),
        discovery=query.discovery,
    )
    # The plugin shows lists from exact numbers to members alone, also when its settings have just changed.
    answer = {"model": loaded.id, "exact": is_exact(loaded.model)}
    videos = suggestions.suggestions(loaded.model, found)
    if videos:
        # When, and nothing else: not for whom, nor beside what.
        context.list_filled = context.clock()
    return json_answer({**answer, "videos": videos})


@routes.post("/v1/recommendations")
async def recommendations(request: web.Request) -> web.Response:
    """Answer `{"history", "viewer", "limit", "exclude", "nsfw", "discovery"}`, all optional, for one viewer.

    Without a history, the stored one of `viewer` is used; unknown viewers get what is popular.
    """
    context = request.app[CONTEXT]
    loaded = context.model.get()
    limits = context.config.limits
    body = await read_body(RecommendationsBody, request, limits)
    history = requests.known(loaded.model, body.history)
    if not body.history and body.viewer:
        plugin_secret.require(request)
        pseudonym = context.pseudonyms.of(body.viewer)
        history = await context.stored.history(loaded.model, pseudonym, deadline=None)
    found = loaded.model.recommend(
        history,
        limit=min(body.limit, limits.max_results),
        exclude=requests.known(loaded.model, body.exclude),
        nsfw=body.nsfw,
        discovery=body.discovery,
    )
    videos = suggestions.suggestions(loaded.model, found)
    return json_answer({"model": loaded.id, "history": len(history), "videos": videos})


@routes.get("/v1/explain")
async def explain(request: web.Request) -> web.Response:
    """Answer `?video=&history=` with what in that history speaks for the video, exactly."""
    context = request.app[CONTEXT]
    loaded = context.model.get()
    query = read_query(ExplainQuery, request, context.config.limits)
    position = requests.video(loaded.model, query.video)
    why = loaded.model.explain(requests.known(loaded.model, query.history), position)
    return json_answer({"model": loaded.id, **suggestions.explanation(loaded.model, why)})
