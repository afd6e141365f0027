"""What would leave and what left: the report holds exactly that, and every kind of data has its sentence."""

from __future__ import annotations

import ast
import csv
import dataclasses
import hashlib
import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select, text
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.config import Config, load
from daemon.disclosure import data_kinds, share_export
from daemon.disclosure.share_report import ShareReport, gather
from daemon.errors import RequestError
from daemon.group.hosting import proxy_http
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.process.child import MAX_LINE, python_module
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import noisy, trainer_of, windows_of, write_counts
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import withdraw_viewers
from daemon.rounds.member_log import MemberLog
from daemon.rounds.own_statistics import own_viewers
from daemon.store import activity, traffic
from daemon.store.activity import SessionRecord
from daemon.store.engine import open_checked, reads
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.tables import Base, JobRun
from daemon.store.traffic import PeerTraffic
from daemon.store.viewers import Pseudonyms
from federation import messages
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.group import enrolment, epoch_document, epoch_opening, published
from federation.hello import Hello
from federation.http import CARD_PATH, MESSAGE_PATH
from federation.identity import Identity, PublicIdentity, format_key
from federation.node import MemberNode
from federation.proposal import BlobReference, Proposal
from models.trainer import PairCounting
from policies.allowlist import Allowlist
from policies.sharing import PARAMETERS, ROUNDS
from policies.window import Window
from tests import ROOT
from tests.daemon.running_daemon import instance

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
ASKS = PEERS[0]
VIDEOS, VIEWERS = 30, 24
HEAD = 8
"""Videos that everybody in the cohort watches enough for pairs, in `second_proposal`."""


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def url_of(number: int) -> str:
    return f"https://v.example/videos/watch/{number:03}"


def watches(viewer: int) -> list[int]:
    """Return the videos of a viewer: video n has about VIEWERS / (n + 1) viewers; the last have none."""
    return [n for n in range(VIDEOS - 5) if viewer % (n + 1) == 0]


EXACT = np.bincount([n for viewer in range(VIEWERS) for n in watches(viewer)], minlength=VIDEOS)


def write_config(folder: Path, *, mode: str = "contribute", peers: int = 4, extra: str = "") -> Config:
    named = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS[:peers]
    )
    path = instance(folder, extra=f'mode = "{mode}"')
    path.write_text(f"{path.read_text()}[sharing]\nmin_vocabulary = 2\n{extra or PRIVACY}\n{named}")
    return load(path)


PRIVACY = '[privacy]\nmin_video_age = "0s"\nmin_changed_users = 3'


def fill(engine: Engine, *, without: int | None = None, titles: str = "Film {}") -> None:
    with snapshot(engine, SECRET) as content:
        content.add_videos(VideoRow(url_of(n), f"{n}", titles.format(n)) for n in range(VIDEOS))
        content.add_engagements(
            EngagementRow(f"viewer {viewer}", url_of(n), liked=True, at=float(n))
            for viewer in range(VIEWERS)
            if viewer != without
            for n in watches(viewer)
        )
        # Public since long ago: old enough to count.
        content.describe(SourceFacts("dataset"), now=1.0, participants=VIEWERS)


