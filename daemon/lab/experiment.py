"""The steps of every experiment: load, hold out, split into instances, sum with noise, train, compare.

Draws come from generators that the caller seeds, so equal seeds give equal numbers. A sum here is what a
secure sum yields, without its masks: these cancel to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.source.dataset import addresses
from daemon.source.dataset_columns import Positive, Publication, codes, positive_from, publication, views
from daemon.source.dataset_files import DataSet
from federation.noise import share_variance
from federation.proposal import least_threshold
from models import counting, statistics
from models.baselines import Newest, newest
from models.closed_form import solve
from models.denoise import denoise
from models.evaluation import latest, next_videos
from models.features import Features
from models.head import own_head
from models.interactions import Interactions, from_events, split_interactions
from models.noise import NO_NOISE, SumNoise
from models.problem import worth_learning
from models.recommender import ItemWeights, Scores
from models.released import Released
from models.splits import clusters, profiles, taste_skewed
from models.statistics import Statistic
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from models.weights import UNIT
from models.words import title_words
from policies.privacy import PROTECTION, Level

MIN_LIKES = 5
"""Of a user who takes part."""
TEST_SHARE = 0.2
MIN_USERS = 5
"""Of a video of a head, where there is no noise: the default of `sharing.min_users`."""
MAX_HEAD = 4096
LAMBDAS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Candidates for the ridge of yardsticks, in multiples of the mean diagonal."""
TASTES = 8
MEMBERS, COLLUDERS = 5, 1
"""Of the cohort whose noise is in a sum, where one is measured."""
SKEW = 2.0

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, in [0, 1]."""
Noise = Callable[[int, int], NDArray[np.int64]]
"""Draws the noise of a segment: from 0 for counts or 1 for pairs, and a size, to (size,) int64 entries."""

PEERTUBE_NOTE = (
    "PeerTube's rule is what its watch page shows: videos that share a tag with the one watched last, newest "
    "first. Likes in a data set do not follow dates, so a score near zero comes from this test and is no "
    "verdict on PeerTube."
)


# Load


@dataclass(frozen=True)
class Population:
    """Users of a data set with enough likes, and the videos they like.

    Attributes:
        name: of the data set.
        positive: which values count as liked.
        likes: (users, videos); its recency is None where the set has no times.
        features: of the videos.
        titles: of the videos, "" where the set has none.
        publication: of the videos.
        views: (videos,) int64, their public counters.
        tags_by_users: share of the taggings that come from viewers.
    """

    name: str
    positive: Positive
    likes: Interactions
    features: Features
    titles: tuple[str, ...]
    publication: Publication
    views: NDArray[np.int64]
    tags_by_users: float


def load(data: DataSet, *, from_value: float | None = None, min_likes: int = MIN_LIKES) -> Population:
    """Keep users with enough likes, and the videos that they like.

    Args:
        data: the tables.
        from_value: lowest value that counts as liked; chosen by `positive_from` where None.
        min_likes: likes that a user needs.

    Raises:
        ValueError: nobody has enough likes.
    """
    positive = positive_from(data, from_value)
    everybody = likes_of(data, positive)
    active = everybody.rows(active_users(everybody, min_likes))
    videos = np.unique(active.matrix.indices)
    if not videos.size:
        raise ValueError(f"no user of {data.name} has {min_likes} liked videos: lower the thresholds")
    dates = publication(data)
    channel, category, language = (
        codes(data, *names)[0][videos]
        for names in (("channel", "developer"), ("category", "type"), ("language",))
    )
    published, public = dates.published[videos], views(data)[videos]
    tags = csr_array(tags_of(data)[videos])
    tags.sort_indices()
    known = data.columns.get("title")
    titles = tuple(known[video] for video in videos) if known else ("",) * videos.size
    words = title_words(titles, channel, published)
    return Population(
        name=data.name,
        positive=positive,
        likes=Interactions(csr_array(active.matrix[:, videos]), active.recency),
        features=Features(tags, data.tag_names, channel, category, language, published, public, words),
        titles=titles,
        publication=Publication(published, dates.rule),
        views=public,
        tags_by_users=data.tags_by_users,
    )


def likes_of(data: DataSet, positive: Positive) -> Interactions:
    """Return all likes of a data set, (users, videos); recency is None where it has no times."""
    nothing = np.zeros(len(data.users))
    found = from_events(
        data.users,
        data.items,
        liked=data.values >= positive.from_value,
        disliked=nothing.astype(np.bool_),
        watched=nothing,
        when=nothing if data.timestamps is None else data.timestamps,
        shape=(len(data.user_ids), len(data.item_ids)),
        limit=None,
    )
    return Interactions(found.matrix) if data.timestamps is None else found


def active_users(likes: Interactions, min_likes: int = MIN_LIKES) -> NDArray[np.int64]:
    """Return the row numbers of users with enough likes, ascending."""
    return np.flatnonzero(np.diff(likes.matrix.indptr) >= min_likes).astype(np.int64)


def tags_of(data: DataSet) -> csr_array:
    """Return (videos, tags) float32 ones where tagged."""
    ones = np.ones(len(data.tag_items), np.float32)
    return csr_array((ones, (data.tag_items, data.tag_ids)), shape=(len(data.item_ids), len(data.tag_names)))


def by_address(data: DataSet) -> DataSet:
    """Return the set with its videos numbered by their addresses, as in the catalogues of daemons."""
    items = np.argsort(np.array(addresses(data)), kind="stable")
    place = np.empty(len(items), np.int32)
    place[items] = np.arange(len(items), dtype=np.int32)
    return replace(
        data,
        item_ids=tuple(data.item_ids[item] for item in items),
        items=place[data.items],
        columns={name: tuple(texts[item] for item in items) for name, texts in data.columns.items()},
        tag_items=place[data.tag_items],
    )


# Split


@dataclass(frozen=True)
class TrainTestSplit:
    """Each user's likes in two parts, and what follows from the first.

    Attributes:
        train: (users, videos), with times drawn at random where the set has none.
        test: (users, videos) uint8.
        last: (users, videos) uint8, one video per user of the training part: the most recent, or a random
            one.
        order: newest first, as PeerTube's rule needs it.
        cold: (n,) positions of videos without likes in the training part.
    """

    train: Interactions
    test: csr_array
    last: csr_array
    order: Newest
    cold: NDArray[np.int64]


def hold_out(
    likes: Interactions, share: float, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """Hold out each like with this probability; returns what is kept and what is held out."""
    held_out = rng.random(likes.matrix.nnz) < share
    return likes.where(~held_out), likes.where(held_out)


def split(population: Population, *, test: float = TEST_SHARE, seed: int) -> TrainTestSplit:
    """Hold out each like of a population with probability `test`."""
    timed = likes = population.likes
    if likes.recency is None:
        timed = Interactions(likes.matrix, np.random.default_rng([seed, 1]).random(likes.matrix.nnz))
    train, held_out = hold_out(timed, test, np.random.default_rng(seed))
    known = train if likes.recency is not None else Interactions(train.matrix)
    return TrainTestSplit(
        train=train,
        test=held_out.matrix,
        last=last_liked(train),
        order=newest_first(population.publication, known),
        cold=np.flatnonzero(counting.counts(train) == 0).astype(np.int64),
    )


def last_liked(history: Interactions) -> csr_array:
    """Return only each user's most recent video, that of lowest index where there are no times."""
    times = np.zeros(history.matrix.nnz) if history.recency is None else history.recency
    return latest(history.matrix, times)


