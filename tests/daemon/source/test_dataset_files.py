from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daemon.source.dataset_columns import codes, positive_from, publication
from daemon.source.dataset_files import DataSet, DataSetError, read

INTERACTIONS = "user,item,value,timestamp\nann,b,4.5,100\nann,a,2,200\nbob,c,5,50\n"
ITEMS = 'item,title,release_date,developer\na,Alpha (1999),,Z\nb,"Beta, or so (2001)","9 Nov, 2015",\n'
TAGS = "item,tag,kind,count\na,Jazz,genre,1\na,jazz,user,3\nb,rock,user,1\nd,jazz,user,1\n"


Tables = dict[str, str | None]


def write(folder: Path, tables: Tables | None = None, *, pack: bool = True) -> Path:
    content: Tables = {"interactions": INTERACTIONS, "items": ITEMS, "item_tags": TAGS}
    for name, text in (content | (tables or {})).items():
        if text is not None:
            raw = text.encode()
            path = folder / f"{name}.csv{'.gz' if pack else ''}"
            path.write_bytes(gzip.compress(raw) if pack else raw)
    return folder


@pytest.mark.parametrize("pack", [True, False])
def test_tables_become_arrays(tmp_path: Path, pack: bool) -> None:
    data = read(write(tmp_path, pack=pack))
    assert data.name == tmp_path.name
    assert data.user_ids == ("ann", "bob")
    assert data.item_ids == ("a", "b", "c", "d")  # as listed, then as mentioned
    assert data.users.tolist() == [0, 0, 1]
    assert data.items.tolist() == [1, 0, 2]
    assert data.values.tolist() == [4.5, 2.0, 5.0]
    assert data.timestamps is not None
    assert data.timestamps.tolist() == [100, 200, 50]
    assert data.columns["title"] == ("Alpha (1999)", "Beta, or so (2001)", "", "")
    assert data.tag_names == ("jazz", "rock")
    assert data.tags_by_users == pytest.approx(2 / 3)  # a word that is a genre too is no user's invention
    assert list(zip(data.tag_items.tolist(), data.tag_ids.tolist(), strict=True)) == [(0, 0), (1, 1), (3, 0)]


def test_items_tags_and_times_are_optional(tmp_path: Path) -> None:
    data = read(
        write(tmp_path, {"interactions": "user,item,value\n1,5,1\n", "items": None, "item_tags": None})
    )
    assert data.timestamps is None
    assert data.item_ids == ("5",)
    assert data.columns == {}
    assert data.tag_names == ()


BROKEN: list[tuple[Tables, str, int | None, str]] = [
    ({"interactions": None}, "interactions.csv.gz", None, "missing"),
    ({"interactions": ""}, "interactions.csv.gz", None, "empty"),
    ({"interactions": "user,item,value\n"}, "interactions.csv.gz", None, "no rows"),
    ({"interactions": "user,item\n1,2\n"}, "interactions.csv.gz", 1, "no column called value"),
    ({"interactions": "user,item,value,value\n1,2,3,4\n"}, "interactions.csv.gz", 1, "same name"),
    ({"interactions": "user,item,value\n1,2,3\n1,3\n"}, "interactions.csv.gz", 3, "2 fields"),
    ({"interactions": "user,item,value\n1,2,Secret\n"}, "interactions.csv.gz", 2, "not a number"),
    ({"interactions": "user,item,value\n1,2,nan\n"}, "interactions.csv.gz", 2, "not a number"),
    ({"interactions": "user,item,value\n1,2,inf\n"}, "interactions.csv.gz", 2, "not a number"),
    ({"interactions": "user,item,value\n1,2,3\n\n1,2,4\n"}, "interactions.csv.gz", 4, "occur twice"),
    ({"interactions": "user,item,value\n,2,3\n"}, "interactions.csv.gz", 2, "empty"),
    ({"interactions": 'user,item,value\n1,2,3\n1,"4,5\n'}, "interactions.csv.gz", 3, "CSV"),
    ({"items": "title\nSecret\n"}, "items.csv.gz", 1, "no column called item"),
    ({"items": "item,title\n1,Secret\n1,Secret\n"}, "items.csv.gz", 3, "listed twice"),
    ({"items": "item,title\n1,Secret, the film\n"}, "items.csv.gz", 2, "3 fields"),
    ({"item_tags": "item,kind\n1,Secret\n"}, "item_tags.csv.gz", 1, "no column called tag"),
]


