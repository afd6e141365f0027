"""Taking a peer out: sums under way, what a crash leaves, and that the proof can fail."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.revert import job, proof
from daemon.rounds import crash_points, round_config
from daemon.store import sums
from daemon.store.activity import RoundRecord, save_round
from federation.identity import Identity
from models import artefact
from tests.daemon.instance_with_peer import (
    HOST,
    NOW,
    OTHERS,
    PEERS,
    VIDEOS,
    Instance,
    open_instance,
    out_of_service,
    tainted,
    take_out,
)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        yield found


# -- sums under way -----------------------------------------------------------------------------------------


def test_an_open_sum_with_the_peer_is_given_up(one: Instance) -> None:
    tainted(one)
    journal = round_config.aggregator_journal(one.config)
    raw = proposal(one, [*PEERS])
    journal.write(raw[0], "proposal", raw[1])
    other = proposal(one, [peer for peer in PEERS if peer.host != HOST])
    journal.write(other[0], "proposal", other[1])
    save_round(one.engine, RoundRecord(raw[0].hex(), "aggregator", "one.example", NOW - 9))
    assert any("open sum" in line for line in proof.prove(one.engine, one.config, HOST).problems)
    switch = out_of_service(one)
    assert switch.abandoned == (raw[0].hex(),)
    assert journal.ids() == [other[0]]


def proposal(one: Instance, roster: list[Identity]) -> tuple[bytes, bytes]:
    """Return a signed proposal of ours, its id and its bytes."""
    from daemon.identity import open_identity
    from federation.proposal import Proposal, SignedProposal, least_threshold
    from policies.sharing import TRAINER

    identity = open_identity(one.config.identity_file, one.config.instance.host)
    asked = Proposal(
        aggregator=identity.host,
        roster=tuple(sorted((peer.public for peer in roster), key=lambda peer: peer.host)),
        threshold=least_threshold(len(roster)),
        trainer=TRAINER,
        segments=round_config.segments(one.config, 6, 3),
        entry_bound=100,
        ring=32,
        nonce=os.urandom(16),
        created=int(NOW),
        expires=int(NOW) + 3600,
        colluders=1,
        parameters=round_config.parameters(one.config, 6, 3, pass_on=False),
        blobs={},
    )
    signed = SignedProposal.sign(asked, identity, round_config.limits(one.config))
    return signed.round_id, signed.raw


# -- crashes ------------------------------------------------------------------------------------------------

POINTS = [
    "revert.blocked",
    "revert.switched",
    "revert.recorded",
    "revert.abandoned",
    "revert.planned",
    "revert.sums-deleted",
    "revert.models-forgotten",
    "revert.deleted",
    "revert.noted",
]


def test_all_points_to_die_at_are_tried() -> None:
    folder = Path(job.__file__).parent
    named = {
        line.split('"')[1]
        for path in folder.glob("*.py")
        for line in path.read_text().splitlines()
        if "pass_point(" in line
    }
    assert named == set(POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_the_peer_is_blocked_and_the_same_command_goes_on(
    one: Instance, point: str
) -> None:
    _, older, newer = tainted(one)
    assert dies(point, lambda: take_out(one)) == signal.SIGKILL
    peer = repository.read(one.engine, one.config).find(HOST)
    assert peer is not None
    assert peer.state == "reverted"
    found = take_out(one)
    assert one.served() == older
    assert proof.prove(one.engine, one.config, HOST).holds
    decisions = [e.kind for e in ledger.entries(one.engine) if e.kind == Kind.PEER_REVERTED]
    assert len(decisions) == 1
    if point != "revert.noted":
        # What the first run knew is in the report, though the second could not see it any more.
        assert (found["served_before"], found["deleted"]["models"]) == (newer, [newer])
        assert len(found["deleted"]["sums"]) == 1
        assert found["changed"]["lists"] == VIDEOS


def dies(point: str, work: Callable[[], object]) -> int:
    """Run something in a process of its own that dies at a point; returns the signal that ended it."""
    child = os.fork()
    if child == 0:
        os.environ[crash_points.VARIABLE] = point
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


# -- the proof ----------------------------------------------------------------------------------------------


def test_the_proof_names_the_model_its_hash_and_its_sums(one: Instance) -> None:
    _, older, _ = tainted(one)
    take_out(one)
    shown = proof.prove(one.engine, one.config, HOST)
    sha256 = hashlib.sha256((one.config.models_dir / older / artefact.MODEL).read_bytes()).hexdigest()
    round_ = next(part.round_id for part in sums.records(one.engine))
    assert (shown.model_sha256, shown.sums, shown.hosts) == (sha256, (round_,), tuple(OTHERS))
    assert shown.sentence == (
        f"proof: no stored sum or model names {HOST}; served model {older} sha256 {sha256[:12]} was trained "
        f"from own viewers and sums [{round_[:12]}] of [{', '.join(OTHERS)}]"
    )


def planted_sum(one: Instance) -> None:
    one.sum(9, [*OTHERS, HOST], verdict="quarantined")


def planted_model(one: Instance) -> None:
    one.model("federated", [*OTHERS, HOST], round_id=one.ask(9, OTHERS), state="quarantined")


def planted_folder(one: Instance) -> None:
    one.model("federated", [*OTHERS, HOST], row=False)


def planted_file(one: Instance) -> None:
    np.save(one.config.sums_dir / "copy.npy", np.arange(3))


def other_manifest(one: Instance) -> None:
    path = one.config.models_dir / str(one.served()) / artefact.MANIFEST
    content = json.loads(path.read_text())
    content["provenance"]["survivors"] = ["p0.example"]
    path.write_text(json.dumps(content))


def other_arrays(one: Instance) -> None:
    path = one.config.models_dir / str(one.served()) / artefact.MODEL
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")


def approved(one: Instance) -> None:
    peer = repository.read(one.engine, one.config).find(HOST)
    assert peer is not None
    repository.save(one.engine, replace(peer, state="approved"))


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (planted_sum, "the sum .* holds"),
        (planted_model, "the model .* holds"),
        (planted_folder, "the folder .* holds"),
        (planted_file, "belongs to no stored sum"),
        (other_manifest, "is not the one on record"),
        (other_arrays, "cannot be checked"),
        (approved, "is approved, so its learning may come back"),
    ],
)
def test_the_proof_fails_where_anything_is_left(
    one: Instance, plant: Callable[[Instance], None], said: str
) -> None:
    tainted(one)
    take_out(one)
    assert proof.prove(one.engine, one.config, HOST).holds
    plant(one)
    shown = proof.prove(one.engine, one.config, HOST)
    assert not shown.holds
    assert shown.sentence.startswith("not proven")
    assert len(shown.problems) == 1
    assert re.search(said, shown.problems[0])
