"""Likes of own viewers that are held out of its own release, and what is decided by them, with noise.

They would tell which ridge is best, and whether a sum helps, but a decision is seen by everybody in the lists
that follow. So each is made with noise of its own, once in a window, and goes into the year's account. With
fewer viewers than `LEAST_VIEWERS` the noise would decide: then nothing is held out, and fixed settings stand.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.process.job_context import JobContext
from daemon.rounds import yearly_budget
from daemon.rounds.data_windows import DataWindows
from daemon.rounds.own_statistics import OwnStatistics
from daemon.store import releases
from daemon.store.releases import OWN, ReleaseRecord
from daemon.training.own_numbers import Quality
from federation.errors import Refusal
from models.evaluation import next_videos
from models.interactions import Interactions
from models.recommender import Recommender
from policies.neighbour_relations import Release

HELD_OUT: Final = "held out"
SHARE: Final = 0.1
LEAST_VIEWERS: Final = 300.0
"""Noisy number of own viewers from which anything is decided by them."""
CHOICE_EPSILON: Final = 0.5
"""Of the choice of a ridge, once in a window of its own release."""
QUALITY_EPSILON: Final = 0.1
"""Of each decision whether a sum is good enough: five aggregators bring more than a hundred a year."""


def may_judge(viewers: float) -> bool:
    """Tell whether viewers are enough, by their released number, for a decision to be more than noise."""
    return viewers >= LEAST_VIEWERS


def held_out(own: OwnStatistics, users: Interactions, key: bytes) -> NDArray[np.bool_]:
    """Mark a tenth of the likes, (stored values,): the same in a window, whoever joins or likes more.

    `users` are rows of `own`, in its order; `key` is 32 secret bytes of the window.
    """
    rows = np.repeat(_hashes(own.pseudonyms, key), np.diff(users.matrix.indptr))
    columns = _hashes([url.encode() for url in own.catalogue.urls], key)[users.matrix.indices]
    # splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
    mixed = rows ^ (columns * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) < np.uint64(int(SHARE * 2**64)), np.bool_)


def _hashes(names: list[bytes] | tuple[bytes, ...], key: bytes) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(name, digest_size=8, key=key).digest() for name in names)
    return np.frombuffer(digests, np.uint64)


class OwnLikes:
    """The held-out likes of a window, as a judge (`daemon.training.own_numbers.Judge`)."""

    def __init__(
        self, context: JobContext, own: OwnStatistics, windows: DataWindows, *, viewers: float
    ) -> None:
        kept = windows.read(OWN)
        if kept is None:
            raise ValueError("likes are held out of an own release that there is")
        users = own.limited(own.most)
        mask = held_out(own, users, kept.key(HELD_OUT))
        history, truth = users.where(~mask).matrix, users.where(mask).matrix
        judges = np.flatnonzero((np.diff(history.indptr) > 0) & (np.diff(truth.indptr) > 0))
        self._history, self._truth = csr_array(history[judges]), csr_array(truth[judges])
        self._context, self._windows, self._window, self._viewers = context, windows, kept, viewers

    def choose(self, ridges: Sequence[float], candidate: Callable[[float], Recommender]) -> float | None:
        """Return one of the ridges by the exponential mechanism; None where the budget is spent.

        The score of a candidate is the sum of NDCG@10 over viewers, which one viewer changes by at most 1
        (F. McSherry, K. Talwar, "Mechanism design via differential privacy", FOCS 2007).
        """
        known = self._windows.notes(OWN).get("ridge")
        if isinstance(known, float):
            return known
        if not self._spend("ridge", CHOICE_EPSILON):
            return None
        scores = {ridge: float(self._ndcg(candidate(ridge)).sum()) for ridge in ridges}
        best = max(scores.values())
        weights = [math.exp(CHOICE_EPSILON / 2 * (score - best)) for score in scores.values()]
        chosen = self._random("ridge").choices(list(scores), weights)[0]
        self._windows.note(OWN, "ridge", chosen)
        return chosen

    def good_enough(self, run: str, new: Recommender, own: Recommender, margin: float) -> bool | None:
        """Tell whether a sum's model is about as good as its own one; None where noise would decide.

        Each viewer adds the difference of NDCG@10, cut to a half, so that one viewer changes the sum by at
        most 1; Laplace noise is added to it (C. Dwork et al., "Calibrating noise to sensitivity", TCC 2006).
        Allowed are the margin, and what chance and noise do in 99.8 of 100 cases.
        """
        name = f"quality {run}"
        known = self._windows.notes(OWN).get(name)
        if known is not None:
            return bool(known)
        spread = 3 * math.sqrt(self._viewers) / 2 + math.log(500) / QUALITY_EPSILON
        if spread >= self._viewers / 4 or not self._spend(name, QUALITY_EPSILON):
            return None
        before = self._ndcg(own)
        lost = float(np.clip((1 - margin) * before - self._ndcg(new), -0.5, 0.5).sum())
        draw = self._random(name)
        noise = (draw.expovariate(1.0) - draw.expovariate(1.0)) / QUALITY_EPSILON
        verdict = lost + noise <= spread
        self._windows.note(OWN, name, verdict)
        return verdict

    def measure(self, model: Recommender) -> Quality | None:
        """Return the exact NDCG@10, with its error by the spread over viewers: for the admin alone."""
        found = self._ndcg(model) if self._history.shape[0] > 1 else np.zeros(0)
        if found.size < 2:
            return None
        return Quality(float(found.mean()), float(found.std(ddof=1) / math.sqrt(found.size)))

    def _ndcg(self, model: Recommender) -> NDArray[np.float64]:
        return next_videos(model, self._history, self._truth).ndcg

    def _random(self, name: str) -> random.Random:
        # From a secret of the window: run again after a crash, it draws the same.
        return random.Random(self._window.key(name))  # noqa: S311

    def _spend(self, name: str, epsilon: float) -> bool:
        """Put a decision on record before it is made; False where the year's budget has no room for it."""
        context = self._context
        release = Release(0, 0, 0, 0, decision=epsilon)
        try:
            with yearly_budget.turn(context.config):
                yearly_budget.require(context, release, OWN, self._windows)
                record = ReleaseRecord(
                    window=hashlib.sha256(f"{self._window.id} {name}".encode()).hexdigest()[:32],
                    at=context.clock(),
                    aggregator=OWN,
                    round_id="",
                    counts_noise=0,
                    pairs_noise=0,
                    share=1.0,
                    max_videos_per_user=0,
                    vocabulary=0,
                    head=0,
                    decision=epsilon,
                )
                releases.save(context.engine, record, self._windows.directory)
        except Refusal:
            return False
        return True
