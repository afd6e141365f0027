"""ALS with biases trains through secure sums: what leaves an instance is a sum over its users, masked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from models.family.als import SWEEPS, ExplicitALS, item_sums
from models.family.member import Floats, Ratings
from tests.models.family.toy_world import ratings, split
from tests.simulator.cohort import Cohort

FACTORS, ITEMS, STEP = 2, 12, 2.0**-24
INSTANCES = 5


def small() -> Ratings:
    train = split(ratings(3))[0]
    kept = train.where((train.items >= 4) & (train.items < 4 + ITEMS))
    return Ratings(
        *(
            kept.users,
            kept.items - 4,
            kept.values,
            csr_array(kept.tags[4 : 4 + ITEMS]),
            (kept.size[0], ITEMS),
        ),
        liked_from=kept.liked_from,
        scale=kept.scale,
    )


def summed(parts: list[Floats], number: int) -> Floats:
    """What a cohort's secure sum gives of one vector per instance, in fixed point."""
    entries = [np.rint(part / STEP).astype(np.int64) for part in parts]
    cohort = Cohort.of(entries, seed=number)
    bound = int(max(np.abs(one).max() for one in entries)) + 1
    signed = cohort.propose(entry_bound=bound, ring=64, nonce=bytes([number]) * 16)
    return np.asarray(cohort.run(signed).result.total * STEP)


def test_what_instances_train_by_secure_sums_equals_what_is_trained_on_all_ratings() -> None:
    everything = small()
    pooled = ExplicitALS(factors=FACTORS, regularisation=1, seed=4).fit(everything)
    where = np.arange(everything.size[0]) % INSTANCES
    parts = [everything.where(where[everything.users] == one) for one in range(INSTANCES)]
    count, total = summed([np.array([len(one.values), one.values.sum()]) for one in parts], 1)
    models = [ExplicitALS(factors=FACTORS, regularisation=1, seed=4) for _ in parts]
    by_user = []
    for model, part in zip(models, parts, strict=True):
        model.mean = total / count
        model.begin(part.size)
        by_user.append(part.matrix(part.values - model.mean))
    first = summed([np.concatenate((one.sum(axis=0), np.diff(one.tocsc().indptr))) for one in by_user], 2)
    for model in models:
        model.start_biases(first[:ITEMS], first[ITEMS:])
    width = FACTORS + 1
    for sweep in range(SWEEPS):
        given = []
        for model, own in zip(models, by_user, strict=True):
            model.users = model.user_step(own)
            left, right = item_sums(csr_array(own.T), model.users)
            given.append(np.concatenate((left.ravel(), right.ravel())))
        found = summed(given, 3 + sweep)
        left, right = np.split(found, [ITEMS * width**2])
        for model in models:
            model.items = model.item_step(left.reshape(ITEMS, width, width), right.reshape(ITEMS, width))
    for one, (model, own, part) in enumerate(zip(models, by_user, parts, strict=True)):
        model.users = model.user_step(own)
        assert (where[part.users] == one).all()
        expected = pooled.predict(part.users, part.items)
        assert model.predict(part.users, part.items) == pytest.approx(expected, rel=1e-5)
    assert models[0].items == pytest.approx(pooled.items, rel=1e-5, abs=1e-5)


def test_a_sum_that_lacks_an_instance_gives_other_factors() -> None:
    everything = small()
    pooled = ExplicitALS(factors=FACTORS, regularisation=1, seed=4).fit(everything)
    fewer = everything.where(everything.users % INSTANCES > 0)
    less = ExplicitALS(factors=FACTORS, regularisation=1, seed=4).fit(fewer)
    assert np.abs(less.items - pooled.items).max() > 1e-2
