"""An instance that gave sums to its peers, and what the year's account must say of it."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config import Config, load
from daemon.config.types import KEY_PREFIX
from daemon.identity import open_identity
from daemon.process.job_context import JobContext
from daemon.rounds import own_release
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import open_windows
from daemon.rounds.own_statistics import own_viewers
from daemon.store.activity import RoundRecord, save_round
from daemon.store.engine import open_checked
from federation.envelope import Stage
from federation.identity import Identity, PublicIdentity
from federation.proposal import BlobReference, Proposal, Segment, least_threshold
from policies.accounting import Relation, Release, detection, epsilon, guess
from policies.privacy import PROTECTION, Level
from policies.sharing import TRAINER
from tests.daemon.shoal_command import shoal

DAY = 86400.0
DEFAULT, STRICT = PROTECTION[Level.DEFAULT], PROTECTION[Level.STRICT]
HOSTS = tuple(f"{name}.example" for name in ("five", "four", "one", "six", "three"))
"""Members of each round, this instance among them; two.example and three.example are aggregators."""


def identity_of(host: str) -> Identity:
    return Identity(host, host.encode().ljust(32, b"\0"))


@dataclass
class World:
    """An instance that gives to others; time is kept by hand."""

    folder: Path
    now: float

    @property
    def config_file(self) -> Path:
        return self.folder / "shoal.toml"

    @property
    def config(self) -> Config:
        return load(self.config_file)

    def write(self, *, privacy: str = "", top: str = 'mode = "contribute"', peers: bool = True) -> World:
        self.folder.mkdir(exist_ok=True)
        lines = [
            top,
            '[instance]\nhost = "one.example"',
            f'[source]\npath = "{self.folder / "dataset"}"',
            "[listen]\napi_port = 0\nfederation_port = 0",
            "[schedule]\nenabled = false",
            f'[privacy]\nmin_video_age = "0s"\n{privacy}',
        ]
        for host in sorted({*HOSTS, "two.example"} - {"one.example"}) if peers else ():
            key = KEY_PREFIX + base64.b64encode(identity_of(host).public.key).decode()
            lines.append(f'[[peers]]\nhost = "{host}"\nurl = "https://{host}"\nkey = "{key}"')
        self.config_file.write_text("\n".join(lines) + "\n")
        return self

    def proposal(self, aggregator: str, level: Level, *, videos: int, head: int) -> Proposal:
        asked = PROTECTION[level]
        pairs = head * (head - 1) // 2
        return Proposal(
            aggregator=aggregator,
            roster=tuple(PublicIdentity(host, identity_of(host).public.key) for host in HOSTS),
            threshold=least_threshold(len(HOSTS)),
            trainer=TRAINER,
            segments=(Segment(videos, 1, asked.counts_noise), Segment(pairs, 1, asked.pairs_noise)),
            entry_bound=1000,
            ring=32,
            nonce=bytes(16),
            created=int(self.now),
            expires=int(self.now) + 600,
            colluders=1,
            parameters={
                "vocabulary": videos,
                "head": head,
                "sub_cohorts": 1,
                "min_users": 11,
                "max_videos_per_user": asked.max_videos_per_user,
                "publish": 0,
                "pass_on": 0,
                "early": 0,
            },
            blobs={"vocabulary": BlobReference(bytes(32), 1), "head": BlobReference(bytes(32), 1)},
        )

    def give(self, aggregator: str, level: Level, *, videos: int, head: int, opened: bool = True) -> str:
        """Give counts and pairs of a head, on the instance's own records; returns the round's id.

        With `opened`, its aggregator opens the sum of all members.
        """
        config = self.config
        engine = open_checked(config.database)
        identity = open_identity(config.identity_file, config.instance.host)
        windows = open_windows(config, identity, engine, lambda: self.now)
        own = own_viewers(engine, config, now=time.time())  # Videos are settled since they were read.
        log = ContributionLog(windows, engine, lambda: self.now)
        round_id = f"{aggregator}-{self.now}".encode().ljust(32, b".")[:32]
        proposal = self.proposal(aggregator, level, videos=videos, head=head)
        windows.contribution(proposal, own, lambda: np.zeros(proposal.length, np.int64))
        log.check(round_id, proposal, Stage.SHARES)
        if opened:
            log.release(proposal, proposal.hosts)
        save_round(
            engine,
            RoundRecord(
                id=round_id.hex(),
                role="member",
                aggregator=aggregator,
                started=self.now,
                ended=self.now + 9,
                outcome="done",
                roster=list(proposal.hosts),
                survivors=list(proposal.hosts),
            ),
        )
        engine.dispose()
        return round_id.hex()

    def release(self) -> None:
        """Draw this instance's own release."""
        config = self.config
        engine = open_checked(config.database)
        context = JobContext(config, engine, lambda _stage, _part: None, lambda: self.now, {})
        assert own_release.current(context) is not None
        engine.dispose()

    def show(self, *args: str) -> Any:
        return shoal("privacy", "show", "-c", self.config_file, "-o", "json", *args).json


def release_of(level: Level, head: int) -> Release:
    asked = PROTECTION[level]
    return Release(asked.counts_noise, asked.pairs_noise, asked.max_videos_per_user, head)


def assert_cost(shown: Any, releases: Sequence[Release], relation: Relation) -> None:
    """What is printed is what the accounting says, or, where guessing is certain anyway, not below it."""
    assert shown["epsilon"] == pytest.approx(epsilon(releases, relation), abs=1e-4)
    assert shown["guess"] == pytest.approx(guess(releases, relation), abs=2e-4)
    assert shown["detection"] == pytest.approx(detection(releases, 0.05, relation), abs=2e-4)