@pytest.mark.parametrize(("tables", "file", "line", "problem"), BROKEN)
def test_broken_tables_are_named_with_line_and_fix(
    tmp_path: Path, tables: Tables, file: str, line: int | None, problem: str
) -> None:
    with pytest.raises(DataSetError, match=problem) as caught:
        read(write(tmp_path, tables))
    error = caught.value
    assert (error.file, error.line) == (file, line)
    assert error.advice
    assert error.advice in str(error)
    assert "Secret" not in str(error)
    assert str(tmp_path) not in str(error)


def spoil(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (spoil(lambda raw: raw[: len(raw) // 2]), "breaks off"),
        (spoil(lambda raw: raw[:-4]), "breaks off"),
        (spoil(lambda raw: b"user,item,value\n"), "not a valid gzip"),
        (spoil(lambda raw: raw[:-8] + bytes(8)), "not a valid gzip"),
        (spoil(lambda raw: gzip.compress(b"user,item,value\n1,\xff,3\n")), "not UTF-8"),
    ],
)
def test_half_written_files(tmp_path: Path, change: Callable[[Path], None], problem: str) -> None:
    rng = random.Random(0)
    rows = "".join(f"{user},{rng.randrange(10**9)},{rng.random()}\n" for user in range(3000))
    write(tmp_path, {"interactions": "user,item,value\n" + rows})
    change(tmp_path / "interactions.csv.gz")
    with pytest.raises(DataSetError, match=problem) as caught:
        read(tmp_path)
    assert caught.value.line is not None


def test_a_folder_that_is_none_and_a_file_that_is_one(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "interactions.csv").mkdir()
    with pytest.raises(DataSetError, match="cannot be read"):
        read(tmp_path)


def rated(folder: Path, values: list[float]) -> DataSet:
    rows = "".join(f"{place},{place},{value}\n" for place, value in enumerate(values))
    return read(write(folder, {"interactions": "user,item,value\n" + rows}))


def test_which_values_count_as_liked(tmp_path: Path) -> None:
    data = rated(tmp_path, [1, 2, 3, 4, 5])
    assert positive_from(data).from_value == 3
    assert "median" in str(positive_from(data))
    assert positive_from(data, 4.5).from_value == 4.5
    known = tmp_path / "anime-5k"
    known.mkdir()
    assert positive_from(rated(known, [1, 9])).from_value == 7


def test_amounts_and_constants_count_as_they_are(tmp_path: Path) -> None:
    assert positive_from(rated(tmp_path, [1, 1, 1])).from_value == -np.inf
    hours = positive_from(rated(tmp_path, [place / 7 for place in range(1, 40)]))
    assert hours.from_value == -np.inf
    assert "amounts" in hours.rule


def test_dates_come_from_columns_before_titles(tmp_path: Path) -> None:
    data = read(write(tmp_path))
    found = publication(data)
    assert found.rule == "publication date"
    assert np.isnan(found.published).tolist() == [True, False, True, True]
    assert found.published[1] == 1447027200  # 9 November 2015, midnight UTC


def test_years_in_titles_and_nothing_at_all(tmp_path: Path) -> None:
    found = publication(read(write(tmp_path, {"items": "item,title\na,Alpha (1999)\nb,Beta\n"})))
    assert found.rule == "year in title"
    assert found.published[0] == 915148800
    none = publication(read(write(tmp_path, {"items": "item,title\na,Alpha\nb,Beta (99)\n"})))
    assert none.rule is None
    assert np.isnan(none.published).all()


def test_iso_dates_and_unix_seconds(tmp_path: Path) -> None:
    text = "item,published\na,2024-02-03T04:05:06Z\nb,1700000000\nc,2024-02-03\nd,soon\n"
    found = publication(read(write(tmp_path, {"items": text})))
    assert found.published[:3].tolist() == [1706933106, 1700000000, 1706918400]
    assert np.isnan(found.published[3])


def test_columns_become_numbers(tmp_path: Path) -> None:
    numbers, names = codes(read(write(tmp_path)), "channel", "developer")
    assert names == ("Z",)
    assert numbers.tolist() == [0, -1, -1, -1]
    assert codes(read(write(tmp_path)), "language")[1] == ()
