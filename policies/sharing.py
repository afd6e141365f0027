"""What may leave: the admin's mode, the trainer, and the terms on which viewers are counted."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from federation.errors import Code, Refusal
from federation.proposal import Proposal, Segment
from models.weights import UNIT

TRAINER = "gram/2"
"""Counts of a vocabulary and pairs of a head, in one vector: the one kind of sum that is known here."""

PARAMETERS = (
    "early",
    "head",
    "max_videos_per_user",
    "min_users",
    "pass_on",
    "publish",
    "sub_cohorts",
    "vocabulary",
)
"""Terms of a round: the sizes, the limits, in how many sub-cohorts the cohort is summed, and, as 0 or 1,
whether it is an early one after a revert, whether its sum may be passed on to newcomers, and whether vectors
of videos computed from it may be published."""

BLOB_BYTES = {"vocabulary": 256, "head": 4}
"""The most bytes of each blob per video, and as many for its frame. An address has about 80 bytes, some have
more; a larger blob is not fetched."""

PUBLIC = 1
"""PeerTube's number for a public video; 2 unlisted, 3 private, 4 internal, 5 password-protected."""

MOST_SUB_COHORTS = 128
"""Sub-cohorts that a cohort may be divided into: a number that a proposal names, which bounds its noise."""

V = TypeVar("V")


def public_only(videos: Iterable[tuple[V, int]]) -> list[V]:
    """Return the videos whose privacy is public; nothing else is ever counted, stored or suggested."""
    return [video for video, privacy in videos if privacy == PUBLIC]


@dataclass(frozen=True)
class SharingPolicy:
    """The admin's terms for being counted in somebody's sum."""

    name: ClassVar[str] = "sharing"
    reason: ClassVar[str] = (
        "Nothing leaves unless you allow it, and then only counts over long lists of public videos."
    )

    mode: Literal["off", "simulate", "consume", "contribute"]
    max_vocabulary: int = 200_000
    max_head: int = 4096

    def check(self, proposal: Proposal) -> None:
        """Raise `sharing-off`, `parameters-refused` or `oversized`."""
        if self.mode != "contribute":
            raise Refusal(
                Code.SHARING_OFF,
                f'this instance does not contribute (mode "{self.mode}"); its admin can set mode to '
                '"contribute"',
            )
        if proposal.trainer != TRAINER:
            raise Refusal(Code.PARAMETERS_REFUSED, f"only sums for the trainer {TRAINER} are known here")
        if tuple(sorted(proposal.parameters)) != PARAMETERS:
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's parameters are not those of its trainer")
        if set(proposal.blobs) != set(BLOB_BYTES):
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's public data is not that of its trainer")
        self._check_terms(proposal)

    def _check_terms(self, proposal: Proposal) -> None:
        terms = proposal.parameters
        if terms["vocabulary"] > self.max_vocabulary or terms["head"] > self.max_head:
            raise Refusal(
                Code.OVERSIZED,
                f"at most {self.max_vocabulary} videos and a head of {self.max_head} are counted here",
            )
        if any(proposal.blobs[name].size > each * (1 + terms[name]) for name, each in BLOB_BYTES.items()):
            raise Refusal(Code.OVERSIZED, "the public data is too large for the number of videos")
        if not 1 <= terms["sub_cohorts"] <= MOST_SUB_COHORTS:
            raise Refusal(
                Code.PARAMETERS_REFUSED, f"a cohort is summed in 1 to {MOST_SUB_COHORTS} sub-cohorts"
            )
        if any(terms[name] not in (0, 1) for name in ("early", "pass_on", "publish")):
            raise Refusal(Code.PARAMETERS_REFUSED, "early, pass_on and publish are 0 or 1")
        head = terms["head"]
        expected = ((terms["vocabulary"], UNIT), (head * (head - 1) // 2, UNIT))
        if tuple((one.length, one.unit) for one in proposal.segments) != expected:
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                f"the segments are not the counts of the vocabulary and the pairs of the head, in {UNIT} "
                "entries for a viewer",
            )


def counts_and_pairs(proposal: Proposal) -> tuple[Segment, Segment]:
    """Return the two segments of a proposal that passed the policy."""
    counts, pairs = proposal.segments
    return counts, pairs


def check_vocabulary(urls: Sequence[str], proposal: Proposal) -> None:
    """Check a fetched vocabulary: sorted, distinct, as many as declared.

    Raises:
        Refusal: `blob-mismatch`.

    """
    ascending = all(a < b for a, b in itertools.pairwise(urls))
    if len(urls) != proposal.parameters["vocabulary"] or not ascending:
        raise Refusal(Code.BLOB_MISMATCH, "the vocabulary is not the sorted list that was declared")


def check_known(urls: Sequence[str], known: Collection[str], least: int) -> None:
    """Check that enough videos of a vocabulary are in this instance's own catalogue.

    Raises:
        Refusal: `vocabulary-too-small`.

    """
    number = len(set(urls).intersection(known))
    if number < least:
        raise Refusal(
            Code.VOCABULARY_TOO_SMALL,
            f"{number} videos of the vocabulary are known here, and at least {least} are required: a short "
            "list asks about particular viewers",
        )


def check_head(positions: Sequence[int], proposal: Proposal) -> None:
    """Check a fetched head: positions in the vocabulary, ascending, as many as declared.

    Raises:
        Refusal: `blob-mismatch`.

    """
    ascending = all(a < b for a, b in itertools.pairwise(positions))
    inside = not positions or (positions[0] >= 0 and positions[-1] < proposal.parameters["vocabulary"])
    if len(positions) != proposal.parameters["head"] or not ascending or not inside:
        raise Refusal(Code.BLOB_MISMATCH, "the head is not the list of positions that was declared")