@dataclass
class Place:
    """An instance that was asked for sums, without a daemon."""

    config: Config
    engine: Engine
    now: float = NOW
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def context(self) -> JobContext:
        return JobContext(self.config, self.engine, lambda _stage, _part: None, lambda: self.now, {})

    @property
    def identity(self) -> Identity:
        return open_identity(self.config.identity_file, self.config.instance.host)

    def share(self) -> ShareReport:
        return gather(self.config, self.engine, self.now)

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(self.share().as_json()))
        return found

    def first_proposal(self) -> Proposal:
        vocabulary = round_config.encode_vocabulary(tuple(url_of(n) for n in range(VIDEOS)))
        self.blobs = {round_config.VOCABULARY: vocabulary}
        members = sorted([self.identity.public, *(p.public for p in PEERS[1:])])
        return Proposal(
            aggregator=ASKS.host,
            roster=tuple(members),
            threshold=3,
            trainer="gram/1",
            round=0,
            length=VIDEOS,
            entry_bound=100_000,
            ring=32,
            nonce=bytes(16),
            created=int(self.now),
            expires=int(self.now) + 3600,
            noise=round_config.protection(self.config).counts_noise,
            parameters=round_config.parameters(self.config, VIDEOS),
            blobs={round_config.VOCABULARY: reference(vocabulary)},
        )

    def second_proposal(self, first: Proposal) -> Proposal:
        """Ask for the pairs of the videos that most of a made-up cohort watched."""
        # More than ours alone can be, noise included, and for all but the head too few.
        counts = np.where(np.arange(VIDEOS) < HEAD, 1000, 10).astype(np.int64)
        self.blobs[round_config.COUNTS] = write_counts(counts)
        trainer = trainer_of(first)
        state = trainer.advance(trainer.start(VIDEOS), counts)
        assert isinstance(state, PairCounting)
        assert state.head.tolist() == list(range(HEAD))
        blobs = {name: reference(blob) for name, blob in self.blobs.items()}
        return replace(
            first,
            round=1,
            parent=b"s" * 32,
            survivors=first.hosts,
            length=HEAD * (HEAD - 1) // 2,
            noise=first.parameters["pairs_noise"],
            blobs=blobs,
        )

    def give(self, proposal: Proposal, sum_id: bytes) -> NDArray[np.int64]:
        """Answer a sum up to the moment from which others can open it."""
        own = own_viewers(self.engine, self.config, now=self.now)
        blobs = {name: self.blobs[name] for name in proposal.blobs}
        windows = windows_of(self.context)
        vector = noisy(self.context, proposal, blobs, own, windows)
        ContributionLog(windows, self.engine, lambda: self.now).check(sum_id, proposal, Stage.SURVIVORS)
        return vector


def reference(blob: bytes) -> BlobReference:
    return BlobReference(hashlib.sha256(blob).digest(), len(blob))


def place_of(config: Config, **content: Any) -> Place:
    migrate(config.database)
    engine = open_checked(config.database)
    fill(engine, **content)
    return Place(config, engine)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = place_of(write_config(tmp_path / "one"))
    yield found
    found.engine.dispose()


# -- what would leave ---------------------------------------------------------------------------------------


def test_before_anybody_asked_the_exact_numbers_are_shown_and_no_hash(place: Place) -> None:
    report = place.report()
    following = report["next"]
    assert {video["url"]: video["users"] for video in following["videos"]} == {
        url_of(n): int(count) for n, count in enumerate(EXACT) if count
    }
    assert [v["users"] for v in following["videos"]] == sorted(EXACT[EXACT > 0].tolist(), reverse=True)
    assert following["videos"][0] == {"url": url_of(0), "title": "Film 0", "users": VIEWERS, "given": {}}
    assert (following["shown"], following["total"]) == (VIDEOS - 5, VIDEOS - 5)
    assert (following["users"], following["entries"], following["bytes"]) == (VIEWERS, VIDEOS, 4 * VIDEOS)
    assert following["sha256"] == ""
    assert following["aggregators"] == [peer.host for peer in PEERS]
    assert (report["windows"], report["left"], report["traffic"]) == ([], [], [])


def test_a_look_writes_nothing(place: Place) -> None:
    def everything() -> list[Any]:
        files_of = sorted(p.relative_to(place.config.data_dir) for p in place.config.data_dir.rglob("*"))
        with reads(place.engine) as connection:
            counts = [connection.execute(select(func.count()).select_from(t)).scalar() for t in TABLES]
        return [files_of, counts]

    before = everything()
    place.share()
    assert everything() == before


TABLES = list(Base.metadata.tables.values())


# -- what left ----------------------------------------------------------------------------------------------


