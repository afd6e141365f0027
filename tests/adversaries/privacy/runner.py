"""Runs attacks against one cohort at one setting and turns what they return into rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import Population
from models.head import LEAST_VIEWS
from tests.adversaries.privacy import (
    als,
    clique,
    completion,
    crafted_head,
    honeypot,
    membership,
    related_lists,
    sock_puppets,
    windows,
)
from tests.adversaries.privacy.cohorts import Cohort
from tests.adversaries.privacy.release import Release, release
from tests.adversaries.privacy.settings import Effort, Setting
from tests.adversaries.privacy.stats import Interval, auc_interval, caught, mean_interval

_SMALL_MEMBER = 5
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """One cell of the table.

    Attributes:
        attack: its number.
        name: what it tries, with its figure.
        level, users: where; the name of the setting.
        targets: how many were attacked; 0 where there was nothing to attack.
        reached: the attack's figure.
        baseline: the figure that it is compared with.
        gain: their difference.
        against: the baseline in words.
        note: more about this cell.
        accounts, lists: of attack 8: how many made-up accounts, and how many lists were read; else 0.
    """

    attack: int
    name: str
    level: str
    users: int
    targets: int
    reached: float
    baseline: float
    gain: Interval
    against: str
    note: str = ""
    accounts: int = 0
    lists: int = 0


@dataclass(frozen=True)
class Scene:
    """One cohort at one setting; what several attacks need is computed once."""

    population: Population
    cohort: Cohort
    setting: Setting
    effort: Effort
    seed: int

    @cached_property
    def matrix(self) -> csr_array:
        """(users, videos) as they are counted."""
        return self.cohort.limited(self.setting.protection.max_videos_per_user)

    @cached_property
    def release(self) -> Release:
        """The sum at the declared noise."""
        return release(self.matrix, self.setting.protection, (self.seed, self.users))

    @cached_property
    def smaller(self) -> Release:
        """The same, only the most watched of its head."""
        counts = self.release.head_counts
        return self.release.of(np.sort(np.argsort(-counts, kind="stable")[: self.effort.largest]))

    @property
    def users(self) -> int:
        """Size of the cohort."""
        return self.cohort.users.users

    def targets(self, number: int) -> NDArray[np.int64]:
        """Draw users."""
        order = np.random.default_rng([self.seed, 7]).permutation(self.users)
        return order[:number].astype(np.int64)

    def outcome(
        self, attack: int, name: str, against: str, both: tuple[Values, Values], note: str = ""
    ) -> Outcome:
        """Compare two paired samples."""
        reached, baseline = both
        if not reached.size:
            return self.nothing(attack, name, against)
        gain = mean_interval(reached - baseline)
        means = float(reached.mean()), float(baseline.mean())
        return Outcome(attack, name, self.setting.name, self.users, reached.size, *means, gain, against, note)

    def nothing(self, attack: int, name: str, against: str) -> Outcome:
        """The head is too small to attack anybody, or to recommend anything."""
        nan = float("nan")
        empty = Interval(nan, nan, nan)
        where = self.setting.name, self.users
        return Outcome(attack, name, *where, 0, nan, nan, empty, against, "head too small")


def clique_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 1."""
    found = clique.attack(scene.matrix, scene.release, groups=scene.effort.groups, seed=scene.seed)
    both = (found.fit, found.fit_without)
    yield scene.outcome(1, "reconstruct: fit of best set", "sum without target", both, found.way)


def completion_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 2."""
    against = "sum without target"
    empty = scene.release.head.size < 2 * completion.NAMED
    knowledge = None if empty else completion.prepare(scene.release)
    for known, words in ((5, "5 known"), (10, "10 known"), (None, "half known")):
        name = f"complete, {words}: precision@10"
        if knowledge is None:
            yield scene.nothing(2, name, against)
            continue
        done = completion.attack(
            scene.matrix, knowledge, scene.targets(scene.effort.completions), known, scene.seed
        )
        if len(done.with_target) < 2:
            yield scene.nothing(2, name, against)
            continue
        way, inside, outside, popular = done.best()
        note = f"{way}; popularity alone {popular.mean():.3f}"
        yield scene.outcome(2, name, against, (inside, outside), note)


def membership_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 3."""
    for known, words in ((False, "others estimated"), (True, "others known")):
        name = f"membership, {words}: AUC"
        inside, outside = membership.attack(
            scene.matrix, scene.release, scene.targets(scene.effort.members), everybody_known=known
        )
        if inside.size < 2:
            yield scene.nothing(3, name, "coin")
            continue
        area = auc_interval(inside, outside)
        rates = [caught(inside, outside, part) for part in (0.01, 0.05)]
        note = f"TPR {rates[0]:.2f} at 1 % FPR, {rates[1]:.2f} at 5 %"
        gain = Interval(area.value - 0.5, area.low - 0.5, area.high - 0.5)
        size = inside.size
        yield Outcome(3, name, scene.setting.name, scene.users, size, area.value, 0.5, gain, "coin", note)


