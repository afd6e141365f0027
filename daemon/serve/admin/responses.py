"""The shapes of answers, from which the OpenAPI description is made.

Times are Unix seconds, sizes bytes, hashes lower-case hexadecimal; unknown text is empty, an unknown number
null.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from daemon.config import Mode
from daemon.disclosure.waiting import Cause
from daemon.status.next_dates import What
from daemon.status.notices import Kind as NoticeKind
from daemon.status.quality import QualityPoint, TwoNumbers

Words = Annotated[list[str], Field(description="The key as words, to compare on the telephone.")]
PeerState = Literal["candidate", "approved", "paused", "removed", "reverted"]
PrivacyLevel = Literal["none", "default", "strict", "user-level"]
ModelKind = Literal["local", "federated"]
ModelState = Literal["ready", "current", "awaiting", "quarantined", "deleted"]
Verdict = Literal["new", "accepted", "awaiting", "quarantined"]
Sentence = Annotated[str, Field(description="One English sentence for people.")]


class Problem(TypedDict):
    """What went wrong and what to do about it; the same three fields everywhere."""

    code: str
    message: str
    advice: str


class Cohort(TypedDict):
    """Whether there are enough peers for a sum."""

    approved: Annotated[int, Field(description="Peers that this admin approved.")]
    mutual: Annotated[int, Field(description="Those of them that approved this instance, too.")]
    on_word_alone: Annotated[int, Field(description="Those that count as strangers: only introduced.")]
    needed: Annotated[int, Field(description="The fewest peers that a sum needs.")]
    missing: Annotated[list[str], Field(description="Approved peers not known to approve this instance.")]
    sentence: Sentence


class Wait(TypedDict):
    """One thing that the next sum waits for."""

    cause: Annotated[Cause, Field(description="What it is about.")]
    sentence: Annotated[str, Field(description="The cause, as a part of a sentence.")]
    at: Annotated[float | None, Field(description="When it ends by itself, Unix seconds.")]
    count: Annotated[int, Field(description="Videos that are old enough then; approvals that are missing.")]
    total: Annotated[int, Field(description="Videos of the catalogue; approvals that a sum needs.")]
    hosts: Annotated[list[str], Field(description="Instances that it depends on.")]
    blocks: Annotated[bool, Field(description="Whether there is no sum before it.")]


class Waiting(TypedDict):
    """What the next shared suggestions wait for."""

    first: Annotated[bool, Field(description="Whether nothing learnt with others ever served.")]
    at: Annotated[
        float | None, Field(description="The earliest date, Unix seconds; null while somebody has to decide.")
    ]
    sentence: Sentence
    waits: list[Wait]


class LearntThrough(TypedDict):
    """The group that this instance is in; meanwhile it asks its peers for no sums."""

    group: str
    host: str
    role: Literal["host", "member"]


class ServedModel(TypedDict):
    """The model in service."""

    id: str
    kind: ModelKind
    trained: Annotated[float, Field(description="When it was made.")]
    since: Annotated[float, Field(description="When it began to serve.")]
    videos: int
    quality: Annotated[float | None, Field(description="NDCG@10 on likes that were left out of training.")]
    survivors: Annotated[list[str], Field(description="Other instances whose viewers it was learnt from.")]


class Notice(TypedDict):
    """Something that waits for the admin."""

    id: str
    kind: NoticeKind
    at: float
    subject: Annotated[str, Field(description="A host, or the id of a model or round.")]
    sentence: Sentence
    advice: str


class NextDate(TypedDict):
    """What happens next by itself."""

    what: Annotated[What, Field(description="What it is.")]
    at: Annotated[float | None, Field(description="Unix seconds; null while it has no date.")]
    cause: Annotated[str, Field(description="Why then, as a part of a sentence.")]


class FailedJob(TypedDict):
    """A job that failed when it last ran."""

    job: str
    at: float
    code: str
    message: Annotated[str, Field(description="What went wrong, empty for a bug.")]
    advice: str


class PeerNumbers(TypedDict):
    """How many instances there are, by what was decided."""

    approved: int
    paused: int
    asking: Annotated[int, Field(description="Those that wait for this admin's decision.")]


class Overview(TypedDict):
    """How the instance is doing."""

    host: str
    key: str
    words: Words
    mode: Mode
    level: PrivacyLevel
    running: Annotated[
        dict[str, float] | None,
        Field(description="Jobs that run now, and since when; null without a daemon."),
    ]
    model: ServedModel | None
    cohort: Cohort
    peers: PeerNumbers
    waiting: Waiting
    next: list[NextDate]
    group: LearntThrough | None
    failed: list[FailedJob]
    notices: list[Notice]
    quality: list[QualityPoint]
    measured: TwoNumbers


class Peer(TypedDict):
    """A peer, or a candidate for one."""

    host: str
    url: str
    key: str
    words: Words
    state: PeerState
    theirs: Annotated[
        Literal["unknown", "asked", "approved", "declined"],
        Field(description="What it says of this instance."),
    ]
    source: Literal["file", "follow", "asked", "circle", "admin"]
    bound: Annotated[bool, Field(description="Its domain's actor signed its key.")]
    version: str
    followed: bool
    seen: float | None
    failures: int
    retry_at: float | None
    max_users: Annotated[int | None, Field(description="The admin's cap on its viewers in a sum.")]
    users: Annotated[int | None, Field(description="Active users, by its public NodeInfo.")]
    since: float
    next_key: Annotated[str, Field(description="A key that it uses without proof that it may.")]
    next_key_words: Words
    introduced_by: Annotated[list[str], Field(description="On whose introduction it was approved.")]
    evidence: Annotated[
        Literal["", "admin", "followed", "vouched"],
        Field(description="What stands for it beside an introduction."),
    ]
    on_word_alone: Annotated[bool, Field(description="It counts as a stranger: it was only introduced.")]
    sentence: Sentence


class Introducer(TypedDict):
    """A peer that introduces instances, and until when that holds."""

    host: str
    said: float
    until: float
    instances: int


class IntroducedInstance(TypedDict):
    """An instance that peers introduce, and what stands for it."""

    host: str
    key: Annotated[str, Field(description="By its own card; empty until that was read.")]
    words: Words
    state: PeerState
    bound: bool
    vouchers: Annotated[list[str], Field(description="Peers that name it with this key.")]
    contradicted_by: Annotated[list[str], Field(description="Peers that name it with another key.")]
    followed: bool
    followed_since: float | None
    videos: Annotated[int, Field(description="Its videos in this catalogue.")]
    videos_since: float | None
    evidence: Annotated[
        Literal["", "followed", "vouched"], Field(description="What stands for it beside an introduction.")
    ]
    open: Annotated[bool, Field(description="It can be approved.")]
    ticked: Annotated[bool, Field(description="That is proposed.")]
    answered: Annotated[bool, Field(description="The admin saw it before.")]
    sentence: Sentence


class Circle(TypedDict):
    """All that peers introduce."""

    introducers: list[Introducer]
    instances: list[IntroducedInstance]


class Offer(TypedDict):
    """Whom a peer is told about, and when it took the list last."""

    recipient: str
    hosts: list[str]
    taken: float | None


class Introducing(TypedDict):
    """What we introduce, and the peers that can be introduced."""

    introduced: list[Offer]
    possible: list[str]


class Followed(TypedDict):
    """How many instances this one follows, how many of them were looked at, and how many run Shoal."""

    total: int
    looked_at: int
    with_shoal: int


class Peers(TypedDict):
    """All peers and candidates."""

    peers: list[Peer]
    cohort: Cohort
    followed: Followed


class FoundVideo(TypedDict):
    """A public video that the model in service knows."""

    uuid: str
    url: str
    title: str
    channel: str


class FoundVideos(TypedDict):
    """In the model's order."""

    videos: list[FoundVideo]


class Reason(TypedDict):
    """Why a video is in a list."""

    kind: str
    text: str
    users: int | None
    tags: list[str]
    words: list[str]
    share: float
    """Of what speaks for the video, the part that this reason explains."""
    via: list[str]


class RelatedVideo(TypedDict):
    """A place in a list."""

    uuid: str
    url: str
    reason: Reason
    title: str
    channel: str


class Related(TypedDict):
    """Best first."""

    model: str
    videos: list[RelatedVideo]