def test_the_hash_is_that_of_the_vector_that_leaves_before_it_is_masked(place: Place) -> None:
    vector = place.give(place.first_proposal(), b"s" * 32)
    raw = vector.astype("<i4").tobytes()
    digest = hashlib.sha256(raw).hexdigest()
    report = place.report()
    (window,) = report["windows"]
    assert (window["aggregator"], window["state"]) == (ASKS.host, "open")
    assert window["vectors"] == [
        {"round": 0, "videos": VIDEOS, "entries": VIDEOS, "bytes": len(raw), "sha256": digest}
    ]
    (left,) = report["left"]
    assert left == {
        "at": NOW,
        "aggregator": ASKS.host,
        "session": (b"s" * 32).hex(),
        "round": 0,
        "videos": VIDEOS,
        "bytes": len(raw),
        "sha256": digest,
        "window_ends": window["ends"],
    }
    # The exact number of viewers stands beside the noisy one that was given.
    assert not np.array_equal(vector, EXACT)
    for video in report["next"]["videos"]:
        number = int(video["url"][-3:])
        assert (video["users"], video["given"]) == (EXACT[number], {ASKS.host: int(vector[number])})


def test_pairs_are_on_record_with_their_own_hash(place: Place, tmp_path: Path) -> None:
    first = place.first_proposal()
    place.give(first, b"s" * 32)
    pairs = place.give(place.second_proposal(first), b"t" * 32)
    digest = hashlib.sha256(pairs.astype("<i4").tobytes()).hexdigest()
    report = place.report()
    second = {"round": 1, "videos": HEAD, "entries": pairs.size, "bytes": 4 * pairs.size, "sha256": digest}
    assert report["windows"][0]["vectors"][1] == second
    (left,) = (one for one in report["left"] if one["round"] == 1)
    assert (left["sha256"], left["session"], left["videos"]) == (digest, (b"s" * 32).hex(), HEAD)
    done = run("share", "export", str(tmp_path / "p.csv"), "--pairs", ASKS.host, place=place)
    assert done == f"Wrote {pairs.size} pairs to {tmp_path / 'p.csv'}.\n"
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows[1] == [url_of(0), url_of(1), str(pairs[0])]
    assert [int(row[2]) for row in rows[1:]] == pairs.tolist()


def test_asked_again_the_same_vector_is_not_a_second_one(place: Place) -> None:
    first = place.first_proposal()
    place.give(first, b"s" * 32)
    before = place.report()
    place.give(replace(first, nonce=b"1" * 16), b"u" * 32)
    assert place.report() == before


def test_when_somebody_in_it_left_the_numbers_are_gone_and_the_hash_stays(place: Place) -> None:
    place.give(place.first_proposal(), b"s" * 32)
    before = place.report()
    fill(place.engine, without=0)
    assert withdraw_viewers(place.config, place.engine) == 1
    after = place.report()
    (window,) = after["windows"]
    assert (window["state"], window["vectors"]) == ("void", [])
    assert not any(video["given"] for video in after["next"]["videos"])
    assert after["left"] == before["left"]
    verdict = {one["policy"]: one for one in after["next"]["verdicts"]}["window"]
    assert not verdict["allowed"]
    assert f"{ASKS.host} gets nothing until" in verdict["sentence"]


def test_after_the_window_the_record_of_what_left_stays(place: Place) -> None:
    place.give(place.first_proposal(), b"s" * 32)
    place.now = NOW + 8 * 86400
    report = place.report()
    assert report["windows"][0]["state"] == "over"
    assert len(report["left"]) == 1


def test_a_restored_backup_counts_as_served_for_everybody(place: Place) -> None:
    place.give(place.first_proposal(), b"s" * 32)
    anchor = next(place.config.windows_dir.rglob("anchor*"))
    raw = anchor.read_bytes()
    anchor.unlink()
    anchor.write_bytes(raw)
    report = place.report()
    assert {window["state"] for window in report["windows"]} == {"served"}
    assert len(report["windows"]) == len(PEERS) + 1
    assert not any(window["vectors"] for window in report["windows"])


# -- rules --------------------------------------------------------------------------------------------------

RULES = ["members", "sharing", "cohort", "privacy", "window", "budget"]


