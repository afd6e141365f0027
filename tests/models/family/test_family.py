"""Every member on one world with a known answer, against the trivial model that it has to beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.sparse import csr_array

from models.evaluation import measure, without
from models.family.als import ExplicitALS
from models.family.balse import Balse
from models.family.bayesian_fm import BayesianFM
from models.family.biases import Biases
from models.family.deep_fm import DeepFM
from models.family.factorization_machine import FactorizationMachine
from models.family.implicit import LikedALS
from models.family.logistic import LogisticFactorization
from models.family.member import Floats, Ints, Maker, Member, Ratings, Settings, frequent_tags
from models.family.neighbours import ItemNeighbours, UserNeighbours
from models.family.tag_regression import TagLasso, TagRidge
from tests.models.family.toy_world import ITEMS, NOISE, ratings, split

pytestmark = pytest.mark.slow


class Constant(Member):
    """Everybody rates everything the mean."""

    def fit(self, ratings: Ratings) -> Constant:
        self._size, self._mean = ratings.size, float(ratings.values.mean())
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        return np.full(len(users), self._mean)


class MostLiked(Member):
    """Everybody gets what most liked."""

    def fit(self, ratings: Ratings) -> MostLiked:
        self._size = ratings.size
        self._likes = ratings.where(ratings.values >= ratings.liked_from).counts.astype(np.float64)
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        return self._likes[items]


@dataclass(frozen=True)
class Case:
    maker: Maker
    baseline: Maker = Biases
    settings: Settings = field(default_factory=dict)
    cold: float = 0.0
    """Error on items that nobody rated, as a share of the baseline's, at most; 0 where it knows no tags."""


CASES = {
    "biases": Case(Biases, Constant),
    "user-kNN": Case(UserNeighbours),
    "item-kNN": Case(ItemNeighbours),
    "als": Case(ExplicitALS, settings={"factors": 6, "regularisation": 1}),
    "implicit": Case(LikedALS, MostLiked, {"factors": 6, "regularisation": 5}),
    "ridge": Case(TagRidge, settings={"regularisation": 0.3}, cold=0.7),
    "lasso": Case(TagLasso, settings={"regularisation": 0.01}, cold=0.7),
    "balse": Case(Balse, settings={"factors": 6, "regularisation": 1, "tag_regularisation": 0.3}, cold=0.7),
    "fm": Case(FactorizationMachine, settings={"factors": 6, "sweeps": 100}, cold=0.9),
    "deep-fm": Case(DeepFM, settings={"factors": 6, "sweeps": 100}, cold=0.9),
    "bayesian-fm": Case(BayesianFM, settings={"factors": 6, "sweeps": 60}, cold=0.7),
    "logistic": Case(LogisticFactorization, settings={"factors": 5, "regularisation": 0.3}),
}
TRAIN, TEST = split(ratings())


def rmse(member: Member, wanted: Ratings) -> float:
    found = np.clip(member.predict(wanted.users, wanted.items), *wanted.scale)
    return float(np.sqrt(np.mean((found - wanted.values) ** 2)))


def ndcg(member: Member) -> float:
    liked = TEST.where(TEST.values >= TEST.liked_from)
    relevant, seen = (csr_array(one.matrix(np.ones(len(one.values)))) for one in (liked, TRAIN))
    scores = member.rank(np.arange(TRAIN.size[0]))
    return float(measure(lambda rows: without(scores[rows], csr_array(seen[rows])), relevant).ndcg.mean())


@pytest.mark.parametrize("name", CASES)
class TestMember:
    def fitted(self, name: str) -> Member:
        case = CASES[name]
        if name not in FITTED:
            FITTED[name] = case.maker(**case.settings).fit(TRAIN)
        return FITTED[name]

    def test_it_beats_its_trivial_baseline(self, name: str) -> None:
        member, baseline = self.fitted(name), CASES[name].baseline().fit(TRAIN)
        warm = TEST.where(TEST.items >= 4)
        if member.rates:
            # Whoever knows only whether something was liked cannot say by how much.
            share = 0.92 if name == "logistic" else 0.75
            assert NOISE * 0.9 < rmse(member, warm) < share * rmse(baseline, warm)
        if name != "biases":
            assert ndcg(member) > ndcg(baseline) + 0.04

    def test_it_knows_cold_items_by_their_tags_or_as_the_biases_do(self, name: str) -> None:
        member, biases = self.fitted(name), Biases().fit(TRAIN)
        cold = TEST.where(TEST.items < 4)
        if CASES[name].cold:
            assert rmse(member, cold) < CASES[name].cold * rmse(biases, cold)
        elif member.rates and name != "logistic":
            assert rmse(member, cold) < 1.15 * rmse(biases, cold)

    def test_rankings_are_those_of_its_predictions(self, name: str) -> None:
        member, users = self.fitted(name), np.array([3, 77])
        order = np.argsort(-member.rank(users), axis=1, kind="stable")[:, :20]
        for user, best in zip(users.tolist(), order, strict=True):
            predicted = member.predict(np.full(20, user), best)
            assert (np.diff(predicted) <= 1e-4).all()

    def test_equal_seeds_give_equal_numbers(self, name: str) -> None:
        case = CASES[name]
        again = case.maker(**case.settings).fit(TRAIN)
        first = self.fitted(name).predict(TEST.users, TEST.items)
        assert again.predict(TEST.users, TEST.items) == pytest.approx(first, rel=1e-6)


FITTED: dict[str, Member] = {}


def test_a_lasso_gives_most_tags_nothing_where_one_decides() -> None:
    rng = np.random.default_rng(0)
    tags = csr_array(np.eye(5)[rng.integers(0, 5, 60)])
    values = 5 + 3 * tags.toarray()[:, 2] + rng.normal(0, 0.1, 60)
    one = Ratings(np.zeros(60, np.int64), np.arange(60), values, tags, (1, 60), 5, (1.0, 10.0))
    weights = TagLasso(regularisation=0.1).fit(one).weights[0]
    assert np.flatnonzero(weights).tolist() == [2]
    assert (TagRidge().fit(one).weights[0] != 0).all()


def test_balse_leaves_cold_items_to_the_tags_and_often_rated_ones_to_the_factors() -> None:
    world = split(ratings())[0]
    # Half of the items have a taste of their own that no tag tells, and factors find.
    rng = np.random.default_rng(5)
    hidden = np.outer(rng.choice([-1.5, 1.5], world.size[0]), rng.choice([-1, 1], ITEMS))
    told = Ratings(
        *(world.users, world.items, world.values + hidden[world.users, world.items], world.tags, world.size),
        liked_from=world.liked_from,
        scale=world.scale,
    )
    balse = Balse(factors=6, regularisation=1, tag_regularisation=0.3).fit(told)
    gates = balse.gates(np.arange(ITEMS))
    assert gates[:4].max() < 0.5
    assert gates[4:].min() > 0.8


def test_rare_tags_are_no_features_and_rows_have_length_one() -> None:
    tags = np.zeros((30, 3))
    tags[:20, 0] = tags[5:15, 1] = tags[:9, 2] = 1
    found = frequent_tags(csr_array(tags)).toarray()
    assert found.shape == (30, 2)
    assert np.linalg.norm(found, axis=1) == pytest.approx([1.0] * 20 + [0.0] * 10)
