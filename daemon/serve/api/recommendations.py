"""The local API: related videos, recommendations, explanations."""

from typing import Final

from aiohttp import web

from daemon.serve import plugin_secret
from daemon.serve.api import requests, suggestions
from daemon.serve.api.viewers import pseudonym_of
from daemon.serve.context import CONTEXT
from daemon.serve.middleware import json_answer

_BODY_KEYS: Final = frozenset({"history", "viewer", "limit", "exclude", "nsfw"})
MIXED_HISTORY: Final = 200
"""Newest videos of a viewer that a list beside a video is made from: a page is waiting for it."""

routes = web.RouteTableDef()


@routes.get("/v1/related")
async def related(request: web.Request) -> web.Response:
    """Answer `?video=<uuid|url>&limit=&exclude=&nsfw=&viewer=&language=` with videos related to one.

    With a viewer, videos that suit the viewer take turns with those like the one that is watched. Videos in
    the language come first; without one, those in the language of the viewer's history or of the seed.
    """
    context = request.app[CONTEXT]
    loaded = context.model.get()
    limits = context.config.limits
    seed = requests.video(loaded.model, request.query.get("video"))
    count = requests.limit(request.query.get("limit"), limits)
    exclude = requests.known(loaded.model, requests.keys(request, "exclude", limits.max_exclude))
    nsfw = requests.flag(request.query.get("nsfw"))
    history: list[int] = []
    if viewer := request.query.get("viewer"):
        plugin_secret.require(request)
        pseudonym = pseudonym_of(context, viewer)
        history = await context.stored.history(loaded.model, pseudonym)
    found = loaded.model.mixed(
        seed,
        history[:MIXED_HISTORY],
        limit=count,
        exclude=exclude,
        nsfw=nsfw,
        language=loaded.model.labels.language_numbers.get(request.query.get("language", ""), -1),
    )
    return json_answer({"model": loaded.id, "videos": suggestions.suggestions(loaded.model, found)})


@routes.post("/v1/recommendations")
async def recommendations(request: web.Request) -> web.Response:
    """Answer `{"history", "viewer", "limit", "exclude", "nsfw"}`, all optional, with videos for one viewer.

    Without a history, the stored one of `viewer` is used; unknown viewers get what suits everybody.
    """
    context = request.app[CONTEXT]
    loaded = context.model.get()
    limits = context.config.limits
    body = await requests.body(request, _BODY_KEYS)
    count = requests.limit(body.get("limit"), limits)
    keys = requests.texts(body.get("history"), "history", limits.max_history)
    history = requests.known(loaded.model, keys)
    if not keys and body.get("viewer"):
        plugin_secret.require(request)
        pseudonym = pseudonym_of(context, body["viewer"])
        history = await context.stored.history(loaded.model, pseudonym, deadline=None)
    exclude = requests.known(loaded.model, requests.texts(body.get("exclude"), "exclude", limits.max_exclude))
    nsfw = requests.flag(body.get("nsfw"))
    found = loaded.model.recommend(history, limit=count, exclude=exclude, nsfw=nsfw)
    videos = suggestions.suggestions(loaded.model, found)
    return json_answer({"model": loaded.id, "history": len(history), "videos": videos})


@routes.get("/v1/explain")
async def explain(request: web.Request) -> web.Response:
    """Answer `?video=&history=` with the exact parts of the video's score for that history."""
    context = request.app[CONTEXT]
    loaded = context.model.get()
    position = requests.video(loaded.model, request.query.get("video"))
    keys = requests.keys(request, "history", context.config.limits.max_history)
    history = requests.known(loaded.model, keys)
    why = loaded.model.explain(history, position)
    return json_answer({"model": loaded.id, **suggestions.explanation(loaded.model, why)})