def test_every_rule_has_its_verdict_and_its_reason(place: Place) -> None:
    found = place.report()["next"]["verdicts"]
    assert [one["policy"] for one in found] == RULES
    assert all(one["allowed"] for one in found), found
    for one in found:
        for told in (one["reason"], one["sentence"]):
            assert told.endswith((".", "shoal privacy show"))
            assert len(told) < 200


@pytest.mark.parametrize("rule", [Allowlist, Window])
def test_what_is_no_policy_of_proposals_has_a_reason_too(rule: Any) -> None:
    assert rule.name
    assert rule.reason.endswith(".")


@pytest.mark.parametrize(
    ("changes", "refusing", "told"),
    [
        ({"mode": "off"}, {"sharing"}, 'mode "off"'),
        ({"mode": "consume"}, {"sharing"}, 'mode "consume"'),
        ({"mode": "simulate"}, {"sharing"}, 'mode "simulate"'),
        ({"peers": 3}, {"cohort"}, "3 of the 3 members are approved here, 4 are needed"),
        ({"peers": 0}, {"members", "cohort"}, "Nobody is approved"),
        ({"extra": f"{PRIVACY}\nyearly_budget_user = 0.001"}, {"budget"}, "Spent: user"),
        ({"extra": f"{PRIVACY}\nyearly_budget_user = 1e6"}, set(), "room for the next sum"),
    ],
)
def test_a_rule_that_refuses_says_why_and_the_others_are_judged_all_the_same(
    tmp_path: Path, changes: dict[str, Any], refusing: set[str], told: str
) -> None:
    place = place_of(write_config(tmp_path / "one", **changes))
    found = place.report()["next"]["verdicts"]
    assert [one["policy"] for one in found] == RULES
    assert {one["policy"] for one in found if not one["allowed"]} == refusing
    assert any(told in one["sentence"] for one in found), found
    place.engine.dispose()


# -- as JSON, as files, on the terminal ---------------------------------------------------------------------


def test_a_report_fits_into_a_line_however_much_there_is(place: Place) -> None:
    place.give(place.first_proposal(), b"s" * 32)
    share = place.share()
    many = replace(
        share,
        titles=dict.fromkeys(share.vocabulary, "\N{SNOWMAN}" * 9_000),
        windows=tuple(replace(share.windows[0], aggregator=f"{n}.{'x' * 220}") for n in range(1000)),
        left=share.left * 5_000,
        traffic=tuple(PeerTraffic("2027-01", f"{n}.{'x' * 220}", 10**9, 10**9) for n in range(9_000)),
        next_sum=replace(
            share.next_sum,
            hosts=tuple(f"{n}.{'x' * 220}" for n in range(1000)),
            roster=tuple(PublicIdentity(f"{n}.{'x' * 220}", bytes(32)) for n in range(1000)),
        ),
    )
    report = many.as_json()
    assert len(json.dumps(report)) < MAX_LINE
    assert report["next"]["shown"] < report["next"]["total"] == VIDEOS - 5


def test_at_most_so_many_videos_are_shown(place: Place) -> None:
    report = place.share().as_json(most=3)
    assert [video["url"] for video in report["next"]["videos"]] == [url_of(n) for n in range(3)]
    assert (report["next"]["shown"], report["next"]["total"]) == (3, VIDEOS - 5)


def test_a_table_has_every_video_and_what_is_no_formula(tmp_path: Path) -> None:
    place = place_of(write_config(tmp_path / "one"), titles='=HYPERLINK("http://evil.example",{})')
    vector = place.give(place.first_proposal(), b"s" * 32)
    path = tmp_path / "share.csv"
    assert share_export.write(place.share(), path) == VIDEOS
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header == ["video", "title", "viewers", f"given to {ASKS.host}"]
    assert {row[0]: (int(row[2]), int(row[3])) for row in rows} == {
        url_of(n): (EXACT[n], vector[n]) for n in range(VIDEOS)
    }
    assert all(row[1].startswith("'=") for row in rows)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(RequestError, match="exists already"):
        share_export.write(place.share(), path)
    with pytest.raises(RequestError, match="neither in"):
        share_export.write(place.share(), tmp_path / "share.txt")
    place.engine.dispose()


