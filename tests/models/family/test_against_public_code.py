"""Members beside public implementations of the same models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from daemon.lab.evaluate_family import HeldOut
from models.family.bayesian_fm import BayesianFM
from models.family.implicit import LikedALS
from tests.models.family.record_myfm import FACTORS, RECORD, SWEEPS
from tests.models.family.small_ratings import few
from tests.models.family.toy_world import ratings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return few()


def test_the_bayesian_machine_is_within_a_hundredth_of_the_public_one(held_out: HeldOut) -> None:
    recorded = json.loads(RECORD.read_text())
    assert (recorded["factors"], recorded["sweeps"]) == (FACTORS, SWEEPS)
    model = BayesianFM(factors=FACTORS, sweeps=SWEEPS).fit(held_out.train)
    test = held_out.test
    found = np.clip(model.predict(test.users, test.items), *test.scale)
    assert np.sqrt(np.mean((found - test.values) ** 2)) < 1.01 * recorded["rmse"]["few"]


@pytest.mark.filterwarnings("ignore")
def test_implicit_als_reaches_the_objective_of_the_public_one() -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    world = ratings()
    liked = world.matrix((world.values >= world.liked_from).astype(np.float64))
    liked.eliminate_zeros()
    ours = LikedALS(factors=5, regularisation=2.0, confidence=4.0).fit(world).rank(np.arange(world.size[0]))
    theirs = AlternatingLeastSquares(5, regularization=2.0, alpha=4.0, iterations=15, random_state=0)
    theirs.fit(csr_matrix(liked), show_progress=False)
    public = theirs.user_factors @ theirs.item_factors.T
    wanted, weight = liked.toarray(), 1 + 3 * liked.toarray()
    errors = [float((weight * (wanted - found) ** 2).sum()) for found in (ours, public)]
    assert errors[0] == pytest.approx(errors[1], rel=0.01)
