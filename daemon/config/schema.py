"""Every setting of a daemon: its name, default and bounds, and below it what it does and why.

`shoal init` copies these texts into shoal.toml, where admins read them.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from daemon.config.types import Duration, Host, PeerUrl, PublicKey, Secret, SourceUrl, is_loopback

Mode = Literal["off", "simulate", "consume", "contribute"]
PrivacyLevel = Literal["none", "default", "strict", "user-level"]
Discovery = Literal["familiar", "balanced", "explore"]

DATABASE = "shoal.db"
"""Name of the database in `data_dir`."""
IDENTITY = "identity.key"
"""Name of the private key beside it."""

_SECOND, _MINUTE, _HOUR, _DAY = (timedelta(seconds=s) for s in (1, 60, 3600, 86400))


class Section(BaseModel):
    """A table of shoal.toml: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class Instance(Section):
    """The PeerTube instance this daemon belongs to."""

    host: Host = Field(examples=["video.example.org"])
    """Host name of the PeerTube instance. Peers know the instance by it, so it cannot change later."""


class DatasetSource(Section):
    """Videos and viewers read from the files of a data set."""

    kind: Literal["dataset"] = "dataset"
    """Where videos and viewers come from: "dataset" (files) or "peertube"."""
    path: Path = Field(examples=["dataset"])
    """Folder with interactions.csv.gz, items.csv.gz and item_tags.csv.gz, relative to this file."""
    name: str = Field(default="", max_length=100)
    """Name of the data set. Instances that use the same name give its videos the same addresses. Empty: the
    name of the folder."""
    catalogue_host: Host | None = Field(default=None, examples=["videos.example"])
    """Host in the addresses of the videos. Unset: one that all instances with this data set share."""
    like_at: float | None = Field(default=None, examples=[4.0])
    """Lowest value that counts as a like. Unset: the upper part of the data set's own scale."""


class PeerTubeSource(Section):
    """A PeerTube instance, read through the Shoal plugin."""

    kind: Literal["peertube"]
    """Where videos and viewers come from: "peertube" or "dataset" (files)."""
    url: SourceUrl = Field(examples=["http://127.0.0.1:9000"])
    """Address of PeerTube as this machine reaches it. Bypass the public web server: the export contains what
    viewers watched."""
    secret: Secret = Field(examples=["copy it from the settings page of the plugin"])
    """The secret from the plugin's settings page, by which plugin and daemon know each other. Keep this
    file readable by its owner only."""
    page: int = Field(default=1_000, ge=100, le=2_000)
    """Rows per request. Larger pages keep PeerTube's single thread busy for a noticeable time."""
    requests_per_second: float = Field(default=20.0, ge=0.1, le=40.0)
    """Most requests per second. PeerTube rejects more than 50."""
    check: Duration = Field(default=5 * _MINUTE, ge=_SECOND, le=_HOUR)
    """How often to check for viewers who withdrew; their data is then deleted."""


Source = Annotated[DatasetSource | PeerTubeSource, Field(discriminator="kind")]


class Listen(Section):
    """Where the daemon listens. By default only this machine can connect."""

    api_host: str = "127.0.0.1"
    """Address of the local API. Only PeerTube's plugin uses it. If other machines can reach it, as in a
    network of containers, every request needs the plugin's secret, which the plugin sends anyway."""
    api_port: int = Field(default=9731, ge=0, le=65535)
    """Port of the local API. 0 picks a free port, which `shoal admin` and the log show."""
    federation_host: str = "127.0.0.1"
    """Address of the listener for peers. The plugin forwards their requests, so loopback is enough."""
    federation_port: int = Field(default=9732, ge=0, le=65535)
    """Port of the listener for peers. 0 picks a free port."""

    @property
    def api_is_local(self) -> bool:
        """Whether only this machine can reach the local API."""
        return is_loopback(self.api_host)


