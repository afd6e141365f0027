"""The admin API of a real daemon: every answer against its own description, every order carried out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import pytest
from openapi_spec_validator import validate
from sqlalchemy import Engine, delete, insert

from daemon.identity import open_identity
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.routes import ROUTES
from daemon.serve.admin.videos import search
from daemon.store import model_records
from daemon.store.engine import open_checked, writes
from daemon.store.tables import IntroductionRow, Video, VideoTag
from federation.identity import Identity, format_key
from federation.key_words import words
from models.labels import Labels
from tests.daemon.daemon_with_history import ASKS, AWAY, BAD, GOOD, furnish
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import Daemon, daemon, instance, until
from tests.daemon.serve.admin.description import check
from tests.daemon.small_dataset import write_set

pytestmark = pytest.mark.daemon

KEY = format_key(GOOD.public.key)


@dataclass
class World:
    """A daemon with a past, a second one to get to know, and which routes were seen to keep their word."""

    daemon: Daemon
    other: Daemon
    engine: Engine
    description: dict[str, Any]
    seen: set[tuple[str, str]] = field(default_factory=set)

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Shoal-Admin": (self.daemon.config.parent / "admin.token").read_text()}

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        return self.daemon.call(f"{PREFIX}/{path}", body=body, headers=self.headers, timeout=240)

    def good(self, path: str, body: Any = None, *, route: str = "", status: int = 200) -> Any:
        """Ask, and hold the answer to what the description says about it."""
        found, answer = self.ask(path, body)
        assert found == status, answer
        method, template = "get" if body is None else "post", PREFIX + "/" + (route or path.split("?")[0])
        responses = self.description["paths"][template][method]["responses"]
        check(answer, responses[str(status)], self.description)
        self.seen.add((method, template))
        return answer

    def bad(self, path: str, body: Any = None) -> tuple[int, str]:
        """Ask for what cannot be; the answer has the form that the description names."""
        status, answer = self.ask(path, body)
        problem = {"$ref": "#/components/schemas/Problem"}
        check(answer, {"content": {"application/json": {"schema": problem}}}, self.description)
        assert answer["advice"]
        return status, answer["code"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    config = instance(folder, source=write_set(folder / "set"))
    assert run_here("sync", config).ok
    engine = open_checked(folder / "shoal.db")
    furnish(folder, engine)
    with ExitStack() as stack:
        running = stack.enter_context(daemon(config))
        other = instance(tmp_path_factory.mktemp("other"), host="two.example", extra='mode = "consume"')
        second = stack.enter_context(daemon(other))
        token = (folder / "admin.token").read_text()
        status, description = running.call("/v1/admin/openapi.json", headers={"X-Shoal-Admin": token})
        assert status == 200
        yield World(running, second, engine, description)
    engine.dispose()


def test_the_description_is_valid_and_names_everything_that_is_served(world: World) -> None:
    validate(world.description)
    named = {(m, path) for path, item in world.description["paths"].items() for m in item}
    assert named == {(row.method.lower(), PREFIX + row.path) for row in ROUTES}
    ids = [op["operationId"] for item in world.description["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))
    world.good("openapi.json")


def test_everything_can_be_looked_at(world: World) -> None:
    for path in (
        "overview",
        "timeline",
        "jobs",
        "effects",
        "peers",
        "network",
        "group",
        "reverts",
        "share",
        "rounds",
        "models",
        "suspects",
        "ledger",
        "settings",
        "settings/levels",
        "start",
        "share/videos?limit=3",
    ):
        world.good(path)
    world.good("videos?q=private")
    video = world.good("videos?q=TITLE&limit=1")["videos"][0]
    for name in ("uuid", "url"):
        related = world.good(f"related?video={quote(video[name])}")["videos"]
        assert len(related) == 10
        assert all(item["title"].startswith("Private title") for item in related)
        parts = [part for item in related for part in item["parts"]]
        assert "tag" in {part["kind"] for part in parts}
        assert any(part["place"] != place for place, item in enumerate(related, 1) for part in item["parts"])


def test_what_a_model_would_change_is_told_by_lists(world: World) -> None:
    found = world.good("models/1-federated/lists", route="models/{id}/lists")
    assert (found["model"], found["served"]) == ("1-federated", "0-federated")
    assert len(found["lists"]) == 3
    assert found["differ"] <= found["of"]
    for one in found["lists"]:
        assert one["title"].startswith("Private title")
        assert len(one["before"]) == len(one["after"]) == 5
    same = world.good("models/0-federated/lists", route="models/{id}/lists")
    assert same["differ"] == 0
    assert world.bad("models/none/lists") == (400, "bad-request")
    assert world.bad("models/..%2f..%2fx/lists") == (400, "bad-request")


def test_the_overview_says_who_this_is_what_serves_and_what_waits(world: World) -> None:
    overview = world.good("overview")
    public = open_identity(world.daemon.config.parent / "identity.key", "one.example", create=False).public
    assert overview["words"] == list(words(public.key))
    assert overview["model"]["id"] == "0-federated"
    assert overview["model"]["survivors"] == [GOOD.host, BAD.host]
    assert overview["model"]["videos"] == 40
    assert (overview["cohort"]["approved"], overview["cohort"]["mutual"]) == (3, 2)
    waiting = {(notice["kind"], notice["subject"]) for notice in overview["notices"]}
    assert waiting == {
        ("peer-request", ASKS.host),
        ("key-changed", BAD.host),
        ("unreachable", AWAY.host),
        ("quarantine", "1" * 64),
        ("awaiting", "1-federated"),
        ("budget", "one.example"),
    }
    assert [(p["local"], p["federated"]) for p in overview["quality"]] == [(0.25, 0.5), (None, 0.75)]


def test_each_notice_is_told_once_in_the_log_and_counted(world: World) -> None:
    until(lambda: world.daemon.logged().count("for the admin") == 6)
    _, metrics = world.daemon.call("/metrics", admin=True)
    for kind in ("peer-request", "key-changed", "unreachable", "quarantine", "awaiting", "budget"):
        assert f'shoal_notices{{kind="{kind}"}} 1.0' in metrics
        assert world.daemon.logged().count(f"code={kind} ") == 1
    assert 'shoal_peers{state="approved"} 3.0' in metrics
    assert 'shoal_round_ended_timestamp_seconds{outcome="done",role="aggregator"}' in metrics
    for host in (ASKS.host, GOOD.host):
        assert host not in metrics
    assert GOOD.host in world.daemon.call("/v1/status", admin=True)[1]["peers"]
    assert ".example" not in str(world.daemon.call("/v1/status")[1] | {"host": ""})


def test_rounds_tell_which_run_they_belong_to(world: World) -> None:
    found = {one["id"][0]: one for one in world.good("rounds?limit=10")["rounds"]}
    # Summed as one cohort, it was no sub-cohort of anything.
    assert (found["0"]["run"], found["0"]["sub_cohort"]) == ("0" * 64, None)
    assert (found["f"]["run"], found["f"]["sub_cohort"]) == ("", None)
    assert len(world.good("rounds?limit=1")["rounds"]) == 1


def test_the_ledger_is_told_page_by_page_and_a_change_shows(world: World) -> None:
    first = world.good("ledger?limit=1")
    assert (first["verified"], first["problem"], first["next"]) == (True, "", 1)
    rest = world.good(f"ledger?after={first['next']}&limit=500")
    assert [entry["seq"] for entry in rest["entries"]] == list(range(2, len(rest["entries"]) + 2))
    assert rest["next"] is None
    added = [entry for entry in rest["entries"] if entry["kind"] == "peer-added"]
    assert [entry["subject"] for entry in added] == [GOOD.host]


def test_titles_of_videos_that_are_no_longer_public_are_not_told(world: World) -> None:
    found = world.good("videos?q=title+7+%28")["videos"]
    before = [video for video in found if video["title"] == "Private title 7 (2007)"]
    ids = [row.id for row in _rows(world.engine) if row.url == before[0]["url"]]
    with writes(world.engine) as connection:
        connection.execute(delete(VideoTag).where(VideoTag.video_id.in_(ids)))
        connection.exec_driver_sql(f"DELETE FROM engagements WHERE video_id = {ids[0]}")
        connection.execute(delete(Video).where(Video.id.in_(ids)))
    assert before[0] not in world.good("videos?q=title+7+%28")["videos"]
    for video in world.good("videos?q=title&limit=50")["videos"]:
        for item in world.good(f"related?video={quote(video['url'])}&limit=40")["videos"]:
            assert (item["title"] == "") == (item["url"] == before[0]["url"])


def _rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT id, url FROM videos").all())


def test_an_instance_is_got_to_know_approved_paused_and_removed(world: World) -> None:
    where = f"http://{world.other.running.federation}"
    peer = world.good("peers", {"host": "two.example", "url": where})
    key = open_identity(world.other.config.parent / "identity.key", "two.example", create=False).public.key
    assert (peer["state"], peer["key"], peer["words"]) == ("candidate", format_key(key), list(words(key)))
    route = "peers/{host}/approve"
    assert world.bad("peers/two.example/approve", {"key": KEY}) == (403, "refused")
    assert world.good("peers")["cohort"]["approved"] == 3
    peer = world.good("peers/two.example/approve", {"key": peer["key"], "max_users": 70}, route=route)
    assert (peer["state"], peer["max_users"]) == ("approved", 70)
    assert world.good("peers/two.example/pause", {}, route="peers/{host}/pause")["state"] == "paused"
    assert world.good("peers/two.example/resume", {}, route="peers/{host}/resume")["state"] == "approved"
    assert world.bad("peers/two.example/resume", {}) == (400, "bad-request")
    assert world.good("peers/two.example/remove", {}, route="peers/{host}/remove")["state"] == "removed"
    kinds = [
        entry["kind"] for entry in world.good("ledger?limit=500")["entries"] if "two." in entry["subject"]
    ]
    assert kinds == ["peer-added", "peer-approved", "peer-paused", "peer-approved", "peer-removed"]
    world.good("peers/candidates", {})


def test_a_circle_is_looked_at_and_approved_and_peers_are_introduced(world: World) -> None:
    known = Identity("known.example", b"k" * 32).public
    away = Identity("unread.example", b"u" * 32).public
    now = time.time()
    with writes(world.engine) as connection:
        row = {"introducer": GOOD.host, "said": now, "until": now + 99, "answered": []}
        row["instances"] = {one.host: format_key(one.key) for one in (known, away)}
        connection.execute(insert(IntroductionRow), row)
    where = f"http://{world.other.running.federation}"
    repository.save(world.engine, Peer(known.host, where, format_key(known.key), source="circle"))
    found = {i["host"]: i for i in world.good("circle")["instances"]}
    assert (found[known.host]["open"], found[known.host]["vouchers"]) == (True, [GOOD.host])
    assert (found[away.host]["open"], found[away.host]["key"]) == (False, "")
    # The instance that answers there is another one.
    world.good("circle/look", {})
    order = {"ticked": [{"host": known.host, "key": KEY}], "left": []}
    assert world.bad("circle/approve", order) == (403, "refused")
    order["ticked"] = [{"host": known.host, "key": format_key(known.key)}]
    found = {i["host"]: i for i in world.good("circle/approve", order)["instances"]}
    assert found[known.host]["state"] == "approved"
    peer = next(p for p in world.good("peers")["peers"] if p["host"] == known.host)
    assert (peer["on_word_alone"], peer["introduced_by"]) == (True, [GOOD.host])
    possible = world.good("introductions")["possible"]
    assert GOOD.host in possible
    assert known.host not in possible
    given = world.good("introductions", {"to": GOOD.host})["introduced"]
    assert [(one["recipient"], GOOD.host in one["hosts"]) for one in given] == [(GOOD.host, False)]
    assert world.bad("introductions", {"to": "nobody.example"}) == (400, "bad-request")
    assert world.good("introductions", {"stop": True})["introduced"] == []
    world.good(f"peers/{known.host}/remove", {}, route="peers/{host}/remove")


def test_a_model_that_awaits_can_be_accepted_and_rejected(world: World) -> None:
    found = world.good("models/1-federated/accept", {}, route="models/{id}/accept")
    assert {m["id"]: m["current"] for m in found["models"]}["1-federated"]
    until(lambda: world.daemon.call("/health/ready")[1]["model"] == "1-federated")
    assert world.bad("models/none/accept", {}) == (400, "bad-request")
    record = model_records.model(world.engine, "1-federated")
    assert record is not None
    model_records.save(world.engine, replace(record, id="2-federated", state="quarantined"))
    world.good("models/2-federated/reject", {}, route="models/{id}/reject")


def test_a_model_that_served_before_serves_again(world: World) -> None:
    before = next(one["id"] for one in world.good("models")["models"] if one["current"])
    assert world.bad(f"models/{before}/rollback", {})[0] == 400
    found = world.good("models/0-federated/rollback", {}, route="models/{id}/rollback")
    assert [one["id"] for one in found["models"] if one["current"]] == ["0-federated"]


def test_a_peer_is_taken_out_with_preview_and_report(world: World) -> None:
    path, route = f"peers/{BAD.host}/revert", "peers/{host}/revert"
    assert world.bad(path, {"dry_run": False, "confirm": GOOD.host}) == (400, "bad-request")
    with ThreadPoolExecutor(1) as pool:
        order = {"dry_run": True, "confirm": BAD.host}
        asked = pool.submit(world.good, path, order, route=route)
        until(lambda: world.good("reverts")["running"])
        progress = world.good("reverts")["running"][0]
        assert (progress["host"], progress["dry_run"]) == (BAD.host, True)
        assert world.bad(path, order) == (409, "busy")
        preview = asked.result()
    assert preview["dry_run"]
    assert preview["deleted"]["models"]
    assert world.daemon.call("/health/ready")[1]["model"].endswith("federated")
    assert world.good("reverts")["reverts"] == []
    told = _words_to_peers(world)
    report = world.good(path, {"dry_run": False, "confirm": BAD.host}, route=route)
    assert not report["dry_run"]
    assert report["seconds_out_of_service"] < 5
    assert report["proof"]
    until(lambda: world.daemon.call("/health/ready")[1]["model"] == report["served_now"])
    listed = world.good("reverts")
    assert [entry["host"] for entry in listed["reverts"]] == [BAD.host]
    assert listed["running"] == []
    assert listed["last"]["report"]["host"] == BAD.host
    assert {p["host"]: p["state"] for p in world.good("peers")["peers"]}[BAD.host] == "reverted"
    # It is told, as after any other decision.
    until(lambda: _words_to_peers(world) == told + 1)
    assert not [m for m in world.good("models")["models"] if BAD.host in m["survivors"]]


def _words_to_peers(world: World) -> float:
    """Return how many jobs that speak to peers have ended."""
    _, metrics = world.daemon.call("/metrics", admin=True)
    found = [
        line
        for line in metrics.splitlines()
        if line.startswith("shoal_jobs_total{") and 'name="peers"' in line
    ]
    return sum(float(line.split()[-1]) for line in found)


def test_settings_are_changed_and_jobs_started(world: World) -> None:
    found = world.good("settings", {"discovery": "explore"})
    assert next(one["value"] for one in found["settings"] if one["key"] == "serve.discovery") == "explore"
    world.good("settings", {"discovery": "balanced"})
    assert world.bad("settings", {"mode": "everything"})[0] == 400
    assert world.bad("settings", {"mode": "contribute"}) == (409, "unconfirmed")
    assert world.bad("start", {"job": "round"}) == (403, "refused")
    world.good("start", {"job": "sync"})


def test_every_route_was_seen_to_keep_its_word(world: World) -> None:
    # What changes groups is in `test_admin_group`.
    rows = {(row.method.lower(), PREFIX + row.path) for row in ROUTES if not row.path.startswith("/group/")}
    assert world.seen >= rows


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("peers", {}, 400, "bad-request"),
        ("peers", {"host": "not a host"}, 400, "bad-request"),
        ("peers", {"host": "https://nobody.invalid/about"}, 502, "peer-silent"),
        ("peers", {"host": "x.example", "url": "http://x.example"}, 400, "bad-request"),
        ("peers", {"host": "x.example", "more": 1}, 400, "bad-request"),
        ("peers", {"host": "one.example"}, 400, "bad-request"),
        ("peers", b"[" * 50_000, 400, "bad-request"),
        ("peers", b"\xff", 400, "bad-request"),
        ("peers", [], 400, "bad-request"),
        ("peers", {"host": "x" * 200_000}, 413, "request-entity-too-large"),
        ("peers/none.example/approve", {"key": KEY}, 404, "unknown-peer"),
        ("peers/none.example/approve", {"key": "x"}, 400, "bad-request"),
        ("peers/none.example/approve", {}, 400, "bad-request"),
        (
            f"peers/{GOOD.host}/approve",
            {"key": KEY, "max_users": 0},
            400,
            "bad-request",
        ),
        (
            f"peers/{GOOD.host}/approve",
            {"key": KEY, "max_users": "5"},
            400,
            "bad-request",
        ),
        ("peers/none.example/pause", {}, 404, "unknown-peer"),
        ("peers/none.example/remove", {}, 404, "unknown-peer"),
        ("peers/NOT%20A%20HOST/pause", {}, 400, "bad-request"),
        ("peers/%2e%2e%2fx/pause", {}, 400, "bad-request"),
        ("peers/none.example/revert", {"dry_run": True, "confirm": "none.example"}, 400, "bad-request"),
        ("peers/none.example/revert", {"dry_run": "no", "confirm": "none.example"}, 400, "bad-request"),
        ("models/..%2f..%2fx/accept", {}, 400, "bad-request"),
        ("models/x/accept", {"why": ""}, 400, "bad-request"),
        ("rounds?limit=0", None, 400, "bad-request"),
        ("rounds?limit=501", None, 400, "bad-request"),
        ("rounds?limit=1&limit=2", None, 400, "bad-request"),
        ("rounds?more=1", None, 400, "bad-request"),
        ("ledger?after=-1", None, 400, "bad-request"),
        ("ledger?after=99999999999999999999", None, 400, "bad-request"),
        ("videos", None, 400, "bad-request"),
        (f"videos?q={'x' * 201}", None, 400, "bad-request"),
        ("related", None, 400, "bad-request"),
        ("related?video=unknown", None, 404, "unknown-video"),
        ("nothing", None, 404, "not-found"),
        ("overview", {}, 405, "method-not-allowed"),
    ],
)
def test_what_cannot_be_done_is_told_and_why(
    world: World, path: str, body: object, status: int, code: str
) -> None:
    assert world.bad(path, body) == (status, code)


def test_the_serving_process_stays_lean_whatever_the_admin_asks(world: World) -> None:
    world.good("overview")
    assert world.daemon.forbidden() == []
    assert "Traceback" not in world.daemon.logged()
    assert "request failed" not in world.daemon.logged()


async def test_titles_are_found_by_all_words_whatever_the_case() -> None:
    titles = ["Über den Wolken", "STRASSE in Paris", "Rue à Paris", "x" * 300, "\U0001f30a wave"]
    many = [f"number {n}" for n in range(600)]
    names = Labels.pack(uuid=[""] * 605, url=[""] * 605, title=[*titles, *many])

    async def found(query: str, limit: int = 20) -> list[str]:
        return [names.title[position] for position in await search(names, query, limit)]

    assert await found("über") == ["Über den Wolken"]
    assert await found("paris straße") == ["STRASSE in Paris"]
    assert await found("PARIS") == ["STRASSE in Paris", "Rue à Paris"]
    assert await found("\U0001f30a") == ["\U0001f30a wave"]
    # A word never goes over the border of two titles.
    assert await found("parisrue") == []
    assert await found("number 599") == ["number 599"]
    assert len(await found("number", 7)) == 7
    assert await found("   ") == await found("") == []
