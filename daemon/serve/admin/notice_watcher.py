"""Looks now and then for what waits for the admin: told in the log once, and as numbers for Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import ShoalError
from daemon.peers import repository
from daemon.serve.admin import notices
from daemon.serve.admin.notices import Told
from daemon.serve.context import ServeContext
from daemon.store.engine import reads
from daemon.store.tables import Session

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 20.0


async def watch(context: ServeContext, every: float = EVERY_SECONDS) -> None:
    """Tell what is new, until cancelled."""
    told = Told(context.config.data_dir)
    while True:
        try:
            told.tell(
                await asyncio.to_thread(notices.current, context.engine, context.config, context.clock())
            )
        except (OSError, SQLAlchemyError, ShoalError):
            logger.exception("looking for notices failed; it is tried again")
        await asyncio.sleep(every)


class Numbers(Collector):
    """Read from the store when asked. Labels are kinds and states, never hosts."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        """Return the names alone: registering must not read anything."""
        yield from self._families()

    def collect(self) -> Iterable[Metric]:
        """Return how many notices and peers of each kind there are, and when sessions last ended."""
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
        query = select(Session.role, Session.outcome, func.max(Session.ended))
        with reads(context.engine) as connection:
            found = connection.execute(query.group_by(Session.role, Session.outcome)).all()
        for role, outcome, at in found:
            if at is not None:
                ended.add_metric([role, outcome], at)
        return waiting, peers, ended

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("shoal_notices", "What waits for the admin.", labels=["kind"]),
            GaugeMetricFamily("shoal_peers", "Instances known, by the admin's decision.", labels=["state"]),
            GaugeMetricFamily(
                "shoal_session_last_seconds",
                "When the latest session ended, Unix time.",
                labels=["role", "outcome"],
            ),
        )
