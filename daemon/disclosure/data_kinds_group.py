"""Kinds of data that leave because this instance is in a group or hosts one. See `data_kinds`."""

from __future__ import annotations

from typing import Final

from daemon.disclosure.data_kind import Kind
from federation.envelope import Stage
from federation.http import MESSAGE_PATH

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

OF_GROUPS: Final = (
    Kind(
        "enrolment",
        "Wish to be in a group",
        "the host of a group that you look at, join, are in or leave",
        "our host and key, the key of our node in its Flower, what you want, whether this instance "
        "contributes, the time, and which list of members we have.",
        stages=(Stage.ENROL,),
        fields=(
            "Enrolment.group",
            "Enrolment.host",
            "Enrolment.key",
            "Enrolment.node_key",
            "Enrolment.wish",
            "Enrolment.gives",
            "Enrolment.date",
            "Enrolment.epoch",
            "Enrolment.node_signature",
        ),
        routes=(MESSAGE_PATH,),
    ),
    Kind(
        "node",
        "Connection for a sum",
        "the host of your group, around its sums",
        "that our node is there: its key, its version of Flower, signed times, and the messages of the sum. "
        "No code is fetched or run.",
        routes=FLEET,
    ),
    Kind(
        "lots",
        "Lots for the parts of a group",
        "the host of your group, and through it all members",
        "a random number, first its hash and then itself: all of them together decide who is summed with "
        "whom. And the hash of the list of members that we accept.",
        stages=(Stage.COMMIT, Stage.REVEAL, Stage.ACCEPT),
        fields=(
            "Commitment.group",
            "Commitment.number",
            "Commitment.commitment",
            "Reveal.group",
            "Reveal.number",
            "Reveal.list_hash",
            "Reveal.nonce",
            "Accepted.hash",
        ),
        routes=(MESSAGE_PATH,),
    ),
    Kind(
        "receipts",
        "Receipts",
        "the host of your group",
        "the hash of the sum that we took, or that we ask for one that we missed.",
        stages=(Stage.TAKEN, Stage.FETCH),
        fields=("Taken.batch", "Taken.hash"),
        routes=(MESSAGE_PATH,),
    ),
    Kind(
        "group-members",
        "Members of a group that we host",
        "its members; the present ones and the name also to whoever asks",
        "their hosts, keys and addresses, who is in which part, joined late or is gone, their lots, when the "
        "next sum is, and where to connect.",
        stages=(Stage.ADMIT, Stage.GATHER, Stage.LIST, Stage.EPOCH),
        fields=(
            "Admission.group",
            "Admission.host",
            "Admission.state",
            "Admission.fence",
            "Admission.ca",
            "Admission.next",
            "Admission.poll_ms",
            "Admission.batch",
            "Admission.members",
            "Admission.date",
            "GroupMember.host",
            "GroupMember.key",
            "GroupMember.url",
            "Gather.group",
            "Gather.number",
            "Gather.opened",
            "MembershipList.group",
            "MembershipList.number",
            "MembershipList.opened",
            "MembershipList.parts",
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
            "EpochDocument.serial",
        ),
        routes=(MESSAGE_PATH,),
    ),
    Kind(
        "group-sums",
        "Sums of a group that we host",
        "its members",
        "the sums per video and per pair of each part, with noise, which videos they are about, their terms, "
        "and who is in each. Our own viewers are among them if this instance contributes.",
        stages=(Stage.PUBLISH, Stage.FETCH),
        fields=(
            "Published.group",
            "Published.batch",
            "Published.epoch",
            "Published.made",
            "Published.parts",
            "Published.blobs",
            "PublishedPart.session",
            "PublishedPart.survivors",
            "blobs.head",
            "blobs.proposal.N",
            "blobs.counts.N",
            "blobs.pairs.N",
        ),
        routes=(MESSAGE_PATH,),
    ),
    Kind(
        "fence",
        "Listener of a group that we host",
        "whoever connects to it",
        "a TLS certificate and whether the listener is up. Nodes of members, and no others, take and bring "
        "the messages of sums there.",
        routes=("/health",),
    ),
)
