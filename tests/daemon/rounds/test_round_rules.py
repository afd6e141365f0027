"""What holds for rounds around their edges: what counts, budgets, restarts, audiences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon.config import Config
from daemon.config.schema import Privacy
from daemon.rounds import own_release, yearly_budget
from daemon.rounds.contribution_job import contribution, noisy, read_question, windows_of
from daemon.rounds.data_windows import PARTS
from daemon.rounds.own_statistics import own_viewers
from daemon.store import activity, releases, sums
from daemon.store.activity import RoundRecord
from daemon.store.releases import OWN, ReleaseRecord
from federation.errors import Code, Refusal
from federation.proposal import Segment
from models.head import LEAST_VIEWS
from models.weights import UNIT
from policies.accounting import Relation, Release, epsilon, would_exceed
from policies.neighbour_relations import YEAR
from policies.privacy import PROTECTION, Level
from policies.window_length import SHORTEST, releases_in
from tests.daemon.rounds.small_instance import (
    HEAD,
    NOW,
    PEERS,
    URLS,
    configured,
    context_of,
    filled,
    proposed,
    sync,
)
from tests.daemon.stored_sums import EXACT_SUM


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path / "one")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    with filled(config) as engine:
        yield engine


def give(config: Config, engine: Engine, aggregator: str) -> None:
    """Freeze a contribution to a peer."""
    context = context_of(config, engine)
    proposal, blobs = proposed(config, aggregator)
    noisy(context, proposal, blobs, own_viewers(engine, config, now=NOW), windows_of(context))


# -- what counts -------------------------------------------------------------------------------------------


def test_what_is_unknown_here_or_hardly_watched_is_zero_and_nothing_is_refused(
    config: Config, engine: Engine
) -> None:
    sync(engine, NOW - 1, views=LEAST_VIEWS - 3, watched=3)  # the first three have too few views
    urls = ("https://elsewhere.example/1", *URLS)
    proposal, blobs = proposed(config, urls=urls)
    question = read_question(proposal, blobs, at_most=100)
    own = own_viewers(engine, config, now=NOW)
    plain = contribution(proposal, question, own)
    # Positions in the vocabulary: 0 is not known here; 1, 2 and 3 have 17, 18 and 19 views.
    assert plain[: len(urls)].tolist() == [0, 0, 0, 0, 6 * UNIT, 6 * UNIT, 6 * UNIT]
    assert question.head.tolist() == HEAD.tolist() == [0, 2, 3]
    assert plain[len(urls) :].tolist() == [0, 0, 0]
    given = noisy(context_of(config, engine), proposal, blobs, own, windows_of(context_of(config, engine)))
    assert given.shape == plain.shape


def test_a_list_of_which_hardly_anything_is_known_here_is_refused(config: Config, engine: Engine) -> None:
    urls = (URLS[0], *(f"https://w.example/{n}" for n in range(9)))
    proposal, blobs = proposed(config, urls=urls)
    context = context_of(config, engine)
    with pytest.raises(Refusal) as refused:
        noisy(context, proposal, blobs, own_viewers(engine, config, now=NOW), windows_of(context))
    assert refused.value.code is Code.VOCABULARY_TOO_SMALL
    assert windows_of(context).all() == []


@pytest.mark.parametrize("blob", ["vocabulary", "head"])
def test_other_lists_than_were_declared_are_refused(config: Config, blob: str) -> None:
    proposal, blobs = proposed(config)
    other = {"vocabulary": proposed(config, urls=URLS[::-1])[1]["vocabulary"], "head": b"\x09\0\0\0" * 3}
    with pytest.raises(Refusal) as refused:
        read_question(proposal, {**blobs, blob: other[blob]}, at_most=100)
    assert refused.value.code is Code.BLOB_MISMATCH


def test_the_highest_level_gives_nothing_where_noise_would_drown_it(tmp_path: Path) -> None:
    config = configured(tmp_path / "user", privacy='level = "user-level"')
    with filled(config) as engine:
        with pytest.raises(Refusal) as refused:
            give(config, engine, PEERS[0].host)
        assert refused.value.code is Code.COHORT_TOO_SMALL
        assert windows_of(context_of(config, engine)).all() == []
        # Public counters tell before the first sum; from then on the last one does.
        sync(engine, NOW - 1, views=10_000)
        give(config, engine, PEERS[0].host)
        store(engine, config, "a" * 64, at=NOW)
        with pytest.raises(Refusal, match="the last that was heard of is 4"):
            give(config, engine, PEERS[1].host)


# -- budgets -----------------------------------------------------------------------------------------------


def limited(config: Config, releases_allowed: int) -> Config:
    """Return settings whose budget for a pair has room for so many releases."""
    new = yearly_budget.of_proposal(proposed(config)[0])

    limit = 1.0001 * epsilon([new] * releases_allowed, Relation.PAIR)
    assert would_exceed({Relation.PAIR: limit}, [new] * (releases_allowed - 1), new) == []
    assert would_exceed({Relation.PAIR: limit}, [new] * releases_allowed, new)
    privacy = config.privacy.model_copy(update={"yearly_budget_pair": limit})
    return config.model_copy(update={"privacy": privacy})


def test_a_budget_for_one_release_is_not_spent_twice_by_two_peers_at_once(
    config: Config, engine: Engine
) -> None:
    spare = limited(config, 1)
    give(spare, engine, PEERS[0].host)
    # Nothing left yet, and nothing is on record; but it may leave at any moment.
    assert releases.since(engine, 0.0) == []
    with pytest.raises(Refusal) as refused:
        give(spare, engine, PEERS[1].host)
    assert refused.value.code is Code.BUDGET_SPENT
    # The same aggregator again takes no second place.
    give(spare, engine, PEERS[0].host)
    give(limited(config, 2), engine, PEERS[1].host)


def test_its_own_release_spends_of_the_same_budget(config: Config, engine: Engine) -> None:
    view = config.privacy.model_copy(update={"yearly_budget_view": 1e-6})
    spent = config.model_copy(update={"privacy": view})
    assert own_release.current(context_of(spent, engine)) is None
    assert releases.since(engine, 0.0) == []


def test_a_proposal_costs_what_its_terms_say(config: Config) -> None:
    proposal, _ = proposed(config)
    level = PROTECTION[Level.DEFAULT]
    assert yearly_budget.of_proposal(proposal) == Release(
        level.counts_noise, level.pairs_noise, 200, len(HEAD)
    )
    # Entries are in 32nds of a viewer.
    asked = replace(proposal, segments=(Segment(6, 32, 1024 * 16), Segment(3, 32, 1024 * 8)))
    assert yearly_budget.of_proposal(asked) == Release(16, 8, 200, len(HEAD))


def recorded(config: Config, engine: Engine, host: str, at: float, *, number: int = 1) -> None:
    """Put releases to an aggregator on record, as its rounds would."""
    new = yearly_budget.of_proposal(proposed(config)[0])
    for n in range(number):
        record = ReleaseRecord(
            f"{host}{at}{n}", at + n, host, "s", new.counts_noise, new.pairs_noise, 0.5, 200, 6, new.head
        )
        releases.save(engine, record, config.windows_dir)


def test_when_the_budget_gets_near_windows_lengthen_and_then_the_newest_get_nothing(
    config: Config, engine: Engine
) -> None:
    """Four aggregators ask within the year; the budget has room for two with usual windows."""
    plenty = releases_in(365, config.privacy.window_max.total_seconds(), part=PARTS[0])
    spare = limited(config, 2 * plenty)
    day = 86400.0
    assert not windows_of(context_of(spare, engine)).restored
    for n in range(3):
        recorded(spare, engine, PEERS[n].host, NOW - (4 - n) * day, number=plenty // 4)
    pace = yearly_budget.pace(spare, engine, NOW, windows_of(context_of(spare, engine)).read)
    assert 1 < pace.stretch <= 3
    assert (pace.admitted, pace.refused) == (tuple(peer.host for peer in PEERS[:3]), ())
    give(spare, engine, PEERS[0].host)
    kept = windows_of(context_of(spare, engine)).read(PEERS[0].host)
    assert kept is not None
    # The first one that these windows know of: a day.
    assert kept.window.ends - kept.window.opened >= PARTS[0] * SHORTEST * (pace.stretch - 0.02) > SHORTEST
    give(config, engine, PEERS[1].host)
    as_before = windows_of(context_of(config, engine)).read(PEERS[1].host)
    assert as_before is not None
    assert as_before.window.ends - as_before.window.opened <= SHORTEST
    # Nearly everything is spent: the oldest still gets what is left, the newcomer does not.
    recorded(spare, engine, PEERS[2].host, NOW - day, number=plenty - 3)
    with pytest.raises(Refusal, match="has room only for the aggregators that it gave to before") as refused:
        give(spare, engine, PEERS[3].host)
    assert refused.value.code is Code.BUDGET_SPENT
    assert windows_of(context_of(spare, engine)).read(PEERS[3].host) is None
    context = context_of(spare, engine)
    new = yearly_budget.of_proposal(proposed(spare)[0])
    yearly_budget.require(context, new, PEERS[0].host, windows_of(context))


def test_its_own_release_comes_before_older_aggregators(config: Config, engine: Engine) -> None:
    spare = limited(config, 2)
    recorded(spare, engine, PEERS[0].host, NOW - 86400)
    read = windows_of(context_of(spare, engine)).read
    new = yearly_budget.of_proposal(proposed(spare)[0])
    asked = yearly_budget.pace(spare, engine, NOW, read, (OWN, new))
    assert (asked.admitted, asked.refused) == ((OWN,), (PEERS[0].host,))
    # Whoever stopped asking needs nothing of it.
    gone = yearly_budget.pace(spare, engine, NOW + 60 * 86400, read, (OWN, new))
    assert (gone.admitted, gone.refused) == ((OWN,), ())


def test_without_noise_there_is_no_account(tmp_path: Path) -> None:
    exact = configured(tmp_path / "exact", privacy='level = "none"\nyearly_budget_view = 0.1')
    assert yearly_budget.budgets(exact) == {}
    with filled(exact) as engine:
        for peer in PEERS[:3]:
            give(exact, engine, peer.host)
        assert yearly_budget.pace(exact, engine, NOW, windows_of(context_of(exact, engine)).read).stretch == 1


def test_the_default_budget_is_for_five_peers_and_its_own_release(config: Config) -> None:
    """In the first year, at the level default, however short the windows are that chance draws."""
    level, privacy = PROTECTION[Level.DEFAULT], Privacy()
    windows = releases_in(365, privacy.window_max.total_seconds(), part=PARTS[0])
    sums = [Release(level.counts_noise, level.pairs_noise, 200, 4096)] * (5 * windows)
    own = [replace(sums[0], viewers=True)] * windows
    needed = epsilon([*sums, *own], Relation.PAIR)
    assert needed <= privacy.yearly_budget_pair <= 1.1 * needed
    assert yearly_budget.budgets(config) == {Relation.PAIR: privacy.yearly_budget_pair}


def test_a_release_counts_for_a_year(config: Config, engine: Engine) -> None:
    for number, at in enumerate((NOW - YEAR - 1, NOW - YEAR + 1, NOW)):
        record = ReleaseRecord(f"w{number}", at, "two.example", "s", 16, 16, 0.5, 200, 100, 30 + number)
        releases.save(engine, record, config.windows_dir)
    assert [one.head for one in yearly_budget.past_year(engine, NOW)] == [31, 32]


# -- restarts ----------------------------------------------------------------------------------------------


def test_who_only_ever_asked_has_given_nothing(config: Config, engine: Engine) -> None:
    activity.save_round(engine, RoundRecord("a" * 64, "aggregator", config.instance.host, NOW - 9))
    assert not config.windows_dir.exists()
    assert not windows_of(context_of(config, engine)).restored


def store(engine: Engine, config: Config, round_id: str, *, at: float) -> None:
    """Store a sum over two videos."""
    record = RoundRecord(round_id, "aggregator", config.instance.host, NOW, survivors=["two.example"])
    activity.save_round(engine, record)
    sums.save(
        engine,
        config.sums_dir,
        round_id=round_id,
        urls=(URLS[1], URLS[2]),
        counts=UNIT * np.array([3, 4]),
        triangle=np.array([2]),
        privacy=EXACT_SUM,
        now=at,
    )


def test_a_round_that_dies_after_its_sum_is_stored_can_end(config: Config, engine: Engine) -> None:
    """It is run again with what its members answered: the sum is stored once, and whole."""
    round_id = "a" * 64
    for moment in (NOW, NOW + 60):
        store(engine, config, round_id, at=moment)
    (stored,) = sums.records(engine)
    assert (stored.round_id, stored.run, stored.created) == (round_id, round_id, NOW + 60)
    assert (stored.verdict, stored.survivors) == ("new", ("two.example",))
    found = sums.newest(engine, config.sums_dir)
    assert found is not None
    counts, triangle = found.counts.tolist(), found.triangle.tolist()
    assert (found.urls, counts, triangle) == ((URLS[1], URLS[2]), [96, 128], [2])
    assert len(list(config.sums_dir.iterdir())) == 1
    assert sums.prune(engine, config.sums_dir, keep=1) == 0
