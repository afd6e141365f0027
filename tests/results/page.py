"""Puts what commands measured into words: docs/results.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.results.commands import Answer

MISSING: Final = "not measured"
_MEANING: Final = (
    "All numbers are means over viewers ± one standard error, of what was held out of real histories "
    "(seed 1). NDCG@10 says how many of a viewer's next videos are in a list of ten, and how near its "
    "top: 1 is perfect. Above each table stands the command that prints its numbers, and more; the "
    'folder that holds the data sets is left out. `make results RESULTS_ARGS="--data DIR"` measures the '
    "sets that are in DIR; without, only ml-latest-small, which comes with the project."
)
_SMALL: Final = (
    "Where instances that learn together have fewer viewers than that in all, each is better off alone: its "
    "lists then rest on tags, titles and public counters, and noise leaves little of so small a sum."
)
_TUNED: Final = (
    "Exact numbers, all viewers in one place. Item-kNN and implicit ALS are tuned on the same held-out "
    "part of the training data as the closed form and what is served, with no fewer candidates."
)
_TARGETS: Final = (
    "Next: the five videos that a viewer watched after this one, where the data have times. Anything: "
    "all else that the viewer liked. Less seen: of that, without the most seen videos."
)
_SKEW: Final = (
    "Skew 0: every instance has the same mixture of tastes. Skew 2: each has a mixture of its own. "
    "Exact sums of closed forms, without tags."
)
_FAMILY: Final = (
    "Not what is served: models of how many stars, compared as the literature does. Least rated are the "
    "videos with fewest ratings in training, cold those without any. All are tuned with the same number of "
    "tries."
)
_MODELS: Final = ("alone", "exact sum", "sum with noise")
_BASELINES: Final = ("popularity", "PeerTube's rule, newest first", "PeerTube's rule, most viewed first")


def written(answers: Sequence[Answer], *, date: str, cores: int, minutes: float) -> str:
    """Return the page; `minutes` is the processor time of all commands together."""
    by_kind: dict[str, list[Answer]] = {}
    for one in answers:
        by_kind.setdefault(one.question.kind, []).append(one)
    parts = [
        *_beginning(date, cores, minutes),
        *_viewers(by_kind["viewers"]),
        *_ranking(by_kind["ranking"]),
        *_related(by_kind["ranking"]),
        *_new(by_kind["ranking"]),
        *_family(by_kind["family"]),
        *_instances(by_kind["instances"]),
        *_costs(answers),
    ]
    return "\n".join(parts) + "\n"


def _beginning(date: str, cores: int, minutes: float) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield (
        "For administrators who ask whether Shoal is worth it, and for whoever wants to check that. "
        f"Written by `make results` on {date}, on {cores} cores, in {minutes:.0f} minutes of processor time."
    )
    yield ""
    yield _MEANING


def _viewers(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## From how many viewers on is it useful?", "")
    yield _for_admins(answers)
    for one in answers:
        data = one.question.data
        yield from ("", f"### {data}", "", f"`{one.question.command}`", "")
        yield f"![NDCG@10 by the number of viewers, {data}](images/results-viewers-{data}.svg)"
        yield ""
        names = (*_MODELS, *_BASELINES)
        yield from _table(
            ("Viewers", *names),
            (
                (f"{row['viewers']:,}", *(_quality(row["quality"][name]) for name in names))
                for row in one.report["rows"]
            ),
        )


def _for_admins(answers: Sequence[Answer]) -> str:
    told = []
    for one in answers:
        useful = one.report["useful"]
        alone = _from(useful["alone"]["popularity"])
        noisy = _from(useful["sum with noise"]["popularity"])
        rule = _from(useful["alone"]["PeerTube's rule, most viewed first"])
        last = one.report["rows"][-1]
        gain, error = last["gains"]["sum with noise"]["popularity"]
        least = last["quality"]["popularity"]["ndcg10"]
        side = "above" if gain > 0 else "below"
        told.append(
            f"On {one.question.data} an instance alone beats a list of what is popular {alone}, and "
            f"PeerTube's own rule, read as most viewed first, {rule}. A sum with the noise of the default "
            f"level beats popularity {noisy}, counted over all its members; with {last['viewers']:,} its "
            f"NDCG@10 is {abs(gain) / least:.0%} ± {error / least:.0%} {side} popularity's."
        )
    return " ".join((*told, _SMALL))


def _from(viewers: int | None) -> str:
    return (
        "with no number of viewers that was measured" if viewers is None else f"from {viewers:,} viewers on"
    )


def _ranking(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## A viewer's next videos", "")
    yield from _commands(answers)
    yield from ("", "![NDCG@10 of each model on each data set](images/results-ranking.svg)", "")
    names = [row["model"] for row in answers[0].report["next_videos"]]
    yield _TUNED
    yield ""
    yield from _table(
        ("Data set", "viewers", "videos", *names),
        (
            (
                one.question.data,
                f"{one.report['users']:,}",
                f"{one.report['videos']:,}",
                *(_quality(_of(one.report["next_videos"], name)["summary"]) for name in names),
            )
            for one in answers
        ),
    )


def _related(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## Videos related to one", "")
    yield from _commands(answers)
    yield from ("", _TARGETS, "")
    yield from _table(
        ("Data set", "list", "next", "anything", "less seen", "share of videos listed"),
        (
            (
                one.question.data,
                row["model"],
                _pair(row["following"], row["following_se"]),
                _pair(row["anything"], row["anything_se"]),
                _pair(row["less_seen"], row["less_seen_se"]),
                f"{row['coverage']:.0%}",
            )
            for one in answers
            for row in one.report["related"]
        ),
    )


def _new(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## New videos, new viewers, new instances", "")
    yield from _commands(answers)
    yield ""
    kinds = (("new_videos", "new videos"), ("new_viewers", "new viewers"), ("new_instances", "new instances"))
    yield from _table(
        ("Data set", "what is new", "list", "NDCG@10"),
        (
            (one.question.data, told, row["model"], _quality(row["summary"]))
            for one in answers
            for kind, told in kinds
            for row in one.report[kind]
        ),
    )


def _family(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## A family of models of ratings", "", _FAMILY)
    for one in answers:
        parts = list(one.report["rows"][0]["quality"])
        yield from ("", f"### {one.question.data}: ratings", "", f"`{one.question.command}`", "")
        yield from _table(
            ("Model", *(f"RMSE, {part}" for part in parts), *(f"NDCG@10, {part}" for part in parts)),
            (
                (
                    row["model"],
                    *(_pair(row["quality"][part]["rmse"], row["quality"][part]["rmse_se"]) for part in parts),
                    *(_quality(row["quality"][part]) for part in parts),
                )
                for row in one.report["rows"]
            ),
        )
        yield ""
        yield (
            "BALSE less its parts, RMSE, paired: "
            + ", ".join(
                f"{beside['model']} on {beside['part']} {beside['difference']:+.4f} ± {beside['error']:.4f}"
                for beside in one.report["balse"]
            )
            + "."
        )


def _instances(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## By size of instance and skew of tastes", "")
    yield from _commands(answers)
    yield from ("", _SKEW, "")
    names = list(answers[0].report["everybody"]["quality"])
    yield from _table(
        ("Skew", "viewers of an instance", "instances", *names),
        (
            (
                one.question.options[-1],
                group["name"],
                str(group["instances"]),
                *(_quality(group["quality"][name]) for name in names),
            )
            for one in answers
            for group in (*one.report["classes"], one.report["everybody"])
        ),
    )


def _costs(answers: Sequence[Answer]) -> Iterator[str]:
    yield from ("", "## What it took", "", "Each command as a process of its own.", "")
    yield from _table(
        ("Command", "seconds", "processor seconds", "MiB at most"),
        (
            (f"`{one.question.command}`", f"{one.seconds:.0f}", f"{one.processor:.0f}", f"{one.memory:,.0f}")
            for one in answers
        ),
    )


def _commands(answers: Sequence[Answer]) -> Iterator[str]:
    yield ", ".join(f"`{one.question.command}`" for one in answers)


def _of(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next(row for row in rows if row["model"] == name)


def _quality(summary: Mapping[str, Any]) -> str:
    return _pair(summary["ndcg10"], summary["ndcg10_se"])


def _pair(value: float | None, error: float | None) -> str:
    # A mean of nobody is nan, which JSON has as null.
    return MISSING if value is None or error is None else f"{value:.3f} ± {error:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
