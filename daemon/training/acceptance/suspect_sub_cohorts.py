"""Which sub-cohorts were there when a sum did not pass: as far as anybody here can know who it was.

What one peer gave is hidden in its sub-cohort's sum. So this names sub-cohorts, never a single one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.sentences import Sentence, sentence
from daemon.store import sums
from daemon.store.sums import SumRecord, Verdict

PASSED = ("new", "accepted", "awaiting")


class SuspectGroup(TypedDict):
    """A sub-cohort of a run; what one peer contributed is not known."""

    number: int
    members: list[str]
    verdict: Verdict
    reasons: list[Sentence]


class Run(TypedDict):
    """One run of sums, and its sub-cohorts."""

    run: str
    at: float
    sub_cohorts: list[SuspectGroup]
    sentence: Sentence


def suspects(engine: Engine) -> list[Run]:
    """Return each run of sums of which something was quarantined, newest first."""
    runs: dict[str, list[SumRecord]] = {}
    for one in sums.records(engine):
        runs.setdefault(one.run, []).append(one)
    for records in runs.values():
        records.sort(key=lambda one: one.sub_cohort)
    return [_run(name, records) for name, records in runs.items() if _bad(records)]


def _bad(records: Sequence[SumRecord]) -> list[SumRecord]:
    return [one for one in records if one.verdict not in PASSED]


def _run(name: str, records: Sequence[SumRecord]) -> Run:
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


def _reasons(one: SumRecord) -> list[Sentence]:
    checks = one.report.get("checks", [])
    return [check["sentence"] for check in checks if check["ok"] is False]


def _sentence(records: Sequence[SumRecord]) -> Sentence:
    bad = _bad(records)
    hosts = sorted(host for one in bad for host in one.survivors)
    if len(bad) < len(records):
        numbers = [str(one.sub_cohort) for one in bad]
        return sentence("suspectsPart", count=len(bad), numbers=numbers, hosts=hosts)
    return sentence("suspectsOne", hosts=hosts) if len(records) == 1 else sentence("suspectsAll", hosts=hosts)
