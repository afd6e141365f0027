"""A server that speaks the protocol of the plugin's export pages, from a world in memory.

It stands for PeerTube with the plugin: what it sends is what the plugin would send for that world. Faults can
be put in front of any page.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests import ROOT

SECRET = "a-secret-of-the-plugin-0123456789"
HOST = "one.example"
PLUGIN = json.loads((ROOT / "peertube-plugin" / "package.json").read_text("utf-8"))["version"]

_NUMBERS = {"entries", "decisions"}

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def pairing_code(url: str, secret: str = SECRET) -> str:
    """Return what the plugin's settings page would show."""
    content = f"{secret} {url}".encode()
    check = hashlib.sha256(content).digest()[:4]
    return f"shoal1_{base64.urlsafe_b64encode(check + content).decode().rstrip('=')}"


def viewer(number: int) -> str:
    """Return the pseudonym of a viewer."""
    return hashlib.sha256(f"viewer {number}".encode()).hexdigest()[:32]


def address(number: int, host: str = HOST) -> str:
    """Return the url of a video."""
    return f"https://{host}/videos/watch/{video_uuid(number)}"


def video_uuid(number: int) -> str:
    """Return the uuid of a video."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"video {number}"))


def made_video(number: int, **more: Any) -> dict[str, Any]:
    """Return a video as the plugin sends it."""
    return {
        "url": address(number),
        "uuid": video_uuid(number),
        "title": f"Video {number}",
        "channel": f"https://{HOST}/video-channels/c{number % 7}",
        "host": HOST,
        "category": ("Music", None)[number % 2],
        "language": ("en", "fr", None)[number % 3],
        "nsfw": False,
        "published": 1_700_000_000.5 + number,
        "views": number,
        "likes": 0,
        "tags": ["jazz"] if number % 2 else ["chess", "games"],
        "scope": None,
        "own": True,
        "stored": 1_700_000_000.25 + number,
        **more,
    }


@dataclass
class World:
    """What PeerTube has in its database; row numbers are positions plus one, deleted rows are None."""

    videos: list[dict[str, Any]] = field(default_factory=list)
    rates: list[tuple[int, int, bool] | None] = field(default_factory=list)
    """(viewer, video, liked)"""
    history: list[tuple[int, int, float] | None] = field(default_factory=list)
    """(viewer, video, watched)"""
    participants: set[int] = field(default_factory=set)
    exclusions: dict[str, list[str]] = field(
        default_factory=lambda: {"channels": [], "hosts": [], "videos": []}
    )
    follows: list[tuple[str, str]] = field(default_factory=list)
    """(name, host)"""
    closed: Any = False
    effects: list[dict[str, Any]] = field(default_factory=list)
    ledger: dict[str, Any] | None = None
    followed_since: str | None = "2026-01-02T03:04:05.678Z"
    at: Callable[[str, int], float] = lambda kind, number: 1_710_000_000.25 + number + 1e6 * (kind == "rates")

    def rows(self, kind: str) -> list[Any]:
        return self.rates if kind == "rates" else self.history

    def marks(self) -> dict[str, int]:
        return {"rates": len(self.rates), "history": len(self.history)}

    def state(self, who: int, marks: dict[str, int]) -> str:
        numbers = [
            [n for n, row in enumerate(self.rows(kind)[:mark], 1) if row is not None and row[0] == who]
            for kind, mark in marks.items()
        ]
        return hashlib.sha256(json.dumps([(len(n), sum(n)) for n in numbers]).encode()).hexdigest()[:32]

    def states(self, marks: dict[str, int]) -> dict[int, str]:
        """Return the digests of everybody: the same as `state`, without looking through all rows for each."""
        sums = {who: [[0, 0], [0, 0]] for who in self.participants}
        for place, (kind, mark) in enumerate(marks.items()):
            for number, row in enumerate(self.rows(kind)[:mark], 1):
                if row is not None and row[0] in sums:
                    sums[row[0]][place][0] += 1
                    sums[row[0]][place][1] += number
        return {
            who: hashlib.sha256(json.dumps([tuple(s) for s in found]).encode()).hexdigest()[:32]
            for who, found in sums.items()
        }

    def forget(self, who: int) -> None:
        """Do what PeerTube does when a viewer clears history and rates."""
        for kind in ("rates", "history"):
            rows = self.rows(kind)
            rows[:] = [None if row is not None and row[0] == who else row for row in rows]


def small_world(users: int = 40, videos: int = 30) -> World:
    """Return a world with two tastes, so that a model can be trained on it."""
    world = World(videos=[made_video(n) for n in range(videos)], participants=set(range(users)))
    for who in range(users):
        for step in range(5):
            video = (who % 2) + 2 * ((who + step * 3) % (videos // 2))
            world.history.append((who, video, 0.9))
        world.rates.append((who, (who % 2) + 2 * ((who + 1) % (videos // 2)), who % 5 != 0))
    world.follows = [("peertube", "two.example"), ("some_channel", "three.example")]
    return world


@dataclass
class PeerTube:
    """A running server: its world may be changed at any time.

    Attributes:
        asked: time (monotonic) and path of every request.
        secrets: the secret header of every request to the public API; must stay empty.
        faults: by the last part of a path, what to do before the page is made.
        plugin: release of the plugin, None where it is not installed.
        started: whether the plugin's routes are there.
    """

    world: World
    url: str = ""
    asked: list[tuple[float, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    plugin: str | None = PLUGIN
    started: bool = True

    def paths(self) -> list[str]:
        return [path.rsplit("/", 1)[-1] for _, path in self.asked]

    def most_in_a_second(self) -> int:
        """Return the largest number of requests within any second."""
        times = [at for at, _ in self.asked]
        first = most = 0
        for last, at in enumerate(times):
            while times[first] <= at - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((time.monotonic(), request.path))
        name = request.path.rsplit("/", 1)[-1]
        if (fault := self.faults.get(name)) is not None:
            answer = await fault(request)
            if answer is not None:
                return answer
        if request.path.startswith("/api/"):
            self.secrets += request.headers.getall("X-Shoal-Secret", [])
        if request.path == "/api/v1/server/following":
            return web.json_response(self.following(request))
        if request.path == "/api/v1/config":
            return web.json_response(self.config())
        if not self.started or self.plugin is None:
            return web.json_response({"error": "Not found"}, status=404)
        if request.path == "/plugins/shoal/router/why/v1/reasons":
            return web.json_response({"error": "video is the uuid"}, status=400)
        if request.headers.get("X-Shoal-Secret") != SECRET:
            return web.json_response({"error": "Not found"}, status=404)
        page = getattr(self, f"_{name}", None)
        if page is None or not request.path.startswith("/plugins/shoal/router/export/v1/"):
            return web.json_response({"error": "Not found"}, status=404)
        return web.json_response(page(dict(request.query.items())))

    def following(self, request: web.Request) -> dict[str, Any]:
        start, count = int(request.query["start"]), min(100, int(request.query["count"]))
        found = self.world.follows[start : start + count]
        return {
            "total": len(self.world.follows),
            "data": [
                {
                    "following": {"name": n, "host": h},
                    "state": "accepted",
                    "createdAt": self.world.followed_since,
                }
                for n, h in found
            ],
        }

    def config(self) -> dict[str, Any]:
        """Return what anybody may read of PeerTube's configuration, as far as the daemon looks at it."""
        plugin = {"npmName": "peertube-plugin-shoal", "name": "shoal", "version": self.plugin}
        return {"serverVersion": "7.2.1", "plugin": {"registered": [plugin] if self.plugin else []}}

    def _ledger(self, query: dict[str, str]) -> dict[str, Any]:
        if query:
            self.world.ledger = {name: int(v) if name in _NUMBERS else v for name, v in query.items()}
        return {"ledger": self.world.ledger}

    def _status(self, _query: dict[str, str]) -> dict[str, Any]:
        return {
            "plugin": self.plugin,
            "peertube": "7.2.1",
            "host": HOST,
            "name": "Ones & Others",
            "consent": "opt-in",
            "participants": len(self.world.participants),
            "nsfw": "hide",
            "marks": self.world.marks(),
            "closed": self.world.closed,
        }

    def _videos(self, query: dict[str, str]) -> dict[str, Any]:
        after, limit = int(query["after"]), int(query["limit"])
        items = self.world.videos[after : after + limit]
        return {"items": items, "next": after + limit if len(items) == limit else None}

    def _engagements(self, query: dict[str, str]) -> dict[str, Any]:
        after, upto, limit = int(query["after"]), int(query["upto"]), int(query["limit"])
        items: list[dict[str, Any]] = []
        rows, kind = self.world.rows(query["kind"]), query["kind"]
        for number in range(after + 1, min(upto, len(rows)) + 1):
            row = rows[number - 1]
            if row is None or row[0] not in self.world.participants:
                continue
            items.append(
                {
                    "viewer": viewer(row[0]),
                    "video": self.world.videos[row[1]]["url"],
                    "liked": kind == "rates" and row[2] is True,
                    "disliked": kind == "rates" and row[2] is False,
                    "watched": row[2] if kind == "history" else 0,
                    "at": self.world.at(kind, number),
                }
            )
            if len(items) == limit:
                return {"items": items, "next": number}
        return {"items": items, "next": None}

    def _participants(self, query: dict[str, str]) -> dict[str, Any]:
        marks = {"rates": int(query["rates"]), "history": int(query["history"])}
        after, limit = int(query["after"]), int(query["limit"])
        # Cursors say nothing about the order, as in the plugin.
        place = after ^ 0x5A5A5A if after else 0
        if place == 0:
            self._now = (sorted(self.world.participants), self.world.states(marks))
        who, states = self._now
        found = who[place : place + limit]
        following = (place + limit) ^ 0x5A5A5A if len(found) == limit else None
        return {"items": [{"viewer": viewer(n), "state": states[n]} for n in found], "next": following}

    def _exclusions(self, _query: dict[str, str]) -> dict[str, Any]:
        return self.world.exclusions

    def _effects(self, _query: dict[str, str]) -> dict[str, Any]:
        return {"fills": True, "days": self.world.effects}


@contextlib.contextmanager
def peertube(world: World) -> Iterator[PeerTube]:
    """Serve a world on loopback, in a thread of its own, until the end of the block."""
    server = PeerTube(world)
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def configure(
    folder: Path, url: str, more: str = "", *, host: str = HOST, rate: float = 40, page: int = 100
) -> Path:
    """Write a configuration that reads from that server; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shoal.toml"
    path.write_text(
        f'[instance]\nhost = "{host}"\n'
        f'[source]\nkind = "peertube"\nurl = "{url}"\nsecret = "{SECRET}"\n'
        f"requests_per_second = {rate}\npage = {page}\n"
        f"[listen]\napi_port = 0\nfederation_port = 0\n[schedule]\nenabled = false\n{more}",
        encoding="utf-8",
    )
    return path
