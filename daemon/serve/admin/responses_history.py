"""The shapes of answers about what happened here: what left, sums, models, ledger, reverts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from daemon.config import Mode
from daemon.sentences import Sentence
from daemon.serve.admin.responses import ModelKind, ModelState, Problem, Verdict
from daemon.serve.admin.responses import Sentence as English


class KindOfData(TypedDict):
    """A kind of data that leaves this instance."""

    id: str
    name: str
    sentence: English


class SharedVideo(TypedDict):
    """A video that would be in a vector, and how many viewers it would count."""

    url: str
    title: str
    users: int
    given: Annotated[dict[str, float], Field(description="Noisy viewers that each aggregator has.")]


class PolicyVerdict(TypedDict):
    """What a policy says to the next contribution."""

    policy: str
    reason: str
    allowed: bool
    sentence: English


class SharedVideosPage(TypedDict):
    """Some of the videos that would leave next, those with the most viewers first."""

    at: Annotated[float, Field(description="When they were counted.")]
    total: int
    found: Annotated[int, Field(description="Those that hold the words.")]
    videos: list[SharedVideo]


class NextShare(TypedDict):
    """What the next contribution would hold, over `total` videos that have viewers.

    It is one vector: a number for each video of the vocabulary, and one for each pair of a head that whoever
    asks chooses from it. Its noise is drawn then, so it has no hash before.
    """

    aggregators: list[str]
    group: Annotated[str, Field(description="The group whose host asks; empty: peers ask.")]
    drawn: Annotated[
        Literal["epoch", "listed", "peers"],
        Field(
            description="Where members come from: our sub-cohort of the epoch, the host's list, or our peers."
        ),
    ]
    members: Annotated[
        list[str], Field(description="Instances that this one would be summed with, at most 200.")
    ]
    total: int
    users: int
    vocabulary: int
    head_at_most: int
    pairs_at_most: int
    bytes_at_most: int
    verdicts: list[PolicyVerdict]


Aggregator = Annotated[str, Field(description='A host, or "own release".')]


class Vector(TypedDict):
    """A vector as it is kept for a data window, noise included: counts of a vocabulary, pairs of a head."""

    vocabulary: int | None
    head: int | None
    entries: int
    bytes: int
    sha256: str


class DataWindow(TypedDict):
    """What an aggregator received in its data window."""

    aggregator: Aggregator
    opened: float
    ends: float
    state: Annotated[
        Literal["prepared", "open", "given", "over", "void", "served"],
        Field(
            description=(
                "Nothing has left; the same is given again; nothing more is given; the next request gets a "
                "fresh vector if enough viewers changed; a viewer left; a backup was restored."
            )
        ),
    ]
    vector: Vector | None


class Left(TypedDict):
    """A vector that left; `vocabulary` and `head` are numbers of videos."""

    at: float
    aggregator: Aggregator
    round: str
    vocabulary: int
    head: int
    bytes: int
    sha256: str
    window_ends: float | None


class PeerTraffic(TypedDict):
    """Bytes exchanged with a peer in a month."""

    month: str
    peer: str
    sent: int
    received: int


class Share(TypedDict):
    """What would leave this instance next, and what has left."""

    mode: Mode
    kinds: list[KindOfData]
    next: NextShare
    windows: list[DataWindow]
    left: list[Left]
    traffic: list[PeerTraffic]


class Round(TypedDict):
    """One secure sum, from its proposal to its result."""

    id: str
    role: Literal["aggregator", "member", "host", "group"]
    aggregator: str
    started: float
    ended: float | None
    outcome: Annotated[
        Literal["running", "waiting", "done", "abandoned"],
        Field(description="Waiting: members may have opened it already, so it is resumed."),
    ]
    reason: str
    roster: list[str]
    survivors: list[str]
    bytes_in: int
    bytes_out: int
    run: Annotated[str, Field(description="The run of this instance that its sum belongs to, or empty.")]
    sub_cohort: int | None


class Rounds(TypedDict):
    """Newest first."""

    rounds: list[Round]


class Check(TypedDict):
    """One rule of acceptance: what it measured, and what it allows."""

    id: str
    ok: bool
    sentence: English
    value: float | None
    bound: float | None


class Gain(TypedDict, total=False):
    """Share of top-10 places before and after; a video has a `url`, a channel or host a `name`.

    The `title` of a video that is not public any more is empty.
    """

    url: str
    title: str
    name: str
    before: float
    after: float


class Gains(TypedDict):
    """What gains most exposure over the local model, or over the one of a month ago."""

    against: str
    videos: list[Gain]
    channels: list[Gain]
    hosts: list[Gain]


class Decided(TypedDict):
    """What the admin decided instead of the rules."""

    verdict: Verdict
    at: float
    before: str


class AcceptanceReport(TypedDict, total=False):
    """How a sum was judged; empty for a model without one."""

    verdict: Verdict
    sentence: English
    at: float
    checks: list[Check]
    warnings: list[str]
    gains: list[Gains]
    survivors: list[str]
    sums: list[str]
    decided: Decided


class Model(TypedDict):
    """A trained model."""

    id: str
    created: float
    kind: ModelKind
    state: ModelState
    survivors: list[str]
    quality: dict[str, Any]
    report: AcceptanceReport
    current: bool


class Models(TypedDict):
    """Newest first."""

    models: list[Model]


class SuspectGroup(TypedDict):
    """A sub-cohort of a run; what one peer contributed is not known."""

    number: int
    members: list[str]
    verdict: Verdict
    reasons: list[str]


class Run(TypedDict):
    """One run, and its sub-cohorts."""

    run: str
    at: float
    sub_cohorts: list[SuspectGroup]
    sentence: English


class Suspects(TypedDict):
    """Newest first."""

    suspects: list[Run]


class LedgerEntry(TypedDict):
    """An entry of the ledger; `hash` chains it to the one before."""

    seq: int
    at: float
    kind: str
    subject: str
    sentence: Annotated[Sentence, Field(description="What it says.")]
    details: dict[str, Any]
    hash: str


class Ledger(TypedDict):
    """Entries in order; `next` is what to ask `after` for the following ones."""

    entries: list[LedgerEntry]
    next: int | None
    newest: Annotated[int, Field(description="Number of the newest entry in order, 0 where there is none.")]
    verified: bool
    problem: str


class Exposed(TypedDict):
    """The same measure before and after."""

    before: float | None
    after: float | None


class Deleted(TypedDict):
    """Ids of what is not stored any more."""

    sums: list[str]
    models: list[str]


class NamedVideo(TypedDict):
    """A video; its title is empty where it is not public any more."""

    url: str
    title: str


class ChangedList(TypedDict):
    """The list beside one video, before and after."""

    url: str
    title: str
    before: list[NamedVideo]
    after: list[NamedVideo]


class ChangedLists(TypedDict):
    """How many lists changed, of how many that were looked at."""

    lists: int
    of: int
    examples: list[ChangedList]


class RevertReport(TypedDict):
    """What a revert did, or would do."""

    host: str
    dry_run: bool
    at: float
    seconds_out_of_service: float | None
    served_before: str | None
    served_now: str | None
    basis: Literal["sub-cohorts", "older sum", "local"]
    deleted: Deleted
    changed: ChangedLists
    exposure: Annotated[Exposed, Field(description="Share of top-10 lists with any of its videos.")]
    quality: Annotated[Exposed, Field(description="NDCG@10 on held-out engagements of this instance.")]
    next_window: Annotated[float | None, Field(description="When a new sum may be asked for.")]
    proof: English
    limits: list[str]


class RevertRecord(TypedDict):
    """A revert that was done."""

    id: int
    at: float
    host: str
    report: RevertReport


class RevertInProgress(TypedDict):
    """A revert, or the preview of one, that is being worked on."""

    host: str
    dry_run: bool
    started: float
    stage: str
    fraction: float


class RevertEnded(TypedDict):
    """How the latest revert or preview of this run of the daemon ended: one of the two is null."""

    host: str
    dry_run: bool
    at: float
    report: RevertReport | None
    problem: Problem | None


class Reverts(TypedDict):
    """Newest first."""

    reverts: list[RevertRecord]
    running: list[RevertInProgress]
    last: RevertEnded | None
