"""A stored report of acceptance, as the admin reads it: with the titles of the videos that gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from daemon.store.videos import public_titles


def with_titles(engine: Engine, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report whose videos have a `title` as it is today, empty for what is not public any more."""
    comparisons = report.get("gains", [])
    today = public_titles(
        engine, [str(video["url"]) for gains in comparisons for video in gains.get("videos", [])]
    )
    named = [
        {
            **gains,
            "videos": [{**video, "title": today.get(str(video["url"]), "")} for video in gains["videos"]],
        }
        for gains in comparisons
    ]
    return {**report, "gains": named} if named else dict(report)
