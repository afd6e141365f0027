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
    """Return each run of sums of which something was quarantined, newest first, as the admin API answers."""
    runs: dict[str, list[SumRecord]] = {}
    for one in sums.records(engine):
        runs.setdefault(one.run, []).append(one)
    for records in runs.values():
        records.sort(key=lambda one: one.sub_cohort)
    return [_run(name, records) for name, records in runs.items() if _bad(records)]


def _bad(records: Sequence[SumRecord]) -> list[SumRecord]:
    return [one for one in records if one.verdict not in PASSED]


def _run(name: str, records: Sequence[SumRecord]) -> dict[str, Any]:
    return {
        "run": name,
        "at": max(one.created for one in records),
        "sub_cohorts": [
            {
                "number": one.sub_cohort,
                "members": list(one.survivors),
                "verdict": one.verdict,
                "reasons": _reasons(one),
            }
            for one in records
        ],
        "sentence": _sentence(records),
    }


def _reasons(one: SumRecord) -> list[str]:
    checks = one.report.get("checks", [])
    return [str(check["sentence"]) for check in checks if check["ok"] is False]


def _sentence(records: Sequence[SumRecord]) -> str:
    bad = _bad(records)
    hosts = ", ".join(sorted(host for one in bad for host in one.survivors))
    if len(bad) < len(records):
        numbers = " and ".join(str(one.sub_cohort) for one in bad)
        which = f"sub-cohort{'s' if len(bad) > 1 else ''} {numbers}"
        return f"Without {which} the sum passes, so look there first: {hosts}."
    if len(records) == 1:
        return f"The peers were summed as one group; any of them may be the reason: {hosts}."
    return f"No single sub-cohort can be left out to make it pass; any of them may be the reason: {hosts}."
