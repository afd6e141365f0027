"""Videos for the admin: found by words of their titles, and what would be beside one of them, and why."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daemon.serve.admin.requests import Beside, Search
from daemon.serve.admin.responses import FoundVideos, Related
from daemon.serve.admin.routing import Call, Table
from daemon.serve.api import requests, suggestions
from daemon.store.videos import public_titles
from models.labels import Labels

table = Table()

TITLES_AT_ONCE: Final = 256
"""Looked through without a pause, which takes a tenth of a millisecond: viewers' requests come in between."""


@table.get("/videos", "Find public videos by words of their titles", FoundVideos, query=Search)
async def find(call: Call) -> dict[str, Any]:
    """Look through the titles of the model in service."""
    asked: Search = call.query
    loaded = call.context.model.get()
    async with call.work.turn():
        found = await search(loaded.model.labels, asked.q, asked.limit)
    labels = [loaded.model.label(position) for position in found]
    titles = await call.work.read(public_titles, call.context.engine, [label.url for label in labels])
    return {
        "videos": [
            {"uuid": one.uuid, "url": one.url, "title": titles[one.url], "channel": one.channel}
            for one in labels
            if one.url in titles
        ]
    }


@table.get("/related", "What would be beside a video, and why", Related, query=Beside)
async def related(call: Call) -> dict[str, Any]:
    """Answer as `/v1/related` does for everybody, with titles."""
    asked: Beside = call.query
    loaded = call.context.model.get()
    count = min(asked.limit, call.context.config.limits.max_results)
    found = loaded.model.related(requests.video(loaded.model, asked.video), limit=count)
    labels = [loaded.model.label(item.video) for item in found]
    titles = await call.work.read(public_titles, call.context.engine, [label.url for label in labels])
    videos = [
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
