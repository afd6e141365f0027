"""Taking a peer out: what serves then, what is deleted, what a crash leaves, and that the proof can fail."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon import pointer
from daemon.config import Config, load
from daemon.errors import JobError, PolicyRefusedError, RequestError
from daemon.jobs.registry import JobContext
from daemon.ledger import book as ledger
from daemon.ledger.book import Kind
from daemon.peers import book, control
from daemon.revert import compare, holdings, job, proof, report, steps
from daemon.serve.current import CurrentModel
from daemon.service import put_into_service
from daemon.sessions import faults, terms
from daemon.store import model_records, reverts, sums
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_records import Kind as ModelKind
from daemon.store.model_records import ModelRecord, State
from daemon.store.records import SessionRecord, save_session
from federation.identity import Identity, format_key
from models import artefact
from tests.daemon.live import instance
from tests.models.made import made_labels, made_model

HOST = "p5.example"
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(6)]
OTHERS = [peer.host for peer in PEERS if peer.host != HOST]
NOW = 1_800_000_000.0
VIDEOS = 60


@dataclass
class Instance:
    """A data directory with made-up models and sums."""

    config: Config
    engine: Engine
    models: int = 0

    def context(self, **arguments: str) -> JobContext:
        """Return what a job works with."""
        return JobContext(self.config, self.engine, lambda _stage, _part: None, lambda: NOW, arguments)

    def session(self, number: int, survivors: list[str]) -> str:
        """Record a session that ended, and return its id."""
        session_id = hashlib.sha256(f"session {number}".encode()).hexdigest()
        host = self.config.instance.host
        record = SessionRecord(
            session_id, "aggregator", host, NOW - 9, NOW - 8, "done", "", survivors, survivors
        )
        save_session(self.engine, record)
        return session_id

    def sum(
        self,
        number: int,
        survivors: list[str],
        *,
        batch: str = "",
        verdict: sums.Verdict = "accepted",
    ) -> str:
        """Store a sum over two videos."""
        session_id = self.session(number, survivors)
        sums.save(
            self.engine,
            self.config.sums_dir,
            session_id=session_id,
            urls=("https://v.example/1", "https://v.example/2"),
            counts=np.array([7, 8]),
            triangle=np.array([6]),
            privacy={},
            now=NOW - 100 + number,
            batch=batch,
            subcohort=number,
            verdict=verdict,
        )
        return session_id

    def model(
        self,
        kind: ModelKind,
        survivors: list[str] | None = None,
        *,
        state: State = "ready",
        session_id: str | None = None,
        row: bool = True,
    ) -> str:
        """Store a made-up model; later ones are newer."""
        self.models += 1
        created = NOW - 1000 + self.models
        name = f"{self.models:02}-{kind}"
        provenance = (
            {"kind": kind}
            if survivors is None
            else {"kind": kind, "session": session_id, "survivors": survivors}
        )
        directory = self.config.models_dir / name
        self.config.models_dir.mkdir(exist_ok=True)
        artefact.save(
            made_model(VIDEOS, seed=self.models),
            directory,
            labels=self.labels(),
            provenance=provenance,
            created=datetime.fromtimestamp(created, UTC),
        )
        digest = hashlib.sha256((directory / artefact.MANIFEST).read_bytes()).hexdigest()
        quality = {"held_out_ndcg10": 0.1 * self.models}
        if row:
            record = ModelRecord(
                name, created, kind, session_id, name, digest, quality, state, list(survivors or [])
            )
            model_records.save(self.engine, record)
        return name

    def labels(self) -> Any:
        """Return labels of which every third video is of the host that is taken out."""
        labels = made_labels(VIDEOS)
        return replace(
            labels,
            host=np.arange(VIDEOS, dtype=np.int32) % 3,
            hosts=type(labels.url).pack([HOST, "one.example", "two.example"]),
        )

    def serve(self, name: str) -> None:
        """Put a model into service."""
        pointer.write(self.config.models_dir, name)
        model_records.make_current(self.engine, name)

    def served(self) -> str | None:
        """Return what serves, by the pointer and by the record, which must agree."""
        current = [r.id for r in model_records.models(self.engine) if r.state == "current"]
        named = pointer.read(self.config.models_dir)
        assert current == ([] if named is None else [named])
        return named


@contextlib.contextmanager
def open_instance(folder: Path) -> Iterator[Instance]:
    """Make an instance whose settings name all peers."""
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(folder / "one", extra='mode = "contribute"')
    path.write_text(path.read_text() + '[privacy]\nmin_video_age = "0s"\n' + peers)
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    yield Instance(config, engine)
    engine.dispose()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        yield found


def out_of_service(one: Instance) -> steps.Switch:
    return steps.out_of_service(one.engine, one.config, HOST, NOW)


def tainted(one: Instance) -> tuple[str, str, str]:
    """Store what an instance has after two sums, the second with the host; returns the three models."""
    local = one.model("local")
    older = one.model("federated", OTHERS, session_id=one.sum(1, OTHERS))
    newer = one.model("federated", [*OTHERS, HOST], session_id=one.sum(2, [*OTHERS, HOST]))
    one.serve(newer)
    return local, older, newer


# -- what serves at once ------------------------------------------------------------------------------------


def test_the_newest_model_that_never_had_the_peer_serves_at_once(one: Instance) -> None:
    _, older, newer = tainted(one)
    one.model("local")
    switch = out_of_service(one)
    assert (switch.before, switch.now, switch.basis) == (newer, older, "older sum")
    assert one.served() == older
    peer = book.read(one.engine, one.config).find(HOST)
    assert peer is not None
    assert (peer.state, peer.since) == ("reverted", NOW)
    assert book.read(one.engine, one.config).allowlist().find(HOST) is None


def test_without_such_a_sum_the_local_model_serves(one: Instance) -> None:
    local = one.model("local")
    one.serve(one.model("federated", [*OTHERS, HOST], session_id=one.sum(1, [*OTHERS, HOST])))
    switch = out_of_service(one)
    assert (switch.now, switch.basis) == (local, "local")


@pytest.mark.parametrize("state", ["awaiting", "quarantined", "deleted"])
def test_what_the_admin_has_not_accepted_does_not_begin_to_serve(one: Instance, state: State) -> None:
    local = one.model("local")
    one.serve(one.model("federated", [*OTHERS, HOST], session_id=one.session(1, [*OTHERS, HOST])))
    one.model("federated", OTHERS, session_id=one.session(2, OTHERS), state=state)
    assert out_of_service(one).now == local


def test_neither_a_damaged_model_nor_one_of_unknown_origin_nor_one_of_a_removed_peer_serves(
    one: Instance,
) -> None:
    local = one.model("local")
    peer = book.read(one.engine, one.config).find(OTHERS[0])
    assert peer is not None
    book.save(one.engine, replace(peer, state="removed"))
    one.model("federated", OTHERS, session_id=one.session(1, OTHERS))
    one.model("federated", [], session_id=None)
    damaged = one.model("federated", OTHERS[1:], session_id=one.session(2, OTHERS[1:]))
    one.serve(one.model("federated", [*OTHERS, HOST], session_id=one.session(3, [*OTHERS, HOST])))
    with (one.config.models_dir / damaged / artefact.MODEL).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    assert out_of_service(one).now == local


def test_a_row_that_forgot_the_peer_does_not_hide_it(one: Instance) -> None:
    local = one.model("local")
    by_session = one.model("federated", OTHERS, session_id=one.session(1, [*OTHERS, HOST]))
    by_manifest = one.model("federated", [*OTHERS, HOST], session_id=one.session(2, OTHERS))
    one.serve(by_session)
    assert holdings.holding(one.engine, one.config, HOST).models == (by_manifest, by_session)
    assert out_of_service(one).now == local


def test_what_serves_goes_on_serving_where_the_peer_was_never_in_it(one: Instance) -> None:
    _, older, _ = tainted(one)
    chosen = one.model("local")
    one.serve(chosen)
    switch = out_of_service(one)
    assert (switch.before, switch.now) == (chosen, chosen)
    assert older != chosen


@pytest.mark.asyncio
async def test_with_no_model_left_the_serving_process_drops_the_one_it_has(one: Instance) -> None:
    newer = one.model("federated", [*OTHERS, HOST], session_id=one.session(1, [*OTHERS, HOST]))
    one.serve(newer)
    current = CurrentModel(one.config.models_dir)
    assert await current.refresh()
    switch = out_of_service(one)
    assert (switch.now, one.served()) == (None, None)
    await current.refresh()
    assert current.loaded is None
    assert "taken out" in current.problem
    one.serve(one.model("local"))
    assert await current.refresh()
    assert current.loaded is not None


def test_nobody_can_be_taken_out_who_was_never_there_nor_the_instance_itself(one: Instance) -> None:
    with pytest.raises(RequestError, match=r"never a peer.*"):
        steps.out_of_service(one.engine, one.config, "nobody.example", NOW)
    with pytest.raises(RequestError, match="is this instance"):
        steps.out_of_service(one.engine, one.config, one.config.instance.host, NOW)
    assert not reverts.newest(one.engine)


def test_a_peer_that_is_no_peer_any_more_can_still_be_taken_out(one: Instance) -> None:
    strangers = ["gone.example", *OTHERS]
    local = one.model("local")
    one.serve(one.model("federated", strangers, session_id=one.sum(1, strangers)))
    switch = steps.out_of_service(one.engine, one.config, "gone.example", NOW)
    assert switch.now == local


def test_a_model_trained_meanwhile_from_the_peer_does_not_come_into_service(one: Instance) -> None:
    _, older, _ = tainted(one)
    late = one.model("federated", [*OTHERS, HOST], session_id=one.session(2, [*OTHERS, HOST]))
    out_of_service(one)
    with pytest.raises(JobError, match="was taken out"):
        put_into_service(one.engine, one.config, late)
    assert one.served() == older


# -- deleting -----------------------------------------------------------------------------------------------


def take_out(one: Instance, **arguments: str) -> dict[str, Any]:
    return job._take_out(one.context(host=HOST, **arguments), HOST)[1]


def test_every_sum_and_model_that_had_the_peer_is_deleted_whatever_its_state(one: Instance) -> None:
    local, older, newer = tainted(one)
    everybody = [*OTHERS, HOST]
    waiting = one.model("federated", everybody, session_id=one.session(3, everybody), state="awaiting")
    refused = one.sum(4, everybody, verdict="quarantined")
    bad = one.model("federated", everybody, session_id=refused, state="quarantined")
    stray = one.model("federated", everybody, row=False)
    (one.config.models_dir / newer / "vectors.bin").write_bytes(b"SHLV")
    (one.config.sums_dir / "half.partial").write_bytes(b"x")
    found = take_out(one)
    assert {record.id for record in model_records.models(one.engine)} == {local, older}
    folders = {path.name for path in one.config.models_dir.iterdir() if path.is_dir()}
    assert folders == {local, older}
    assert [part.survivors for part in sums.parts(one.engine)] == [tuple(OTHERS)]
    assert len(list(one.config.sums_dir.iterdir())) == 1
    assert found["deleted"]["models"] == sorted([waiting, bad, stray, newer])
    assert len(found["deleted"]["sums"]) == 2
    assert proof.prove(one.engine, one.config, HOST).holds


def test_other_parts_of_the_same_sums_stay(one: Instance) -> None:
    first, second = OTHERS[:3], [*OTHERS[3:], HOST]
    one.model("local")
    batch = one.sum(1, first)
    one.sum(2, second, batch=batch)
    one.serve(one.model("federated", [*first, *second], session_id=batch))
    assert take_out(one)["basis"] == "sub-cohorts"
    assert [part.survivors for part in sums.parts(one.engine)] == [tuple(first)]


def test_the_report_compares_lists_exposure_and_quality(one: Instance) -> None:
    _, older, newer = tainted(one)
    found = take_out(one, seconds="1.25")
    assert (found["served_before"], found["served_now"]) == (newer, older)
    assert found["seconds_out_of_service"] == 1.25
    assert found["quality"] == {"before": pytest.approx(0.3), "after": pytest.approx(0.2)}
    changed = found["changed"]
    assert (changed["lists"], changed["of"]) == (VIDEOS, VIDEOS)
    models = [artefact.load(one.config.models_dir / older)]
    lists = [[item.video for item in models[0].related(video, limit=10)] for video in range(VIDEOS)]
    # Of made-up models with few videos; the test below has more.
    expected = sum(any(video % 3 == 0 for video in chosen) for chosen in lists) / VIDEOS
    assert found["exposure"]["after"] == pytest.approx(expected, abs=1e-4)
    example = changed["examples"][0]
    assert example["before"] != example["after"]
    assert len(changed["examples"]) == 10
    # What is kept for good names no title.
    assert "title" not in json.dumps(reverts.newest(one.engine)[0].report)


def test_exposure_is_that_of_made_up_viewers_where_there_are_enough_videos(one: Instance) -> None:
    size = 300
    labels = replace(
        made_labels(size),
        host=(np.arange(size) % 30 > 0).astype(np.int32),
        hosts=hosts_named([HOST, "one.example"]),
    )
    pushed, plain = (artefact.in_memory(made_model(size, size, seed=3), labels) for _ in range(2))
    mine = compare.videos_of(labels, HOST)[pushed.factors[0]]
    pushed.factors[2][mine] *= 50
    change = compare.changes(pushed, plain, HOST)
    before, after = change.exposure
    assert before > 0.9
    assert 0.05 < after < 0.6
    assert compare.changes(plain, plain, HOST).exposure == (after, after)
    assert compare.changes(plain, None, HOST).exposure[1] == 0.0


def hosts_named(names: list[str]) -> Any:
    return type(made_labels(1).url).pack(names)


def test_titles_are_those_that_are_public_today(one: Instance) -> None:
    example = {"url": "https://a.example/1", "before": ["https://a.example/2"], "after": []}
    shown = report.with_titles(one.engine, {"changed": {"examples": [example]}, "host": HOST})
    assert shown["changed"]["examples"] == [
        {
            "url": "https://a.example/1",
            "title": "",
            "before": [{"url": "https://a.example/2", "title": ""}],
            "after": [],
        }
    ]


def test_a_dry_run_tells_the_same_and_changes_nothing(one: Instance) -> None:
    _, older, newer = tainted(one)
    before = everything(one)
    told = job.run(one.context(host=HOST, dry_run="1"))
    assert everything(one) == before
    assert one.served() == newer
    done = take_out(one)
    same = ("basis", "changed", "exposure", "quality", "deleted", "served_before", "served_now", "limits")
    assert {name: told[name] for name in same} == {name: done[name] for name in same}
    assert (told["dry_run"], told["proof"], told["served_now"]) == (True, "", older)


def everything(one: Instance) -> dict[str, str]:
    """Return a hash of every file, and of what the database says."""
    folder = one.config.data_dir
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("shoal.db")]
    found = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.suffix != ".lock"
    }
    with one.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    return found | {"database": hashlib.sha256(dump.encode()).hexdigest()}


def test_the_ledger_tells_the_decision_and_what_was_deleted(one: Instance) -> None:
    _, older, newer = tainted(one)
    take_out(one)
    take_out(one)
    entries = [e for e in ledger.entries(one.engine) if e.subject == HOST]
    assert [e.kind for e in entries] == [Kind.PEER_REVERTED, Kind.REVERT, Kind.REVERT]
    (served,) = [e for e in ledger.entries(one.engine) if e.kind == Kind.SERVED]
    assert (served.subject, served.details["survivors"]) == (older, OTHERS)
    details = entries[1].details
    assert details["models"] == [newer]
    assert set(details["manifests"]) == {newer}
    assert (details["served_before"], details["served_now"]) == (newer, older)


def test_approved_again_nothing_of_before_comes_back(one: Instance) -> None:
    _, older, _ = tainted(one)
    out_of_service(one)
    # Approved before everything is deleted, it would be learnt from again.
    with pytest.raises(PolicyRefusedError, match="not deleted yet"):
        control.approve(one.engine, one.config, HOST, key=None, max_users=None, now=NOW)
    take_out(one)
    assert (
        control.approve(one.engine, one.config, HOST, key=None, max_users=None, now=NOW).state == "approved"
    )
    assert book.read(one.engine, one.config).allowlist().find(HOST) is not None
    assert not holdings.holding(one.engine, one.config, HOST)
    assert one.served() == older
    # Taken out a second time, it is a new revert.
    take_out(one)
    assert len(reverts.newest(one.engine, HOST)) == 2


# -- sums under way -----------------------------------------------------------------------------------------


def test_an_open_sum_with_the_peer_is_given_up(one: Instance) -> None:
    tainted(one)
    journal = terms.aggregator_journal(one.config)
    raw = proposal(one, [*PEERS])
    journal.write(raw[0], "proposal", raw[1])
    other = proposal(one, [peer for peer in PEERS if peer.host != HOST])
    journal.write(other[0], "proposal", other[1])
    save_session(one.engine, SessionRecord(raw[0].hex(), "aggregator", "one.example", NOW - 9))
    assert any("open sum" in line for line in proof.prove(one.engine, one.config, HOST).problems)
    switch = out_of_service(one)
    assert switch.abandoned == (raw[0].hex(),)
    assert journal.sums() == [other[0]]


def proposal(one: Instance, roster: list[Identity]) -> tuple[bytes, bytes]:
    """Return a signed proposal of ours, its id and its bytes."""
    from daemon.identity import open_identity
    from federation.proposal import Proposal, SignedProposal, least_threshold

    identity = open_identity(one.config.identity_file, one.config.instance.host)
    asked = Proposal(
        aggregator=identity.host,
        roster=tuple(sorted((peer.public for peer in roster), key=lambda peer: peer.host)),
        threshold=least_threshold(len(roster)),
        trainer="gram-1",
        round=0,
        length=6,
        entry_bound=100,
        ring=32,
        nonce=os.urandom(16),
        created=int(NOW),
        expires=int(NOW) + 3600,
        noise=0,
        colluders=1,
        parameters=terms.parameters(one.config, 6),
        blobs={},
    )
    signed = SignedProposal.sign(asked, identity, terms.limits(one.config))
    return signed.sum_id, signed.raw


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
    peer = book.read(one.engine, one.config).find(HOST)
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
        os.environ[faults.VARIABLE] = point
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
    session = next(part.session_id for part in sums.parts(one.engine))
    assert (shown.model_sha256, shown.sums, shown.hosts) == (sha256, (session,), tuple(OTHERS))
    assert shown.sentence == (
        f"proof: no stored sum or model names {HOST}; served model {older} sha256 {sha256[:12]} was trained "
        f"from own viewers and sums [{session[:12]}] of [{', '.join(OTHERS)}]"
    )


def planted_sum(one: Instance) -> None:
    one.sum(9, [*OTHERS, HOST], verdict="quarantined")


def planted_model(one: Instance) -> None:
    one.model("federated", [*OTHERS, HOST], session_id=one.session(9, OTHERS), state="quarantined")


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
    peer = book.read(one.engine, one.config).find(HOST)
    assert peer is not None
    book.save(one.engine, replace(peer, state="approved"))


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
