"""The shapes of answers, from which the OpenAPI description is made.

Times are Unix seconds, sizes bytes, hashes lower-case hexadecimal; unknown text is empty, an unknown number
null.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from daemon.config import Mode
from daemon.serve.admin.notices import Kind as NoticeKind

Words = Annotated[list[str], Field(description="The key as words, to compare on the telephone.")]
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
    needed: Annotated[int, Field(description="The fewest peers that a sum needs.")]
    missing: Annotated[list[str], Field(description="Approved peers not known to approve this instance.")]
    sentence: Sentence


class LearntThrough(TypedDict):
    """The group that this instance is in; meanwhile it asks its peers for no sums."""

    group: str
    host: str
    role: Literal["host", "member"]


class ServedModel(TypedDict):
    """The model in service."""

    id: str
    kind: ModelKind
    since: float
    videos: int
    survivors: Annotated[list[str], Field(description="Other instances whose viewers it was learnt from.")]


class Notice(TypedDict):
    """Something that waits for the admin."""

    id: str
    kind: NoticeKind
    at: float
    subject: Annotated[str, Field(description="A host, or the id of a model or session.")]
    sentence: Sentence
    advice: str


class Quality(TypedDict):
    """NDCG@10 on held-out engagements of this instance: of a model, and of the local one trained with it."""

    at: float
    model: str
    kind: ModelKind
    state: ModelState
    local: float | None
    federated: float | None


class Overview(TypedDict):
    """How the instance is doing."""

    host: str
    key: str
    words: Words
    mode: Mode
    model: ServedModel | None
    cohort: Cohort
    group: LearntThrough | None
    notices: list[Notice]
    quality: list[Quality]


class Peer(TypedDict):
    """A peer, or a candidate for one."""

    host: str
    url: str
    key: str
    words: Words
    state: Literal["candidate", "approved", "paused", "removed", "reverted"]
    theirs: Annotated[
        Literal["unknown", "asked", "approved", "declined"],
        Field(description="What it says of this instance."),
    ]
    source: Literal["file", "follow", "asked", "admin"]
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
    sentence: Sentence


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
    estimated: bool
    tags: list[str]
    via: list[str]


class RelatedVideo(TypedDict):
    """A place in a list."""

    uuid: str
    url: str
    score: float
    reason: Reason
    title: str
    channel: str


class Related(TypedDict):
    """Best first."""

    model: str
    videos: list[RelatedVideo]
