"""Every kind of data that leaves this instance, in words: for docs/, the admin page and `shoal share`.

Each kind names the parts of the code that it stands for: stages of messages, their fields, what others
fetch, routes that answer, modules that ask. A test goes through all of these in the code and fails on one
that no kind stands for, so that nothing can begin to leave without a sentence here. `python -m
daemon.disclosure.data_kinds` prints that list; with `--write FILE` it puts it there.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import TypedDict

from federation.envelope import Stage
from federation.http import CARD_PATH, MESSAGE_PATH

BEGIN: Final = "<!-- kinds of data that leave: begin -->"
END: Final = "<!-- kinds of data that leave: end -->"


FLEET: Final = tuple(
    f"/v1/fleet/{method}"
    for method in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
    )
)
"""What a member's node calls at the listener of its group's host, and `proxy_http` there lets pass."""


class KindOfData(TypedDict):
    """A kind of data that leaves this instance, in words."""

    id: str
    name: str
    sentence: str


@dataclass(frozen=True)
class DataKind:
    """A kind of data.

    Attributes:
        to: who gets it.
        sentence: what is in it, and what is not.
        stages: messages between instances that carry it.
        fields: of these messages, as `Class.field`; parameters and blobs of a proposal as `parameters.name`
            and `blobs.name`.
        routes: that others call, of the daemon's listeners or of the plugin; or that we call, of a host's.
    """

    id: str
    name: str
    to: str
    sentence: str
    stages: tuple[Stage, ...] = ()
    fields: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def shown(self) -> KindOfData:
        """What the admin is shown."""
        return {"id": self.id, "name": self.name, "sentence": f"To {self.to}: {self.sentence}"}


DATA_KINDS: Final = (
    DataKind(
        "counts",
        "Viewers per video",
        "a peer that asks for a sum, or the host of your group",
        "for each video of a public list, how many consenting viewers engaged with it, with noise and under "
        "a mask: only the sum over all members can be read.",
        stages=(Stage.MASK,),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "pairs",
        "Viewers per pair of videos",
        "a peer that asks for a sum, or the host of your group",
        "in the same vector, how many of them engaged with both videos of a pair, for the videos that the "
        "round names, with noise and under the same mask.",
        stages=(Stage.MASK,),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "head",
        "The videos whose pairs are counted",
        "the members of rounds that we start or host",
        "chosen from public counters and from what was released before: the noisy counts of past sums, or, "
        "for the first, noisy counts of our own viewers (our own release), which themselves stay here.",
        stages=(Stage.FETCH,),
        fields=("blobs.head",),
    ),
    DataKind(
        "vocabulary",
        "The list of public videos",
        "the members of rounds that we start or host",
        "addresses of the public videos that the round is about; all or the most viewed of our catalogue.",
        stages=(Stage.FETCH,),
        fields=("blobs.vocabulary",),
    ),
    DataKind(
        "terms",
        "Terms of a round",
        "the members of rounds that we start or host",
        "who is asked, with which keys, thresholds, limits and noise, and until when. No number of viewers.",
        stages=(Stage.PROPOSE,),
        fields=(
            "Proposal.aggregator",
            "Proposal.roster",
            "Proposal.threshold",
            "Proposal.trainer",
            "Proposal.segments",
            "Proposal.entry_bound",
            "Proposal.ring",
            "Proposal.nonce",
            "Proposal.created",
            "Proposal.expires",
            "Proposal.colluders",
            "Proposal.parameters",
            "Proposal.blobs",
            "Segment.length",
            "Segment.unit",
            "Segment.noise",
            "parameters.early",
            "parameters.head",
            "parameters.max_videos_per_user",
            "parameters.min_users",
            "parameters.pass_on",
            "parameters.publish",
            "parameters.sub_cohorts",
            "parameters.vocabulary",
        ),
    ),
    DataKind(
        "keys",
        "Keys and signatures of a round",
        "its aggregator and members",
        "random keys made for this one round, sealed shares of them, and signed hashes of who is in it. They "
        "say nothing about viewers. The aggregator, or the host of a group, carries them to the others.",
        stages=(
            Stage.ADVERTISE,
            Stage.KEYS,
            Stage.SHARE,
            Stage.SHARES,
            Stage.SURVIVORS,
            Stage.CONFIRM,
            Stage.CONFIRMATIONS,
            Stage.UNMASK,
        ),
        fields=(
            "Advertisement.seal_public",
            "Advertisement.mask_public",
            "Advertisement.seed_commitment",
            "SealedShares.sealed",
            "SealedShares.commitments",
            "Confirmation.survivors",
            "Confirmation.sharers",
            "Confirmation.keys",
            "Revealed.self_seeds",
            "Revealed.mask_keys",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "hello",
        "Hello",
        "an instance that you add or decide about, or that asks",
        "our host and key, whether you approve them, the version, the time, and their key as we know it.",
        stages=(Stage.HELLO,),
        fields=(
            "Hello.host",
            "Hello.key",
            "Hello.approves",
            "Hello.version",
            "Hello.date",
            "Hello.yours",
            "Hello.rotations",
            "Hello.group",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "introductions",
        "Introductions",
        "approved peers, if you introduce others to them",
        "which instances you approved and by which keys, until when that holds; and to a peer that "
        "introduced others, that we took its list.",
        stages=(Stage.INTRODUCE, Stage.INTRODUCED),
        fields=(
            "Introduction.introducer",
            "Introduction.date",
            "Introduction.expires",
            "Introduction.instances",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "card",
        "Card",
        "everybody",
        "the host name and public key of this instance, signed by its PeerTube; and to whoever sends "
        "something that is refused, why.",
        fields=("Refusal.code", "Refusal.sentence"),
        routes=(CARD_PATH, MESSAGE_PATH),
    ),
    DataKind(
        "questions",
        "Questions to other instances",
        "instances that you follow or add, that peers introduce, or that ask to be approved",
        "that we ask, for what they show to everybody: plugins, card, account, number of users.",
    ),
    DataKind(
        "enrolment",
        "Wish to be in a group",
        "the host of a group that you look at, join, are in or leave",
        "with a hello: what you want, whether this instance contributes, and the key of our node in Flower.",
        stages=(Stage.HELLO,),
        fields=(
            "Enrolment.group",
            "Enrolment.wish",
            "Enrolment.gives",
            "Enrolment.node_key",
            "Enrolment.node_signature",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "node",
        "Connection for a round",
        "the host of your group, around its rounds",
        "that our node is there: its key, its version of Flower, signed times, and the messages of the "
        "round. No code is fetched or run.",
        routes=FLEET,
    ),
    DataKind(
        "lots",
        "Lots for the sub-cohorts of a group",
        "the host of your group, and through it all members",
        "a random number, first its hash and then itself: all of them together decide who is summed with "
        "whom.",
        stages=(Stage.COMMIT, Stage.REVEAL),
        fields=(
            "Commitment.group",
            "Commitment.number",
            "Commitment.commitment",
            "Reveal.group",
            "Reveal.number",
            "Reveal.list_hash",
            "Reveal.nonce",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "rejected",
        "Whom we would not be summed with",
        "the host of your group, or an approved peer before it takes a sum",
        "which members of our part, or of the list that the peer has in mind, our admin has not approved, "
        "and the hash of what we were asked. The others learn only who is left out.",
        stages=(Stage.ACCEPT,),
        fields=("Accepted.hash", "Accepted.rejects"),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "rosters",
        "Whom we want to sum, and who waits",
        "approved peers before we take a sum; in a group that we host, its members",
        "hosts and keys of the peers that we want to sum. Whoever is left out also: which of them, there for "
        "longer, do not approve it, or it does not approve, and until when it waits.",
        stages=(Stage.ROSTER, Stage.WAIT),
        fields=(
            "ProposedRoster.roster",
            "ProposedRoster.date",
            "Wait.until",
            "Wait.rejected_by",
            "Wait.rejects",
            "Wait.too_many",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "receipts",
        "Receipts",
        "the host of your group",
        "the hash of the sum that we took, or that we ask for one that we missed.",
        stages=(Stage.TAKEN, Stage.FETCH),
        fields=("Taken.run", "Taken.hash"),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "group-members",
        "Members of a group that we host",
        "its members; the present ones and the name also to whoever asks",
        "their hosts, keys and addresses, who is in which part, joined late, waits or is gone, their lots, "
        "when the next sum is, and where to connect.",
        stages=(Stage.HELLO, Stage.GATHER, Stage.LIST, Stage.EPOCH),
        fields=(
            "Admission.group",
            "Admission.state",
            "Admission.proxy",
            "Admission.ca",
            "Admission.next",
            "Admission.poll_ms",
            "Admission.run",
            "Admission.members",
            "GroupMember.host",
            "GroupMember.key",
            "GroupMember.url",
            "Gather.group",
            "Gather.number",
            "Gather.opened",
            "MembershipList.group",
            "MembershipList.number",
            "MembershipList.opened",
            "MembershipList.sub_cohorts",
            "MembershipList.least",
            "MembershipList.members",
            "Listed.host",
            "Listed.key",
            "Listed.commitment",
            "EpochDocument.host",
            "EpochDocument.list_raw",
            "EpochDocument.reveals",
            "EpochDocument.late",
            "EpochDocument.gone",
            "EpochDocument.waiting",
            "EpochDocument.serial",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "group-sums",
        "Sums of a group that we host",
        "its members",
        "the sums per video and per pair of each sub-cohort, with noise, which videos they are about, their "
        "terms, and who is in each. Our own viewers are among them if this instance contributes.",
        stages=(Stage.PUBLISH, Stage.FETCH),
        fields=(
            "Published.group",
            "Published.run",
            "Published.epoch",
            "Published.made",
            "Published.sub_cohorts",
            "Published.blobs",
            "PublishedSubCohort.round_id",
            "PublishedSubCohort.survivors",
            "blobs.head",
            "blobs.proposal.N",
            "blobs.counts.N",
            "blobs.pairs.N",
        ),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "passed-on",
        "Sums that we pass on",
        "a peer that approves us and that you approve, while it has no sum of its own",
        "our newest accepted sum, if every member agreed to that in its terms: the numbers per video and per "
        "pair, with noise, which videos they are about, the terms, and who is in it. Not our own viewers.",
        stages=(Stage.PASSED_ON, Stage.FETCH),
        fields=("PassedOn.run", "PassedOn.made", "PassedOn.sub_cohorts", "PassedOn.blobs"),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "newcomer",
        "Question for a sum that may be passed on",
        "approved peers that approve this instance, while it has no sum of its own",
        "that we ask for one, at most once a day and after each approval.",
        stages=(Stage.FETCH,),
        routes=(MESSAGE_PATH,),
    ),
    DataKind(
        "fence",
        "Listener of a group that we host",
        "whoever connects to it",
        "a TLS certificate and whether the listener is up. Nodes of members, and no others, take and bring "
        "the messages of rounds there.",
        routes=("/health",),
    ),
    DataKind(
        "suggestions",
        "Suggestions and their reasons",
        "visitors of this instance",
        'public videos, each with a reason such as "About 20 or more viewers liked or watched both". All of '
        "it follows from noisy numbers: those released of own viewers, and the sums of others. With "
        "serve.exact_own it follows from exact numbers, and logged-in members alone see it.",
        routes=("/why/v1/reasons", "/recommendations/v1/videos"),
    ),
    DataKind(
        "silence",
        "Whether PeerTube asks for lists",
        "visitors of this instance",
        "whether on the day before ten watch pages or more were seen and PeerTube asked for no list; then "
        "pages show suggestions in a block of the plugin's own.",
        routes=("/effects/v1/silent",),
    ),
    DataKind(
        "vectors",
        "Vectors of videos",
        "visitors of this instance, if you turn it on",
        "small vectors of public videos, made from a noisy sum of others alone, for ranking in the browser.",
        routes=("/browser/v1/vectors",),
    ),
)
"""In the order in which an admin would ask. What no kind names never leaves: histories, viewers' identities,
videos that are not public, keys."""


def block() -> str:
    """Return the list of docs/what-leaves.md, between its marks."""
    rows = [
        f"| {kind.name} | {kind.to} | {kind.sentence[:1].upper()}{kind.sentence[1:]} |" for kind in DATA_KINDS
    ]
    return "\n".join([BEGIN, "| What leaves | To | |", "|---|---|---|", *rows, END])


def written_into(text: str) -> str:
    """Return a text with the list between its marks replaced.

    Raises:
        ValueError: the marks are not there, once each and in order.

    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise ValueError("the marks for the list of kinds are missing")
    return f"{before}{block()}{after}"


def main() -> None:
    """Print the list, or write it into a file."""
    parser = argparse.ArgumentParser(prog="python -m daemon.disclosure.data_kinds")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the list between its marks")
    options = parser.parse_args()
    if options.write is None:
        sys.stdout.write(block() + "\n")
    else:
        options.write.write_text(written_into(options.write.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