def window_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 4."""
    number = scene.effort.windows
    viewers = windows.one_viewer(scene.matrix, scene.smaller, scene.targets(number), (scene.seed, 4))
    yield scene.outcome(4, "two windows, a viewer: precision@10", "popularity", viewers)
    everybody = scene.targets(scene.users)
    changed = windows.changed_weight(scene.matrix, scene.smaller, everybody, number, (scene.seed, 14))
    yield scene.outcome(4, "two windows, a changed weight: precision@10", "popularity", changed)
    users = scene.targets(min(number * _SMALL_MEMBER, scene.users))
    users = users[: users.size // _SMALL_MEMBER * _SMALL_MEMBER].reshape(-1, _SMALL_MEMBER)
    member = windows.one_member(scene.matrix, scene.smaller, users, (scene.seed, 5))
    yield scene.outcome(4, "two cohorts, a member of 5: pairs@100", "popularity", member)


def als_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 5."""
    videos = np.argsort(-np.bincount(scene.matrix.indices, minlength=scene.matrix.shape[1]))[:1500]
    matrix = csr_array(scene.matrix[:, np.sort(videos)])
    both = als.attack(
        matrix,
        als.item_factors(csr_array(matrix[:600]), scene.seed),
        variance=float(scene.setting.protection.pairs_noise),
        length=3,
        targets=scene.effort.inversions,
        seed=scene.seed,
    )
    yield scene.outcome(
        5, "invert ALS sums, 3 videos: part found", "popularity", both, "not built: see als.py"
    )


def honeypot_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 6."""
    for rows, words in ((1, "1 video"), (5, "5 videos")):
        both = honeypot.attack(
            scene.matrix, scene.release, scene.targets(scene.effort.honeypots), rows, (scene.seed, 6, rows)
        )
        yield scene.outcome(6, f"honeypot, {words}: precision@10", "popularity", both)


def list_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 7."""
    for own, words in ((True, "own viewer"), (False, "a member's viewer")):
        both = related_lists.attack(
            scene.matrix,
            scene.population.features,
            scene.setting.protection,
            own=own,
            targets=scene.effort.lists,
            seed=(scene.seed, 7),
        )
        yield scene.outcome(7, f"related lists, {words}: hit@10", "popularity", both)


def puppet_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 8."""
    for federated, words in ((False, "alone"), (True, "federated")):
        for accounts, effort in scene.effort.puppets.items():
            for found in sock_puppets.attack(
                scene.matrix,
                scene.population.features,
                scene.setting.protection,
                accounts=accounts,
                federated=federated,
                effort=effort,
                seed=(scene.seed, 8, accounts),
            ):
                lists = f"{found.windows} list" + "s" * (found.windows > 1)
                name = f"sock puppets, {words}, {accounts} accounts, {lists}: precision@10"
                # Against whichever of the two guesses better.
                popular = not found.reached.size or found.popular.mean() >= found.twin.mean()
                against, baseline = (
                    ("popularity", found.popular) if popular else ("instance without target", found.twin)
                )
                outcome = scene.outcome(8, name, against, (found.reached, baseline), found.note)
                yield replace(outcome, accounts=accounts, lists=found.windows)


def crafted_head_rows(scene: Scene) -> Iterator[Outcome]:
    """Attack 9."""
    seed, views = (scene.seed, 9, scene.users), scene.population.views
    few = views < LEAST_VIEWS
    against, targets = "sum without target", scene.targets(scene.users)
    for counters, among, words in (
        (views, few, f"under {LEAST_VIEWS} views"),
        (np.full_like(views, LEAST_VIEWS), None, "all counted"),
    ):
        name = f"head of rare videos, {words}: precision@10"
        head = crafted_head.craft(scene.matrix, scene.effort.rare, seed, among=among)
        if head.size < 2 * completion.NAMED:
            yield scene.nothing(9, name, against)
            continue
        crafted = crafted_head.ask(scene.matrix, head, counters, scene.setting.protection, seed)
        done = crafted_head.attack(scene.matrix, crafted, targets, scene.seed)
        if len(done.with_target) < 2:
            yield scene.nothing(9, name, against)
            continue
        way, inside, outside, _ = done.best()
        yield scene.outcome(9, name, against, (inside, outside), f"{way}; {head.size} videos")


ATTACKS: dict[int, Callable[[Scene], Iterator[Outcome]]] = {
    1: clique_rows,
    2: completion_rows,
    3: membership_rows,
    4: window_rows,
    5: als_rows,
    6: honeypot_rows,
    7: list_rows,
    8: puppet_rows,
    9: crafted_head_rows,
}