def test_a_json_file_has_everything(place: Place, tmp_path: Path) -> None:
    vector = place.give(place.first_proposal(), b"s" * 32)
    path = tmp_path / "share.json"
    share_export.write(place.share(), path)
    found = json.loads(path.read_text())
    videos = {video["url"]: video for video in found["next"]["videos"]}
    assert len(videos) == found["next"]["shown"] == VIDEOS
    assert [videos[url_of(n)]["given"][ASKS.host] for n in range(VIDEOS)] == vector.tolist()
    report = place.report()
    assert {**found, "next": None} == {**report, "next": None}


def run(*words: str, place: Place, columns: int = 80, status: int = 0) -> str:
    """Return what a command prints."""
    folder = str(place.config.data_dir)
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*words, "-c", folder])
    assert done.exit_code == status, done.output
    return done.stdout


def test_the_page_says_it_in_words(place: Place) -> None:
    before = run("share", "show", place=place)
    assert "No aggregator has anything." in before
    assert "Nothing has left so far." in before
    vector = place.give(place.first_proposal(), b"s" * 32)
    traffic.add(place.engine, traffic.month_of(NOW), ASKS.host, 6_100, 26_800)
    page = run("share", "show", "--videos", "3", place=place)
    digest = hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest()
    flat = " ".join(page.split())
    assert f"GIVEN TO {ASKS.host} VIDEO {VIEWERS} {vector[0]} Film 0" in flat
    assert f"and {VIDEOS - 8} more: shoal share export FILE" in flat
    assert digest in flat
    assert f"session {'73' * 6}, {4 * VIDEOS} B, sha256 {digest[:16]}" in flat
    assert "6.1 kB 26.8 kB" in flat
    assert "REFUSES" not in flat


def test_what_left_in_one_session(place: Place) -> None:
    vector = place.give(place.first_proposal(), b"s" * 32)
    activity.save_session(place.engine, SessionRecord("73" * 32, "member", ASKS.host, NOW))
    page = " ".join(run("share", "show", "--session", "737373", place=place).split())
    assert f"counts of {VIDEOS} videos to {ASKS.host}" in page
    assert hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest() in page
    activity.save_session(place.engine, SessionRecord("99" * 32, "member", ASKS.host, NOW))
    assert "Nothing of this instance's viewers" in run("share", "show", "--session", "999999", place=place)


def test_the_job_answers_with_it_and_leaves_no_record(place: Place) -> None:
    path = place.config.data_dir / "shoal.toml"
    command, environment = python_module("daemon.jobs", "share", "--config", str(path))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    event = json.loads(done.stdout.splitlines()[-1])
    assert event["event"] == "done"
    assert event["result"]["next"]["total"] == VIDEOS - 5
    assert "Film" not in done.stderr
    with reads(place.engine) as connection:
        assert connection.execute(select(func.count()).select_from(JobRun)).scalar() == 0


def test_titles_are_not_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place.give(place.first_proposal(), b"s" * 32)
    place.report()
    assert "Film" not in caplog.text
    assert "/videos/watch/" not in caplog.text


# -- bytes --------------------------------------------------------------------------------------------------


def test_bytes_add_up_by_month_and_peer(place: Place) -> None:
    january, february = "2027-01", "2027-02"
    assert traffic.month_of(NOW) == january
    assert traffic.month_of(NOW + 30 * 86400) == february
    traffic.add(place.engine, january, "a.example", 10, 1)
    traffic.add_all(place.engine, january, {"a.example": (5, 2), "b.example": (0, 9), "c.example": (0, 0)})
    traffic.add(place.engine, february, "a.example", 1, 1)
    assert [tuple(vars(one).values()) for one in traffic.months(place.engine)] == [
        (february, "a.example", 1, 1),
        (january, "a.example", 15, 3),
        (january, "b.example", 0, 9),
    ]
    assert [one.month for one in traffic.months(place.engine, since=february)] == [february]
    assert traffic.prune(place.engine, before=february) == 2
    assert len(place.report()["traffic"]) == 1


# -- the record of a member ---------------------------------------------------------------------------------


