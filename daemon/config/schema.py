"""Every setting, its default and the reason for it; `shoal init` prints these texts into shoal.toml."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from daemon.config.acceptance import Acceptance
from daemon.config.cohort import Cohort, Guards, Peer
from daemon.config.group import Group
from daemon.config.privacy import Privacy
from daemon.config.section import Section
from daemon.config.sources import DatasetSource, PeerTubeSource, Source
from daemon.config.types import Duration, Host, is_loopback

Mode = Literal["off", "simulate", "consume", "contribute"]


class Instance(Section):
    """The PeerTube instance that this daemon belongs to."""

    host: Host = Field(
        description=(
            "Host name of the PeerTube instance. Peers know this instance by it, so it cannot change later."
        ),
        examples=["video.example.org"],
    )


class Listen(Section):
    """Where the daemon can be reached: by default from this machine only."""

    api_host: str = Field(
        default="127.0.0.1", description="Address of the local API. Only PeerTube's plugin talks to it."
    )
    api_port: int = Field(
        default=9731,
        ge=0,
        le=65535,
        description="Port of the local API; 0 lets the system choose (shown by /v1/status).",
    )
    federation_host: str = Field(
        default="127.0.0.1",
        description=(
            "Address of the listener for peers. The plugin forwards peers' requests to it, so "
            "loopback suffices."
        ),
    )
    federation_port: int = Field(
        default=9732, ge=0, le=65535, description="Port of the listener for peers; 0 as above."
    )
    dangerously_expose_api: bool = Field(
        default=False,
        description=(
            "The API has no password. Only set this where a private network (a compose network) keeps"
            " others out."
        ),
    )
    api_allowed_hosts: list[str] = Field(
        default_factory=list,
        description=(
            "Further names that may stand in the Host header, such as the compose service name. Any "
            "other name is refused, because a web page could otherwise reach the API through a name "
            "that resolves to 127.0.0.1."
        ),
    )

    @model_validator(mode="after")
    def _api_stays_local(self) -> Self:
        if not self.dangerously_expose_api and not is_loopback(self.api_host):
            raise ValueError(
                f'api_host is "{self.api_host}": other machines can reach it, and the API has no password. '
                'Set api_host = "127.0.0.1", or dangerously_expose_api = true inside a private network'
            )
        return self


class Sharing(Section):
    """What may leave this instance, and how much of one viewer may be in it."""

    min_users: int = Field(
        default=5,
        ge=2,
        le=1000,
        description="A video enters the shared head only when this many viewers of the cohort engaged.",
    )
    max_videos_per_user: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description=(
            "At most the latest so many videos of one viewer count. It bounds what one viewer, or one"
            " forged account, can change in the sum."
        ),
    )
    max_users: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Upper bound of viewers per instance, declared so that no sum can wrap.",
    )
    min_vocabulary: int = Field(
        default=100,
        ge=2,
        description="Smaller vocabularies are refused: a short list of videos asks about particular viewers.",
    )
    max_vocabulary: int = Field(
        default=200_000,
        ge=2,
        le=10_000_000,
        description="Larger vocabularies are refused: each entry costs memory and transfer.",
    )


class Limits(Section):
    """Bounds on what callers of the local API may ask and on what a job may use."""

    max_request_bytes: int = Field(
        default=100_000,
        ge=1_000,
        le=10_000_000,
        description="Largest request body; the default is nginx's for PeerTube.",
    )
    max_results: int = Field(
        default=100, ge=1, le=1_000, description="Most videos in one answer; the watch page shows five."
    )
    max_history: int = Field(
        default=1_000, ge=1, le=10_000, description="Most videos of a viewer's history used in an answer."
    )
    max_exclude: int = Field(default=1_000, ge=1, le=10_000, description="Most videos in an exclude list.")
    job_time: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        description="A job that runs longer is ended; nothing is half done.",
    )
    job_memory_mb: int = Field(
        default=4096,
        ge=256,
        description="Memory a job may use; training with the default head needs about 2 GB.",
    )


class Model(Section):
    """The model that each instance computes for itself."""

    rank: int = Field(
        default=256,
        ge=1,
        le=4096,
        description="Width of the factorization: 256 stays within 3 % of the closed form.",
    )
    max_head: int = Field(
        default=4096,
        ge=1,
        le=16_384,
        description=(
            "Most videos with pair counts. Cost grows with its square in memory and its cube in time:"
            " 4,096 needs under 30 s and 2 GB on two cores."
        ),
    )
    seed: int = Field(
        default=0, ge=0, description="Seed of training, so that the same sums give the same model."
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="Threads for training; 0 uses every core at low priority."
    )
    keep: int = Field(
        default=4, ge=1, le=1000, description="Models kept beside the current ones, to go back to."
    )


class Schedule(Section):
    """When jobs run by themselves. Every time is jittered, so that instances do not all call at once."""

    enabled: bool = Field(
        default=True, description="Without it, jobs run only by `shoal sync`, `train` and `sessions`."
    )
    sync: Duration = Field(
        default=timedelta(hours=6),
        ge=timedelta(seconds=10),
        description="How often videos and engagements are read again.",
    )
    train_after_sync: bool = Field(
        default=True, description="Train when a sync has finished; what is served stays fresh."
    )
    session: Duration = Field(
        default=timedelta(days=7),
        ge=timedelta(seconds=10),
        description=(
            "How often this instance asks its peers for a sum. Sums in quick succession would show "
            "what changed."
        ),
    )
    prune: Duration = Field(
        default=timedelta(days=1),
        ge=timedelta(seconds=10),
        description="How often superseded models and sums are deleted.",
    )
    jitter: float = Field(
        default=0.1, ge=0.0, le=0.5, description="Random share of an interval by which a run is moved."
    )
    keep_sessions: Duration = Field(
        default=timedelta(days=365),
        ge=timedelta(days=1),
        description="How long the record of finished sessions is kept.",
    )


class Log(Section):
    """Logs go to standard error, one line per event, without addresses, viewers, titles or secrets."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe event that is written."
    )
    format: Literal["text", "json"] = Field(
        default="text", description='"text" is key=value, "json" one object per line.'
    )


