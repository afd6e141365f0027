"""The database schema as typed models; the migrations build the same, and a test compares the two.

The content of the instance (videos, tags, viewers, engagements) is a snapshot that each sync replaces.
Everything else is the daemon's own record.
"""

from typing import Any, Final

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "0002"
"""Newest migration that this program knows."""

NAMING: Final = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Times are Unix seconds (UTC) as floats, hashes 32 bytes, unknown text is empty."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012 (read by SQLAlchemy)


class Video(Base):
    """A public video of the catalogue; `url` is its identity, because it binds the host (unlike the uuid)."""

    __tablename__ = "videos"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String, unique=True)
    uuid: Mapped[str] = mapped_column(String, index=True)
    title: Mapped[str]
    channel: Mapped[str]
    host: Mapped[str]
    category: Mapped[str]
    language: Mapped[str]
    published: Mapped[float | None]
    nsfw: Mapped[bool]
    views: Mapped[int]
    likes: Mapped[int]
    account: Mapped[str]
    scope: Mapped[int]
    own: Mapped[bool]
    stored: Mapped[float | None]


class Tag(Base):
    """A tag, once."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)


class VideoTag(Base):
    """A video carries a tag."""

    __tablename__ = "video_tags"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id"), primary_key=True)


class Viewer(Base):
    """A consenting local viewer, known only by a keyed hash of the instance's own identifier.

    `state` is the source's digest of the rows it delivered; another one means that some of them are gone.
    `since` is when they were first seen, Unix seconds; 0 for whoever was there at the first sync.
    """

    __tablename__ = "viewers"

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    state: Mapped[str]
    since: Mapped[float]


class Engagement(Base):
    """What one viewer did with one video; the strongest state, not a log of events."""

    __tablename__ = "engagements"
    __table_args__ = (
        CheckConstraint("watched >= 0 AND watched <= 1", name="watched_is_a_fraction"),
        {"sqlite_with_rowid": False},
    )

    viewer_id: Mapped[int] = mapped_column(ForeignKey("viewers.id"), primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id"), primary_key=True)
    liked: Mapped[bool]
    disliked: Mapped[bool]
    watched: Mapped[float]
    at: Mapped[float]


class SourceRecord(Base):
    """What is known of the source itself: one row, with id 1.

    `rates` and `history` are its highest row numbers at the last sync, up to which digests are compared.
    `closed` tells that members alone see lists, and that nobody can become one by registering;
    `fills_lists` that every watch page is to show a list of ours.
    """

    __tablename__ = "source"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    rates: Mapped[int]
    history: Mapped[int]
    participants: Mapped[int]
    synced: Mapped[float]
    checked: Mapped[float | None]
    closed: Mapped[bool]
    fills_lists: Mapped[bool]


class DailyEffectsRow(Base):
    """What suggestions achieved on a day (YYYY-MM-DD, UTC): see `daemon.store.rows.DailyEffects`."""

    __tablename__ = "daily_effects"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    day: Mapped[str] = mapped_column(String, primary_key=True)
    pages: Mapped[int]
    explained: Mapped[int]
    clicked: Mapped[int]
    stock_clicked: Mapped[int]
    hidden: Mapped[int]
    filled: Mapped[int]
    stock: Mapped[int]
    late: Mapped[int]


class ViewersOfDay(Base):
    """How many viewers took part at the end of a day, which begins at `day` (Unix seconds, UTC)."""

    __tablename__ = "viewers_of_days"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    day: Mapped[float] = mapped_column(primary_key=True)
    viewers: Mapped[int]


class Exclusion(Base):
    """A channel (by url), host or video (by url) that must not be suggested."""

    __tablename__ = "exclusions"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    kind: Mapped[str] = mapped_column(String, primary_key=True)
    value: Mapped[str] = mapped_column(String, primary_key=True)


class FollowedHost(Base):
    """An instance that this one follows, and since when, where its PeerTube says so."""

    __tablename__ = "followed_hosts"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    host: Mapped[str] = mapped_column(String, primary_key=True)
    since: Mapped[float | None]


class VideoSince(Base):
    """Since when a video of the catalogue counts as public and not excluded here."""

    __tablename__ = "video_since"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    url: Mapped[str] = mapped_column(String, primary_key=True)
    since: Mapped[float]


class DatabaseLoss(Base):
    """That this database was begun because the one before was lost; see `daemon.store.loss`."""

    __tablename__ = "database_losses"

    at: Mapped[float] = mapped_column(primary_key=True)
    cause: Mapped[str]
    kept: Mapped[str]


class Release(Base):
    """A noisy vector that this instance's viewers are in, given once per data window and aggregator."""

    __tablename__ = "releases"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    window: Mapped[str] = mapped_column(String, primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    aggregator: Mapped[str]
    round_id: Mapped[str]
    counts_noise: Mapped[float]
    pairs_noise: Mapped[float]
    share: Mapped[float]
    max_videos_per_user: Mapped[int]
    vocabulary: Mapped[int]
    head: Mapped[int]
    vector_sha256: Mapped[str]
    bytes: Mapped[int]
    viewers: Mapped[bool]
    decision: Mapped[float]


class Round(Base):
    """One secure sum round, as aggregator or as member."""

    __tablename__ = "rounds"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    role: Mapped[str]
    aggregator: Mapped[str]
    started: Mapped[float] = mapped_column(index=True)
    ended: Mapped[float | None]
    outcome: Mapped[str]
    reason: Mapped[str]
    roster: Mapped[list[str]]
    survivors: Mapped[list[str]]
    bytes_in: Mapped[int]
    bytes_out: Mapped[int]
    seconds: Mapped[dict[str, Any]]


class Sum(Base):
    """What a finished round of ours yields: the other instances' sum over a head of videos.

    `run` names all sums of one cohort, one for each of its sub-cohorts, which share a head. `verdict` is new,
    awaiting, accepted or quarantined; `report` says why. `proposal` is the signed proposal of the round.
    """

    __tablename__ = "sums"

    round_id: Mapped[str] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    created: Mapped[float] = mapped_column(index=True)
    triangle_file: Mapped[str]
    triangle_sha256: Mapped[str]
    privacy: Mapped[dict[str, Any]]
    run: Mapped[str] = mapped_column(index=True)
    sub_cohort: Mapped[int]
    verdict: Mapped[str]
    report: Mapped[dict[str, Any]]
    proposal: Mapped[bytes]


class SumVideo(Base):
    """A video of a sum's head, in the order of the sum, and how many of the others' viewers engaged."""

    __tablename__ = "sum_videos"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    round_id: Mapped[str] = mapped_column(ForeignKey("sums.round_id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    count: Mapped[int]


class ModelRecord(Base):
    """A trained model in its own folder below `models/`."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    created: Mapped[float] = mapped_column(index=True)
    kind: Mapped[str]
    round_id: Mapped[str | None] = mapped_column(ForeignKey("rounds.id"))
    directory: Mapped[str]
    manifest_sha256: Mapped[str]
    quality: Mapped[dict[str, Any]]
    state: Mapped[str]
    survivors: Mapped[list[str]]
    report: Mapped[dict[str, Any]]
    drawn: Mapped[float]
    exact: Mapped[bool]


class Refusal(Base):
    """How often something was refused, by code and by peer (empty where no peer is known)."""

    __tablename__ = "refusals"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    code: Mapped[str] = mapped_column(String, primary_key=True)
    peer: Mapped[str] = mapped_column(String, primary_key=True)
    count: Mapped[int]
    last: Mapped[float]


class JobRun(Base):
    """A job that ran, and how it ended."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_name_ended", "name", "ended"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    started: Mapped[float]
    ended: Mapped[float]
    outcome: Mapped[str]
    code: Mapped[str]
    result: Mapped[dict[str, Any]]


class PeerRow(Base):
    """An instance that ours has to do with, or could have: what the admin decided, what it says of us.

    `bound` tells that its domain's actor signed its key; `said` is the date of its newest hello; `next_key`
    is a key that it uses without having proven that it may. `introduced_by` are the peers on whose
    introduction it was approved, and `evidence` is what stands for it beside their word. `sum_asked` is when
    it was last asked for a sum that it may pass on, and `sum_refused` why that was not taken.
    """

    __tablename__ = "peers"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    host: Mapped[str] = mapped_column(String, primary_key=True)
    url: Mapped[str]
    key: Mapped[str]
    state: Mapped[str]
    theirs: Mapped[str]
    source: Mapped[str]
    bound: Mapped[bool]
    version: Mapped[str]
    max_users: Mapped[int | None]
    users: Mapped[int | None]
    since: Mapped[float]
    seen: Mapped[float | None]
    checked: Mapped[float | None]
    failures: Mapped[int]
    retry_at: Mapped[float | None]
    said: Mapped[float | None]
    next_key: Mapped[str]
    introduced_by: Mapped[list[str]]
    evidence: Mapped[str]
    sum_asked: Mapped[float | None]
    sum_refused: Mapped[str]


class IntroductionRow(Base):
    """The newest list of an approved peer of whom its admin approved: keys (`ed25519:...`) by host.

    `answered` are the hosts in it that our admin has decided about.
    """

    __tablename__ = "introductions"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    introducer: Mapped[str] = mapped_column(String, primary_key=True)
    said: Mapped[float]
    until: Mapped[float]
    instances: Mapped[dict[str, Any]]
    answered: Mapped[list[str]]


class OfferRow(Base):
    """Which of its peers our admin introduces to one of them: hosts, and the list that it took last.

    `taken` is when that was, and `digest` the hash of the list and of our key then, in hexadecimal.
    """

    __tablename__ = "offers"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    recipient: Mapped[str] = mapped_column(String, primary_key=True)
    hosts: Mapped[list[str]]
    taken: Mapped[float | None]
    digest: Mapped[str]


class LedgerRow(Base):
    """An entry of the ledger: chained by hash to the one before, signed by the instance."""

    __tablename__ = "ledger"

    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String, index=True)
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))


