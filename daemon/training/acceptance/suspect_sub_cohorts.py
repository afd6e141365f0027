"""Which sub-cohorts were there when a sum did not pass: as far as anybody here can know who it was.

What one peer gave is hidden in its sub-cohort's sum. So this names sub-cohorts, never a single one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from daemon.store import sums
from daemon.store.sums import SumRecord

PASSED = ("new", "accepted", "awaiting")


def suspects(engine: Engine) -> list[dict[str, Any]]:
    """Return each run of sums of which something was put aside, newest first, as the admin API answers."""
    batches: dict[str, list[SumRecord]] = {}
    for part in sums.records(engine):
        batches.setdefault(part.run, []).append(part)
    for parts in batches.values():
        parts.sort(key=lambda part: part.sub_cohort)
    return [_batch(name, parts) for name, parts in batches.items() if _bad(parts)]


def _bad(parts: Sequence[SumRecord]) -> list[SumRecord]:
    return [part for part in parts if part.verdict not in PASSED]


def _batch(name: str, parts: Sequence[SumRecord]) -> dict[str, Any]:
    return {
        "batch": name,
        "at": max(part.created for part in parts),
        "subcohorts": [
            {
                "number": part.sub_cohort,
                "members": list(part.survivors),
                "verdict": part.verdict,
                "reasons": _reasons(part),
            }
            for part in parts
        ],
        "sentence": _sentence(parts),
    }


def _reasons(part: SumRecord) -> list[str]:
    checks = part.report.get("checks", [])
    return [str(check["sentence"]) for check in checks if not check["ok"]]


def _sentence(parts: Sequence[SumRecord]) -> str:
    bad = _bad(parts)
    hosts = ", ".join(sorted(host for part in bad for host in part.survivors))
    if len(bad) < len(parts):
        numbers = " and ".join(str(part.sub_cohort) for part in bad)
        which = f"sub-cohort{'s' if len(bad) > 1 else ''} {numbers}"
        return f"Without {which} the sum passes, so look there first: {hosts}."
    if len(parts) == 1:
        return f"The peers were summed as one group; any of them may be the reason: {hosts}."
    return f"No single sub-cohort can be left out to make it pass; any of them may be the reason: {hosts}."