class Peer(Section):
    """An instance whose admin and ours trust each other."""

    host: Host = Field(examples=["peer.example.net"])
    """Host name of the peer."""
    url: PeerUrl = Field(examples=["https://peer.example.net/plugins/shoal/router"])
    """Where its Shoal answers."""
    key: PublicKey = Field(examples=["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])
    """Public key of the peer. Compare it over another channel before you enter it."""


class Cohort(Section):
    """How many peers are summed together, and how long they may take."""

    min_cohort: int = Field(default=4, ge=3, le=60)
    """Fewest approved members in a sum, not counting the aggregator. With four, a dishonest aggregator needs
    two accomplices to single out another member. Fewer than three would hide too little."""
    stage_timeout: Duration = Field(default=2 * _MINUTE, ge=timedelta(milliseconds=100), le=_DAY)
    """How long the aggregator waits for its members in each of the five stages. Members that do not answer
    are left out of the sum."""
    round_expiry: Duration = Field(default=6 * _HOUR, ge=_SECOND, le=6 * _HOUR)
    """How long a round can be resumed after members were lost. Late messages of an older one are refused."""
    sub_cohorts_from: int = Field(default=8, ge=6, le=128)
    """Number of peers from which the cohort is divided into sub-cohorts: two, or three as soon as each can
    have min_cohort members. A bad sub-cohort can then be left out without asking anyone again."""
    members_per_sub_cohort: int = Field(default=64, ge=4, le=96)
    """Most members of a sub-cohort when the division is made: above three times as many there are more of
    them. Members that join later are added, up to 128 in each."""
    epoch: Duration = Field(default=180 * _DAY, ge=_SECOND)
    """How long a division into sub-cohorts is kept. Dividing again while the data has hardly changed would
    let this instance work out the numbers of single members; peers rely on you not doing so."""


class Acceptance(Section):
    """What a new sum must pass before viewers see anything of it.

    If it fails, the previous model keeps serving.
    """

    confirm_first: bool = True
    """Let the first federated model serve only after you have looked at it and run: shoal models accept."""
    quality_margin: float = Field(default=0.05, ge=0.0, le=1.0)
    """How much worse than the local model a new one may be, as a share of its quality. Quality is measured on
    likes of your viewers that were kept out of training."""
    max_exposure_gain: float = Field(default=0.03, gt=0.0, le=1.0)
    """Largest share of all top-10 lists that one video, channel or instance may gain over the previous model.
    Honest newcomers gain up to about 0.01, the targets of spam more."""
    warn_exposure_gain: float = Field(default=0.015, gt=0.0, le=1.0)
    """Gain from which you are warned, although the sum is accepted."""
    profiles: int = Field(default=1_000, ge=100, le=100_000)
    """Number of made-up viewers on whom gains are measured. Fewer make the measurement less certain."""


class Guards(Section):
    """How much one peer may weigh in a sum, and how often it may ask."""

    max_users_per_peer: int = Field(default=10_000, ge=1, le=10_000_000)
    """Most viewers that one peer counts for; fewer where its public NodeInfo or you say so. A sum larger than
    all its members together can explain is not used."""
    requests_per_minute: int = Field(default=600, ge=60, le=100_000)
    """Most requests per minute from one peer. A round takes about twenty, more while it waits."""
    strangers_per_minute: int = Field(default=60, ge=1, le=100_000)
    """Most requests per minute from all unknown senders together. Each costs a signature check."""
    max_requests_pending: int = Field(default=100, ge=1, le=10_000)
    """Most open requests for approval, or to join a group hosted here. Further ones are turned away."""


class Group(Section):
    """Membership in a group, and hosting one. To join, host or leave, run: shoal group."""

    poll: Duration = Field(default=_HOUR, ge=_SECOND)
    """How often a member asks its host for the time of the next sum."""
    lead: Duration = Field(default=2 * _MINUTE, ge=timedelta(0))
    """How long before that time a member connects. Until then it stays disconnected."""
    stay: Duration = Field(default=15 * _MINUTE, ge=_SECOND)
    """How long after that time a member stays connected, at most."""
    notice: Duration = Field(default=2 * _HOUR, ge=_SECOND)
    """Hosting: how long before a sum to announce it. Must be longer than the members' poll."""
    listen_host: str = "127.0.0.1"
    """Hosting: address of the TLS listener for members, the only one that must be public."""
    listen_port: int = Field(default=9743, ge=0, le=65535)
    """Hosting: port of that listener. 0 picks a free port."""
    public_url: str = Field(default="", examples=["https://video.example.org:9743"])
    """Hosting: where members reach the listener, if not at its own address and port."""
    certificate: str = ""
    """Hosting: PEM file with the certificate chain of the listener, relative to this file. Without one the
    daemon makes its own; members receive it on admission and accept no other."""
    certificate_key: str = ""
    """Hosting: PEM file with the private key of the certificate."""
    superlink_port: int = Field(default=0, ge=0, le=65535)
    """Hosting: loopback port of Flower's SuperLink. 0 picks a free port."""
    superlink_service: str = Field(default="", pattern=r"^([a-zA-Z0-9._-]+:[0-9]{1,5})?$")
    """Hosting: address of a SuperLink that is a service of its own, run by: shoal group superlink. Such as
    "127.0.0.1:9744". Only the daemon may reach it: it asks nobody who they are. Empty: the daemon runs it."""
    max_members: int = Field(default=1000, ge=4, le=1000)
    """Hosting: most members of the group."""

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if bool(self.certificate) != bool(self.certificate_key):
            raise ValueError("certificate and certificate_key belong together; set both or neither")
        return self


class Sharing(Section):
    """What may leave this instance, and how much one viewer can change in it."""

    min_users: int = Field(default=5, ge=2, le=1000)
    """A video's pairs are used only if at least this many viewers of the whole cohort engaged with it."""
    max_videos_per_user: int = Field(default=200, ge=1, le=100_000)
    """Most videos counted per viewer, the latest first. Bounds what one viewer, or one forged account, can
    change in a sum."""
    max_users: int = Field(default=100_000, ge=1, le=10_000_000)
    """Most viewers per instance. Declared in each sum so that it cannot overflow."""
    min_vocabulary: int = Field(default=20, ge=2)
    """Fewest videos in the list of a sum that this instance has in its own catalogue. A short list asks about
    particular viewers, and addresses that nobody knows make none longer."""
    max_vocabulary: int = Field(default=200_000, ge=2, le=10_000_000)
    """Most videos a sum may ask about. Each costs memory and transfer."""


class Privacy(Section):
    """What protects your viewers in sums and in lists. See docs/privacy.md."""

    level: PrivacyLevel = "default"
    """Noise in every sum, and in what lists rest on. "default" makes single pairs of videos uncertain in one
    sum; "strict" does so for longer and costs more quality; "user-level" makes whole histories uncertain in
    one sum and needs a very large cohort. "none" hides nothing and is refused for real viewers. To compare
    them, run: shoal privacy plan."""
    window_max: Duration = Field(default=28 * _DAY, ge=_SECOND, le=365 * _DAY)
    """Longest data window, in which an aggregator gets the same contribution with the same noise. The first
    lasts a day, each further one half as long again. Fresh noise more often could be averaged away. To
    compare lengths, run: shoal privacy plan."""
    min_changed_users: int = Field(default=5, ge=0, le=1_000_000)
    """How many viewers' data must have changed before a new contribution is made, so that its difference from
    the last one is never one person's doing. Give or take a few: the number is drawn for each data window."""
    min_video_age: Duration = Field(default=7 * _DAY, ge=timedelta(0), le=365 * _DAY)
    """How long a video must have been public and not blocked here before it counts. A bait video, published
    to see who watches it, has to wait as well. At the first sync PeerTube's own record tells the age."""
    yearly_budget_pair: float = Field(default=30.0, ge=0.0)
    """Most privacy loss in a year (epsilon at delta 1e-6, all aggregators and your own release together) for
    one pair of videos of one viewer. The default is what five aggregators and your own release cost at level
    "default" in the first year. When it gets near, data windows last longer, up to twelve weeks; then the
    newest aggregators get nothing. Once it is spent, this instance contributes nothing more. 0: no limit."""
    yearly_budget_view: float = Field(default=0.0, ge=0.0)
    """The same for one video of one viewer; nothing is done before it is spent."""
    yearly_budget_user: float = Field(default=0.0, ge=0.0)
    """The same for everything one viewer watched; nothing is done before it is spent."""
    allow_published_vectors: bool = False
    """Let peers publish video vectors computed from sums that include your viewers, so that browsers can rank
    videos themselves. Without it, sums that ask for this are refused."""
    publish_vectors: bool = False
    """Ask peers for the same in your own sums, and offer the vectors to the plugin. Peers that do not allow
    it are left out of those sums."""


class Serve(Section):
    """What lists are made from, and how they are arranged."""

    discovery: Discovery = "balanced"
    """How far lists lead away from what everybody watches, where a viewer has not chosen: "familiar" has what
    many like, and in a list of related videos no place for new ones; "explore" has more of what few have seen
    and two places in ten for new videos; "balanced" is in between."""
    sensitive_beside_safe: bool = False
    """Allow sensitive videos beside safe ones, for viewers whose PeerTube settings display them."""
    exact_own: bool = False
    """Make lists from exact numbers of your own viewers instead of noisy ones. Whoever sees such lists can
    find out from them what single viewers watched. It has an effect only while the plugin shows suggestions
    to logged-in members alone and registration is closed. The first check (source.check) that finds the
    instance open deletes the models that were learnt so."""


class Limits(Section):
    """Limits on requests to the local API and on background jobs."""

    max_request_bytes: int = Field(default=100_000, ge=1_000, le=10_000_000)
    """Largest request body. The default is that of nginx in front of PeerTube."""
    max_results: int = Field(default=100, ge=1, le=1_000)
    """Most videos in one answer. The watch page shows five."""
    max_history: int = Field(default=1_000, ge=1, le=10_000)
    """Most videos of a history in one request."""
    max_exclude: int = Field(default=1_000, ge=1, le=10_000)
    """Most videos to exclude in one request."""
    job_time: Duration = Field(default=_HOUR, ge=_SECOND)
    """Longest time a job may run. A job that is stopped leaves nothing half done."""
    job_memory_mb: int = Field(default=0, ge=0)
    """Most memory a job may use, in MiB; 0 means half of what this machine has, at most 4096. Training uses
    as many videos as fit: 4,096 need about 1,400, half as many 700."""


class Model(Section):
    """The model this instance trains for itself."""

    rank: int = Field(default=256, ge=1, le=4096)
    """Width of the factorization. 256 stays within 3 % of the exact solution."""
    max_head: int = Field(default=4096, ge=1, le=16_384)
    """Most videos whose pairs are counted. Memory grows with its square and time with its cube: 4,096 needs
    under 30 s and 2 GB on two cores."""
    seed: int = Field(default=0, ge=0)
    """Seed of training. The same sums and the same seed give the same model."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads used for training. 0 uses every core, at low priority."""
    keep: int = Field(default=4, ge=1, le=1000)
    """Number of models to keep besides the one that serves, to fall back on."""


class Schedule(Section):
    """When jobs run on their own. Times vary a little, so that instances do not all call at once."""

    enabled: bool = True
    """Run jobs on a schedule. With false they run only when you start them: shoal sync, shoal train, shoal
    rounds."""
    sync: Duration = Field(default=6 * _HOUR, ge=10 * _SECOND)
    """How often to read videos and engagements again."""
    train_after_sync: bool = True
    """Train a new model after each sync, so that lists stay fresh."""
    prune: Duration = Field(default=_DAY, ge=10 * _SECOND)
    """How often to delete superseded models and sums."""
    jitter: float = Field(default=0.1, ge=0.0, le=0.5)
    """Random share of an interval by which each run is moved."""
    keep_rounds: Duration = Field(default=365 * _DAY, ge=_DAY)
    """How long to keep the record of finished rounds."""


class Log(Section):
    """Logs go to standard error, one line per event, without addresses, viewers, titles or secrets.

    They are kept in log/ in data_dir as well, at most 4 MB. To read them, run: shoal logs.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe events to log."""
    format: Literal["text", "json"] = "text"
    """Form of a line: "text" is key=value, "json" one object."""


class Config(Section):
    """All settings of one daemon.

    Attributes:
        data_dir: absolute; holds shoal.db, models/, sums/, journal/ and lock.
    """

    mode: Mode = "off"
    """What this instance does in federation. "off": nothing; the local model still serves. "simulate": show
    what would be sent, and send nothing. "consume": learn from peers' sums without adding your viewers.
    "contribute": learn, and add your viewers."""
    data_dir: Path = Path()
    """Folder for database, models and keys, relative to this file. Keep it on a local disk."""
    instance: Instance
    source: Source
    listen: Listen = Listen()
    peers: list[Peer] = Field(default=[], max_length=1000)
    """Peers approved by this file. Those approved with `shoal peers` or on the admin page are in the
    database; a decision made there about a peer in this file takes precedence. No other instance is ever
    asked for a sum."""
    cohort: Cohort = Cohort()
    acceptance: Acceptance = Acceptance()
    guards: Guards = Guards()
    group: Group = Group()
    sharing: Sharing = Sharing()
    privacy: Privacy = Privacy()
    serve: Serve = Serve()
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
                'privacy.level is "none", and the sums would contain real viewers. Set privacy.level = '
                '"default", or mode = "consume" to learn from others without them'
            )
        if privacy.window_max < _DAY or privacy.min_changed_users < 1:
            raise ValueError(
                "privacy.window_max is under a day, or privacy.min_changed_users is 0, and the sums would "
                "contain real viewers: the differences between them would show single people. Remove both "
                "lines to get the defaults"
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
    def _api_has_a_secret(self) -> Self:
        if not self.listen.api_is_local and not isinstance(self.source, PeerTubeSource):
            raise ValueError(
                f'listen.api_host is "{self.listen.api_host}": other machines can reach it, so every request '
                "needs the plugin's secret, and there is none without PeerTube as source. Set "
                'listen.api_host = "127.0.0.1"'
            )
        return self

    @model_validator(mode="after")
    def _not_its_own_peer(self) -> Self:
        if any(peer.host == self.instance.host for peer in self.peers):
            raise ValueError(f"peers contains this instance itself ({self.instance.host}); remove that entry")
        return self

    @property
    def federates(self) -> bool:
        """Whether this instance talks to others at all: it learns from sums, or gives to them too."""
        return self.mode in {"consume", "contribute"}

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / DATABASE

    @property
    def models_dir(self) -> Path:
        """One folder per model, and the pointer file `current`."""
        return self.data_dir / "models"

    @property
    def sums_dir(self) -> Path:
        """Pair counts of finished rounds."""
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
    def log_dir(self) -> Path:
        """What this daemon and its jobs logged, in a few files of limited size."""
        return self.data_dir / "log"

    @property
    def identity_file(self) -> Path:
        """Private key of the instance, readable by its owner only."""
        return self.data_dir / IDENTITY

    @property
    def next_identity_file(self) -> Path:
        """Private key that is about to replace it; exists only during a rotation."""
        return self.data_dir / "identity.new"


def tables_in(annotation: Any) -> list[type[Section]]:
    """Return the tables that a setting of this type holds: one, several to choose from, or none."""
    parts = (annotation, *get_args(annotation))
    return [part for part in parts if isinstance(part, type) and issubclass(part, Section)]
