"""A video counts when it has been public and not excluded here for long enough, without a break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.rounds.own_statistics import own_viewers
from daemon.store import content_arrays, source_state
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, Exclusions, SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.videos import public_since
from daemon.store.viewers import Pseudonyms
from models.head import LEAST_VIEWS
from tests.daemon.running_daemon import instance

SECRET = Pseudonyms(bytes(range(32)))
DAY = 86400.0
WEEK = 7 * DAY
NOTHING = Exclusions()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(instance(tmp_path))


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    migrate(config.database)
    engine = open_checked(config.database)
    yield engine
    engine.dispose()


def url(name: str) -> str:
    return f"https://v.example/{name}"


def sync(
    engine: Engine,
    names: str,
    now: float,
    exclusions: Exclusions = NOTHING,
    likes: tuple[str, ...] = (),
    views: int = LEAST_VIEWS,
) -> None:
    """Store one video per letter, each of its own channel and host; `likes` are viewer and video."""
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos(
            VideoRow(
                url(n),
                f"uuid-{n}",
                f"Title {n}",
                channel=f"https://c.example/{n}",
                host=f"{n}.example",
                views=views,
            )
            for n in names
        )
        snapshot.add_engagements(EngagementRow(like[0], url(like[1]), liked=True, at=1.0) for like in likes)
        snapshot.describe(SourceFacts("dataset", exclusions=exclusions), now=now, participants=9)


def first_sync(engine: Engine, now: float, *videos: VideoRow, kind: str = "peertube") -> None:
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos(videos)
        snapshot.describe(SourceFacts(kind), now=now, participants=9)


def video(name: str, **dates: Any) -> VideoRow:
    return VideoRow(url(name), f"uuid-{name}", f"Title {name}", host="far.example", **dates)


def check(engine: Engine, now: float, exclusions: Exclusions) -> None:
    source_state.checked(engine, exclusions, now=now, participants=9, closed=False)


def old(engine: Engine, names: str, now: float, age: float = WEEK) -> str:
    found = public_since(engine, tuple(map(url, names)), before=now - age)
    return "".join(name for name, yes in zip(names, found, strict=True) if yes)


def test_a_video_counts_after_a_week_and_not_before(engine: Engine) -> None:
    sync(engine, "ab", 0)
    sync(engine, "abc", 3 * DAY)
    assert old(engine, "abc", WEEK - 1) == ""
    assert old(engine, "abc", WEEK) == "ab"
    assert old(engine, "abc", WEEK + 3 * DAY) == "abc"
    assert old(engine, "abcx", 1e12) == "abc"
    assert old(engine, "abc", 3 * DAY, age=0.0) == "abc"


def test_syncs_do_not_start_the_clock_again(engine: Engine) -> None:
    for day in range(8):
        sync(engine, "ab", day * DAY)
    assert old(engine, "ab", WEEK) == "ab"


def test_a_video_that_was_gone_starts_anew(engine: Engine) -> None:
    sync(engine, "ab", 0)
    sync(engine, "a", 5 * DAY)
    assert old(engine, "ab", 5 * DAY, age=DAY) == "a"
    sync(engine, "ab", 6 * DAY)
    assert old(engine, "ab", WEEK) == "a"
    assert old(engine, "ab", 6 * DAY + WEEK - 1) == "a"
    assert old(engine, "ab", 6 * DAY + WEEK) == "ab"


EXCLUSIONS = {
    "channel": Exclusions(channels=frozenset({"https://c.example/b", "https://c.example/z"})),
    "host": Exclusions(hosts=frozenset({"b.example"})),
    "url": Exclusions(videos=frozenset({url("b")})),
    "uuid": Exclusions(videos=frozenset({"uuid-b"})),
}


@pytest.mark.parametrize("kind", EXCLUSIONS)
@pytest.mark.parametrize("by", ["sync", "check"])
def test_an_exclusion_takes_a_video_out_at_once_and_its_end_starts_the_clock_again(
    engine: Engine, kind: str, by: str
) -> None:
    excluded = EXCLUSIONS[kind]

    def told(now: float, exclusions: Exclusions) -> None:
        if by == "sync":
            sync(engine, "abc", now, exclusions)
        else:
            check(engine, now, exclusions)

    sync(engine, "abc", 0)
    assert old(engine, "abc", WEEK) == "abc"
    told(WEEK, excluded)
    assert old(engine, "abc", WEEK) == "ac"
    told(WEEK + DAY, NOTHING)
    assert old(engine, "abc", 2 * WEEK) == "ac"
    assert old(engine, "abc", 2 * WEEK + DAY) == "abc"


def test_what_is_excluded_from_the_start_never_gets_old(engine: Engine) -> None:
    sync(engine, "abc", 0, EXCLUSIONS["url"])
    check(engine, DAY, EXCLUSIONS["url"])
    assert old(engine, "abc", 100 * WEEK) == "ac"


NOW = 1_000 * DAY


def test_at_the_first_sync_a_video_counts_from_when_the_source_stored_it(engine: Engine) -> None:
    first_sync(engine, NOW, video("a", stored=NOW - WEEK), video("b", stored=NOW - WEEK + 1), video("c"))
    assert old(engine, "abc", NOW) == "a"
    assert old(engine, "abc", NOW + 1) == "ab"
    assert old(engine, "abc", NOW + WEEK) == "abc"


def test_later_videos_count_from_first_sight_whenever_they_were_stored(engine: Engine) -> None:
    videos = [video("a", stored=NOW - WEEK), video("b", stored=NOW - 2 * WEEK)]
    first_sync(engine, NOW, videos[0])
    first_sync(engine, NOW + DAY, *videos)
    assert old(engine, "ab", NOW + DAY) == "a"
    # One that was gone, because it was blocked or private, as well: what PeerTube kept of it is older.
    first_sync(engine, NOW + 2 * DAY, videos[1])
    first_sync(engine, NOW + 3 * DAY, *videos)
    assert old(engine, "ab", NOW + DAY + WEEK) == "b"
    assert old(engine, "ab", NOW + 3 * DAY + WEEK) == "ab"


def test_dates_of_an_origin_make_no_video_older(engine: Engine) -> None:
    first_sync(
        engine,
        NOW,
        video("a", published=0.0),
        video("b", published=0.0, stored=NOW - DAY),
        video("c", published=NOW, stored=NOW - WEEK),
    )
    assert old(engine, "abc", NOW) == "c"
    # Nor later: a remote video whose origin changes the date stays as old as it is.
    first_sync(engine, NOW + DAY, video("b", published=-1e9, stored=0.0), video("c", published=NOW + DAY))
    assert old(engine, "bc", NOW + DAY) == "c"


def test_an_own_video_is_never_older_than_its_publication(engine: Engine) -> None:
    first_sync(engine, NOW, *(video(n, own=True, stored=0.0, published=NOW - WEEK) for n in "ab"))
    assert old(engine, "ab", NOW) == "ab"
    # Made private and public again between two syncs: PeerTube notes the new publication.
    again = video("b", own=True, stored=0.0, published=NOW + DAY)
    first_sync(engine, NOW + 2 * DAY, video("a", own=True, stored=0.0, published=NOW - WEEK), again)
    assert old(engine, "ab", NOW + 2 * DAY) == "a"
    assert old(engine, "ab", NOW + DAY + WEEK) == "ab"


def test_a_wrong_clock_makes_no_video_older(engine: Engine) -> None:
    first_sync(engine, NOW, video("a", stored=NOW + 99 * DAY), video("b", own=True, published=NOW + 99 * DAY))
    assert old(engine, "ab", NOW + WEEK - 1) == ""
    assert old(engine, "ab", NOW + WEEK) == "ab"
    # Set back by 30 days: what comes now counts from the last sync.
    first_sync(engine, NOW - 30 * DAY, video("a"), video("c"))
    check(engine, NOW - 30 * DAY, EXCLUSIONS["url"])
    assert old(engine, "ac", NOW - 30 * DAY) == ""
    assert old(engine, "ac", NOW + WEEK - 1) == ""
    assert old(engine, "ac", NOW + WEEK) == "ac"


def test_another_kind_of_source_is_a_first_sync(engine: Engine) -> None:
    first_sync(engine, NOW, video("a", stored=NOW - WEEK), kind="dataset")
    first_sync(engine, NOW + DAY, video("b", stored=NOW - WEEK))
    assert old(engine, "ab", NOW + DAY) == "b"


def test_only_settled_videos_of_own_viewers_count(engine: Engine, config: Config) -> None:
    assert config.privacy.min_video_age.total_seconds() == WEEK
    sync(engine, "ab", 0)
    likes = ("1a", "1b", "1c", "2c", "3a", "4b")
    sync(engine, "abc", DAY, likes=likes)
    key = b"k" * 32

    def counted(now: float) -> dict[str, int]:
        own = own_viewers(engine, config, now=now)
        columns = own.interactions.matrix.sum(axis=0)
        return {name: int(columns[own.catalogue.urls.index(url(name))]) for name in "abc"}

    assert counted(WEEK - 1) == {"a": 0, "b": 0, "c": 0}
    assert counted(WEEK) == {"a": 2, "b": 2, "c": 0}
    assert counted(WEEK + DAY) == {"a": 2, "b": 2, "c": 2}
    check(engine, WEEK + DAY, EXCLUSIONS["host"])
    assert counted(WEEK + DAY) == {"a": 2, "b": 0, "c": 2}
    # Who counts with nothing is in no window, and a video that does not count is no change of its viewers.
    before = own_viewers(engine, config, now=WEEK).digests(key)
    after = own_viewers(engine, config, now=WEEK + DAY).digests(key)
    assert len(before) == 2  # viewers 1 and 3; 2 has only c, 4 only b
    assert len(after) == 3
    shared = before.keys() & after.keys()
    assert sum(before[who] != after[who] for who in shared) == 1


def test_the_limit_of_videos_goes_to_those_that_count(engine: Engine, config: Config) -> None:
    # Else a viewer of new videos would count with nothing at all.
    names = "abcdefgh"
    sync(engine, names[:4], 0)
    sync(engine, names, DAY, likes=tuple(f"1{name}" for name in names))
    own = own_viewers(engine, config, now=WEEK)
    assert own.limited(3).matrix.sum() == 3
    assert own.limited(10_000).matrix.sum() == 4
    catalogue = content_arrays.read(engine)
    assert own.catalogue.urls == catalogue.urls
