"""What would leave and what left: the report holds exactly that."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic_core import to_json
from sqlalchemy import func, select

from daemon.disclosure import share_export
from daemon.errors import RequestError
from daemon.process.child import MAX_LINE, python_module
from daemon.rounds import own_release
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.sentences import english
from daemon.store import activity, traffic
from daemon.store.activity import RoundRecord
from daemon.store.engine import reads
from daemon.store.releases import OWN
from daemon.store.tables import Base, JobRun
from daemon.store.traffic import PeerTraffic
from federation.identity import PublicIdentity
from models.weights import UNIT
from policies.allowlist import Allowlist
from policies.window import Window
from tests.daemon.disclosure.sharing_instance import (
    ASKS,
    EXACT,
    HEAD,
    NOW,
    PAIRS,
    PEERS,
    PRIVACY,
    VIDEOS,
    VIEWERS,
    Place,
    fill,
    place_of,
    run,
    url_of,
    write_config,
)

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
    assert (following["users"], following["vocabulary"]) == (VIEWERS, VIDEOS)
    assert following["head_at_most"] == VIDEOS
    most = VIDEOS * (VIDEOS - 1) // 2
    assert (following["pairs_at_most"], following["bytes_at_most"]) == (most, 4 * (VIDEOS + most))
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
    vector = place.give(place.proposal(), b"s" * 32)
    raw = vector.astype("<i4").tobytes()
    digest = hashlib.sha256(raw).hexdigest()
    report = place.report()
    (window,) = report["windows"]
    assert (window["aggregator"], window["state"]) == (ASKS.host, "open")
    size = {"vocabulary": VIDEOS, "head": HEAD, "bytes": len(raw), "sha256": digest}
    assert window["vector"] == {**size, "entries": VIDEOS + PAIRS}
    (left,) = report["left"]
    assert left == {
        **size,
        "at": NOW,
        "aggregator": ASKS.host,
        "round": (b"s" * 32).hex(),
        "window_ends": window["ends"],
    }
    # The exact number of viewers stands beside the noisy one that was given.
    assert not np.array_equal(vector[:VIDEOS], EXACT)
    for video in report["next"]["videos"]:
        number = int(video["url"][-3:])
        assert (video["users"], video["given"]) == (EXACT[number], {ASKS.host: vector[number] / UNIT})


def test_pairs_of_the_head_can_be_read(place: Place, tmp_path: Path) -> None:
    pairs = place.give(place.proposal(), b"s" * 32)[VIDEOS:]
    done = run("share", "export", str(tmp_path / "p.csv"), "--pairs", ASKS.host, place=place)
    assert done == f"Wrote {PAIRS} pairs to {tmp_path / 'p.csv'}.\n"
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows[1] == [url_of(0), url_of(1), str(pairs[0] / UNIT)]
    assert [float(row[2]) for row in rows[1:]] == (pairs / UNIT).tolist()


def test_what_is_drawn_and_has_not_left_is_told_as_such(place: Place) -> None:
    first = place.prepare(place.proposal())
    report = place.report()
    assert [(window["state"], window["vector"]) for window in report["windows"]] == [("prepared", None)]
    assert report["left"] == []
    assert not any(video["given"] for video in report["next"]["videos"])
    assert "has no pairs in" in run("share", "export", "p.csv", "--pairs", ASKS.host, place=place, status=2)
    window_rule = {one["policy"]: one for one in report["next"]["verdicts"]}["window"]
    assert (window_rule["allowed"], "gets" in english(*window_rule["sentences"]).split(",")[0]) == (
        True,
        True,
    )
    assert ASKS.host not in english(*window_rule["sentences"])
    # A proposal on other terms is counted anew, with other noise.
    second = place.give(replace(place.proposal(), entry_bound=90_000), b"t" * 32)
    assert not np.array_equal(first, second)
    assert [window["state"] for window in place.report()["windows"]] == ["open"]


def test_once_its_sum_is_opened_an_aggregator_gets_nothing_more(place: Place) -> None:
    proposal = place.proposal()
    place.give(proposal, b"s" * 32)
    place.log.release(proposal, proposal.hosts[:3])
    report = place.report()
    (window,) = report["windows"]
    assert window["state"] == "given"
    assert window["vector"] is not None
    rule = {one["policy"]: one for one in report["next"]["verdicts"]}["window"]
    assert rule["allowed"]
    assert english(*rule["sentences"]).startswith(f"{ASKS.host} gets nothing new until ")
    assert "Whoever else asks gets a vector with fresh noise" in english(*rule["sentences"])
    for peer in PEERS[1:]:
        other = place.proposal(aggregator=peer.host)
        place.give(other, peer.host.encode().ljust(32, b"."))
        place.log.release(other, other.hosts[:3])
    rule = {one["policy"]: one for one in place.report()["next"]["verdicts"]}["window"]
    assert not rule["allowed"]
    assert "Whoever else" not in english(*rule["sentences"])
    assert "1 more likewise" in english(*rule["sentences"])


def test_its_own_release_is_on_record_and_goes_to_nobody(place: Place, tmp_path: Path) -> None:
    found = own_release.current(place.context)
    assert found is not None
    vocabulary, size = found.question.vocabulary, len(found.question.head)
    assert vocabulary == tuple(url_of(n) for n in range(VIDEOS))
    report = place.report()
    (left,) = report["left"]
    assert (left["aggregator"], left["round"], left["vocabulary"], left["head"]) == (OWN, "", VIDEOS, size)
    (window,) = report["windows"]
    assert (window["aggregator"], window["state"]) == (OWN, "open")
    assert window["vector"]["entries"] == VIDEOS + size * (size - 1) // 2 + 1
    # Nobody asks for it, so it keeps nothing from anybody.
    assert OWN not in english(
        *{one["policy"]: one for one in report["next"]["verdicts"]}["window"]["sentences"]
    )
    assert OWN not in report["next"]["aggregators"]
    share_export.write(place.share(), tmp_path / "share.csv")
    header, *rows = csv.reader((tmp_path / "share.csv").read_text().splitlines())
    assert header == ["video", "title", "viewers", OWN]
    assert {row[0]: float(row[3]) for row in rows} == dict(
        zip(vocabulary, (found.counts / UNIT).tolist(), strict=True)
    )
    page = " ".join(run("share", "show", "--videos", "1", place=place).split())
    assert f"counts of {VIDEOS} videos, pairs of a head of {size} videos in our own release" in page
    assert f"VIEWERS OWN RELEASE VIDEO {VIEWERS} {found.counts[0] / UNIT:.1f} Film 0" in page
    assert "The same numbers are used until" in page


def test_asked_again_the_same_vector_is_not_a_second_one(place: Place) -> None:
    proposal = place.proposal()
    place.give(proposal, b"s" * 32)
    before = place.report()
    place.give(replace(proposal, nonce=b"1" * 16), b"u" * 32)
    assert place.report() == before


def test_when_somebody_in_it_left_the_numbers_are_gone_and_the_hash_stays(place: Place) -> None:
    place.give(place.proposal(), b"s" * 32)
    before = place.report()
    fill(place.engine, without=0)
    assert withdraw_viewers(place.config, place.engine, lambda: place.now) == 1
    after = place.report()
    (window,) = after["windows"]
    assert (window["state"], window["vector"]) == ("void", None)
    assert not any(video["given"] for video in after["next"]["videos"])
    assert after["left"] == before["left"]
    verdict = {one["policy"]: one for one in after["next"]["verdicts"]}["window"]
    assert f"{ASKS.host} gets nothing new until" in english(*verdict["sentences"])


def test_after_the_window_the_record_of_what_left_stays(place: Place) -> None:
    place.give(place.proposal(), b"s" * 32)
    place.now = NOW + 8 * 86400
    report = place.report()
    assert report["windows"][0]["state"] == "over"
    assert len(report["left"]) == 1


def test_a_restored_backup_counts_as_served_for_everybody(place: Place) -> None:
    place.give(place.proposal(), b"s" * 32)
    anchor = next(place.config.windows_dir.rglob("anchor*"))
    raw = anchor.read_bytes()
    anchor.unlink()
    anchor.write_bytes(raw)
    report = place.report()
    assert {window["state"] for window in report["windows"]} == {"served"}
    assert len(report["windows"]) == len(PEERS) + 1
    assert not any(window["vector"] for window in report["windows"])


# -- rules --------------------------------------------------------------------------------------------------

RULES = ["members", "sharing", "cohort", "privacy", "window", "budget"]


def test_every_rule_has_its_verdict_and_its_reason(place: Place) -> None:
    found = place.report()["next"]["verdicts"]
    assert [one["policy"] for one in found] == RULES
    assert all(one["allowed"] for one in found), found
    for one in found:
        for told in (one["reason"], english(*one["sentences"])):
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
    assert any(told in english(*one["sentences"]) for one in found), found
    place.engine.dispose()


# -- as JSON, as files, on the terminal ---------------------------------------------------------------------


def test_a_report_fits_into_a_line_however_much_there_is(place: Place) -> None:
    place.give(place.proposal(), b"s" * 32)
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
    report = many.answer()
    assert len(to_json(report)) < MAX_LINE
    assert report["next"]["total"] == VIDEOS - 5


def test_no_more_videos_are_shown_than_asked_for(place: Place) -> None:
    report = place.share().with_videos(3)
    assert [video.url for video in report["next"]["videos"]] == [url_of(n) for n in range(3)]
    assert (report["next"]["shown"], report["next"]["total"]) == (3, VIDEOS - 5)


def test_a_table_has_every_video_and_what_is_no_formula(tmp_path: Path) -> None:
    place = place_of(write_config(tmp_path / "one"), titles='=HYPERLINK("http://evil.example",{})')
    vector = place.give(place.proposal(), b"s" * 32)
    path = tmp_path / "share.csv"
    assert share_export.write(place.share(), path) == VIDEOS
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header == ["video", "title", "viewers", f"given to {ASKS.host}"]
    assert {row[0]: (int(row[2]), float(row[3])) for row in rows} == {
        url_of(n): (EXACT[n], vector[n] / UNIT) for n in range(VIDEOS)
    }
    assert all(row[1].startswith("'=") for row in rows)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(RequestError, match="exists already"):
        share_export.write(place.share(), path)
    with pytest.raises(RequestError, match="neither in"):
        share_export.write(place.share(), tmp_path / "share.txt")
    place.engine.dispose()


def test_a_json_file_has_everything(place: Place, tmp_path: Path) -> None:
    vector = place.give(place.proposal(), b"s" * 32)
    path = tmp_path / "share.json"
    share_export.write(place.share(), path)
    found = json.loads(path.read_text())
    videos = {video["url"]: video for video in found["next"]["videos"]}
    assert len(videos) == found["next"]["shown"] == VIDEOS
    assert [videos[url_of(n)]["given"][ASKS.host] for n in range(VIDEOS)] == (vector[:VIDEOS] / UNIT).tolist()
    report = place.report()
    assert {**found, "next": None} == {**report, "next": None}


def test_the_page_says_it_in_words(place: Place) -> None:
    before = run("share", "show", place=place)
    assert "No aggregator has anything." in before
    assert "Nothing has left so far." in before
    vector = place.give(place.proposal(), b"s" * 32)
    traffic.add(place.engine, traffic.month_of(NOW), ASKS.host, 6_100, 26_800)
    page = run("share", "show", "--videos", "3", place=place)
    digest = hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest()
    flat = " ".join(page.split())
    assert f"GIVEN TO {ASKS.host} VIDEO {VIEWERS} {vector[0] / UNIT:.1f} Film 0" in flat
    assert f"and {VIDEOS - 8} more: shoal share export FILE" in flat
    assert digest in flat
    assert f"counts of {VIDEOS} videos, pairs of a head of {HEAD} videos to {ASKS.host}" in flat
    assert f"round {'73' * 6}, {4 * (VIDEOS + PAIRS)} B, sha256 {digest[:16]}" in flat
    assert "6.1 kB 26.8 kB" in flat
    assert "REFUSES" not in flat


def test_what_left_in_one_round(place: Place) -> None:
    vector = place.give(place.proposal(), b"s" * 32)
    activity.save_round(place.engine, RoundRecord("73" * 32, "member", ASKS.host, NOW))
    page = " ".join(run("share", "show", "--round", "737373", place=place).split())
    assert f"counts of {VIDEOS} videos, pairs of a head of {HEAD} videos to {ASKS.host}" in page
    assert hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest() in page
    activity.save_round(place.engine, RoundRecord("99" * 32, "member", ASKS.host, NOW))
    assert "Nothing of this instance's viewers" in run("share", "show", "--round", "999999", place=place)


def test_the_job_answers_with_it_and_leaves_no_record(place: Place, tmp_path: Path) -> None:
    path, videos = place.config.data_dir / "shoal.toml", tmp_path / "videos"
    to_file = ("--argument", f"videos={videos}")
    command, environment = python_module("daemon.jobs", "share", "--config", str(path), *to_file)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    event = json.loads(done.stdout.splitlines()[-1])
    assert event["event"] == "done"
    assert event["result"]["next"]["total"] == VIDEOS - 5
    # Videos are in the file alone, which nobody else can read.
    assert "Film" not in done.stdout
    lines = [json.loads(line) for line in videos.read_text().splitlines()]
    assert [(one["url"], one["users"]) for one in lines][:3] == [(url_of(n), EXACT[n]) for n in range(3)]
    assert len(lines) == VIDEOS - 5
    assert videos.stat().st_mode & 0o077 == 0
    assert "Film" not in done.stderr
    with reads(place.engine) as connection:
        assert connection.execute(select(func.count()).select_from(JobRun)).scalar() == 0


def test_titles_are_not_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place.give(place.proposal(), b"s" * 32)
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
