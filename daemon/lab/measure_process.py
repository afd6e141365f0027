"""What a level costs in quality on this instance's own viewers, as if they were a whole cohort.

They are split into the members of a sum and ourselves; a fifth of everybody's videos is held out. Each
setting is trained once, from an own release and a sum of the others with the noise of the setting, and
judged for everybody. A cohort of real instances has more viewers than one of them alone, so noise costs it
less: the measured cost is an upper estimate. Nothing leaves this instance, nothing is kept.
"""

from __future__ import annotations

import json
import sys
from math import sqrt
from typing import Any

import numpy as np

from daemon.errors import JobError
from daemon.jobs.__main__ import main
from daemon.lab.experiment import TEST_SHARE, active_users, hold_out, train_as_one_of
from daemon.lab.measure import SumSettings
from daemon.process.job_context import JobContext
from daemon.rounds.own_statistics import own_viewers
from daemon.store.model_inputs import features
from daemon.training.job import recipe_of
from models.errors import ModelError
from models.evaluation import next_videos
from models.features import Features
from models.interactions import Interactions
from models.noise import SumNoise
from models.recommender import ServedItems
from models.trained import Recipe

VIEWERS_PER_MEMBER = 5
_SEED = 1


def measure(context: JobContext) -> dict[str, Any]:
    """Return how many `viewers` were judged, and the `ndcg10` of each setting.

    Raises:
        JobError: there are too few viewers.

    """
    settings = [SumSettings(**one) for one in json.loads(context.arguments["settings"])]
    members = int(context.arguments["members"])
    own = own_viewers(context.engine, context.config, now=context.clock())
    viewers = own.interactions.rows(active_users(own.interactions, 2))
    needed = VIEWERS_PER_MEMBER * (members + 1)
    if viewers.users < needed:
        raise JobError(
            f"{viewers.users} viewers have two or more videos that count, and {needed} are needed to play a "
            f"cohort of {members + 1}",
            advice="Measure again when there are more viewers, or with fewer --members.",
        )
    described, recipe = features(own.catalogue), recipe_of(context.config)
    least = context.config.sharing.min_users
    values = []
    try:
        for number, one in enumerate(settings):
            context.progress(f"setting {number + 1} of {len(settings)}", number / len(settings))
            values.append(round(ndcg(described, viewers, one, members, recipe, least), 4))
    except ModelError as error:
        raise JobError(
            f"no model could be trained: {error}", advice="Measure again when there are more viewers."
        ) from None
    return {"viewers": viewers.users, "ndcg10": values}


def ndcg(
    described: Features,
    viewers: Interactions,
    settings: SumSettings,
    members: int,
    recipe: Recipe,
    min_users: int,
) -> float:
    """Train once and judge for all viewers; the same split and draws for every setting.

    `min_users` are what a video of a head needs, beside two standard deviations of the noise.
    """
    rng = np.random.default_rng(_SEED)
    history, test = hold_out(viewers, TEST_SHARE, rng)
    model = train_as_one_of(
        members + 1,
        described,
        history.limited(settings.limit),
        SumNoise(settings.counts, settings.pairs),
        SumNoise(settings.own_counts, settings.own_pairs),
        min_users=min_users + 2 * sqrt(settings.counts),
        recipe=recipe,
        rng=rng,
    )
    return next_videos(ServedItems(model), history.matrix, test.matrix).summary().ndcg10


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {"measure": measure}))
