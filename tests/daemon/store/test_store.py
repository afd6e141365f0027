"""The store on a real file: schema, snapshots, reading back, sums, counters."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, select, text

from daemon.errors import StoreError
from daemon.store import activity, content_arrays, engagement_arrays, sums
from daemon.store.activity import RoundRecord
from daemon.store.engine import connect, open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import ENGAGEMENT_COLUMNS, VIDEO_COLUMNS, EngagementRow, VideoRow
from daemon.store.snapshot import replace
from daemon.store.tables import SCHEMA, Base, Engagement, Video
from daemon.store.viewers import Pseudonyms, viewer_history
from tests.daemon.stored_sums import EXACT_SUM

SECRET = Pseudonyms(bytes(range(32)))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    migrate(tmp_path / "shoal.db")
    engine = open_checked(tmp_path / "shoal.db")
    yield engine
    engine.dispose()


def video(name: str, *tags: str, **more: object) -> VideoRow:
    return VideoRow(f"https://v.example/{name}", name, f"Title {name}", tags=tags, **more)  # type: ignore[arg-type]


def like(viewer: str, name: str, at: float = 1.0) -> EngagementRow:
    return EngagementRow(viewer, f"https://v.example/{name}", liked=True, at=at)


def fill(engine: Engine, videos: list[VideoRow], engagements: list[EngagementRow]) -> None:
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos(videos)
        snapshot.add_engagements(engagements)


def test_migrations_build_exactly_the_tables_of_the_program(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    assert migrate(tmp_path / "shoal.db") == (None, SCHEMA)
    assert migrate(tmp_path / "shoal.db") == (SCHEMA, SCHEMA)
    assert (tmp_path / "shoal.db").stat().st_mode & 0o077 == 0


def test_a_schema_that_no_program_knows_is_refused_with_advice(tmp_path: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(StoreError, match="at schema 0000") as caught:
        open_checked(tmp_path / "shoal.db")
    assert "shoal run" in caught.value.advice
    with pytest.raises(StoreError, match="unknown schema") as caught:
        migrate(tmp_path / "shoal.db")
    assert "backup" in caught.value.advice


def test_a_newer_database_is_refused_with_advice(tmp_path: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for opening in (open_checked, migrate):
        with pytest.raises(StoreError, match="newer Shoal") as caught:
            opening(tmp_path / "shoal.db")
        assert "backup" in caught.value.advice


def test_foreign_and_broken_files_are_refused(tmp_path: Path) -> None:
    foreign = connect(tmp_path / "foreign.db")
    with foreign.begin() as connection:
        connection.execute(text("CREATE TABLE other (x)"))
    foreign.dispose()
    with pytest.raises(StoreError, match="another program"):
        migrate(tmp_path / "foreign.db")
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    with pytest.raises(StoreError, match=r"shoal\.db is damaged") as caught:
        open_checked(tmp_path / "noise.db")
    assert "backup" in caught.value.advice
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        open_checked(tmp_path / "folder.db")


def test_connections_are_durable_private_and_checked(engine: Engine) -> None:
    with engine.connect() as connection:
        values = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 5000,
    }


def test_what_was_stored_comes_back_in_the_order_of_addresses(engine: Engine) -> None:
    fill(
        engine,
        [
            video("b", "Jazz", "blues", channel="c2", published=5.0),
            video("a", "jazz", channel="c1", language="en", nsfw=True),
            video("a", "listed twice"),
        ],
        [like("v2", "b"), like("v1", "a"), like("v1", "unknown"), like("v2", "a")],
    )
    catalogue, engagements = engagement_arrays.read(engine)
    assert catalogue.urls == ("https://v.example/a", "https://v.example/b")
    assert catalogue.titles == ("Title a", "Title b")
    assert catalogue.tag_names == ("blues", "jazz")
    assert catalogue.tag_offsets.tolist() == [0, 1, 3]
    assert catalogue.tag_ids.tolist() == [1, 0, 1]
    assert catalogue.channel.tolist() == [0, 1]
    assert catalogue.language.tolist() == [0, -1]
    assert catalogue.nsfw.tolist() == [True, False]
    assert np.isnan(catalogue.published[0])
    assert catalogue.published[1] == 5.0
    # Viewers in order of appearance: v2 is 0, v1 is 1.
    assert list(zip(engagements.users, engagements.videos, strict=True)) == [(0, 0), (0, 1), (1, 0)]


def test_every_field_of_a_row_is_stored_in_the_column_of_its_name(engine: Engine) -> None:
    stored = VideoRow(
        "https://v.example/a", "id", "T", "ch", "h", "ca", "l", 5.0, True, 7, 8, ("tag",), "ac", 3
    )
    done = EngagementRow("v", stored.url, liked=True, disliked=False, watched=0.25, at=9.0)
    fill(engine, [stored], [done])
    with engine.connect() as connection:
        (video_,) = connection.execute(select(Video.__table__)).mappings()
        (engagement,) = connection.execute(select(Engagement.__table__)).mappings()
    assert dict(video_) == {"id": 1} | {name: getattr(stored, name) for name in VIDEO_COLUMNS}
    assert dict(engagement) == {"viewer_id": 1, "video_id": 1} | {
        name: getattr(done, name) for name in ENGAGEMENT_COLUMNS
    }


def test_an_empty_store_reads_as_empty(engine: Engine) -> None:
    catalogue, engagements = engagement_arrays.read(engine)
    assert len(catalogue) == 0
    assert engagements.user_count == 0


def test_engagements_of_one_viewer_and_video_combine(engine: Engine) -> None:
    first = EngagementRow("v", "https://v.example/a", watched=0.7, at=2.0)
    second = EngagementRow("v", "https://v.example/a", disliked=True, watched=0.1, at=9.0)
    fill(engine, [video("a")], [first, second])
    _, engagements = engagement_arrays.read(engine)
    assert engagements.disliked.tolist() == [True]
    assert engagements.watched.tolist() == [0.7]
    assert engagements.when.tolist() == [9.0]


def test_a_sync_replaces_everything_and_leaves_no_trace_on_disk(tmp_path: Path, engine: Engine) -> None:
    fill(
        engine,
        [video("gone-for-good"), video("stays")],
        [like("leaver", "gone-for-good"), like("other", "stays")],
    )
    assert SECRET.of("leaver") in (tmp_path / "shoal.db").read_bytes()
    fill(engine, [video("stays")], [like("other", "stays")])
    raw = (tmp_path / "shoal.db").read_bytes() + (tmp_path / "shoal.db-wal").read_bytes()
    assert SECRET.of("leaver") not in raw
    assert b"gone-for-good" not in raw
    assert SECRET.of("other") in raw


def test_a_sync_that_fails_leaves_the_old_content(engine: Engine) -> None:
    fill(engine, [video("a")], [like("v", "a")])

    def broken_source() -> Iterator[VideoRow]:
        yield video("b")
        raise OSError("the source broke")

    with pytest.raises(OSError, match="broke"), replace(engine, SECRET) as snapshot:
        snapshot.add_videos(broken_source())
    assert content_arrays.read_urls(engine) == ("https://v.example/a",)
    fill(engine, [video("c")], [])
    assert content_arrays.read_urls(engine) == ("https://v.example/c",)


def test_names_are_known_again_on_later_pages(engine: Engine) -> None:
    listed = [video(str(n), "everywhere", f"tag {n % 7}") for n in range(2_500)]
    fill(engine, [*listed, video("3", "listed twice")], [like(f"v{n % 9}", str(n)) for n in range(2_500)])
    catalogue, engagements = engagement_arrays.read(engine)
    assert len(catalogue) == 2_500
    assert catalogue.tag_names == ("everywhere", *(f"tag {n}" for n in range(7)))
    assert np.diff(catalogue.tag_offsets).tolist() == [2] * 2_500
    assert (engagements.user_count, len(engagements.users)) == (9, 2_500)


def test_what_is_collected_has_no_name_on_disk(tmp_path: Path, engine: Engine) -> None:
    fill(engine, [video("a")], [])
    names = {path.name for path in tmp_path.iterdir()}
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos([video("b")])
        snapshot.add_engagements([like("v", "b")])
        assert {path.name for path in tmp_path.iterdir()} == names
    assert {path.name for path in tmp_path.iterdir()} == names


def test_readers_go_on_with_the_old_content_meanwhile(engine: Engine) -> None:
    fill(engine, [video("a")], [])
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos([video("b")])
        assert content_arrays.read_urls(engine) == ("https://v.example/a",)
        # A slow source must not keep the server from counting.
        activity.count_refusal(engine, "replayed", now=1.0)
    assert content_arrays.read_urls(engine) == ("https://v.example/b",)


def test_viewers_are_stored_under_a_keyed_hash(tmp_path: Path, engine: Engine) -> None:
    fill(engine, [video("a"), video("b"), video("c")], [like("alice", "a", 1.0), like("alice", "b", 2.0)])
    assert b"alice" not in (tmp_path / "shoal.db").read_bytes()
    assert viewer_history(engine, SECRET.of("alice"), limit=9) == [
        "https://v.example/b",
        "https://v.example/a",
    ]
    assert viewer_history(engine, Pseudonyms(bytes(32)).of("alice"), limit=9) == []
    first = Pseudonyms.open(tmp_path / "key").of("alice")
    assert Pseudonyms.open(tmp_path / "key").of("alice") == first != SECRET.of("alice")


def test_hostile_text_is_cut_and_broken_numbers_dropped(engine: Engine) -> None:
    wild = video("a", "t" * 999, *map(str, range(999)), published=float("inf"), views=-5)
    bad = EngagementRow("v", "https://v.example/a", watched=1.5)
    with replace(engine, SECRET) as snapshot:
        snapshot.add_videos([wild, VideoRow("", "", "no address"), VideoRow("x" * 9999, "", "long address")])
        snapshot.add_engagements([bad])
    catalogue, engagements = engagement_arrays.read(engine)
    assert len(catalogue) == 1
    assert np.isnan(catalogue.published[0])
    assert catalogue.views[0] == 0
    assert len(catalogue.tag_names) == 200
    assert max(map(len, catalogue.tag_names)) == 100
    assert engagements.user_count == 0
    assert snapshot.counts.skipped == 3


def round_(name: str, started: float = 1.0) -> RoundRecord:
    return RoundRecord(name, "aggregator", "one.example", started, ended=2.0, survivors=["two.example"])


@pytest.mark.parametrize("largest", [127, 128, -129, 32_768, -32_769, 2**31, 2**40])
def test_pairs_of_a_sum_come_back_whatever_their_size(tmp_path: Path, engine: Engine, largest: int) -> None:
    activity.save_round(engine, round_("one"))
    triangle, urls = np.array([largest, 0, -1]), ("a", "b", "c")
    numbers = {"counts": np.array([1, 2, 3]), "triangle": triangle, "privacy": EXACT_SUM}
    sums.save(engine, tmp_path / "sums", round_id="one", urls=urls, now=1.0, **numbers)  # type: ignore[arg-type]
    found = sums.newest(engine, tmp_path / "sums")
    assert found is not None
    assert (found.triangle.tolist(), str(found.triangle.dtype)) == (triangle.tolist(), "int64")


def test_sums_come_back_whole_or_not_at_all(tmp_path: Path, engine: Engine) -> None:
    folder = tmp_path / "sums"
    for number, name in enumerate(("older", "newer")):
        activity.save_round(engine, round_(name))
        counts, triangle = np.array([9, 8, 7]) + number, np.array([3, 2, 1])
        sums.save(
            engine,
            folder,
            round_id=name,
            urls=("a", "b", "c"),
            counts=counts,
            triangle=triangle,
            privacy=dataclasses.replace(EXACT_SUM, pairs_noise=number),
            now=number,
        )
    found = sums.newest(engine, folder)
    assert found is not None
    assert (found.round_id, found.counts.tolist(), found.triangle.tolist()) == (
        "newer",
        [10, 9, 8],
        [3, 2, 1],
    )
    assert found.survivors == ("two.example",)
    assert found.privacy == dataclasses.replace(EXACT_SUM, pairs_noise=1)
    assert sums.prune(engine, folder, keep=1) == 1
    (path,) = folder.iterdir()
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged"):
        sums.newest(engine, folder)
    assert sums.prune(engine, folder, keep=0) == 1
    assert sums.newest(engine, folder) is None


def test_rounds_and_refusals_are_remembered(engine: Engine) -> None:
    activity.save_round(engine, round_("abcdef-1"))
    activity.save_round(
        engine, RoundRecord("abcdef-1", "aggregator", "one.example", 1.0, outcome="abandoned")
    )
    activity.save_round(engine, round_("abcdef-2", started=5.0))
    assert [s.id for s in activity.rounds(engine)] == ["abcdef-2", "abcdef-1"]
    found = activity.round_(engine, "abcdef-1")
    assert found is not None
    assert found.outcome == "abandoned"
    assert activity.round_(engine, "abcdef") is None
    assert sorted(activity.round_ids(engine, "abcdef")) == ["abcdef-1", "abcdef-2"]
    assert activity.round_ids(engine, "abc%") == []
    for _ in range(3):
        activity.count_refusal(engine, "replayed", peer="two.example", now=1.0)
    activity.count_refusal(engine, "replayed", now=1.0)
    assert activity.refusals(engine) == {"replayed": 4}
    assert activity.prune_rounds(engine, before=9.0) == 1
