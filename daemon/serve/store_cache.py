"""What the serving process keeps in memory of the store: exclusions, and histories asked for lately.

SQLite tells through `PRAGMA data_version` that another connection has changed the file; then all of it is
read again. So what a sync, a check or the command line changed holds here about a second later.
"""

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.store import source_state
from daemon.store.rows import Exclusions
from daemon.store.viewers import viewer_history
from models.serving import ServedModel

MOST_HISTORIES: Final = 2_000
DEADLINE: Final = 0.05
"""Seconds that a list waits for a viewer's history before it is made without."""


class StoreCache:
    """Follows one database. Its methods may be called from the event loop, unless they say otherwise."""

    def __init__(self, engine: Engine, *, history: int) -> None:
        self._engine = engine
        self._most = history
        self._version: int | None = None
        self._connection: Any = None
        self._lock = threading.Lock()
        self._closed = False
        # One thread, so one connection: each has megabytes of pages of its own.
        self._reader = ThreadPoolExecutor(1, "histories")
        self._exclusions = Exclusions()
        self._histories: OrderedDict[bytes, NDArray[np.int32]] = OrderedDict()
        self._model: ServedModel | None = None
        # Counts how often everything was dropped: what was read before must not be kept after.
        self._round = 0

    def prepare(self, model: ServedModel) -> None:
        """Make a model honour the exclusions; for any thread."""
        out = self._exclusions
        model.visibility.exclude(channels=out.channels, hosts=out.hosts, videos=out.videos)

    async def refresh(self, model: ServedModel | None) -> None:
        """Read again what may have changed, and make the model in service honour it."""
        if not await asyncio.to_thread(self._changed):
            return
        self.drop()
        exclusions = await asyncio.to_thread(source_state.exclusions, self._engine)
        if exclusions != self._exclusions:
            self._exclusions = exclusions
            if model is not None:
                await asyncio.to_thread(self.prepare, model)

    def drop(self) -> None:
        """Keep no history any longer."""
        self._round += 1
        self._histories.clear()

    async def history(
        self, model: ServedModel, pseudonym: bytes, *, deadline: float | None = DEADLINE
    ) -> list[int]:
        """Return what a viewer liked or half watched, as positions in the model's catalogue, newest first.

        Where it takes longer than `deadline` seconds, nothing: the list is then made without it.
        """
        if model is not self._model:
            self.drop()
            self._model = model
        if (known := self._histories.get(pseudonym)) is not None:
            self._histories.move_to_end(pseudonym)
            return [int(position) for position in known]
        began = self._round
        reading = asyncio.get_running_loop().run_in_executor(self._reader, self._read, model, pseudonym)
        try:
            found = await asyncio.wait_for(reading, deadline)
        except TimeoutError:
            return []
        if began == self._round:
            self._histories[pseudonym] = found
            if len(self._histories) > MOST_HISTORIES:
                self._histories.popitem(last=False)
        return [int(position) for position in found]

    def _read(self, model: ServedModel, pseudonym: bytes) -> NDArray[np.int32]:
        urls = viewer_history(self._engine, pseudonym, limit=self._most)
        found = (model.index(url) for url in urls)
        return np.array([position for position in found if position is not None], np.int32)

    def close(self) -> None:
        """Give the connection and the thread back; what runs in them is waited for, which is milliseconds."""
        self._reader.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _changed(self) -> bool:
        # A thread goes on when the task that waits for it is cancelled: it must not meet a closed connection.
        with self._lock:
            if self._closed:
                return False
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            version = int(self._connection.driver_connection.execute("PRAGMA data_version").fetchone()[0])
            changed, self._version = version != self._version, version
            return changed
