"""Settings about others: peers named by file, the cohort, and what one peer can weigh."""

from datetime import timedelta

from pydantic import Field

from daemon.config.section import Section
from daemon.config.types import Duration, Host, PeerUrl, PublicKey


class Peer(Section):
    """An instance whose admin and ours trust each other."""

    host: Host = Field(description="The peer's host name.", examples=["peer.example.net"])
    url: PeerUrl = Field(
        description="Where its Shoal answers.", examples=["https://peer.example.net/plugins/shoal/router"]
    )
    key: PublicKey = Field(
        description="Its public key; compare it over another channel before you enter it.",
        examples=["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
    )


class Cohort(Section):
    """With how many others this instance adds up."""

    min_cohort: int = Field(
        default=4,
        ge=3,
        le=1000,
        description=(
            "Recognised members beside the aggregator that a sum must have. With four, an aggregator "
            "that cheats needs two of them on its side to single out another; below three a sum hides "
            "too little to be allowed."
        ),
    )
    stage_timeout: Duration = Field(
        default=timedelta(minutes=2),
        ge=timedelta(milliseconds=100),
        le=timedelta(days=1),
        description=(
            "How long the aggregator waits for the members in each of the five stages; who is silent "
            "is left out."
        ),
    )
    session_expiry: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=timedelta(days=7),
        description="After this a proposal is void, so that a late message can never join an old sum.",
    )
    subcohorts_from: int = Field(
        default=8,
        ge=6,
        le=1000,
        description=(
            "From so many peers on the cohort is summed in parts, each of at least min_cohort, so that one "
            "bad part can be left out without asking anybody again."
        ),
    )
    epoch: Duration = Field(
        default=timedelta(days=180),
        ge=timedelta(seconds=1),
        description=(
            "How long the division into parts stays: dividing anew on data that hardly changed would let "
            "us work out single members' numbers, so peers rely on it not happening."
        ),
    )


class Guards(Section):
    """What one peer can weigh, and how often it may ask."""

    max_users_per_peer: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description=(
            "A peer counts with at most so many viewers, fewer where its public NodeInfo or the admin says "
            "so; a sum that is larger than all of its members can be is not used."
        ),
    )
    requests_per_minute: int = Field(
        default=600,
        ge=60,
        le=100_000,
        description="Requests that one peer may send; a session takes about twenty, more while it waits.",
    )
    strangers_per_minute: int = Field(
        default=60,
        ge=1,
        le=100_000,
        description="Requests of all unknown senders together; each costs a signature check.",
    )
    max_requests_pending: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Peers whose wish to be approved is remembered; further ones are turned away.",
    )
