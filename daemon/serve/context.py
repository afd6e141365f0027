"""What the request handlers of the serving process share."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from sqlalchemy import Engine

from daemon.config import Config
from daemon.process.live import Live
from daemon.serve.api.metrics import Metrics
from daemon.serve.model_loader import CurrentModel
from daemon.serve.store_cache import StoreCache
from daemon.store.viewers import Pseudonyms


@dataclass
class ServeContext:
    """Everything a handler may use; made once per process.

    Attributes:
        config_file: passed to child processes.
        federation_routes: routes of the listener for peers; empty means that there is no such listener.
        upcoming: name of each scheduled job and when it runs next, Unix seconds.
        running: name of each job that runs now, and since when.
        list_filled: when a list was last answered with videos, Unix seconds; None if none was yet.
    """

    config: Config
    config_file: Path
    engine: Engine
    stored: StoreCache
    model: CurrentModel
    pseudonyms: Pseudonyms
    metrics: Metrics
    clock: Callable[[], float] = time.time
    started: float = field(default_factory=time.time)
    federation_routes: Iterable[web.AbstractRouteDef] = ()
    upcoming: Callable[[], Mapping[str, float]] = dict
    running: Callable[[], Mapping[str, float]] = dict
    list_filled: float | None = None
    addresses: dict[str, str] = field(default_factory=dict)

    def live(self) -> Live:
        """Return what only this process knows of the instance."""
        loaded = self.model.loaded
        return Live(
            started=self.started,
            model=None if loaded is None else loaded.id,
            model_since=None if loaded is None else loaded.since,
            problem=self.model.problem,
            upcoming=self.upcoming(),
            running=self.running(),
            list_filled=self.list_filled,
        )


CONTEXT = web.AppKey("context", ServeContext)
