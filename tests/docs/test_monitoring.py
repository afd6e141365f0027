"""The dashboard and the alerts use metrics and labels that a daemon has, and say what to do."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.docs import generate

FOLDER = ROOT / "docs" / "monitoring"
ALERTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"][0][
    "rules"
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [
    *((rule["alert"], rule["expr"]) for rule in ALERTS),
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]),
]
BY_PROMETHEUS = {"job", "instance", "le"}
PROCESS = {"process_resident_memory_bytes", "process_start_time_seconds"}


def known() -> dict[str, set[str]]:
    """Return the labels of each metric that a daemon has, by its name as it is scraped."""
    found: dict[str, set[str]] = {name: set() for name in PROCESS}
    for name, kind, labels, _, _ in generate.served().metrics:
        names = {label.strip("`") for label in re.findall(r"`\w+`", re.sub(r"\([^)]*\)", "", labels))}
        for end in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + end] = names
    return found


def used(expression: str) -> list[tuple[str, set[str]]]:
    """Return each metric in an expression with the labels that it is asked by."""
    pattern = r"\b((?:shoal|process)_\w+)(?:\{([^}]*)\})?"
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", asked)))
        for name, asked in re.findall(pattern, expression)
    ]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=lambda value: value[:30])
def test_every_metric_and_label_exists(where: str, expression: str) -> None:
    metrics = known()
    names = used(expression)
    assert names or expression.startswith("up{"), where
    for name, labels in names:
        assert name in metrics, f"{where}: no such metric as {name}"
        assert labels - metrics[name] - BY_PROMETHEUS == set(), f"{where}: {name}"
    grouped = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in re.findall(r"\w+", by)}
    assert grouped <= BY_PROMETHEUS.union(*(metrics[name] for name, _ in names)), where
    assert expression.count("(") == expression.count(")")


def test_no_label_is_one_that_prometheus_gives() -> None:
    """It would call ours `exported_job`, and every expression about ours would find nothing."""
    for name, labels in known().items():
        assert labels & {"job", "instance"} == set(), name


def test_what_is_not_there_is_found() -> None:
    assert used('rate(shoal_nothing{job="a", code!="ok"}[5m])') == [("shoal_nothing", {"job", "code"})]
    assert "shoal_nothing" not in known()


def test_every_metric_of_ours_is_watched() -> None:
    watched = {name for _, expression in EXPRESSIONS for name, _ in used(expression)}
    ours = {name for name, kind, *_ in generate.served().metrics if kind != "histogram"}
    # When it began to serve says nothing that its age does not; how many videos there are is no trouble.
    unwatched = {"shoal_model_in_service_timestamp_seconds", "shoal_model_videos"}
    assert ours - watched == unwatched


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert label in rule["expr"]


def test_alerts_and_panels_have_names_of_their_own() -> None:
    for names in ([rule["alert"] for rule in ALERTS], [panel["title"] for panel in PANELS]):
        assert len(set(names)) == len(names)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_overlap() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    for one, other in itertools.combinations(PANELS, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(x < 24 for panel in PANELS for x, _ in cells(panel))


def test_every_metric_has_a_help_text_that_is_a_sentence() -> None:
    for name, _, _, _, text in generate.served().metrics:
        assert text.endswith("."), name
        assert len(text.split()) >= 3, name
