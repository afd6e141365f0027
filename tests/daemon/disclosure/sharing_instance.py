"""An instance that shares with four peers, and what its tests ask of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json
from sqlalchemy import Engine
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.config import Config, load
from daemon.disclosure.share_report import ShareReport, gather
from daemon.identity import open_identity
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import noisy, windows_of
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.own_statistics import own_viewers
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms
from federation.envelope import Stage
from federation.identity import Identity, format_key
from federation.proposal import BlobReference, Proposal
from policies.sharing import TRAINER
from tests.daemon.running_daemon import instance

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
ASKS = PEERS[0]
VIDEOS, VIEWERS = 30, 24
HEAD = 8
"""Videos whose pairs are asked about: the first ones."""
PAIRS = HEAD * (HEAD - 1) // 2


def url_of(number: int) -> str:
    return f"https://v.example/videos/watch/{number:03}"


def watches(viewer: int) -> list[int]:
    """Return the videos of a viewer: video n has about VIEWERS / (n + 1) viewers; the last have none."""
    return [n for n in range(VIDEOS - 5) if viewer % (n + 1) == 0]


EXACT = np.bincount([n for viewer in range(VIEWERS) for n in watches(viewer)], minlength=VIDEOS)


def write_config(folder: Path, *, mode: str = "contribute", peers: int = 4, extra: str = "") -> Config:
    named = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS[:peers]
    )
    path = instance(folder, extra=f'mode = "{mode}"')
    path.write_text(f"{path.read_text()}[sharing]\nmin_vocabulary = 2\n{extra or PRIVACY}\n{named}")
    return load(path)


PRIVACY = '[privacy]\nmin_video_age = "0s"\nmin_changed_users = 3'


def fill(engine: Engine, *, without: int | None = None, titles: str = "Film {}") -> None:
    with snapshot(engine, SECRET) as content:
        content.add_videos(VideoRow(url_of(n), f"{n}", titles.format(n), views=50) for n in range(VIDEOS))
        content.add_engagements(
            EngagementRow(f"viewer {viewer}", url_of(n), liked=True, at=float(n))
            for viewer in range(VIEWERS)
            if viewer != without
            for n in watches(viewer)
        )
        # Public since long ago: old enough to count.
        content.describe(SourceFacts("dataset"), now=1.0, participants=VIEWERS)


@dataclass
class Place:
    """An instance that was asked for sums, without a daemon."""

    config: Config
    engine: Engine
    now: float = NOW
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def context(self) -> JobContext:
        return JobContext(self.config, self.engine, lambda _stage, _part: None, lambda: self.now, {})

    @property
    def identity(self) -> Identity:
        return open_identity(self.config.identity_file, self.config.instance.host)

    def share(self) -> ShareReport:
        return gather(self.config, self.engine, self.now)

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(to_json(self.share().with_videos(1000)))
        return found

    def proposal(self, *, aggregator: str = ASKS.host) -> Proposal:
        """Ask for counts of all videos and for pairs of the first ones."""
        vocabulary = round_config.encode_vocabulary(tuple(url_of(n) for n in range(VIDEOS)))
        self.blobs = {
            round_config.VOCABULARY: vocabulary,
            round_config.HEAD: round_config.encode_head(np.arange(HEAD)),
        }
        members = sorted([self.identity.public, *(p.public for p in PEERS[1:])])
        return Proposal(
            aggregator=aggregator,
            roster=tuple(members),
            threshold=3,
            trainer=TRAINER,
            segments=round_config.segments(self.config, VIDEOS, HEAD),
            entry_bound=100_000,
            ring=32,
            nonce=bytes(16),
            created=int(self.now),
            expires=int(self.now) + 3600,
            parameters=round_config.parameters(self.config, VIDEOS, HEAD, pass_on=False),
            blobs={name: reference(blob) for name, blob in self.blobs.items()},
        )

    def prepare(self, proposal: Proposal) -> NDArray[np.int64]:
        """Count for a round and add the noise; nothing leaves yet."""
        own = own_viewers(self.engine, self.config, now=self.now)
        return noisy(self.context, proposal, self.blobs, own, windows_of(self.context))

    def give(self, proposal: Proposal, round_id: bytes) -> NDArray[np.int64]:
        """Answer a round up to the moment at which the masked vector leaves."""
        vector = self.prepare(proposal)
        self.log.check(round_id, proposal, Stage.SHARES)
        return vector

    @property
    def log(self) -> ContributionLog:
        return ContributionLog(windows_of(self.context), self.engine, lambda: self.now)


def reference(blob: bytes) -> BlobReference:
    return BlobReference(hashlib.sha256(blob).digest(), len(blob))


def place_of(config: Config, **content: Any) -> Place:
    migrate(config.database)
    engine = open_checked(config.database)
    fill(engine, **content)
    return Place(config, engine)


def run(*words: str, place: Place, columns: int = 80, status: int = 0) -> str:
    """Return what a command prints."""
    folder = str(place.config.data_dir)
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*words, "-c", folder])
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.output