def newest_first(dates: Publication, history: Interactions) -> Newest:
    """Choose what newest first means for videos with these dates and this history."""
    first_seen = None
    if history.recency is not None:
        first_seen = np.full(history.videos, np.inf)
        np.minimum.at(first_seen, history.matrix.indices, history.recency)
        first_seen[np.isinf(first_seen)] = np.nan
    return newest(dates.published, dates.rule, first_seen, counting.counts(history))


def draw_users(
    users: int, number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw so many of the users; returns their row numbers and those of the others, both ascending."""
    order = rng.permutation(users).astype(np.int64)
    return np.sort(order[:number]), np.sort(order[number:])


def by_taste(
    matrix: csr_array,
    tags: csr_array,
    sizes: Sequence[int] | NDArray[np.int64],
    rng: np.random.Generator,
    *,
    tastes: int = TASTES,
    skew: float = SKEW,
) -> list[NDArray[np.int64]]:
    """Split users into instances with tastes of their own.

    Args:
        matrix: (users, videos) binary.
        tags: (videos, tags).
        sizes: users per instance, 0 included.
        rng: source of all draws.
        tastes: clusters of users by the tags of what they like.
        skew: how much instances differ: 0 not at all, 2 a lot.

    Returns:
        per instance, ascending row numbers of its users.

    Raises:
        ValueError: there are too few users.
    """
    taste = clusters(profiles(matrix, tags), tastes, rng)
    wanted = np.asarray(sizes, np.int64)
    filled = iter(taste_skewed(taste, wanted[wanted > 0], rng, strength=skew))
    return [next(filled) if size else np.zeros(0, np.int64) for size in wanted]


# Sum


def no_noise(_segment: int, size: int) -> NDArray[np.int64]:
    """Draw nothing: an exact sum."""
    return np.zeros(size, np.int64)


def poisson_noise(noise: SumNoise, rng: np.random.Generator) -> Noise:
    """Return noise of the law that members draw by, Skellam, drawn faster: nothing here is secret."""

    def drawn(segment: int, size: int) -> NDArray[np.int64]:
        half = (noise.counts, noise.pairs)[segment] * UNIT**2 / 2
        return rng.poisson(half, size) - rng.poisson(half, size)

    return drawn


def summed(
    instances: Sequence[Interactions],
    *,
    min_users: float,
    max_head: int,
    noise: Noise = no_noise,
) -> Statistic:
    """Add up the contributions of some instances: counts, and pairs of the head that these give, with noise.

    Args:
        instances: (users, videos) each.
        min_users: viewers from which a video is in the head.
        max_head: videos of the head, at most.
        noise: of all instances together, in entries.

    Viewers are weighed by the head before those of its videos are dropped that the weights leave below the
    minimum.
    """
    drawn = noise(0, instances[0].videos)
    plain = sum((UNIT * counting.counts(one) for one in instances), drawn)
    head = statistics.head(plain, min_users=math.ceil(UNIT * min_users), max_head=max_head)
    found = summed_over(head, instances, noise, counts=drawn)
    return found.of(np.flatnonzero(found.counts >= UNIT * min_users))


def summed_over(
    head: NDArray[np.int64],
    instances: Sequence[Interactions],
    noise: Noise = no_noise,
    *,
    counts: NDArray[np.int64] | None = None,
) -> Statistic:
    """Add up the contributions of some instances over a head that was chosen beforehand, all of it.

    Args:
        head: (h,) positions.
        instances: (users, videos) each.
        noise: of all instances together, in entries.
        counts: (videos,) noise of the counts where it was drawn before.
    """
    drawn = noise(0, instances[0].videos) if counts is None else counts
    triangle = noise(1, statistics.pairs(head.size))
    total = np.concatenate((drawn, triangle))
    for one in instances:
        total += counting.contribution(one, head)
    return Statistic(head, total[head], total[drawn.size :])


def without(total: Statistic, own: Interactions, noise: Noise = no_noise) -> Statistic:
    """Return a sum less what one instance contributed, its noise included: what it learns from.

    `total` is one over a whole head (`summed_over`), since own viewers are weighed by it.
    """
    counts = counting.weighted_counts(own, total.head) + noise(0, own.videos)
    pairs = counting.pair_counts(own, total.head) + noise(1, total.triangle.size)
    return Statistic(total.head, total.counts - counts[total.head], total.triangle - pairs)


def realised_noise() -> SumNoise:
    """Return what a sum of `MEMBERS` at the default level carries with nobody lost, in viewers squared."""
    declared = PROTECTION[Level.DEFAULT]
    counts, pairs = (
        float(MEMBERS * share_variance(one, least_threshold(MEMBERS), COLLUDERS))
        for one in (declared.counts_noise, declared.pairs_noise)
    )
    return SumNoise(counts, pairs)


def released(
    own: Interactions,
    noise: SumNoise,
    rng: np.random.Generator,
    *,
    views: NDArray[np.int64],
    min_users: float = MIN_USERS,
    max_head: int = MAX_HEAD,
) -> Released:
    """Release an instance's own numbers as its daemon does, with a full draw of noise.

    Its head follows an earlier release of the same viewers.

    Args:
        own: (users, videos), limited.
        noise: in viewers squared.
        rng: draws it.
        views: (videos,) public counters.
        min_users: viewers that a video needs, before noise, to be in the head by itself.
        max_head: videos of the head, at most.
    """
    law = poisson_noise(noise, rng)
    earlier = counting.counts(own) + law(0, own.videos) / UNIT
    head = own_head(
        views,
        np.zeros_like(views),
        earlier[None, :],
        variance=noise.counts,
        min_users=min_users,
        max_head=max_head,
    )
    engaged = np.count_nonzero(np.diff(own.matrix.indptr))
    found = summed_over(head, [own], law)
    return Released(found, noise, max(0.0, engaged + float(law(0, 1)[0]) / UNIT))


def exactly(own: Interactions, *, min_users: float = 2, max_head: int = MAX_HEAD) -> Released:
    """Return own numbers as they are, for yardsticks that nobody is shown.

    Videos of one user cost more than they give (measured on the shipped set).
    """
    engaged = np.count_nonzero(np.diff(own.matrix.indptr))
    return Released(summed([own], min_users=min_users, max_head=max_head), NO_NOISE, float(engaged))


def same_integers(one: Statistic, other: Statistic) -> bool:
    """Say whether two sums are equal, integer for integer."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("head", "counts", "triangle")
    )


