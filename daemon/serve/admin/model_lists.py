"""What a model would change for viewers: related lists of some videos, by the model in service and by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import numpy as np
from pydantic import Field
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.errors import NoModelError, RequestError
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.admin.videos import FoundVideo
from daemon.serve.model_loader import arrange
from daemon.store import model_records, source_state
from daemon.store.videos import public_titles
from models.artefact import load
from models.errors import ModelError
from models.serving import ServedModel

table = Table()

SHOWN_VIDEOS: Final = 3
SHOWN_PLACES: Final = 5
LOOKED_AT: Final = 60
"""Own videos, most watched first, among which those are looked for whose lists differ."""

_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)


class ComparedList(FoundVideo):
    """A video, and what is related to it by two models, best first."""

    before: list[FoundVideo]
    after: list[FoundVideo]


class ModelLists(TypedDict):
    """What a model would change, in lists of a few of this instance's most watched videos."""

    model: str
    served: Annotated[str | None, Field(description="The model in service; null: PeerTube's own lists.")]
    differ: Annotated[int, Field(description="Of the lists looked at, those that differ.")]
    of: int
    lists: list[ComparedList]


@table.get("/models/{id}/lists", "Related lists before and after a model would serve", ModelLists)
async def lists(request: AdminRequest) -> ModelLists:
    """Compare a stored model with the one in service."""
    name = request.path["id"]
    if not _ID.fullmatch(name):
        raise RequestError("the path has no id of a model", advice="See GET /v1/admin/models.")
    served = request.context.model.loaded
    return await request.work.read(
        _compare,
        request.engine,
        request.config,
        name,
        served.id if served else None,
        served.model if served else None,
    )


def _compare(
    engine: Engine, config: Config, name: str, served: str | None, before: ServedModel | None
) -> ModelLists:
    record = model_records.model(engine, name)
    if record is None:
        raise RequestError(f"there is no model {name}", advice="See GET /v1/admin/models.")
    try:
        after = load(config.models_dir / record.directory)
    except (ModelError, OSError):
        raise NoModelError(
            f"the files of model {name} are missing or damaged",
            advice="Train a new one: shoal train.",
        ) from None
    arrange(after, config.serve)
    excluded = source_state.exclusions(engine)
    after.visibility.exclude(channels=excluded.channels, hosts=excluded.hosts, videos=excluded.videos)
    pairs = [
        (url, [] if before is None else _list_of(before, url), _list_of(after, url))
        for url in _own_videos(after, config.instance.host)
    ]
    # What stays as it is says least about the model; among the rest the most watched come first.
    pairs.sort(key=lambda pair: pair[1] == pair[2])
    shown = pairs[:SHOWN_VIDEOS]
    titles = public_titles(engine, (url for first, *both in shown for url in (first, *both[0], *both[1])))

    def named(urls: Iterable[str]) -> Iterator[FoundVideo]:
        for url in urls:
            model = after if after.index(url) is not None else before
            position = None if model is None else model.index(url)
            if url in titles and model is not None and position is not None:
                label = model.label(position)
                yield {"uuid": label.uuid, "url": url, "title": titles[url], "channel": label.channel}

    return {
        "model": name,
        "served": served,
        "differ": sum(first != second for _, first, second in pairs),
        "of": len(pairs),
        "lists": [
            {**beside, "before": list(named(first)), "after": list(named(second))}
            for url, first, second in shown
            for beside in named([url])
        ],
    }


def _own_videos(model: ServedModel, host: str) -> list[str]:
    """Return addresses of videos of this instance, most watched first; of any where it has none."""
    labels = model.labels
    numbers = [number for number in range(len(labels.hosts)) if labels.hosts[number] == host]
    own = np.flatnonzero(np.isin(labels.host, numbers) & model.visibility.shown)
    chosen = own if own.size else np.flatnonzero(model.visibility.shown)
    order = chosen[np.argsort(-model.popularity[chosen], kind="stable")][:LOOKED_AT]
    return [labels.url[position] for position in order.tolist()]


def _list_of(model: ServedModel, url: str) -> list[str]:
    position = model.index(url)
    if position is None:
        return []
    return [model.labels.url[one.video] for one in model.related(position, limit=SHOWN_PLACES)]
