"""A data-set folder as a source: every instance gives the same video the same address."""

import gzip
from pathlib import Path

import pytest

from daemon.errors import SourceError
from daemon.source.dataset import DatasetFiles, video_url, video_uuid
from tests.daemon.small_dataset import write_set


def test_instances_agree_on_addresses_whatever_their_folder_is_called(tmp_path: Path) -> None:
    one = DatasetFiles(write_set(tmp_path / "one"), name="films")
    two = DatasetFiles(write_set(tmp_path / "two", seed=1), name="films")
    assert set(one.urls()) == set(two.urls())
    assert (
        one.urls()[0]
        == video_url("films", "v0")
        == f"https://films.example/videos/watch/{video_uuid('films', 'v0')}"
    )
    assert DatasetFiles(tmp_path / "one", name="other").urls()[0] != one.urls()[0]


def test_pages_hold_every_video_and_like_once(tmp_path: Path) -> None:
    source = DatasetFiles(write_set(tmp_path / "set", videos=2400, users=300), name="films")
    pages = list(source.videos())
    assert [round(done, 3) for done, _ in pages] == [0.417, 0.833, 1.0]
    videos = [video for _, page in pages for video in page]
    assert len({video.url for video in videos}) == 2400
    assert videos[3].tags == ("jazz",)
    assert videos[3].channel == "channel 3"
    assert videos[3].published is not None
    assert videos[3].stored == videos[3].published
    assert not videos[3].own
    likes = [row for _, page in source.engagements() for row in page]
    assert len(likes) == 3000
    assert all(row.liked and row.at >= 1_600_000_000 for row in likes)


def test_columns_of_the_set_win_over_made_up_addresses(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    (tmp_path / "set" / "items.csv.gz").unlink()
    (tmp_path / "set" / "items.csv").write_text(
        "item,title,url,published\nv0,A,https://x.example/w/1,2020-01-02\n"
    )
    source = DatasetFiles(tmp_path / "set", like_at=6)
    assert source.urls()[0] == "https://x.example/w/1"
    assert list(source.engagements()) == []


def test_views_are_rows_of_everybody_unless_the_set_tells_the_networks(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    counted = {"v0": 0, "v1": 0}
    with gzip.open(tmp_path / "set" / "interactions.csv.gz", "rt") as file:
        for line in file:
            if (item := line.split(",")[1]) in counted:
                counted[item] += 1
    (tmp_path / "set" / "items.csv.gz").unlink()

    def views(items: str) -> list[int]:
        (tmp_path / "set" / "items.csv").write_text(items)
        # Likes alone are no views: here nothing counts as liked.
        return [
            video.views for _, page in DatasetFiles(tmp_path / "set", like_at=6).videos() for video in page
        ]

    assert views("item\nv0\nv1\nunseen\n")[:3] == [counted["v0"], counted["v1"], 0]
    assert min(counted.values()) > 0
    # What is not in the table of videos, or no number, is not known to be seen.
    found = views("item,views\nv0,1234\nv1,many\nunseen,-3\nv2,99999999999999999999\n")
    assert found == [1234, 0, 0, 2**53] + [0] * 37


def test_a_broken_set_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        list(DatasetFiles(tmp_path / "nowhere").videos())
    folder = write_set(tmp_path / "set")
    raw = (folder / "items.csv.gz").read_bytes()
    (folder / "items.csv.gz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SourceError, match=r"items\.csv\.gz"):
        list(DatasetFiles(folder).videos())
