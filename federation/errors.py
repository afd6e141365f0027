"""Whose fault it is: `ProtocolMisuse` is a bug of ours, `Refusal` is what we answer to a peer's message."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

_MAX_SENTENCE = 300
_NAMED = 5
"""How many members are named for each reason; of more, only the number is given."""


class Code(StrEnum):
    """Why a message was refused. The value travels and is counted; the sentence beside it is for people."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UPDATE = "update"
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_PEER = "unknown-peer"
    KEY_MISMATCH = "key-mismatch"
    NOT_FOR_ME = "not-for-me"
    UNKNOWN_ROUND = "unknown-round"
    WRONG_SENDER = "wrong-sender"
    WRONG_STAGE = "wrong-stage"
    STAGE_REPEATED = "stage-repeated"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    BUSY = "busy"
    AWAY = "away"
    TOO_MANY = "too-many"
    CLOSED = "closed"
    ROSTER_INVALID = "roster-invalid"
    THRESHOLD_TOO_LOW = "threshold-too-low"
    COHORT_TOO_SMALL = "cohort-too-small"
    RING_TOO_SMALL = "ring-too-small"
    BOUNDS_EXCEEDED = "bounds-exceeded"
    KEYS_INVALID = "keys-invalid"
    SHARE_INVALID = "share-invalid"
    SURVIVORS_INVALID = "survivors-invalid"
    SURVIVORS_DIFFER = "survivors-differ"
    CONFIRMATIONS_INVALID = "confirmations-invalid"
    BLOB_MISMATCH = "blob-mismatch"
    SUM_IMPLAUSIBLE = "sum-implausible"
    PARAMETERS_REFUSED = "parameters-refused"
    VOCABULARY_TOO_SMALL = "vocabulary-too-small"
    SHARING_OFF = "sharing-off"
    NOISE_TOO_LOW = "noise-too-low"
    WINDOW_OPEN = "window-open"
    BUDGET_SPENT = "budget-spent"


class FederationError(Exception):
    """Root of both trees."""


class ProtocolMisuse(FederationError):
    """Our own code called a state machine out of order, or with values outside its documented domain."""


class Refusal(FederationError):
    """A peer's message, or a peer itself, was refused; nothing changed.

    `culprit` is the host the evidence points at, or None where the evidence names nobody.
    """

    def __init__(self, code: Code, sentence: str, culprit: str | None = None) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence[:_MAX_SENTENCE]
        self.culprit = culprit


def silence() -> Refusal:
    """Return the refusal of a member that cannot go on, whatever the cause.

    There is one sentence for all of them: that a viewer withdrew must look like a machine that is overloaded.
    """
    return Refusal(Code.BUSY, "this instance cannot take part now; try again later")


class CohortLost(FederationError):
    """Too few members are left for the threshold: the sum is abandoned and nothing was learned.

    `lost` holds the members that are out, with the reason.
    """

    def __init__(self, stage: str, left: int, threshold: int, lost: Mapping[str, str] | None = None) -> None:
        why = _grouped(lost or {})
        super().__init__(
            f"the cohort was lost at stage {stage}: {left} members answered, {threshold} are needed{why}. "
            "Nothing was learned."
        )
        self.stage = stage
        self.left = left
        self.threshold = threshold


def _grouped(lost: Mapping[str, str]) -> str:
    """Say which members are out and why, or nothing where none is."""
    reasons = []
    for reason in dict.fromkeys(lost.values()):
        hosts = sorted(host for host, why in lost.items() if why == reason)
        more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
        reasons.append(f"{', '.join(hosts[:_NAMED])}{more}: {reason}")
    return f" ({'; '.join(reasons)})" if reasons else ""
