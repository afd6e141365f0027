"""Watches for notices: each is logged once, and they are counted for Prometheus."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import ShoalError
from daemon.peers import repository
from daemon.process.daemon_lock import replace_file
from daemon.serve.context import ServeContext
from daemon.status import notices
from daemon.status.notices import Notice
from daemon.store.engine import reads
from daemon.store.tables import Round

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
        except (OSError, SQLAlchemyError, ShoalError):
            logger.exception("notices could not be read; it is tried again")
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


class StoreMetrics(Collector):
    """Numbers read from the store when asked. Labels are kinds and states, never hosts."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        """Return the names alone: registering must not read anything."""
        yield from self._families()

    def collect(self) -> Iterable[Metric]:
        """Return how many notices and peers of each kind there are, and when rounds last ended."""
        context = self._context
        waiting, peers, ended = self._families()
        kinds = Counter(one.kind for one in notices.current(context.engine, context.config, context.clock()))
        for kind in notices.KINDS:
            waiting.add_metric([kind], kinds[kind])
        states = Counter(
            peer.state for peer in repository.read(context.engine, context.config).peers.values()
        )
        for state in get_args(repository.State):
            peers.add_metric([state], states[state])
        query = select(Round.role, Round.outcome, func.max(Round.ended))
        with reads(context.engine) as connection:
            found = connection.execute(query.group_by(Round.role, Round.outcome)).all()
        for role, outcome, at in found:
            if at is not None:
                ended.add_metric([role, outcome], at)
        return waiting, peers, ended

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("shoal_notices", "Notices for the admin.", labels=["kind"]),
            GaugeMetricFamily("shoal_peers", "Known instances, by the admin's decision.", labels=["state"]),
            GaugeMetricFamily(
                "shoal_round_last_seconds",
                "When the latest round ended, Unix time.",
                labels=["role", "outcome"],
            ),
        )
