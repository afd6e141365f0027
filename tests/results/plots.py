"""The pictures of docs/results.md, as SVG that is the same for the same numbers."""

from __future__ import annotations

from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

LINES: Final = {
    "alone": ("#0f5f8c", "o", "-"),
    "exact sum": ("#15803d", "s", "-"),
    "sum with noise": ("#c2410c", "D", "-"),
    "popularity": ("#4b5563", "", "--"),
    "PeerTube's rule, newest first": ("#7c3aed", "", ":"),
    "PeerTube's rule, most viewed first": ("#a16207", "", "-."),
}
"""Colour, mark and stroke, so that no line is known by its colour alone."""


def viewers(report: dict[str, Any]) -> str:
    """Draw the quality of each model by the number of viewers that it learnt from."""
    rows = report["rows"]
    sizes = [row["viewers"] for row in rows]
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, (colour, mark, stroke) in LINES.items():
        quality = [row["quality"][name] for row in rows]
        axes.errorbar(
            sizes,
            [one["ndcg10"] for one in quality],
            yerr=[one["ndcg10_se"] for one in quality],
            label=name,
            color=colour,
            marker=mark or None,
            markersize=4,
            linestyle=stroke,
            linewidth=1.4,
            capsize=2,
        )
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("viewers that the model learns from")
    axes.set_ylabel("NDCG@10 of a viewer's next videos")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def ranking(reports: dict[str, dict[str, Any]]) -> str:
    """Draw the quality of each model, data set by data set."""
    names = [row["model"] for row in next(iter(reports.values()))["next_videos"]]
    figure = Figure(figsize=(7.2, 0.5 + 0.9 * len(reports) + 0.8), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(names)
    grey = [str(round(0.82 - 0.62 * place / (len(names) - 1), 2)) for place in range(len(names))]
    for place, name in enumerate(names):
        found = [
            next(row for row in report["next_videos"] if row["model"] == name) for report in reports.values()
        ]
        axes.barh(
            [number + place * height for number in range(len(reports))],
            [row["summary"]["ndcg10"] for row in found],
            height=height,
            xerr=[row["summary"]["ndcg10_se"] for row in found],
            label=name,
            color="#0f5f8c" if name == "served" else grey[place],
            error_kw={"elinewidth": 0.8},
        )
    axes.set_yticks([number + 0.4 - height / 2 for number in range(len(reports))], list(reports))
    axes.invert_yaxis()
    axes.set_xlabel("NDCG@10 of a viewer's next videos")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return _svg(figure)


def _svg(figure: Figure) -> str:
    text = StringIO()
    # Neither the date nor random ids: the same numbers are the same file.
    with mpl.rc_context({"svg.hashsalt": "shoal", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
