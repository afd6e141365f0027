"""The picture of noise in docs/privacy.md: numbers of a real set, exactly and with the noise of a sum."""

from __future__ import annotations

from fractions import Fraction
from html import escape

import numpy as np

from daemon.lab.experiment import likes_of
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset_columns import positive_from
from daemon.source.dataset_files import read
from federation.noise import skellam
from models import counting
from models.weights import UNIT, weights
from policies.privacy import PROTECTION, Level

_SEED = "Toy Story (1995)"
_PLACES = (0, 3, 10, 30, 80, 160, 260, 380, 520, 700)
"""Of the partners, by how many viewers engaged with both: from the most to hardly any."""
_STYLE = """
    text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: #1f2937; }
    .s { fill: #4b5563; } .page { fill: #ffffff; } .exact { fill: #0f5f8c; } .axis { stroke: #9ca3af; }
    .noisy { stroke: #c2410c; stroke-width: 3; } .cloud { fill: #c2410c; opacity: .16; } .n { fill: #c2410c; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e5e7eb; } .s { fill: #b6bdc8; } .page { fill: #0d1117; } .exact { fill: #5aa9d6; }
      .noisy { stroke: #fb923c; } .cloud { fill: #fb923c; } .n { fill: #fb923c; }
    }"""
_WIDTH, _ROW, _LEFT, _TOP = 640, 30, 236, 64


def drawn(_old: str = "") -> str:
    """Return the picture, an SVG; the same at every call."""
    data = read(SHIPPED)
    likes = likes_of(data, positive_from(data, None)).limited(200)
    titles = data.columns["title"]
    head = np.flatnonzero(counting.counts(likes) >= 5)
    heavy = weights(np.diff(likes.matrix[:, head].indptr)) / UNIT
    dense = likes.matrix[:, head].toarray()
    seed = int(np.flatnonzero(head == titles.index(_SEED))[0])
    both = (heavy * dense[:, seed]) @ dense
    order = np.argsort(-both, kind="stable")
    chosen = order[order != seed][list(_PLACES)]
    level = PROTECTION[Level.DEFAULT]
    # Five members with a threshold of four, of whom one is expected to work for the aggregator.
    variance = level.pairs_noise * Fraction(5, 3)
    noise = skellam(variance * UNIT**2, chosen.size, bytes([7]) * 32) / UNIT
    rows = zip([titles[head[video]] for video in chosen], both[chosen], both[chosen] + noise, strict=True)
    return _svg(list(rows), float(variance) ** 0.5)


def _svg(rows: list[tuple[str, float, float]], deviation: float) -> str:
    scale = (_WIDTH - _LEFT - 150) / max(exact for _, exact, _ in rows)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP + _ROW * len(rows) + 16}" '
            f'width="{_WIDTH}" role="img" aria-labelledby="t d">'
        ),
        '  <title id="t">What noise does to numbers</title>',
        (
            f'  <desc id="d">Viewers who liked {_SEED} and another film, exactly and in a sum of five '
            "members: large numbers still show, small ones drown.</desc>"
        ),
        f"  <style>{_STYLE}\n  </style>",
        '  <rect class="page" width="100%" height="100%"/>',
        f'  <text x="16" y="26">Viewers who liked {_SEED} and ...</text>',
        f'  <text class="s" x="{_LEFT}" y="48">exact number</text>',
        f'  <text class="n" x="{_LEFT + 110}" y="48">with noise, as a sum has it</text>',
    ]
    for number, (title, exact, noisy) in enumerate(rows):
        middle = _TOP + _ROW * number + _ROW / 2
        shown = escape(title if len(title) < 27 else f"{title[:25]}…")
        low, high = max(0.0, noisy - deviation), max(0.0, noisy + deviation)
        parts += [
            f'  <text x="16" y="{middle + 5:g}">{shown}</text>',
            f'  <rect class="exact" x="{_LEFT}" y="{middle - 7:g}" width="{exact * scale:.1f}" height="14"/>',
            (
                f'  <rect class="cloud" x="{_LEFT + low * scale:.1f}" y="{middle - 11:g}" '
                f'width="{(high - low) * scale:.1f}" height="22"/>'
            ),
            f'  <path class="noisy" d="M{_LEFT + max(noisy, 0.0) * scale:.1f} {middle - 11:g}v22"/>',
            f'  <text class="s" x="{_WIDTH - 118}" y="{middle + 5:g}">{exact:.0f}</text>',
            f'  <text class="n" x="{_WIDTH - 72}" y="{middle + 5:g}">{noisy:.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
