"""Who learns with whom, as far as this instance knows, and what each peer has to do with it.

Three things are known: what this admin approved, what peers introduce, and the rosters of rounds that this
instance took part in. Whom peers approve beyond that is nobody's business but theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import Engine, select
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.peers import circle, repository
from daemon.peers.repository import KnownPeers
from daemon.store import traffic, videos
from daemon.store.engine import reads
from daemon.store.tables import Round


class PeerActivity(TypedDict):
    """What one peer has to do with this instance."""

    host: str
    videos: Annotated[int, Field(description="Of its videos, how many this catalogue has.")]
    last_round: Annotated[
        float | None, Field(description="When the newest sum with it began, on either side; Unix seconds.")
    ]
    bytes: Annotated[int, Field(description="Sent and received this month, message bodies alone.")]
    bytes_before: Annotated[int, Field(description="The same of the month before.")]
    vouched_by: Annotated[list[str], Field(description="Peers that introduce it with the key known here.")]


class Link(TypedDict):
    """Two instances that have to do with each other."""

    of: str
    to: str
    what: Annotated[
        Literal["learns", "approved", "introduces"],
        Field(description="A finished sum that `to` took of `of`; both approve; `of` introduces `to`."),
    ]


class Network(TypedDict):
    """Who learns with whom; `month` is that of the bytes, such as 2026-11 (UTC)."""

    host: str
    month: str
    peers: list[PeerActivity]
    links: list[Link]


def read(engine: Engine, config: Config, now: float) -> Network:
    """Read it from the store.

    Raises:
        StoreError: the database cannot be used.
    """
    known, me = repository.read(engine, config), config.instance.host
    month = traffic.month_of(now)
    before = traffic.month_of(_start_of_month(now) - 1)
    used = {(one.peer, one.month): one.sent + one.received for one in traffic.months(engine, since=before)}
    counts = videos.numbers_by_host(engine)
    vouchers = _vouchers(engine, known, now)
    learnt, newest = _sums(engine, me)
    found: list[PeerActivity] = [
        {
            "host": host,
            "videos": counts.get(host, 0),
            "last_round": newest.get(host),
            "bytes": used.get((host, month), 0),
            "bytes_before": used.get((host, before), 0),
            "vouched_by": sorted(vouchers[host]),
        }
        for host in known.peers
    ]
    links = [*_approvals(known, me), *_introductions(vouchers), *learnt]
    return {"host": me, "month": month, "peers": found, "links": links}


def _start_of_month(now: float) -> float:
    then = datetime.fromtimestamp(now, UTC)
    return datetime(then.year, then.month, 1, tzinfo=UTC).timestamp()


def _vouchers(engine: Engine, known: KnownPeers, now: float) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for introducer, stored in circle.named(engine, known, now).items():
        for host, key in stored.instances.items():
            peer = known.find(host)
            if peer is not None and peer.key in ("", key):
                found[host].add(introducer)
    return found


def _approvals(known: KnownPeers, me: str) -> Iterable[Link]:
    return [
        {"of": me, "to": peer.host, "what": "approved"}
        for peer in known.approved()
        if peer.theirs == "approved"
    ]


def _introductions(vouchers: defaultdict[str, set[str]]) -> Iterable[Link]:
    return [
        {"of": introducer, "to": host, "what": "introduces"}
        for host in sorted(vouchers)
        for introducer in sorted(vouchers[host])
    ]


def _sums(engine: Engine, me: str) -> tuple[list[Link], dict[str, float]]:
    """Return who learnt from whom in finished rounds, and when each host's newest began."""
    columns = (Round.role, Round.aggregator, Round.started, Round.survivors, Round.roster)
    query = select(*columns).where(Round.outcome == "done").order_by(Round.started)
    pairs: dict[tuple[str, str], None] = {}
    newest: dict[str, float] = {}
    with reads(engine) as connection:
        rows = connection.execute(query).all()
    for role, aggregator, started, survivors, roster in rows:
        taker = me if role in {"aggregator", "host"} else aggregator
        givers = {*(survivors or roster), *(() if taker == me else (me,))} - {taker}
        pairs |= {(giver, taker): None for giver in sorted(givers)}
        newest |= dict.fromkeys((givers | {taker}) - {me}, started)
    return [{"of": giver, "to": taker, "what": "learns"} for giver, taker in pairs], newest
