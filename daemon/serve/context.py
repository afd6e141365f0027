"""What the request handlers of the serving process share."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import web
from sqlalchemy import Engine

from daemon.config import Config
from daemon.process.live import Live
from daemon.serve.api.metrics import Metrics
from daemon.serve.model_loader import CurrentModel
from daemon.serve.store_cache import StoreCache
from daemon.store.viewers import Pseudonyms


def _nothing_runs(_wanted: Any) -> NoReturn:
    raise RuntimeError("nothing is built that could do it")


@dataclass
class ServeContext:
    """Everything a handler may use; made once per process.

    Attributes:
        config_file: passed to child processes.
        federation_routes: routes of the listener for peers; empty means that there is no such listener.
        upcoming: name of each scheduled job and when it runs next, Unix seconds.
        running: name of each job that runs now, and since when.
        progress: how far each of them is, in [0, 1], where it says so.
        waiting: names of jobs that wait for their turn.
        begun: names of those that run or wait, and of what they are a part of.
        begin: begins a job as if it were due.
        reconfigure: lets other settings hold from now on; for one caller at a time.
        last_federation_port: where the listener for peers was last, 0 before the first; kept where the system
            chose it.
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
    progress: Callable[[], Mapping[str, float]] = dict
    waiting: Callable[[], Set[str]] = frozenset
    begun: Callable[[], Set[str]] = frozenset
    begin: Callable[[str], None] = _nothing_runs
    reconfigure: Callable[[Config], Awaitable[None]] = _nothing_runs
    last_federation_port: int = 0
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
