"""Attack 8: made-up accounts read a viewer's history off a public related list.

The accounts, sock puppets, are registered on the target's own instance. They like one rare video X that the
target has, so that hardly anybody else is in its pairs, and others, so that pairs of X reach the number of
viewers from which they are shown. After the next training the attacker reads the list beside X, and where X
stands beside others. With exact own numbers behind a threshold of five viewers, four accounts that liked
everything were enough: beside X stood the target's history, 22 of 22 right and none wrong, in a federated
model at the default level too. That is why everything that is shown rests on released numbers.

The attacker is given much for nothing: that X and all other videos of the catalogue are in the release, how
popular they really are, that nobody joins or leaves, how many videos to name, and the best of several ways to
choose what the accounts like (`MIXES`) and to read the lists (`_ways`), both chosen on other targets. The
catalogue is cut to the instance's most watched videos; fewer videos give every viewer more weight.

Several targets, each with an X of its own, share one release: an attacker would not ask one by one. To a
target the others are viewers like all, and their accounts have nothing in common with its row of X; so few
share that they leave the classes of the estimate alone (`_SHARED`). The twin is the same release, same noise,
without the targets. Several windows are several releases, a list each, which the attacker averages. Who knows
as many rare videos of the target gets as many lists, with noise of their own, out of one window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from models.features import Features
from models.noise import SumNoise
from models.weights import FULL_WEIGHT, UNIT, weights
from policies.privacy import Protection, head_minimum
from tests.adversaries.privacy.honeypot import precision
from tests.adversaries.privacy.lists import Catalogue, Shown, catalogue
from tests.adversaries.privacy.related_lists import OWN_PART
from tests.adversaries.privacy.release import MIN_USERS, noise_of

MIXES: Final = (
    "X alone",
    "X and the 29 most watched",
    "X and the 59 most watched",
    "X and 29 others each",
    "X and everything",
)
"""What every account likes. With up to 30 videos an account has the weight of one viewer."""
WINDOWS: Final = (1, 5, 21)
"""One list, five, and a year of an aggregator's windows."""
_CATALOGUE = 160
_FEWEST, _MOST = 5, 100
_LEAST_FOUND = 4
_NAMED = 10
_SHARED = 40
"""Accounts in one release, about; eight targets at most share one."""
_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How many targets are used for what: to choose, to measure one list, and of these, several windows."""

    choice: int
    measured: int
    windows: int


@dataclass(frozen=True)
class Found:
    """Precision of the videos named: ten, or as many as the target has there.

    Attributes:
        windows: how many lists were read.
        reached: (n,) with the target in the release.
        twin: (n,) without.
        popular: (n,) naming the most watched.
        note: what was chosen.
    """

    windows: int
    reached: Values
    twin: Values
    popular: Values
    note: str


@dataclass(frozen=True)
class _Target:
    """One target in one release.

    Attributes:
        seed: X, a position in the catalogue.
        history: (v,) 1 where the target has a video; 0 for X.
        popularity: (v,) log odds.
        lift: (v,) what the accounts add to the pairs of X.
    """

    seed: int
    history: Values
    popularity: Values
    lift: Values


@dataclass(frozen=True)
class _Read:
    """Signals of one target, (windows, signals, v), with the target in the release and without."""

    target: _Target
    inside: Values
    outside: Values


def attack(
    matrix: csr_array,
    features: Features,
    level: Protection,
    *,
    accounts: int,
    federated: bool,
    effort: Effort,
    seed: tuple[int, ...],
) -> Iterator[Found]:
    """Read histories with this many accounts per target; once for each of `WINDOWS`, if several are tried.

    Args:
        matrix: (users, videos) of the cohort, limited.
        features: of the videos.
        level: noise of both releases.
        accounts: per target.
        federated: the serving instance has the others' sum too.
        effort: numbers of targets; everybody in the cohort is one at most.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    lengths = np.diff(matrix.indptr)
    pool = rng.permutation(np.flatnonzero((lengths >= _FEWEST) & (lengths <= _MOST)))
    for_choice, for_measure = np.split(pool[: effort.choice + effort.measured], [effort.choice])
    world = _World(matrix, features, level, accounts, federated, seed)
    choices = [list(world.read(for_choice, mix, 1)) for mix in range(len(MIXES))]
    mix = int(np.argmax([_best(reads) for reads in choices]))
    ways = _chosen_ways(choices[mix], 1)
    yield _measured(list(world.read(for_measure, mix, 1)), ways, 1, MIXES[mix])
    if not effort.windows:
        return
    reads = list(world.read(for_measure[: effort.windows], mix, max(WINDOWS)))
    for number in WINDOWS[1:]:
        ways = _chosen_ways(reads[::2], number)
        yield _measured(reads[1::2], ways, number, MIXES[mix])


