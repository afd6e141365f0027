"""A real daemon beside a PeerTube: lists for viewers, what they may ask, exclusions, the regular check."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.store.viewers import Pseudonyms
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import (
    PeerTube,
    World,
    address,
    configure,
    peertube,
    small_world,
    video_uuid,
    viewer,
)
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import Daemon, daemon, until

pytestmark = pytest.mark.daemon

KNOWS = {"X-Shoal-Secret": pt.SECRET}
VIEWERS = 400
"""Enough that their tastes say more than what is popular."""
SENSITIVE = "[serve]\nsensitive_beside_safe = true\n"


@dataclass
class Pair:
    """A PeerTube and its daemon."""

    server: PeerTube
    config: Path
    daemon: Daemon

    def related(self, number: int, query: str = "", *, secret: bool = True) -> list[str]:
        path = f"/v1/related?video={video_uuid(number)}{query}"
        status, answer = self.daemon.call(path, headers=KNOWS if secret else {})
        assert status == 200, answer
        return [item["uuid"] for item in answer["videos"]]

    def ask(self, what: str, body: Any, headers: dict[str, str] = KNOWS) -> tuple[int, Any]:
        return self.daemon.call(f"/v1/viewers/{what}", body=body, headers=headers)

    def job(self, name: str) -> dict[str, Any]:
        outcome = run_here(name, self.config)
        assert outcome.ok, outcome
        return outcome.result

    def raw(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.config.parent.glob("shoal.db*")))


def made() -> World:
    """Return a world of two tastes (even and odd videos) and seven channels."""
    world = small_world(users=VIEWERS, videos=40)
    for number in (2, 9):
        world.videos[number]["scope"] = 4
    world.videos[4]["nsfw"] = True
    world.videos[6] |= {
        "host": "two.example",
        "url": address(6, "two.example"),
        "channel": "https://two.example/c/x",
    }
    return world


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an instance that has read that world, and trained once."""
    folder = tmp_path_factory.mktemp("trained")
    with peertube(made()) as server:
        config = configure(folder, server.url, SENSITIVE)
        for name in ("sync", "train"):
            assert run_here(name, config).ok
    return folder


@pytest.fixture
def pair(tmp_path: Path, trained: Path) -> Iterator[Pair]:
    """Another PeerTube of that world, with a daemon that has trained."""
    shutil.copytree(trained, tmp_path / "one")
    with peertube(made()) as server:
        config = configure(tmp_path / "one", server.url, SENSITIVE)
        with daemon(config) as running:
            yield Pair(server, config, running)


def test_viewers_are_asked_about_with_the_secret_only(pair: Pair) -> None:
    wrong = [{}, {"X-Shoal-Secret": "x"}, {"X-Shoal-Secret": pt.SECRET + "x"}, {"X-Shoal-Secret": "ü" * 30}]
    for headers in wrong:
        encoded = {key: value.encode().decode("latin-1") for key, value in headers.items()}
        for what in ("known", "forget"):
            status, answer = pair.ask(what, {"viewer": viewer(3)}, encoded)
            assert (status, answer["code"]) == (403, "secret-refused")
            assert pt.SECRET not in json.dumps(answer)
        path = f"/v1/related?video={video_uuid(1)}&viewer={viewer(3)}"
        assert pair.daemon.call(path, headers=encoded)[0] == 403
        body = {"viewer": viewer(3)}
        assert pair.daemon.call("/v1/recommendations", body=body, headers=encoded)[0] == 403
    assert pair.related(1, secret=False)
    assert pair.ask("known", {"viewer": viewer(3)})[0] == 200
    unusable: list[Any] = [{}, {"viewer": 3}, {"viewer": ""}, {"viewer": "x" * 500}, {"who": "x"}, []]
    for nonsense in unusable:
        assert pair.ask("forget", nonsense)[0] == 400
    assert pair.daemon.forbidden() == []


def test_a_viewer_gets_a_mix_and_an_anonymous_one_only_what_is_like_the_video(pair: Pair) -> None:
    odd, even = 3, 8
    seen = {item["uuid"] for item in pair.ask("known", {"viewer": viewer(odd)})[1]["videos"]}
    anonymous, mixed = pair.related(even), pair.related(even, f"&viewer={viewer(odd)}")
    assert anonymous == pair.related(even, f"&viewer={viewer(999)}")
    assert mixed != anonymous
    assert not seen & set(mixed)
    assert len(set(mixed)) == len(mixed) >= 15
    odds = {video_uuid(n) for n in range(1, 40, 2)}
    # In turns, the video's own kind beginning; the viewer's taste is in the five that a page shows.
    assert mixed[0] not in odds
    assert len(odds & set(mixed[:5])) >= 1
    path = f"/v1/related?video={video_uuid(even)}&viewer={viewer(odd)}"
    kinds = {item["reason"]["kind"] for item in pair.daemon.call(path, headers=KNOWS)[1]["videos"][:10]}
    assert "history" in kinds


