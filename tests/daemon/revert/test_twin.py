"""A federation in which a peer was taken out, and its twin in which it never took part: the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.errors import JobError
from daemon.jobs.run import run_job
from daemon.peers import repository
from daemon.revert import job, proof
from daemon.revert.out_of_service import take_out_of_service
from daemon.store import model_records, sums
from models import artefact
from models.item_scores import FORMS
from tests.daemon.in_process_federation import SAME_VIEWERS, Federation, copy, prepare, running

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]

INSTANCES = 6


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def survivors_of(federation: Federation, name: str) -> list[str]:
    manifest = artefact.read_manifest(federation.aggregator.config.models_dir / name)
    return list(manifest["provenance"].get("survivors", []))


def newest_local(federation: Federation) -> str:
    records = model_records.models(federation.aggregator.engine)
    return next(record.id for record in records if record.kind == "local")


async def with_the_peer(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return hashes of what serves, of a federation in which a peer takes part and is taken out."""
    found = {}
    async with running(folders, monkeypatch) as federation:
        one, peer = federation.aggregator, federation.members[-1]
        federation.sync()
        await federation.ask()
        first = one.train()
        for member in federation.members[:-1]:
            member.knows(peer)
            peer.knows(member)
        federation.next_window(1)
        told = await federation.ask()
        assert peer.host in told["survivors"]
        tainted = one.train()
        assert peer.host in survivors_of(federation, tainted)
        found["local"] = sha256(one.bytes_of(newest_local(federation)))
        with_it = sha256(one.bytes_of(tainted))

        await train_meanwhile(federation, peer.host)
        at_once = one.served()
        assert at_once == first
        found["at once"] = sha256(one.bytes_of(at_once))

        report = job.run(one.context(host=peer.host))
        assert report["served_before"] == tainted
        assert report["basis"] == "older sum"
        assert report["proof"].startswith("proof: no stored sum or model names")
        assert peer.host not in report["proof"].split(";")[1]
        # The others are asked again before their time.
        assert report["next_window"] is None
        assert all(peer.host not in part.survivors for part in sums.records(one.engine))
        found["retrained"] = sha256(one.bytes_of(one.served()))
        assert report["served_now"] == one.served() != first

        told = await federation.ask()
        assert peer.host not in told["survivors"]
        found["early window"] = sha256(one.bytes_of(one.train()))

        federation.next_window(2)
        told = await federation.ask()
        assert peer.host not in told["survivors"]
        found["next window"] = sha256(one.bytes_of(one.train()))
        assert proof.prove(one.engine, one.config, peer.host).holds
    assert with_it not in found.values()
    return found


async def train_meanwhile(federation: Federation, host: str) -> None:
    """Take the peer out while a real training, in a process of its own, learns from it."""
    one = federation.aggregator
    before = one.served()

    def take_out(stage: str, part: float) -> None:
        if stage in FORMS and part > 0.5 and one.served() == before:
            take_out_of_service(one.engine, one.config, host, federation.clock())

    outcome = await run_job("train", one.config_file, time_limit=60.0, on_progress=take_out)
    assert one.served() != before
    assert outcome.code == "job-failed"
    assert "taken out" in outcome.message
    # What it trained is stored, does not serve, and is deleted with the rest.
    late = model_records.models(one.engine)
    assert any(record.id != before and host in record.survivors for record in late)


async def without_the_peer(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the same of its twin."""
    found = {}
    async with running(folders, monkeypatch) as federation:
        one = federation.aggregator
        federation.sync()
        await federation.ask()
        found["at once"] = sha256(one.bytes_of(one.train()))
        federation.next_window(1)
        found["retrained"] = sha256(one.bytes_of(one.train()))
        await federation.ask()
        found["early window"] = sha256(one.bytes_of(one.train()))
        found["local"] = sha256(one.bytes_of(newest_local(federation)))
        federation.next_window(2)
        told = await federation.ask()
        assert len(told["survivors"]) == len(folders) - 1
        found["next window"] = sha256(one.bytes_of(one.train()))
    return found


async def test_what_serves_equals_byte_for_byte_that_of_a_twin_without_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = prepare(tmp_path, INSTANCES, privacy=SAME_VIEWERS, stranger=True)
    twin = copy(folders[:-1], tmp_path / "twin")
    after_revert = await with_the_peer(folders, monkeypatch)
    never = await without_the_peer(twin, monkeypatch)
    assert after_revert == never
    # They are four different models, or equality would say little.
    assert len(set(never.values())) == len(never)


@pytest.mark.parametrize("stage", ["propose", "shares", "confirmations"])
async def test_a_sum_that_is_under_way_when_a_peer_is_taken_out_is_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    folders = prepare(tmp_path, INSTANCES, privacy=SAME_VIEWERS, stranger=True)
    async with running(folders, monkeypatch) as federation:
        one, peer = federation.aggregator, federation.members[-1]
        for member in federation.members[:-1]:
            member.knows(peer)
            peer.knows(member)
        federation.sync()
        take_out = once(
            stage,
            lambda: take_out_of_service(one.engine, one.config, peer.host, federation.clock()),
        )
        with pytest.raises(JobError, match="abandoned"):
            await federation.ask(take_out)
        assert sums.records(one.engine) == []
        assert not list(one.config.sums_dir.glob("*.npy"))
        found = repository.read(one.engine, one.config).find(peer.host)
        assert found is not None
        assert found.state == "reverted"
        # Nothing is left open, and what the peer asks for is refused.
        take_out_of_service(one.engine, one.config, peer.host, federation.clock())
        assert not proof.prove(one.engine, one.config, peer.host).problems


def once(stage: str, work: Callable[[], object]) -> Callable[[str, float], None]:
    done: list[object] = []

    def progress(name: str, _part: float) -> None:
        if name == stage and not done:
            done.append(work())

    return progress
