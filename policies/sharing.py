"""What may leave: the admin's mode, the trainer, and the terms on which viewers are counted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from federation.errors import Code, Refusal
from federation.proposal import Proposal

TRAINER = "gram/1"
"""Counts, then pair counts over the head: the one kind of sum this version takes part in."""

PARAMETERS = (
    "counts_noise",
    "max_head",
    "max_videos_per_user",
    "min_users",
    "pairs_noise",
    "parts",
    "publish",
    "vocabulary",
)
"""Terms of a session: the declared noise of both sums, the sizes, the limits, in how many sub-cohorts the
cohort is summed (members are shown the counts of all of them together), and whether vectors of videos
computed from it may be published (0 or 1)."""
ROUNDS: tuple[tuple[str, ...], ...] = (("vocabulary",), ("counts", "vocabulary"))
"""The blobs of each round."""

BLOB_BYTES = {"vocabulary": 256, "counts": 4}
"""The most bytes of each blob per video of the vocabulary, and as many for its frame. An address has about 80
bytes, some have more; a larger blob is not fetched."""

PUBLIC = 1
"""PeerTube's number for a public video; 2 unlisted, 3 private, 4 internal, 5 password-protected."""

MOST_PARTS = 16
"""Sub-cohorts that a cohort may be divided into. Members are shown counts with the noise of all of them."""

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
    min_vocabulary: int = 100
    max_vocabulary: int = 200_000
    max_head: int = 4096

    def check(self, proposal: Proposal) -> None:
        """Raise `sharing-off`, `parameters-refused`, `vocabulary-too-small` or `oversized`."""
        if self.mode != "contribute":
            raise Refusal(
                Code.SHARING_OFF,
                f'this instance does not contribute (mode "{self.mode}"); its admin can set mode to '
                '"contribute"',
            )
        if proposal.trainer != TRAINER or proposal.round >= len(ROUNDS):
            raise Refusal(Code.PARAMETERS_REFUSED, f"only sums for the trainer {TRAINER} are known here")
        if tuple(sorted(proposal.parameters)) != PARAMETERS:
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's parameters are not those of its trainer")
        if tuple(sorted(proposal.blobs)) != ROUNDS[proposal.round]:
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's public data is not that of its trainer")
        self._check_terms(proposal)

    def _check_terms(self, proposal: Proposal) -> None:
        terms = proposal.parameters
        if terms["vocabulary"] < self.min_vocabulary:
            raise Refusal(
                Code.VOCABULARY_TOO_SMALL,
                f"the vocabulary has {terms['vocabulary']} videos, and at least {self.min_vocabulary} are "
                "required here: a short list asks about particular viewers",
            )
        if terms["vocabulary"] > self.max_vocabulary or terms["max_head"] > self.max_head:
            raise Refusal(
                Code.OVERSIZED,
                f"at most {self.max_vocabulary} videos and a head of {self.max_head} are counted here",
            )
        for name, each in BLOB_BYTES.items():
            if name in proposal.blobs and proposal.blobs[name].size > each * (1 + terms["vocabulary"]):
                raise Refusal(Code.OVERSIZED, f"the public data {name} is too large for the number of videos")
        if not 1 <= terms["parts"] <= MOST_PARTS:
            raise Refusal(Code.PARAMETERS_REFUSED, f"a cohort is summed in 1 to {MOST_PARTS} sub-cohorts")
        if proposal.round == 0 and proposal.length != terms["vocabulary"]:
            raise Refusal(Code.PARAMETERS_REFUSED, "the counts do not have the length of the vocabulary")


def check_vocabulary(urls: Sequence[str], proposal: Proposal) -> None:
    """Check a fetched vocabulary: sorted, distinct, as many as declared.

    Raises:
        Refusal: `blob-mismatch`.

    """
    ascending = all(a < b for a, b in itertools.pairwise(urls))
    if len(urls) != proposal.parameters["vocabulary"] or not ascending:
        raise Refusal(Code.BLOB_MISMATCH, "the vocabulary is not the sorted list that was declared")