class Traffic(Base):
    """Bytes of message bodies exchanged with a peer in a month, such as "2026-11"."""

    __tablename__ = "traffic"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    month: Mapped[str] = mapped_column(String, primary_key=True)
    peer: Mapped[str] = mapped_column(String, primary_key=True)
    sent: Mapped[int]
    received: Mapped[int]


class SubCohortRow(Base):
    """In which sub-cohort a peer is summed, for as long as an epoch lasts (its start, Unix seconds)."""

    __tablename__ = "sub_cohorts"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    epoch: Mapped[float] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String, primary_key=True)
    number: Mapped[int]


class WaitRow(Base):
    """Why an aggregator leaves this instance out of a window, as it `told`; dates are Unix seconds."""

    __tablename__ = "waits"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    aggregator: Mapped[str] = mapped_column(String, primary_key=True)
    told: Mapped[float]
    until: Mapped[float]
    rejected_by: Mapped[list[str]] = mapped_column(JSON)
    rejects: Mapped[list[str]] = mapped_column(JSON)
    too_many: Mapped[bool]


class Revert(Base):
    """What became of taking a peer's learning out."""

    __tablename__ = "reverts"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    host: Mapped[str]
    report: Mapped[dict[str, Any]]


class GroupRow(Base):
    """The group that this instance hosts or is in: one row, with id 1, or none.

    `proxy` and `ca` are where, and by which certificate authority (PEM), members reach the host's Flower;
    `epoch` is the host's signed epoch message, `run` the newest published sum that was taken (hex) and
    `published` the hash of what was published with it; `offered` is the newest that the host has.
    """

    __tablename__ = "groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    host: Mapped[str]
    url: Mapped[str]
    role: Mapped[str]
    state: Mapped[str]
    proxy: Mapped[str]
    ca: Mapped[str]
    next_at: Mapped[float]
    poll_ms: Mapped[int]
    polled: Mapped[float | None]
    problem: Mapped[str]
    epoch: Mapped[bytes] = mapped_column(LargeBinary)
    run: Mapped[str]
    published: Mapped[str]
    offered: Mapped[str]
    since: Mapped[float]


class GroupMemberRow(Base):
    """An instance of the group; at a member those that the host listed, at the host all that ever asked.

    `node_key` is the public key (PEM) of its Flower node, and `node_id` the decimal number, of 64 bits
    without sign, that the SuperLink gave it; `seen` is the date of its newest message, `delivered` the newest
    published sum that it took (hex). Who does not `give` is in no sub-cohort, and learns.
    """

    __tablename__ = "group_members"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (read by SQLAlchemy)

    host: Mapped[str] = mapped_column(String, primary_key=True)
    key: Mapped[str]
    url: Mapped[str]
    node_key: Mapped[bytes] = mapped_column(LargeBinary)
    node_id: Mapped[str | None]
    state: Mapped[str]
    since: Mapped[float]
    seen: Mapped[float | None]
    delivered: Mapped[str]
    gives: Mapped[bool]
