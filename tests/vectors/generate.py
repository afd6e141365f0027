"""`python -m tests.vectors.generate`: write the fixed vectors anew.

Do that only with a new version of the protocol: another daemon computes these bytes too. Everything follows
from the seeds below, the clock and the nonce.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from federation import envelope, introduction
from federation.aggregator import Aggregator
from federation.group.epoch_document import EpochDocument, draw_places, partition_seed, sub_cohorts_of
from federation.group.epoch_opening import (
    Gather,
    Listed,
    MembershipList,
    Reveal,
    committed,
    gathering_id,
    nonce_of,
)
from federation.group.published import Published, PublishedSubCohort
from federation.identity import Identity, format_key
from federation.journal import MemoryJournal
from federation.limits import Limits
from federation.node import MemberNode, Preparation
from federation.passed_on import PassedOn
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal
from federation.self_test import VECTORS, derivations, seed, sharings

FOLDER = Path(__file__).parent
NOW = 1_800_000_000
PACKAGED = ("derivations", "sharings")
"""What `federation.self_test` computes anew at each start of a daemon."""


def whole_sum() -> dict[str, Any]:
    """Return every message of a sum of three members, in the order in which they are sent."""
    aggregator = Identity("aggregator.example", seed("aggregator"))
    identities = [Identity(f"{name}.example", seed(name)) for name in ("alice", "bob", "carol")]
    inputs = {
        identity.host: np.array([0, 1, 2, 3, 32, -64, 96], dtype=np.int64) * (number + 1)
        for number, identity in enumerate(identities)
    }
    peers = {aggregator.host: aggregator.public}
    limits = Limits()
    nodes = {
        identity.host: MemberNode(
            identity,
            MemoryJournal(),
            peer=peers.get,
            check_policies=lambda _proposal: None,
            clock=lambda: float(NOW),
            random=hashlib.shake_256(b"root of " + identity.host.encode()).digest,
            limits=limits,
        )
        for identity in identities
    }
    proposal = Proposal(
        aggregator=aggregator.host,
        roster=tuple(identity.public for identity in identities),
        threshold=3,
        trainer="gram/2",
        # What is asked: counts of four videos, and the three pairs of a head of three.
        segments=(Segment(4, unit=1, noise=16), Segment(3, unit=32, noise=64)),
        entry_bound=1000,
        ring=32,
        colluders=2,
        nonce=seed("nonce")[:16],
        created=NOW,
        expires=NOW + 3600,
        parameters={"head": 3, "min_users": 5, "vocabulary": 4},
        blobs={
            name: BlobReference(hashlib.sha256(name.encode()).digest(), 10) for name in ("head", "vocabulary")
        },
    )
    signed = SignedProposal.sign(proposal, aggregator, limits)
    aggregation = Aggregator(signed, aggregator, MemoryJournal(), limits)
    messages = []
    while not aggregation.finished:
        for host, request in aggregation.requests().items():
            answer = nodes[host].receive(request)
            if isinstance(answer, Preparation):
                answer = nodes[host].accept(answer, inputs[host])
            stage = str(aggregation.stage)
            messages.append(
                {"stage": stage, "member": host, "request": request.hex(), "answer": answer.hex()}
            )
            aggregation.receive(host, answer)
        aggregation.close()
    return {
        "round_id": signed.round_id.hex(),
        "seeds": {identity.host: identity.seed.hex() for identity in [aggregator, *identities]},
        "roots": {
            identity.host: hashlib.shake_256(b"root of " + identity.host.encode()).hexdigest(32)
            for identity in identities
        },
        "inputs": {host: values.tolist() for host, values in inputs.items()},
        "messages": messages,
        "total": aggregation.result.total.tolist(),
    }


def partitions() -> list[dict[str, Any]]:
    """Return who is summed together, from seeds: all, then some late and gone, then one too small."""
    hosts = [f"m{number:02}.example" for number in range(13)]
    rows: list[dict[str, Any]] = []
    for drawn, late, gone, parts, least in (
        (hosts[:9], [], [], 2, 4),
        (hosts[:9], hosts[9:], [hosts[0]], 2, 4),
        (hosts[:9], [], hosts[:3], 3, 3),
        (hosts, [], [], 1, 4),
    ):
        draw = seed(f"partition {len(rows)}")
        placed = draw_places(draw, drawn, parts, late)
        rows.append(
            {
                "seed": draw.hex(),
                "drawn": drawn,
                "late": late,
                "gone": gone,
                "parts": parts,
                "least": least,
                "places": dict(sorted(placed.items())),
                "together": [list(part) for part in sub_cohorts_of(placed, gone, least)],
            }
        )
    return rows


def group() -> dict[str, Any]:
    """Return the documents of an epoch of nine members, and of what is published after it."""
    host = Identity("host.example", seed("group host"))
    members = [host, *(Identity(f"m{number:02}.example", seed(f"member {number}")) for number in range(8))]
    gather = Gather("vectors", 7, NOW * 1000)
    gathering = gathering_id(host.host, gather.group, gather.number, gather.opened)
    nonces = {one.host: nonce_of(one.seed, gathering) for one in members}
    entries = [
        Listed(one.host, one.public.key, committed(gathering, one.host, nonces[one.host])) for one in members
    ]
    listed = MembershipList(gather.group, gather.number, gather.opened, 2, 3, tuple(sorted(entries)))
    reveals = {one.host: Reveal.of(listed, host.host, one).seal(one, host.host) for one in members}
    late = (Identity("late.example", seed("late")).public,)
    document = EpochDocument(
        host.public, listed.seal(host), reveals, late, ("m03.example",), ("m04.example",), 2
    )
    published = Published(
        group=gather.group,
        run=seed("run"),
        epoch=document.hash,
        made=NOW * 1000,
        sub_cohorts=(PublishedSubCohort(seed("round"), tuple(one.host for one in document.rosters[0])),),
        blobs={
            "head": BlobReference(seed("head"), 100),
            "proposal.0": BlobReference(seed("round"), 1000),
            "counts.0": BlobReference(seed("counts"), 12),
            "pairs.0": BlobReference(seed("pairs"), 12),
        },
    )
    return {
        "seeds": {one.host: one.seed.hex() for one in members},
        "gathering": gathering.hex(),
        "nonces": {name: nonce.hex() for name, nonce in nonces.items()},
        "commitments": {entry.host: entry.commitment.hex() for entry in entries},
        "list": document.list_raw.hex(),
        "list_hash": listed.hash.hex(),
        "partition_seed": partition_seed(listed.hash, nonces).hex(),
        "epoch": document.seal(host).hex(),
        "epoch_hash": document.hash.hex(),
        "rosters": [[one.host for one in part] for part in document.rosters],
        "published": published.seal(host).hex(),
        "published_hash": published.hash.hex(),
        "passed_on": PassedOn(published.run, published.made, published.sub_cohorts, published.blobs)
        .seal(host, "newcomer.example")
        .hex(),
    }


def introductions() -> dict[str, Any]:
    """Return what an introducer says to a peer, and the answer."""
    introducer, recipient = (Identity(f"{name}.example", seed(name)) for name in ("alice", "bob"))
    instances = [Identity(f"{name}.example", seed(name)).public for name in ("carol", "dave")]
    raw = introduction.introduce(introducer, recipient.public, instances, NOW)
    message = envelope.parse(raw, max_size=introduction.MAX_INTRODUCTION)
    said = introduction.read(message, introducer.public, recipient.public, NOW, Limits())
    return {
        "seeds": {one.host: one.seed.hex() for one in (introducer, recipient)},
        "instances": {one.host: format_key(one.key) for one in instances},
        "introduce": raw.hex(),
        "introduced": introduction.acknowledge(recipient, said).hex(),
    }


def everything() -> dict[str, Any]:
    """Return the content of each file by its name."""
    return {
        "derivations": derivations(),
        "sharings": sharings(),
        "whole_sum": whole_sum(),
        "partitions": partitions(),
        "group": group(),
        "introductions": introductions(),
    }


def path_of(name: str) -> Path:
    """Return where a file is."""
    return (VECTORS if name in PACKAGED else FOLDER) / f"{name}.json"


def main() -> None:
    """Write the files."""
    for name, content in everything().items():
        path_of(name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