def test_what_is_known_can_be_read_and_is_gone_when_forget_answers(pair: Pair) -> None:
    status, answer = pair.ask("known", {"viewer": viewer(3)})
    assert status == 200
    world = pair.server.world
    rows = {
        world.videos[row[1]]["url"]: world.at("history", number)
        for number, row in enumerate(world.history, 1)
        if row is not None and row[0] == 3
    }
    known = {item["url"]: item for item in answer["videos"]}
    assert set(rows) <= set(known)
    assert len(known) == 6
    assert set(answer["videos"][0]) == {"uuid", "url", "liked", "disliked", "watched", "at"}
    times = [item["at"] for item in answer["videos"]]
    assert times == sorted(times, reverse=True)
    expected = [
        Pseudonyms.open(pair.config.parent / "viewers.key").of(viewer(3)),
        *(struct.pack(">d", at) for at in times),
    ]
    assert all(trace in pair.raw() for trace in expected)
    anonymous = pair.related(8)
    assert pair.related(8, f"&viewer={viewer(3)}") != anonymous
    assert pair.ask("forget", {"viewer": viewer(3)}) == (204, "")
    assert not any(trace in pair.raw() for trace in expected)
    assert pair.ask("known", {"viewer": viewer(3)}) == (200, {"videos": []})
    assert pair.related(8, f"&viewer={viewer(3)}") == anonymous
    assert pair.ask("forget", {"viewer": viewer(3)})[0] == 204
    assert len(pair.ask("known", {"viewer": viewer(4)})[1]["videos"]) == 6


def test_exclusions_reach_every_list_without_training(pair: Pair) -> None:
    before = pair.related(8, "&nsfw=1")
    assert {video_uuid(4), video_uuid(6)} <= set(before)
    channel = pair.server.world.videos[10]["channel"]
    of_channel = {video_uuid(n) for n in range(40) if pair.server.world.videos[n]["channel"] == channel}
    assert of_channel & set(before)
    pair.server.world.exclusions = {
        "channels": [channel],
        "hosts": ["two.example"],
        "videos": [address(4), "nonsense"],
    }
    assert pair.job("consent")["exclusions_changed"]
    until(lambda: video_uuid(4) not in pair.related(8, "&nsfw=1"))
    out = of_channel | {video_uuid(4), video_uuid(6)}
    for query in ("&nsfw=1", f"&nsfw=1&viewer={viewer(2)}", f"&nsfw=1&viewer={viewer(3)}"):
        for number in (8, 10, 11):
            assert not out & set(pair.related(number, query))
    body = {"viewer": viewer(2), "nsfw": True}
    answer = pair.daemon.call("/v1/recommendations", body=body, headers=KNOWS)[1]
    assert not out & {item["uuid"] for item in answer["videos"]}
    pair.job("train")
    until(lambda: len(pair.daemon.logged().split("model in service")) > 2)
    assert not out & set(pair.related(8, "&nsfw=1"))
    pair.server.world.exclusions = {"channels": [], "hosts": [], "videos": []}
    assert pair.job("consent")["exclusions_changed"]
    until(lambda: video_uuid(4) in pair.related(8, "&nsfw=1"))


def test_beside_a_video_with_a_scope_only_what_its_owner_wants(pair: Pair) -> None:
    world = pair.server.world
    for seed in (2, 9):
        channel = world.videos[seed]["channel"]
        same = {video_uuid(n) for n in range(40) if world.videos[n]["channel"] == channel} - {
            video_uuid(seed)
        }
        for query in ("", f"&viewer={viewer(3)}", f"&viewer={viewer(2)}"):
            found = pair.related(seed, f"&nsfw=1{query}")
            assert found
            assert set(found) <= same
        assert set(pair.related(seed, "&nsfw=1")) == same
    assert video_uuid(4) not in pair.related(8)


def test_a_language_that_the_caller_names_comes_first(pair: Pair) -> None:
    def languages(query: str) -> list[str]:
        found = pair.related(8, f"&limit=8{query}")
        place = {video_uuid(n): pair.server.world.videos[n]["language"] for n in range(40)}
        return [place[uuid] for uuid in found]

    assert languages("&language=fr").count("en") < languages("&language=en").count("en")
    assert languages("&language=fr").count("fr") > languages("&language=en").count("fr")
    assert languages("&language=unknown") == languages("")


def test_the_status_tells_about_source_and_federation_in_numbers(pair: Pair) -> None:
    _, status = pair.daemon.call("/v1/status", admin=True)
    source = status["source"]
    assert {key: source[key] for key in ("kind", "participants", "viewers", "follows")} == {
        "kind": "peertube",
        "participants": VIEWERS,
        "viewers": VIEWERS,
        "follows": 1,
    }
    assert source["last_sync"] > 0
    assert source["last_check"] is None
    assert (status["mode"], status["peers"]) == ("off", [])
    assert pair.daemon.call("/v1/status", headers={"X-Shoal-Secret": pt.SECRET})[1]["source"] == source
    assert str(VIEWERS) not in json.dumps(
        pair.daemon.call("/v1/status")[1] | {"uptime_seconds": 0, "model": None}
    )
    pair.job("consent")
    assert pair.daemon.call("/v1/status", admin=True)[1]["source"]["last_check"] > 0
    text = json.dumps(status)
    assert "two.example" not in text
    assert pt.SECRET not in text


def test_left_alone_a_daemon_notices_who_withdraws(tmp_path: Path) -> None:
    with peertube(small_world()) as server:
        config = configure(tmp_path / "one", server.url)
        text = config.read_text().replace("[schedule]\nenabled = false\n", "[schedule]\n")
        config.write_text(text.replace("page = 100\n", 'page = 100\ncheck = "3s"\n'))
        with daemon(config) as running:
            until(lambda: running.call("/health/ready")[0] == 200, 90)
            assert {"sync", "prune", "consent"} <= set(running.call("/v1/status", admin=True)[1]["next"])
            pseudonym = Pseudonyms.open(config.parent / "viewers.key").of(viewer(5))
            database = config.parent / "shoal.db"
            assert pseudonym in database.read_bytes()
            server.world.participants.discard(5)
            until(lambda: running.call("/v1/status", admin=True)[1]["source"]["viewers"] == 39)
            until(lambda: pseudonym not in database.read_bytes())
            assert pt.SECRET not in running.logged()
            assert viewer(5) not in running.logged()
            assert "two.example" not in running.logged()