# Train


def train_as_one_of(
    instances: int,
    features: Features,
    likes: Interactions,
    noise: SumNoise,
    own_noise: SumNoise,
    *,
    min_users: float,
    recipe: Recipe,
    rng: np.random.Generator,
) -> TrainedModel:
    """Train as one of several equal instances does: from its own release and the others' sum.

    Args:
        instances: that the users are split into at random; 1 for no others.
        features: of the videos.
        likes: (users, videos) as they are summed.
        noise: that the sum really carries, in viewers squared.
        own_noise: that its own release carries.
        min_users: viewers from which a video is in the others' head.
        recipe: of training.
        rng: draws who is an own user, then the noise.

    Raises:
        TooLittleDataError: there is nothing to learn from.
    """
    mine, theirs = draw_users(likes.users, likes.users // instances, rng)
    own = released(likes.rows(mine), own_noise, rng, views=features.views)
    if instances == 1:
        return train(TrainingData(features, worth_learning(own, None), None), recipe)
    law = poisson_noise(noise, rng) if noise else no_noise
    others = summed([likes.rows(theirs)], min_users=min_users, max_head=MAX_HEAD, noise=law)
    rest = Released(others, noise)
    return train(TrainingData(features, worth_learning(own, rest), rest), recipe)


def closed_form(
    total: Statistic,
    videos: int,
    ridge: float,
    *,
    noise: SumNoise = NO_NOISE,
    dtype: torch.dtype = torch.float64,
) -> ItemWeights:
    """Fit the full closed form to a sum.

    Args:
        total: the sum.
        videos: of the catalogue.
        ridge: lambda, in multiples of the mean diagonal of the Gram matrix.
        noise: that the sum carries, and that is taken out.
        dtype: float64, or float32 where half the time matters more than the last digits.
    """
    gram = denoise(total, noise)
    unit = float(np.diagonal(gram).mean()) if total.head.size else 1.0
    weights = solve(gram, ridge * unit, dtype=dtype).weights().float().numpy()
    return ItemWeights(total.head, weights, videos)


def choose_ridge(
    likes: Interactions,
    share: float,
    seed: int,
    *,
    min_users: int = MIN_USERS,
    max_head: int = MAX_HEAD,
    judges: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> float:
    """Choose the lambda of the closed form on a part of the likes that is held out.

    Args:
        likes: (users, videos).
        share: of the likes that is held out.
        seed: of all draws.
        min_users: of a video of the head.
        max_head: videos of the head, at most.
        judges: users that the choice is made on, at most; None for all.
        progress: called with the part that is done.
    """
    kept, held_out = split_interactions(likes.matrix, share, np.random.default_rng([seed, 3]))
    total = summed([Interactions(kept)], min_users=min_users, max_head=max_head)
    if judges is not None:
        some, _ = draw_users(likes.users, judges, np.random.default_rng([seed, 7]))
        kept, held_out = csr_array(kept[some]), csr_array(held_out[some])
    found: dict[float, float] = {}
    for ridge in LAMBDAS:
        model = closed_form(total, likes.videos, ridge, dtype=torch.float32)
        found[ridge] = next_videos(model, kept, held_out).summary().ndcg10
        progress(len(found) / len(LAMBDAS))
    return max(found, key=lambda ridge: found[ridge])


# Compare


def relative_difference(one: Scores, other: Scores) -> float:
    """Return the largest difference of two models' scores, relative to the largest score of the second.

    It is infinite where they do not rank the same videos.
    """
    finite = np.isfinite(other)
    if not np.array_equal(np.isfinite(one), finite):
        return float("inf")
    scale = float(np.abs(other[finite]).max(initial=0.0)) or 1.0
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / scale


def relative_loss(values: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, float]:
    """Return by what share the mean of some values is below that of a reference, and its standard error.

    Both are (viewers,), of the same viewers; nan where there is nothing to compare. The error is that of a
    ratio of means, to first order, over viewers.
    """
    base = float(reference.mean()) if len(reference) else 0.0
    if not base:
        return math.nan, math.nan
    ratio = float(values.mean()) / base
    if len(values) < 2:
        return 1 - ratio, math.nan
    residual = values - ratio * reference
    return 1 - ratio, float(residual.std(ddof=1) / (math.sqrt(len(values)) * base))