@pytest.fixture
def member(place: Place) -> MemberLog:
    config = place.config
    node = MemberNode(
        place.identity,
        round_config.member_journal(config),
        peer=lambda _host: None,
        check_policies=lambda _proposal: None,
        clock=lambda: place.now,
        random=bytes,
        limits=round_config.limits(config),
    )
    return MemberLog(place.engine, place.identity, node, lambda: place.now)


def test_what_the_rules_refused_is_an_entry_once_a_day(place: Place, member: MemberLog) -> None:
    proposal = place.first_proposal()
    for hour in range(30):
        place.now = NOW + 3600 * hour
        member.refused(proposal, Refusal(Code.NOISE_TOO_LOW, "noise of variance 0 is proposed"))
    member.refused(proposal, Refusal(Code.COHORT_TOO_SMALL, "2 of the 3 members are approved here"))
    found = [e for e in ledger.entries(place.engine) if e.kind == Kind.REFUSED]
    assert [e.details["code"] for e in found] == ["noise-too-low", "noise-too-low", "cohort-too-small"]
    assert {e.subject for e in found} == {ASKS.host}
    assert ledger.verify(place.engine, place.identity.public).ok


def test_a_session_that_its_aggregator_left_is_an_entry_with_what_was_given(
    place: Place, member: MemberLog
) -> None:
    vector = place.give(place.first_proposal(), b"s" * 32)
    known = SessionRecord((b"s" * 32).hex(), "member", ASKS.host, NOW, roster=["me.example"])
    activity.save_session(place.engine, known)
    activity.save_session(place.engine, SessionRecord("99" * 32, "aggregator", "one.example", NOW))
    member.close_left()
    member.close_left()
    (entry,) = (e for e in ledger.entries(place.engine) if e.kind == Kind.SESSION)
    assert (entry.subject, entry.details["outcome"]) == (known.id, "abandoned")
    digest = hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest()
    assert entry.details["given"] == [{"round": 0, "sha256": digest, "bytes": 4 * VIDEOS, "noise": 16}]
    assert activity.session(place.engine, "99" * 32).outcome == "running"  # type: ignore[union-attr]


