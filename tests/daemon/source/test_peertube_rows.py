"""What the plugin sends is trusted in nothing: types, sizes, addresses, cursors; and how fast it is asked."""

from __future__ import annotations

import asyncio
import functools
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.errors import SourceError
from daemon.source import peertube_rows as rows
from daemon.source.peertube import PeerTubeExport, read_pages
from daemon.source.peertube_client import ExportClient, Pace, _retry_after
from daemon.store.engagement_arrays import read
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import PeerTube, World, made_video, peertube, viewer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=8,
)
ENGAGEMENT = {
    "viewer": viewer(1),
    "video": pt.address(1),
    "liked": True,
    "disliked": False,
    "watched": 0.5,
    "at": 1.7e9,
}


@given(st.sampled_from(sorted(made_video(1))), JSON)
def test_a_video_with_any_field_is_a_row_nothing_or_a_named_error(key: str, value: Any) -> None:
    try:
        row = rows.video({**made_video(1), key: value})
    except SourceError:
        return
    if row is None:
        return
    assert isinstance(row, VideoRow)
    assert rows.address_host(row.url) == row.host == pt.HOST
    assert row.published is None or math.isfinite(row.published)
    assert row.stored is None or math.isfinite(row.stored)
    assert 1 <= row.scope <= 4
    assert 0 <= row.views <= 2**53
    for text in (row.title, row.channel, row.category, row.language, *row.tags):
        assert "\0" not in text
        text.encode("utf-8")


@given(st.sampled_from(sorted(ENGAGEMENT)), JSON)
def test_an_engagement_with_any_field_likewise(key: str, value: Any) -> None:
    try:
        row = rows.engagement({**ENGAGEMENT, key: value})
    except SourceError:
        return
    assert row is None or (0 <= row.watched <= 1 and 0 <= row.at <= 1e11 and len(row.viewer) == 32)


READERS: list[tuple[Callable[[rows.Item], object], tuple[str, ...]]] = [
    (rows.status, ("plugin", "peertube", "host", "consent", "participants", "marks")),
    (rows.exclusions, ("channels", "hosts", "videos")),
    (rows.effects, ("fills", "days")),
    (rows.follows, ("data",)),
    (functools.partial(rows.page, limit=3), ("items", "next")),
    (rows.participant, ("viewer", "state")),
]


@pytest.mark.parametrize(("reader", "keys"), READERS)
@given(JSON)
def test_whole_answers_of_any_shape_are_refused_by_name(
    reader: Callable[[rows.Item], object], keys: tuple[str, ...], value: Any
) -> None:
    answer = value if isinstance(value, dict) else dict.fromkeys(keys, value)
    if value == [] and reader is rows.follows:
        assert reader(answer) == ({}, 0)
    elif isinstance(value, list) and all(isinstance(v, str) for v in value) and reader is rows.exclusions:
        # What no video can have is left out; texts as short as these are no addresses.
        found = rows.exclusions(answer)
        assert not found.channels | found.videos
        assert found.hosts <= {text.lower() for text in value}
    else:
        with pytest.raises(SourceError, match=r"answer does not fit this daemon: .") as refused:
            reader(answer)
        assert "same release" in refused.value.advice


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://one.example/videos/watch/1",
        "//one.example/videos/watch/1",
        "https:///videos/watch/1",
        "https://one.example",
        "https://one.example/",
        "https://me:pw@one.example/videos/watch/1",
        "https://one.example:99999/videos/watch/1",
        "https://one.example:x/videos/watch/1",
        "https://ONE.example/videos/watch/1",
        "https://one.example./videos/watch/1",
        "https://one.exam ple/videos/watch/1",
        "https://one.example/videos/watch/1 ",
        "https://one.example/videos/watch/1\n",
        "https://[::1]/videos/watch/1",
        "https://öne.example/videos/watch/1",
        "https://one.example/videos/watch/<script>",
        "https://one.example/videos/watch/1#x",
        "https://one.example\\@two.example/videos/watch/1",
        "HTTPS://one.example/videos/watch/1",
        "https://one.example/" + "x" * 2000,
        "",
    ],
)
def test_addresses_of_another_form_are_left_out(url: str) -> None:
    assert rows.address_host(url) is None
    assert rows.video({**made_video(1), "url": url}) is None


@pytest.mark.parametrize("date", [None, 5, "", "yesterday", "2026-01-02T03:04:05", "9999-99-99T00:00:00Z"])
def test_a_follow_without_a_date_is_one_of_unknown_age(date: object) -> None:
    entry = {"following": {"name": "peertube", "host": "two.example"}, "createdAt": date}
    assert rows.follows({"data": [entry]}) == ({"two.example": None}, 1)


def test_an_address_must_be_on_the_host_that_is_named() -> None:
    assert rows.video({**made_video(1), "host": "two.example"}) is None
    assert rows.video({**made_video(1), "uuid": "../../etc"}) is None
    with_port = {**made_video(1), "url": "http://localhost:9001/videos/watch/1", "host": "localhost:9001"}
    found = rows.video(with_port)
    assert found is not None
    assert found.host == "localhost:9001"


