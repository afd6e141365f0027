"""Videos for the admin: found by words in their titles, and which are related to one of them, and why."""

from __future__ import annotations

import asyncio
from typing import Final

from typing_extensions import TypedDict

from daemon.serve.admin.requests import RelatedQuery, VideosQuery
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.api import requests, suggestions
from daemon.store.videos import public_titles
from models.labels import Labels

table = Table()

TITLES_AT_ONCE: Final = 256
"""Searched without a pause, which takes a tenth of a millisecond: requests of viewers come in between."""


class FoundVideo(TypedDict):
    """A public video that the model in service knows."""

    uuid: str
    url: str
    title: str
    channel: str


class FoundVideos(TypedDict):
    """In the model's order."""

    videos: list[FoundVideo]


class RelatedVideo(suggestions.Suggested):
    """A place in a list, for people."""

    title: str
    channel: str


class Related(TypedDict):
    """Best first."""

    model: str
    videos: list[RelatedVideo]


@table.get("/videos", "Find public videos by words in their titles", FoundVideos, query=VideosQuery)
async def find(request: AdminRequest) -> FoundVideos:
    """Look through the titles of the model in service."""
    query: VideosQuery = request.query
    loaded = request.context.model.get()
    async with request.work.turn():
        found = await search(loaded.model.labels, query.q, query.limit)
    labels = [loaded.model.label(position) for position in found]
    titles = await request.work.read(public_titles, request.engine, [label.url for label in labels])
    return {
        "videos": [
            {"uuid": one.uuid, "url": one.url, "title": titles[one.url], "channel": one.channel}
            for one in labels
            if one.url in titles
        ]
    }


@table.get("/related", "Which videos are related to one, and why", Related, query=RelatedQuery)
async def related(request: AdminRequest) -> Related:
    """Answer as `/v1/related` does, with titles."""
    query: RelatedQuery = request.query
    loaded = request.context.model.get()
    count = min(query.limit, request.context.config.limits.max_results)
    found = loaded.model.related(requests.video(loaded.model, query.video), limit=count)
    labels = [loaded.model.label(item.video) for item in found]
    titles = await request.work.read(public_titles, request.engine, [label.url for label in labels])
    videos: list[RelatedVideo] = [
        {**video, "title": titles.get(label.url, ""), "channel": label.channel}
        for video, label in zip(suggestions.suggestions(loaded.model, found), labels, strict=True)
    ]
    return {"model": loaded.id, "videos": videos}


async def search(labels: Labels, query: str, limit: int) -> list[int]:
    """Return positions of videos whose titles contain every word, whatever the case; at most `limit`."""
    words = query.casefold().split()
    found: list[int] = []
    if not words:
        return found
    titles = labels.title
    for start in range(0, len(titles), TITLES_AT_ONCE):
        stop = min(start + TITLES_AT_ONCE, len(titles))
        raw = titles.data[int(titles.offsets[start]) : int(titles.offsets[stop])].tobytes()
        together = raw.decode("utf-8", "replace").casefold()
        # Only where all words occur somewhere is it worth looking title by title.
        if all(word in together for word in words):
            for position in range(start, stop):
                title = titles[position].casefold()
                if all(word in title for word in words):
                    found.append(position)
                    if len(found) == limit:
                        return found
        await asyncio.sleep(0)
    return found