def test_a_member_whose_key_was_replaced_still_answers(
    place: Place, member: MemberLog, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.rotate(place.engine, place.identity, Identity("one.example", b"n" * 32), NOW)
    member.refused(place.first_proposal(), Refusal(Code.NOISE_TOO_LOW, "none"))
    assert "no entry in the ledger" in caplog.text


# -- kinds of data ------------------------------------------------------------------------------------------


def standing_for(attribute: str) -> set[Any]:
    return {part for kind in data_kinds.DATA_KINDS for part in getattr(kind, attribute)}


def test_every_message_between_instances_is_of_a_kind() -> None:
    assert standing_for("stages") == set(Stage)
    # What a masked vector says depends on the round, of which the trainer knows these.
    assert standing_for("rounds") == set(range(len(ROUNDS)))


def test_every_field_of_every_message_is_of_a_kind() -> None:
    payloads: list[Any] = [
        value
        for value in vars(messages).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == messages.__name__
    ]
    assert len(payloads) >= 4
    payloads += [
        value
        for module in (enrolment, epoch_document, epoch_opening, published)
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == module.__name__
    ]
    assert len(payloads) >= 14
    fields = {f"{c.__name__}.{f.name}" for c in [*payloads, Hello, Proposal] for f in dataclasses.fields(c)}
    fields |= {f"Listed.{name}" for name in epoch_opening.Listed._fields}
    names = (published.proposal_blob, published.counts_blob, published.pairs_blob)
    fields |= {f"blobs.{name(0).replace('0', 'N')}" for name in names} | {f"blobs.{published.HEAD}"}
    fields |= {f"parameters.{name}" for name in PARAMETERS}
    fields |= {f"blobs.{name}" for blobs in ROUNDS for name in blobs}
    assert standing_for("fields") == fields | {"Refusal.code", "Refusal.sentence"}


def test_every_route_that_others_can_call_is_of_a_kind(place: Place) -> None:
    """Those of the listener for peers, and those of the plugin that need no account."""
    served = {MESSAGE_PATH, CARD_PATH}
    listener = (ROOT / "federation/http/listener.py").read_text()
    assert set(re.findall(r"web\.(?:get|post|put)\((\w+)", listener)) == {"MESSAGE_PATH", "CARD_PATH"}
    for path in (ROOT / "peertube-plugin/server").glob("*.js"):
        served |= set(re.findall(r"router\.\w+\(\s*'([^']+)',\s*guards\.everybody", path.read_text()))
    assert len(served) > 2
    # What members call at the listener of a group's host, and what everybody can.
    assert set(data_kinds.FLEET) == {f"/v1/fleet/{method}" for method in proxy_http.METHODS}
    assert proxy_http.read_request(b"GET /health HTTP/1.1\r\n\r\n") is not None
    assert standing_for("routes") == served | {*data_kinds.FLEET, "/health"}


ASKS_FOR = {
    "daemon.cli.instance": "enrolment",
    "daemon.group.learning": "receipts",
    "daemon.group.membership.host_client": "enrolment",
    "daemon.group.membership.join_and_leave": "enrolment",
    "daemon.group.membership.key_verification": "questions",
    "daemon.peers.candidates": "questions",
    "daemon.peers.cards": "questions",
    "daemon.peers.contact_job": "hello",
    "daemon.rounds.aggregate_job": "terms",
    "daemon.serve.admin.group_keys": "enrolment",
    "daemon.serve.federation_app": "keys",
    "daemon.serve.group_supervisor": "enrolment",
}
"""Which kind of data leaves when a module asks others over HTTP."""
NOT_LEAVING = {
    "daemon.source.peertube_client": "asks our own PeerTube",
    "daemon.lab.demo.processes": "runs a demo on this machine",
    "daemon.lab.demo.group": "runs a demo on this machine",
    "daemon.group.hosting.proxy_upstream": "asks our own SuperLink",
}
_ASKING = re.compile(r"\b(ClientSession|PeerClient|new_session|urlopen|open_connection|create_connection)\b")


def test_every_module_that_asks_others_is_of_a_kind() -> None:
    asking = set()
    for path in (ROOT / "daemon").rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        names |= {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        if any(_ASKING.fullmatch(name) for name in names):
            asking.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert set(ASKS_FOR) == asking - set(NOT_LEAVING)
    assert set(ASKS_FOR.values()) <= {kind.id for kind in data_kinds.DATA_KINDS}
    assert set(NOT_LEAVING) <= asking


def test_the_readme_has_the_list_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert data_kinds.written_into(readme) == readme
    assert readme.count(data_kinds.block()) == 1


def test_the_api_and_the_command_tell_the_same_kinds(place: Place) -> None:
    told = [kind.as_json() for kind in data_kinds.DATA_KINDS]
    assert place.report()["kinds"] == told
    done = CliRunner().invoke(app, ["share", "kinds", "-o", "json"])
    assert json.loads(done.stdout) == told
    assert len({kind["id"] for kind in told}) == len(told)
    assert all(kind["sentence"].endswith(".") for kind in told)


def test_a_list_is_only_written_between_its_marks() -> None:
    assert (
        data_kinds.written_into(f"a\n{data_kinds.BEGIN}\nold\n{data_kinds.END}\nb")
        == f"a\n{data_kinds.block()}\nb"
    )
    for broken in (
        "",
        data_kinds.BEGIN,
        data_kinds.END,
        data_kinds.END + data_kinds.BEGIN,
        2 * (data_kinds.BEGIN + data_kinds.END),
    ):
        with pytest.raises(ValueError, match="marks"):
            data_kinds.written_into(broken)


def test_an_older_record_of_what_left_has_no_hash(place: Place) -> None:
    place.give(place.first_proposal(), b"s" * 32)
    with place.engine.begin() as connection:
        connection.execute(text("UPDATE releases SET vector_sha256 = '', bytes = 0"))
    assert "before hashes were kept" in run("share", "show", place=place)
