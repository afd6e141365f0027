"""The shapes of answers about the group of this instance; see `responses`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from daemon.serve.admin.responses import Sentence, Words

Voucher = Annotated[
    Literal["domain", "card", "book", "unread"],
    Field(
        description=(
            "Who says that the key is the host's: its domain's actor, a card at its domain without one, this "
            "instance's own peers, or only the host that listed it."
        )
    ),
]
ApprovedHere = Annotated[
    Literal["yes", "no", "other-key"], Field(description="Approved as a peer here, by exactly this key.")
]
MemberState = Literal["invited", "asked", "member", "refused", "ejected", "left"]


class SeenKey(TypedDict):
    """A key before it is approved; `why` says why nothing vouches for it."""

    host: str
    key: str
    voucher: Voucher
    url: str
    why: str
    words: Words


class OfferedMember(TypedDict):
    """A member, as the host of a group shows it before one joins."""

    host: str
    key: str
    words: Words
    approved: ApprovedHere


class GroupOffer(TypedDict):
    """A group as its host shows it; looking joins and approves nothing."""

    group: str
    url: str
    host: SeenKey
    state: Annotated[str, Field(description="The state of this instance there; left: it is not known.")]
    members: list[OfferedMember]


class Epoch(TypedDict):
    """The division into sub-cohorts that holds now."""

    number: int
    opened_at: float
    sub_cohorts: int
    members: int
    mine: Annotated[int | None, Field(description="The part that this instance is in, from 1.")]
    gone: list[str]
    waiting: Annotated[list[str], Field(description="Members that are left out of sums for now.")]
    hash: str


class PublishedSum(TypedDict):
    """The newest published sum that was taken. Members that received the same one see the same words."""

    run: str
    hash: str
    words: list[str]


class LiveGroup(TypedDict):
    """What the daemon does for the group now."""

    link: Literal["", "waiting", "connected", "busy", "refused", "ended"]
    hosting: Literal["", "starting", "ready", "failed"]
    running: bool
    problem: str


class Counted(TypedDict):
    """Members that this instance would be summed with, not the host, and how many are approved here."""

    approved: int
    of: int
    needed: int
    missing: int
    strangers: list[str]


class Waits(TypedDict):
    """Why the group's sums leave this instance out for now, as the host said."""

    until: Annotated[float | None, Field(description="When the next window may begin; null if not told.")]
    rejected_by: Annotated[list[str], Field(description="In the group for longer, and do not approve it.")]
    rejects: Annotated[list[str], Field(description="In the group for longer, and not approved here.")]
    too_many: Annotated[bool, Field(description="More than a third are not approved here.")]
    contradicted: Annotated[list[str], Field(description="Of these, those seen here to join later.")]


class Membership(TypedDict):
    """How this instance stands in its group."""

    group: str
    host: str
    url: str
    role: Literal["host", "member"]
    state: Literal["asked", "member", "refused", "ejected", "left"]
    since: float
    next_at: Annotated[float | None, Field(description="The announced start of the next sum.")]
    polled: Annotated[float | None, Field(description="When the host answered last.")]
    problem: Annotated[str, Field(description="Why it did not answer, or what it refused.")]
    connected: bool
    live: LiveGroup | None
    epoch: Epoch | None
    members: int
    members_needed: Annotated[int, Field(description="Members that a sum needs, the host included.")]
    gives: Annotated[
        bool, Field(description="Whether it contributes; an instance that only learns is in no part.")
    ]
    counted: Counted
    waits: Waits | None
    published: PublishedSum | None


class Member(TypedDict):
    """A member; the host also lists instances that were invited or ejected."""

    host: str
    key: str
    words: Words
    state: MemberState
    role: Literal["host", "member"]
    me: bool
    approved: ApprovedHere
    part: int | None
    waits: Annotated[bool, Field(description="Whether sums leave it out for now.")]
    since: float
    seen: float | None


class JoinRequest(TypedDict):
    """An instance that asks to join."""

    host: str
    key: str
    words: Words
    since: float
    peer: ApprovedHere


class Invitation(TypedDict):
    """What the host's admin sends to others."""

    group: str
    host: str
    url: str
    key: str
    words: Words
    command: str
    public: Annotated[bool, Field(description="Whether members on other machines can reach the listener.")]


class Group(TypedDict):
    """The group of this instance; `membership` is null while it is in none."""

    sentence: Sentence
    membership: Membership | None
    members: list[Member]
    against: Annotated[list[str], Field(description="Members that this admin once decided against.")]
    requests: list[JoinRequest]
    invitation: Invitation | None


class NotApproved(TypedDict):
    """A member that was not approved, and why."""

    host: str
    sentence: Sentence


class ApprovedMembers(TypedDict):
    """Members that were approved as peers, and others that were not."""

    approved: list[SeenKey]
    not_approved: list[NotApproved]
