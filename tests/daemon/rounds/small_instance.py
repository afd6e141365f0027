"""An instance with twelve viewers and six peers that it knows, and what a peer proposes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms
from federation.blob_access import reference_to
from federation.identity import Identity, format_key
from federation.masks import RING
from federation.proposal import Proposal, least_threshold
from models.head import LEAST_VIEWS
from policies.sharing import TRAINER
from tests.daemon.running_daemon import instance
from tests.simulator.cohort import Clock

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(6)]
VIDEOS, VIEWERS = 6, 12
URLS = tuple(f"https://v.example/{n}" for n in range(VIDEOS))
HEAD = np.array([0, 2, 3], np.int64)


def configured(folder: Path, *, mode: str = "contribute", privacy: str = "", cohort: str = "") -> Config:
    """Write settings, with further lines for two sections, and return them."""
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(folder, extra=f'mode = "{mode}"')
    settings = (
        f'[privacy]\nmin_video_age = "0s"\n{privacy}\n[cohort]\n{cohort}\n[sharing]\nmin_vocabulary = 2\n'
    )
    path.write_text(path.read_text() + settings + peers)
    return load(path)


def sync(engine: Engine, now: float, *, views: int = LEAST_VIEWS, watched: int = 1) -> None:
    """Store what the source says: each viewer likes as many videos, one after the other."""
    with snapshot(engine, SECRET) as content:
        content.add_videos(VideoRow(url, f"{n}", f"Video {n}", views=views + n) for n, url in enumerate(URLS))
        content.add_engagements(
            EngagementRow(f"viewer {n}", URLS[(n + more) % VIDEOS], liked=True, at=1.0)
            for n in range(VIEWERS)
            for more in range(watched)
        )
        content.describe(SourceFacts("dataset"), now=now, participants=VIEWERS)


@contextmanager
def filled(config: Config) -> Iterator[Engine]:
    """Return the store of an instance that was synced a second ago."""
    migrate(config.database)
    engine = open_checked(config.database)
    try:
        sync(engine, NOW - 1)
        yield engine
    finally:
        engine.dispose()


def context_of(config: Config, engine: Engine, clock: Clock | None = None) -> JobContext:
    """Return what a job of this instance works with."""
    return JobContext(config, engine, lambda _stage, _part: None, clock or Clock(NOW))


def proposed(
    config: Config, aggregator: str = PEERS[0].host, *, urls: tuple[str, ...] = URLS, **changes: object
) -> tuple[Proposal, dict[str, bytes]]:
    """Return what a peer proposes on this instance's own terms, with the blobs of it."""
    roster = tuple(sorted(peer.public for peer in PEERS[:4]))
    blobs = {
        round_config.VOCABULARY: round_config.encode_vocabulary(urls),
        round_config.HEAD: round_config.encode_head(HEAD),
    }
    base = Proposal(
        aggregator=aggregator,
        roster=roster,
        threshold=least_threshold(len(roster)),
        trainer=TRAINER,
        segments=round_config.segments(config, len(urls), len(HEAD)),
        entry_bound=1000,
        ring=RING,
        nonce=bytes(16),
        created=int(NOW),
        expires=int(NOW) + 600,
        parameters=round_config.parameters(config, len(urls), len(HEAD), pass_on=False),
        blobs={name: reference_to(data) for name, data in blobs.items()},
    )
    return replace(base, **changes), blobs  # type: ignore[arg-type]
