"""`shoal related` and `shoal explain`: lists beside each other, and what lists are because of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from daemon.cli import terminal
from daemon.cli.related_compare import Compared, as_page
from models import artefact
from models.labels import Labels
from models.related_order import DISCOVERY
from models.serving import ServedModel, Suggestion
from tests.daemon.running_daemon import daemon, instance, put_model
from tests.daemon.shoal_command import Done, shoal
from tests.models.made import made_labels, made_model

LABELS = made_labels()
MODEL = made_model()
ITEM = int(MODEL.items[0])
"""Known by those who engaged with it, so that popularity has a part in its lists."""
SEED = LABELS.uuid[ITEM]
HOSTILE = "</li><script>alert(\"1\")</script>' onload='x & <b>"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    put_model(folder, "20260101-a", made_model(seed=1))
    put_model(folder, "20260102-b")
    return instance(folder)


@pytest.fixture
def model(config: Path) -> ServedModel:
    return served(config, "20260102-b")


def served(config: Path, name: str) -> ServedModel:
    return artefact.load(config.parent / "models" / name)


def named(titles: list[str]) -> Labels:
    """Labels with other titles."""
    number = len(titles)
    return Labels.pack(
        uuid=[LABELS.uuid[n] for n in range(number)],
        url=[LABELS.url[n] for n in range(number)],
        title=titles,
        channels=[f"channel {n}" for n in range(7)],
        categories=["c"] * 4,
        languages=["de", "en", "fr"],
    )


def ids(videos: list[dict[str, Any]]) -> list[str]:
    return [item["uuid"] for item in videos]


def of(found: list[Suggestion]) -> list[str]:
    return [LABELS.uuid[item.video] for item in found]


# Lists.


def test_a_list_has_reasons_and_no_scores(config: Path) -> None:
    done = shoal("related", SEED, "-c", config)
    assert done.returncode == 0, done
    header = next(line for line in done.stdout.splitlines() if "VIDEO" in line)
    assert header.split() == ["VIDEO", "WHY"]
    answer = shoal("related", SEED, "-c", config, "-o", "json").json
    assert {key for item in answer["videos"] for key in item} == {"uuid", "url", "reason"}
    assert all(item["reason"]["text"] in done.said for item in answer["videos"])


def test_discovery_changes_a_list(config: Path, model: ServedModel) -> None:
    lists = {}
    for one in DISCOVERY:
        lists[one] = ids(
            shoal("related", SEED, "--discovery", one, "-c", config, "-o", "json").json["videos"]
        )
        assert lists[one] == of(model.related(ITEM, limit=10, discovery=one))
    assert lists["familiar"] != lists["explore"]
    assert ids(shoal("related", SEED, "-c", config, "-o", "json").json["videos"]) == lists["balanced"]


def test_without_a_choice_discovery_is_as_the_admin_set_it(tmp_path: Path, model: ServedModel) -> None:
    put_model(tmp_path, "one")
    config = instance(tmp_path, extra='serve.discovery = "explore"')
    answer = shoal("related", SEED, "-c", config, "-o", "json").json
    assert ids(answer["videos"]) == of(model.related(ITEM, limit=10, discovery="explore"))


@pytest.mark.daemon
def test_a_running_daemon_is_asked_for_discovery_and_explanations(tmp_path: Path) -> None:
    put_model(tmp_path, "one")
    config = instance(tmp_path)
    with daemon(config) as running:
        lists = {}
        for one in DISCOVERY:
            answer = shoal("related", SEED, "--discovery", one, "-c", config, "-o", "json").json
            path = f"/v1/related?video={SEED}&limit=10&discovery={one}"
            assert answer["videos"] == running.call(path)[1]["videos"]
            lists[one] = ids(answer["videos"])
        assert lists["familiar"] != lists["explore"]
        command = ("explain", SEED, "--history", LABELS.uuid[4], "-c", config, "-o", "json")
        why = shoal(*command).json
        # What a list would be without it is read off the disk, and changes nothing in the rest.
        without = shoal(*command, "--without", LABELS.uuid[4]).json
        assert why == running.call(f"/v1/explain?video={SEED}&history={LABELS.uuid[4]}")[1]
        assert without.pop("without")
        assert without == why
    assert shoal(*command).json == why


# Side by side.


def columns_of(done: Done, width: int) -> list[str]:
    """Return the lines of the lists, none of which is wider than the terminal."""
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert max(map(cell_len, lines)) <= width
    return lines


@pytest.mark.parametrize("width", [80, 120])
def test_three_lists_are_side_by_side_within_the_terminal(
    config: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", width)
    done = shoal("related", SEED, "--compare", "-c", config)
    lines = columns_of(done, width)
    assert any(line.split() == [one.upper() for one in DISCOVERY] for line in lines)
    assert [line[:2].strip() for line in lines if line[:2].strip().isdigit()] == [
        str(place) for place in range(1, 11)
    ]
    # A line break inside a cell would be printed as what stands for control characters.
    assert "\N{REPLACEMENT CHARACTER}" not in done.stdout


@pytest.mark.parametrize("width", [80, 120])
def test_titles_that_cannot_be_broken_at_spaces_keep_to_their_column(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", width)
    titles = [f"{number}{'x漢' * 60}" for number in range(60)]
    titles[ITEM] = "short"
    name = "20260101-with-a-name-that-is-longer-than-a-column-is-wide"
    put_model(tmp_path, name, labels=named(titles))
    done = shoal("related", "short", "--model", name, "--model", name, "-c", instance(tmp_path))
    assert "漢" in "".join(columns_of(done, width))


def test_a_comparison_has_the_lists_that_viewers_would_see(config: Path, model: ServedModel) -> None:
    answer = shoal("related", SEED, "--compare", "-n", "4", "-c", config, "-o", "json").json
    assert set(answer) == {"title", "lists"}
    assert answer["title"] == LABELS.title[ITEM]
    assert [one["name"] for one in answer["lists"]] == list(DISCOVERY)
    for one, discovery in zip(answer["lists"], DISCOVERY, strict=True):
        expected = [LABELS.title[item.video] for item in model.related(ITEM, limit=4, discovery=discovery)]
        assert [video["title"] for video in one["videos"]] == expected
        assert all(set(video) == {"title", "why"} and video["why"] for video in one["videos"])


def test_stored_models_are_compared_by_the_first_characters_of_their_ids(config: Path) -> None:
    command = ("related", SEED, "--model", "20260101", "--model", "20260102-b", "-c", config)
    answer = shoal(*command, "-o", "json").json
    assert [one["name"] for one in answer["lists"]] == [*DISCOVERY, "20260101", "20260102-b"]
    *_, balanced, _, older, current = answer["lists"]
    assert current["videos"] == balanced["videos"]
    expected = served(config, "20260101-a").related(ITEM, limit=10)
    assert [video["title"] for video in older["videos"]] == [LABELS.title[item.video] for item in expected]
    shown = shoal(*command)
    headers = [line.split() for line in shown.stdout.splitlines() if "EXPLORE" in line or "20260101" in line]
    assert headers == [[one.upper() for one in DISCOVERY], ["20260101", "20260102-b"]]


def test_a_model_that_does_not_know_the_video_lists_nothing(tmp_path: Path) -> None:
    few = 20
    put_model(tmp_path, "few", made_model(few, 10), made_labels(few))
    put_model(tmp_path, "one")
    late = next(int(item) for item in MODEL.items if item >= few)
    command = ("related", LABELS.uuid[late], "--model", "few", "-c", instance(tmp_path))
    *lists, unknown = shoal(*command, "-o", "json").json["lists"]
    assert unknown == {"name": "few", "videos": []}
    assert all(one["videos"] for one in lists)
    assert shoal(*command).returncode == 0


# A page.


class Parts(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and their texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


ELEMENTS = {"html", "meta", "title", "style", "h1", "main", "section", "h2", "ol", "li", "small"}


def test_a_page_takes_titles_reasons_and_names_as_text() -> None:
    page = Parts(as_page(Compared(HOSTILE, ((f"1{HOSTILE}", ((f"2{HOSTILE}", f"3{HOSTILE}"),)),))))
    assert set(page.tags) == ELEMENTS
    assert {name for name, _ in page.attributes} == {"lang", "charset", "name", "content"}
    for text in (f"Related to {HOSTILE}", f"1{HOSTILE}", f"2{HOSTILE}", f"3{HOSTILE}"):
        assert text in page.texts


def test_braces_in_a_title_are_no_places_to_fill_in() -> None:
    page = Parts(as_page(Compared("{title} {0}", (("{lists}", (("{x}", "{}"),)),))))
    assert {"Related to {title} {0}", "{lists}", "{x}", "{}"} <= set(page.texts)


def test_a_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    titles = [f"{number} {HOSTILE}" for number in range(60)]
    hostile = replace(MODEL, tag_names=tuple(f"{number}{HOSTILE}" for number in range(30)))
    put_model(tmp_path, "one", hostile, named(titles))
    page, config = tmp_path / "page.html", instance(tmp_path)
    before = set(tmp_path.iterdir())
    # A video that is no item has content alone in its lists, so tags are in the reasons.
    seed = LABELS.uuid[next(n for n in range(60) if n not in MODEL.items and served(config, "one").tags(n))]
    answer = shoal("related", seed, "--html", page, "-c", config, "-o", "json").json
    assert set(tmp_path.iterdir()) - before == {page}
    text = page.read_text("utf-8")
    parts = Parts(text)
    assert set(parts.tags) == ELEMENTS
    assert not {"src", "href", "action", "onload", "style"} & {name for name, _ in parts.attributes}
    assert not any(word in text for word in ("url(", "@import", "http:", "https:"))
    reasons = [video["why"] for one in answer["lists"] for video in one["videos"]]
    assert any("<script>" in reason for reason in reasons)
    for one in answer["lists"]:
        assert one["name"] in parts.texts
        for video in one["videos"]:
            assert {video["title"], video["why"]} <= set(parts.texts)


def test_where_the_page_is_written_is_said(config: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = shoal("related", SEED, "--html", page, "-c", config)
    assert done.stdout.splitlines()[-1] == f"Written to {page}"
    assert LABELS.title[ITEM] in page.read_text("utf-8")


# Explanations.


def explained(config: Path, video: int, *history: int) -> tuple[Done, dict[str, Any]]:
    words = ["explain", LABELS.uuid[video], "-c", str(config)]
    for one in history:
        words += ["--history", LABELS.uuid[one]]
    return shoal(*words), shoal(*words, "-o", "json").json


def pairs() -> Iterator[tuple[int, int]]:
    yield from ((int(video), int(seen)) for video in MODEL.items for seen in MODEL.items if video != seen)


def test_an_explanation_has_shares_and_no_score(config: Path) -> None:
    history = [int(item) for item in MODEL.items[1:4]]
    done, answer = explained(config, ITEM, *history)
    assert set(answer) == {"model", "uuid", "url", "by_video", "popularity", "by_feature"}
    assert ids(answer["by_video"]) == [LABELS.uuid[one] for one in history]
    assert all(set(part) == {"uuid", "share"} for part in answer["by_video"])
    shares = [*(part["share"] for part in answer["by_video"]), answer["popularity"]]
    assert sum(share for share in shares if share > 0) == pytest.approx(1.0)
    assert "score" not in done.stdout.lower()
    header = next(line for line in done.stdout.splitlines() if "BECAUSE OF" in line)
    assert header.split() == ["BECAUSE", "OF", "SHARE"]
    for share in shares:
        assert f"{share:.0%}" in done.stdout


def test_features_are_named_where_content_speaks(config: Path) -> None:
    video = next(n for n in range(60) if n not in MODEL.items)
    done, answer = explained(config, video, *(int(item) for item in MODEL.items[:5]))
    assert answer["popularity"] == 0
    assert answer["by_feature"]
    assert all(set(part) == {"kind", "name", "share"} for part in answer["by_feature"])
    assert sum(part["share"] for part in answer["by_feature"] if part["share"] > 0) == pytest.approx(1.0)
    assert "IN COMMON" in done.stdout
    for part in answer["by_feature"]:
        assert f"{part['kind']} {part['name']}" in done.stdout


def test_one_sentence_says_what_most_of_it_comes_from(config: Path, model: ServedModel) -> None:
    def first(mostly_video: bool) -> tuple[int, int]:
        def fits(video: int, seen: int) -> bool:
            why = model.explain([seen], video)
            ((_, part),) = why.by_video
            return part > 2 * why.popularity > 0 if mostly_video else part < 0 < why.popularity

        return next((video, seen) for video, seen in pairs() if fits(video, seen))

    video, seen = first(mostly_video=True)
    done, _ = explained(config, video, seen)
    assert f"Most of it because of {LABELS.title[seen]}." in done.stdout
    video, seen = first(mostly_video=False)
    done, answer = explained(config, video, seen)
    assert answer["popularity"] == 1.0
    assert "Most of it: that many watch it." in done.stdout
    assert "(watched by many)" in done.stdout


def test_where_no_part_is_most_of_it_the_largest_is_named(config: Path) -> None:
    history = [int(item) for item in MODEL.items[1:]]
    done, answer = explained(config, ITEM, *history)
    largest = max(answer["by_video"], key=lambda part: float(part["share"]))
    assert answer["popularity"] < largest["share"] <= 0.5
    position = LABELS.index(largest["uuid"])
    assert position is not None
    assert f"The largest part of it because of {LABELS.title[position]}." in done.stdout


# Without.


Places = dict[str, tuple[int | None, int | None]]
"""Of each video, before and after."""


def expected_change(model: ServedModel, before: list[int], after: list[int]) -> Places:
    """Return the places that `recommend` gives with and without a part of a history."""
    left_out = set(before) - set(after)
    first, then = (
        {uuid: place for place, uuid in enumerate(of(model.recommend(past, limit=10, exclude=out)), 1)}
        for past, out in ((before, ()), (after, left_out))
    )
    return {uuid: (first.get(uuid), then.get(uuid)) for uuid in {*first, *then}}


def changes(config: Path, history: list[int], *without: str) -> list[dict[str, Any]]:
    words = ["explain", SEED, "-c", str(config), "-o", "json"]
    for one in history:
        words += ["--history", LABELS.uuid[one]]
    for text in without:
        words += ["--without", text]
    found: list[dict[str, Any]] = shoal(*words).json["without"]
    return found


def places(change: dict[str, Any]) -> Places:
    assert set(change) == {"without", "videos"}
    return {row["uuid"]: (row["before"], row["after"]) for row in change["videos"]}


def test_without_a_video_the_list_is_what_it_would_be(config: Path, model: ServedModel) -> None:
    history = [int(item) for item in MODEL.items[1:5]]
    (change,) = changes(config, history, LABELS.uuid[history[0]])
    assert change["without"] == LABELS.uuid[history[0]]
    assert places(change) == expected_change(model, history, history[1:])
    assert any(before != after for before, after in places(change).values())
    # In the order of the new list, then what is on it no more.
    listed = [row["after"] for row in change["videos"]]
    assert listed[:10] == list(range(1, 11))
    assert set(listed[10:]) <= {None}


def test_without_a_tag_all_videos_that_have_it_are_left_out(config: Path, model: ServedModel) -> None:
    items = [int(item) for item in MODEL.items]
    tag, having = next(
        (tag, having)
        for tag in MODEL.tag_names
        if len(having := [item for item in items if tag in model.tags(item)]) == 2
    )
    history = [*having, *(item for item in items if item not in having)][:5]
    (change,) = changes(config, history, tag.upper())
    assert places(change) == expected_change(model, history, history[2:])
    assert any(before != after for before, after in places(change).values())


def test_several_changes_are_each_against_the_whole_history(config: Path, model: ServedModel) -> None:
    history = [int(item) for item in MODEL.items[1:4]]
    found = changes(config, history, LABELS.uuid[history[0]], LABELS.uuid[history[1]])
    assert [places(one) for one in found] == [
        expected_change(model, history, history[1:]),
        expected_change(model, history, [history[0], history[2]]),
    ]


def test_changed_places_are_shown_side_by_side(config: Path) -> None:
    history = [int(item) for item in MODEL.items[1:5]]
    words = [word for one in history for word in ("--history", LABELS.uuid[one])]
    done = shoal("explain", SEED, *words, "--without", LABELS.uuid[history[0]], "-c", config)
    assert done.returncode == 0, done
    assert f"Without {LABELS.uuid[history[0]]}" in done.stdout
    shown = done.stdout[done.stdout.index("PLACE BEFORE") :]
    assert shown.splitlines()[0].split() == ["PLACE", "BEFORE", "AFTER"]
    (change,) = changes(config, history, LABELS.uuid[history[0]])
    rows = [line.split()[-2:] for line in shown.splitlines()[1:] if line.strip()]
    assert rows == [[str(row["before"] or "–"), str(row["after"] or "–")] for row in change["videos"]]


# What is not known.


@pytest.mark.parametrize(
    ("words", "problem", "advice"),
    [
        (["related", "no such title"], "the model knows no such video", "Give a UUID"),
        (["related", "no such title", "--compare"], "the model knows no such video", "Give a UUID"),
        (["related", SEED, "--model", "2025"], 'no model begins with "2025"', "shoal models list"),
        (["related", SEED, "--model", "2026"], '2 models begin with "2026"', "shoal models list"),
        (["explain", "nothing", "--history", SEED], "the model knows no such video", "Give a UUID"),
        (["explain", SEED, "--history", "nothing"], "the model knows no such video", "Give a UUID"),
        (
            ["explain", SEED, "--history", SEED, "--without", "no-tag"],
            "nothing in the history is no-tag",
            "a tag",
        ),
        (
            ["explain", SEED, "--history", SEED, "--history", LABELS.uuid[2], "--without", "subject"],
            "2 titles match",
            "give a UUID",
        ),
        (["related", SEED, "--discovery", "far"], "'far' is not one of", "'familiar', 'balanced', 'explore'"),
    ],
)
def test_what_is_not_known_is_said_with_what_to_do(
    config: Path, words: list[str], problem: str, advice: str
) -> None:
    done = shoal(*words, "-c", config)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert problem in done.stderr
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_is_told_as_well(config: Path) -> None:
    done = shoal("explain", SEED, "--history", SEED, "--without", "no-tag", "-c", config, "-o", "json")
    assert done.json["code"] == "bad-request"
    assert done.json["advice"]


def test_a_model_of_another_version_is_told_with_what_to_do(tmp_path: Path) -> None:
    put_model(tmp_path, "20250101-old")
    manifest = tmp_path / "models" / "20250101-old" / artefact.MANIFEST
    manifest.write_text(manifest.read_text().replace(f'"format": {artefact.FORMAT}', '"format": 3'))
    config = instance(tmp_path)
    for words in (["models", "show", "current"], ["related", SEED], ["explain", SEED, "--history", SEED]):
        done = shoal(*words, "-c", config)
        assert done.returncode == 4, done
        assert "its format is not" in done.stderr
        assert "shoal train" in done.stderr
        assert "Traceback" not in done.stderr
