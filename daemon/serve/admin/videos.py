"""Videos for the admin: found by words in their titles, and which are related to one of them, and why."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from daemon.serve.admin.requests import RelatedQuery, VideosQuery
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.api import requests, suggestions
from daemon.store.videos import public_titles
from models.labels import Labels
from models.related_parts import PartKind, dissected

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


class ScorePart(TypedDict):
    """A part of what speaks for a video beside another."""

    kind: PartKind
    name: Annotated[str, Field(description="Of the tag, word, channel, category or language in common.")]
    share: float
    place: Annotated[
        int | None,
        Field(description="Where the video would stand if this part did not count; null: not in the list."),
    ]


class LookedUpVideo(RelatedVideo):
    """A place in a list, with all that speaks for the video."""

    parts: list[ScorePart]


class LookedUp(TypedDict):
    """Videos related to one, best first."""

    model: str
    video: FoundVideo
    videos: list[LookedUpVideo]


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


@table.get("/related", "Which videos are related to one, and why", LookedUp, query=RelatedQuery)
async def related(request: AdminRequest) -> LookedUp:
    """Answer as `/v1/related` does, with titles and with the parts of each score."""
    query: RelatedQuery = request.query
    loaded = request.context.model.get()
    model = loaded.model
    count = min(query.limit, request.context.config.limits.max_results)
    seed = requests.video(model, query.video)
    found = await request.work.read(dissected, model, seed, limit=count)
    labels = [model.label(seed), *(model.label(one.suggestion.video) for one in found)]
    titles = await request.work.read(public_titles, request.engine, [label.url for label in labels])
    named: list[FoundVideo] = [
        {"uuid": one.uuid, "url": one.url, "title": titles.get(one.url, ""), "channel": one.channel}
        for one in labels
    ]
    videos: list[LookedUpVideo] = [
        {
            **video,
            "reason": suggestions.reason(model, one.suggestion.reason),
            "parts": [
                {"kind": part.kind, "name": part.name, "share": round(part.share, 3), "place": part.place}
                for part in one.parts
            ],
        }
        for video, one in zip(named[1:], found, strict=True)
    ]
    return {"model": loaded.id, "video": named[0], "videos": videos}


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