class Config(Section):
    """All settings of one daemon.

    Attributes:
        data_dir: absolute; holds shoal.db, models/, sums/, journal/ and lock.
    """

    mode: Mode = Field(
        default="off",
        description=(
            'Federation: "off" (the local model still serves), "simulate" (compute and show, send '
            'nothing), "consume" (learn from sums, own viewers in none), "contribute". Off until the '
            "admin decides otherwise."
        ),
    )
    data_dir: Path = Field(
        default=Path(),
        description=(
            "Where database, models and keys are kept; relative to this file. Keep it on a local disk."
        ),
    )
    instance: Instance
    source: Source
    listen: Listen = Listen()
    peers: list[Peer] = Field(
        default_factory=list,
        max_length=1000,
        description=(
            "Instances approved by file. Those approved with `shoal peers` or on the admin page are kept in "
            "the database, and what was decided there about one of these stands. Nobody else is ever asked."
        ),
    )
    cohort: Cohort = Cohort()
    acceptance: Acceptance = Acceptance()
    guards: Guards = Guards()
    group: Group = Group()
    sharing: Sharing = Sharing()
    privacy: Privacy = Privacy()
    limits: Limits = Limits()
    model: Model = Model()
    schedule: Schedule = Schedule()
    log: Log = Log()

    @model_validator(mode="before")
    @classmethod
    def _a_source_is_a_data_set_unless_it_says_otherwise(cls, tree: Any) -> Any:
        source = tree.get("source") if isinstance(tree, dict) else None
        if isinstance(source, dict) and "kind" not in source:
            return {**tree, "source": {"kind": "dataset", **source}}
        return tree

    @model_validator(mode="after")
    def _real_viewers_are_protected(self) -> Self:
        if self.mode != "contribute" or self.source.kind != "peertube":
            return self
        privacy = self.privacy
        if privacy.level == "none":
            raise ValueError(
                'privacy.level is "none" and real viewers would be in the sums. Set privacy.level = '
                '"default", or '
                'mode = "consume" to learn from others without them'
            )
        if privacy.window < timedelta(days=1) or privacy.min_changed_users < 1:
            raise ValueError(
                "privacy.window is under a day, or privacy.min_changed_users is 0, and real viewers would be "
                "in the sums: their differences would show single people. Remove both lines to get the "
                "defaults"
            )
        return self

    @field_validator("peers")
    @classmethod
    def _peers_are_distinct(cls, peers: list[Peer]) -> list[Peer]:
        for what, values in (("host", [p.host for p in peers]), ("key", [p.key for p in peers])):
            twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
            if twice is not None:
                shown = f" {twice}" if what == "host" else ""
                raise ValueError(f"names the same {what}{shown} twice; keep one entry per peer")
        return peers

    @model_validator(mode="after")
    def _not_its_own_peer(self) -> Self:
        if any(peer.host == self.instance.host for peer in self.peers):
            raise ValueError(f"peers contains this instance itself ({self.instance.host}); remove that entry")
        return self

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "shoal.db"

    @property
    def models_dir(self) -> Path:
        """One folder per model, and the pointer file `current`."""
        return self.data_dir / "models"

    @property
    def sums_dir(self) -> Path:
        """Pair counts of finished sessions."""
        return self.data_dir / "sums"

    @property
    def windows_dir(self) -> Path:
        """What was given to each aggregator in the current data window."""
        return self.data_dir / "windows"

    @property
    def journal_dir(self) -> Path:
        """What the federation must remember across a crash."""
        return self.data_dir / "journal"

    @property
    def group_dir(self) -> Path:
        """Keys and files of the group that this instance is in, or hosts."""
        return self.data_dir / "group"

    @property
    def identity_file(self) -> Path:
        """Private key of the instance, readable by its owner only."""
        return self.data_dir / "identity.key"

    @property
    def next_identity_file(self) -> Path:
        """The private key that is about to take its place; there only while that goes on."""
        return self.data_dir / "identity.new"


__all__ = ["Config", "DatasetSource", "Mode", "Peer", "PeerTubeSource", "Section"]
