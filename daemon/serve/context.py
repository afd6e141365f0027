"""What the request handlers of the serving process share."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy import Engine

from daemon.config import Config
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
    upcoming: Callable[[], Mapping[str, Any]] = dict
    addresses: dict[str, str] = field(default_factory=dict)


CONTEXT = web.AppKey("context", ServeContext)