@dataclass(frozen=True)
class _World:
    """The instance that is attacked, drawn anew for every few targets."""

    matrix: csr_array
    features: Features
    level: Protection
    accounts: int
    federated: bool
    seed: tuple[int, ...]

    def read(self, targets: NDArray[np.int64], mix: int, windows: int) -> Iterator[_Read]:
        """Attack these targets, rows of the matrix."""
        together = min(8, max(2, _SHARED // self.accounts))
        for start in range(0, targets.size, together):
            yield from self._group(targets[start : start + together], mix, windows)

    def _group(self, targets: NDArray[np.int64], mix: int, windows: int) -> Iterator[_Read]:
        users = self.matrix.shape[0]
        rng = np.random.default_rng([*self.seed, int(targets[0])])
        strangers = rng.permutation(np.setdiff1d(np.arange(users), targets))
        border = max(int(users * OWN_PART) - targets.size, 1)
        own = csr_array(self.matrix[np.concatenate((targets, strangers[:border]))])
        videos, rare = _chosen_videos(own, targets.size)
        known = catalogue(self.features, videos)
        small = csr_array(own[:, videos])
        attacked = _targets(small, np.searchsorted(videos, rare), self.accounts, mix)
        if not attacked:
            return
        noise = noise_of(self.level)
        puppets = vstack([likes for _, likes in attacked.values()], format="csr")
        inside = known.entries(csr_array(vstack((small, csr_array(puppets)), format="csr")))
        outside = inside - known.entries(csr_array(small[: targets.size]))
        others = None
        if self.federated:
            others = known.entries(csr_array(self.matrix[strangers[border:]][:, videos]))
        seen: list[tuple[Shown, Shown]] = []
        for window in range(windows if noise else 1):
            draw = (*self.seed, int(targets[0]), window)
            seen.append(self._window(known, (inside, outside), others, noise, draw))
        for target, _ in attacked.values():
            signals = [[_signals(shown, target.seed) for shown in both] for both in zip(*seen, strict=True)]
            yield _Read(target, np.array(signals[0]), np.array(signals[1]))

    def _window(
        self,
        known: Catalogue,
        own: tuple[NDArray[np.int64], NDArray[np.int64]],
        others: NDArray[np.int64] | None,
        noise: SumNoise,
        draw: tuple[int, ...],
    ) -> tuple[Shown, Shown]:
        """Lists with the targets and without, from the same noise."""
        theirs = None
        if others is not None:
            least = head_minimum(MIN_USERS, self.level.counts_noise)
            theirs = known.released(others + known.noise(noise, (*draw, 1)), noise, min_users=least)
        drawn = known.noise(noise, (*draw, 0))
        with_them, without = (known.shown(known.released(part + drawn, noise), theirs) for part in own)
        return with_them, without


def _chosen_videos(own: csr_array, targets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the catalogue, (v,) ascending, and (targets,) the rarest video of each of the first rows.

    No two targets have the same.
    """
    counts = np.bincount(own.indices, minlength=own.shape[1])
    rare: list[int] = []
    for row in range(targets):
        history = own.indices[own.indptr[row] : own.indptr[row + 1]]
        free = history[~np.isin(history, rare)]
        rare.append(int(free[counts[free].argmin()]))
    watched = np.argsort(-counts, kind="stable")[:_CATALOGUE]
    return np.union1d(watched[counts[watched] > 0], rare), np.array(rare)


def _targets(
    small: csr_array, seeds: NDArray[np.int64], accounts: int, mix: int
) -> dict[int, tuple[_Target, csr_array]]:
    """Each target with enough to find, by row, with the (accounts, v) likes of its puppets."""
    counts = np.bincount(small.indices, minlength=small.shape[1])
    share = np.clip(counts / small.shape[0], 1e-3, 0.95)
    popularity = np.log(share / (1 - share))
    found = {}
    for row, seed in enumerate(seeds.tolist()):
        history = small[[row]].toarray()[0].astype(np.float64)
        history[seed] = 0
        if history.sum() < _LEAST_FOUND:
            continue
        likes = _puppets(np.argsort(-counts, kind="stable"), seed, accounts, mix)
        lift = (likes * (weights(likes.sum(axis=1)) / UNIT)[:, None]).sum(axis=0)
        found[row] = _Target(seed, history, popularity, lift), csr_array(likes)
    return found


def _puppets(watched: NDArray[np.int64], seed: int, accounts: int, mix: int) -> NDArray[np.uint8]:
    """(accounts, v) likes; `watched` are all videos, the most watched first."""
    others = watched[watched != seed]
    likes = np.zeros((accounts, watched.size), np.uint8)
    likes[:, seed] = 1
    full = FULL_WEIGHT - 1
    if mix in (1, 2):
        likes[:, others[: mix * FULL_WEIGHT - 1]] = 1
    elif mix == 3:
        for account in range(accounts):
            likes[account, np.take(others, np.arange(account * full, (account + 1) * full), mode="wrap")] = 1
    elif mix == 4:
        likes[:] = 1
    return likes


def _signals(shown: Shown, seed: int) -> tuple[Values, Values]:
    """What the lists say of each video: beside X, and both beside X and where X stands beside it."""
    beside = shown.together[seed].astype(np.float64)
    return beside, beside + shown.together[:, seed]


def _ways(target: _Target, signals: Values) -> list[Values]:
    """Scores of all videos, by every way to read (signals, v), the mean over some lists.

    By popularity alone; by a signal alone; by both with several weights, the signal as it is, or what is left
    of it when popularity and the accounts' own part are taken out.
    """
    allowed = np.arange(target.history.size) != target.seed
    prior, lift = target.popularity[allowed], target.lift[allowed]
    explained = np.stack((np.ones_like(prior), prior, prior**2, lift, lift * prior), axis=1)
    scores = [prior]
    for signal in signals:
        seen = signal[allowed]
        left = seen - explained @ np.linalg.lstsq(explained, seen, rcond=None)[0]
        for part in (seen, left):
            scale = part.std()
            standard = (part - part.mean()) / scale if scale > 1e-9 else np.zeros_like(part)
            scores += [standard + 1e-6 * prior, *(prior + weight * standard for weight in _WEIGHTS)]
    found = []
    for score in scores:
        whole = np.full(target.history.size, -np.inf)
        whole[allowed] = score
        found.append(whole)
    return found


def _precisions(reads: Sequence[_Read], windows: int, *, inside: bool) -> Values:
    """(targets, ways) precision from the first lists."""
    found = []
    for read in reads:
        signals = (read.inside if inside else read.outside)[:windows].mean(axis=0)
        named = _named(read.target)
        found.append([precision(score, read.target.history, named) for score in _ways(read.target, signals)])
    return np.array(found, np.float64).reshape(len(reads), -1)


def _named(target: _Target) -> int:
    return min(_NAMED, int(target.history.sum()))


def _best(reads: Sequence[_Read]) -> float:
    """Precision of the best way to read one list; -1 without targets."""
    return float(_precisions(reads, 1, inside=True).mean(axis=0).max()) if reads else -1.0


def _chosen_ways(reads: Sequence[_Read], windows: int) -> tuple[int, int]:
    """Return the best way with the targets, and the best one without them."""
    if not reads:
        return 0, 0
    both = (_precisions(reads, windows, inside=inside) for inside in (True, False))
    with_them, without = (int(found.mean(axis=0).argmax()) for found in both)
    return with_them, without


def _measured(reads: Sequence[_Read], ways: tuple[int, int], windows: int, mix: str) -> Found:
    none = np.zeros(0)
    if not reads:
        return Found(windows, none, none, none, mix)
    inside = _precisions(reads, windows, inside=True)
    outside = _precisions(reads, windows, inside=False)
    there = np.array([read.target.history.sum() for read in reads])
    named = np.array([_named(read.target) for read in reads])
    recall = float((inside[:, ways[0]] * named / there).mean())
    note = f"{mix}; way {ways[0]}; recall {recall:.3f}"
    return Found(windows, inside[:, ways[0]], outside[:, ways[1]], inside[:, 0], note)
