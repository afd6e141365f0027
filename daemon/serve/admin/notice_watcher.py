"""Watches for notices: each is logged once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import ShoalError
from daemon.process.daemon_lock import replace_file
from daemon.process.full_disk import fields_of
from daemon.serve.context import ServeContext
from daemon.status import notices
from daemon.status.notices import Notice

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 20.0
LOGGED_NAME: Final = "notices.json"


async def watch(context: ServeContext, every: float = EVERY_SECONDS) -> None:
    """Log new notices until cancelled."""
    log = NoticeLog(context.config.data_dir)
    while True:
        try:
            log.write(
                await asyncio.to_thread(notices.current, context.engine, context.config, context.clock())
            )
        except (OSError, SQLAlchemyError, ShoalError) as error:
            logger.error("notices could not be read; it is tried again", extra=fields_of(error))
        await asyncio.sleep(every)


class NoticeLog:
    """Logs each notice once, when it appears; across restarts, by a small file."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / LOGGED_NAME
        self._known = self._read()

    def write(self, found: Iterable[Notice]) -> list[Notice]:
        """Log those that were not there the last time, and return them."""
        there = {notice.id: notice for notice in found}
        new = [notice for name, notice in there.items() if name not in self._known]
        for notice in new:
            logger.warning("for the admin", extra={"code": notice.kind, "subject": notice.subject})
        if there.keys() != self._known:
            # Before the next look, so that a restart repeats nothing.
            self._known = set(there)
            replace_file(self._file, json.dumps(sorted(there)).encode())
        return new

    def _read(self) -> set[str]:
        try:
            known = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return set()
        return {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()