class Clock:
    """Time that passes only by sleeping, and by what `now` is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture(scope="module")
def server() -> Iterator[PeerTube]:
    with peertube(World(videos=[made_video(n) for n in range(9)], participants={1, 2})) as running:
        yield running


@pytest.fixture
def client(server: PeerTube) -> Iterator[ExportClient]:
    server.faults.clear()
    clock = Clock()
    pace = Pace(40, clock=clock, sleep=clock.sleep)
    with ExportClient(server.url, pt.SECRET, pace, timeout=0.3, sleep=lambda _: None) as asking:
        yield asking


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([200, 404, 500]),
)
def test_any_bytes_as_an_answer_end_in_rows_or_a_named_error(
    server: PeerTube, client: ExportClient, body: bytes, status: int
) -> None:
    async def answer(_request: Any) -> Any:
        return web.Response(body=body, status=status)

    server.faults["videos"] = answer
    refused = None
    try:
        for _, items in read_pages(client, "videos", 3):
            assert len(items) <= 3
    except SourceError as error:
        refused = error
    assert refused is not None or status == 200
    assert refused is None or refused.advice.endswith("The stored data was kept.")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-5, 4), min_size=1, max_size=8))
def test_cursors_that_lead_in_a_circle_end(
    server: PeerTube, client: ExportClient, cursors: list[int]
) -> None:
    asked = 0

    async def answer(_request: Any) -> Any:
        nonlocal asked
        cursor = cursors[asked % len(cursors)]
        asked += 1
        return web.json_response({"items": [], "next": cursor})

    server.faults["videos"] = answer
    with pytest.raises(SourceError, match="circle"):
        list(read_pages(client, "videos", 3))
    assert asked <= 6


def test_a_listing_without_end_is_given_up(server: PeerTube, client: ExportClient, monkeypatch: Any) -> None:
    async def answer(request: Any) -> Any:
        return web.json_response({"items": [], "next": int(request.query["after"]) + 1})

    monkeypatch.setattr("daemon.source.peertube.MAX_PAGES", 20)
    server.faults["participants"] = answer
    with pytest.raises(SourceError, match="more than 20 pages"):
        list(read_pages(client, "participants", 3))


def test_a_slow_answer_is_given_up_even_when_bytes_keep_coming(
    server: PeerTube, client: ExportClient
) -> None:
    async def drip(request: Any) -> Any:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(40):
            await answer.write(b" ")
            await asyncio.sleep(0.05)
        return answer

    server.faults["status"] = drip
    with pytest.raises(SourceError, match=r"within 0\.3 seconds"):
        _ = PeerTubeExport(client).status


def test_listed_twice_is_stored_once_and_combined(
    tmp_path: Path, client: ExportClient, server: PeerTube
) -> None:
    twice = [
        made_video(1),
        {**made_video(1), "title": "another"},
        made_video(2),
        {**made_video(3), "url": "x:y"},
    ]

    async def videos(_request: Any) -> Any:
        return web.json_response({"items": twice, "next": None})

    server.faults["videos"] = videos
    source = PeerTubeExport(client)
    migrate(tmp_path / "shoal.db")
    engine = open_checked(tmp_path / "shoal.db")
    with replace(engine, Pseudonyms(bytes(32))) as snapshot:
        for _, page in source.videos():
            snapshot.add_videos(page)
        snapshot.add_engagements([EngagementRow(viewer(1), pt.address(1), liked=True, at=2.0)] * 3)
    catalogue, engagements = read(engine)
    assert catalogue.titles == ("Video 1", "Video 2") or set(catalogue.titles) == {"Video 1", "Video 2"}
    assert source.left_out == 1
    assert len(engagements.users) == 1


@given(st.floats(0.5, 40.0), st.lists(st.floats(0, 0.5), min_size=60, max_size=150))
def test_in_no_second_are_more_than_forty_let_through(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    pace = Pace(rate, clock=clock, sleep=clock.sleep)
    times = []
    for number, pause in enumerate(pauses):
        # Half of the time as fast as possible, otherwise with whatever pauses.
        clock.now += pause if number % 3 == 0 else 0.0
        pace.take()
        times.append(clock.now)
    for first, began in enumerate(times):
        within = sum(1 for at in times[first:] if at < began + 1.0)
        assert within <= min(40, math.ceil(rate) + 2)


def test_requests_are_sent_as_fast_as_they_may_be() -> None:
    clock = Clock()
    pace = Pace(20, clock=clock, sleep=clock.sleep)
    for _ in range(201):
        pace.take()
    assert 9.9 <= clock.now - 1000.0 <= 10.1


def test_a_pause_lets_nothing_through_and_saves_nothing_up() -> None:
    clock = Clock()
    pace = Pace(20, clock=clock, sleep=clock.sleep)
    pace.take()
    pace.pause(7.0)
    pace.take()
    assert clock.now >= 1007.0
    first = clock.now
    for _ in range(20):
        pace.take()
    assert clock.now - first >= 0.9


def test_a_server_says_in_seconds_or_by_a_date_how_long_to_wait() -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert _retry_after("3", now) == 3.0
    assert _retry_after(format_datetime(now + timedelta(seconds=30), usegmt=True), now) == 30.0
    assert _retry_after(format_datetime(now - timedelta(seconds=30), usegmt=True), now) == 0.0
    for nonsense in (None, "", "soon", "-5", "9" * 40, "²"):
        assert _retry_after(nonsense, now) == 10.0


def test_a_wait_that_is_too_long_ends_the_sync(server: PeerTube, client: ExportClient) -> None:
    async def refuse(_request: Any) -> Any:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    server.faults["status"] = refuse
    with pytest.raises(SourceError, match="too many requests"):
        _ = PeerTubeExport(client).status
