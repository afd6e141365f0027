"""A cohort of eight, summed in two sub-cohorts: they add up, and either can be left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from daemon.errors import JobError
from daemon.maintenance.training import own_numbers
from daemon.rounds import head_history
from daemon.rounds.run_driver import TRIES
from daemon.store import activity, content_arrays, model_records, sums
from daemon.store.model_records import ModelRecord
from models import artefact, counting
from models.weights import UNIT
from tests.daemon.in_process_federation import DAY, SAME_VIEWERS, Federation, Member, prepare, running
from tests.daemon.plain_sums import assert_plain, together

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("sub-cohorts"), 9, privacy=SAME_VIEWERS, users=108)
    with pytest.MonkeyPatch.context() as patch:
        async with running(folders, patch) as found:
            found.sync()
            yield found


@pytest_asyncio.fixture(loop_scope="module")
async def federation(nine: Federation) -> Federation:
    """In a new data window, with everybody there."""
    nine.clock.ahead += 8 * DAY
    for member in nine.members:
        if not member.up:
            await member.start()
    return nine


def sums_of(aggregator: Member, run: str) -> list[sums.SumRecord]:
    return [one for one in sums.records(aggregator.engine) if one.run == run]


async def test_the_sums_of_a_cohort_add_up_to_the_plain_sum(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.ask()
    assert_plain(aggregator.config_file, [one.config_file for one in others])
    found = sums_of(aggregator, result["run"])
    assert [len(one.survivors) for one in found] == [4, 4]
    # No member was in two of them.
    assert sorted(host for one in found for host in one.survivors) == sorted(one.host for one in others)
    asked = [activity.round_(aggregator.engine, one.round_id) for one in found]
    assert [record.roster if record else [] for record in asked] == [list(one.survivors) for one in found]
    # Heads are chosen from both together.
    (newest, *_) = head_history.of_peers(aggregator.config).newest()
    assert newest.survivors == tuple(sorted(one.host for one in others))
    everybody = together([one.config_file for one in others])
    urls = content_arrays.read_urls(aggregator.engine)
    assert newest.videos == urls
    stored = sums.load(aggregator.engine, aggregator.config.sums_dir, [one.round_id for one in found])
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    assert newest.counts.tolist() == counting.weighted_counts(everybody, head).tolist()


async def test_what_is_left_out_of_a_model_is_out_of_its_numbers_and_its_head(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.ask()
    aggregator.train()
    assert newest_model(aggregator).survivors == sorted(one.host for one in others)
    kept_sum, left_out = sums_of(aggregator, result["run"])
    sums.set_verdict(aggregator.engine, [left_out.round_id], "quarantined", {})
    kept = sums.load(aggregator.engine, aggregator.config.sums_dir, [kept_sum.round_id])
    aggregator.train()
    model = newest_model(aggregator)
    assert model.state == "current"
    assert model.survivors == list(kept_sum.survivors)
    least = kept.privacy.min_users
    own = own_numbers(aggregator.context()).released
    assert own is not None
    urls = content_arrays.read_urls(aggregator.engine)
    mine = dict(zip((urls[place] for place in own.statistic.head), own.statistic.counts, strict=True))
    standing = [
        url
        for url, count in zip(kept.urls, kept.counts, strict=True)
        if count + mine.get(url, 0) >= least * UNIT
    ]
    assert 0 < len(standing) < len(kept.urls)
    served = artefact.load(aggregator.config.models_dir / model.directory)
    assert served.manifest["scalars"]["head_size"] == len(standing)


async def lose_one(federation: Federation) -> tuple[sums.SumRecord, list[Member]]:
    """Stop two of a sub-cohort; returns the sum that the other one gave before, and who was stopped."""
    aggregator = federation.aggregator
    whole, broken = sums_of(aggregator, (await aggregator.ask())["run"])
    federation.clock.ahead += 8 * DAY
    stopped = [one for one in federation.members if one.host in broken.survivors][:2]
    for member in stopped:
        await member.stop()
    return whole, stopped


def outcomes(aggregator: Member) -> list[str]:
    return [one.outcome for one in activity.rounds(aggregator.engine, limit=2)]


async def test_while_a_sub_cohort_is_tried_again_the_other_waits_and_is_asked_no_more(
    federation: Federation,
) -> None:
    whole, stopped = await lose_one(federation)
    aggregator, *others = federation.members
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    assert sorted(outcomes(aggregator)) == ["abandoned", "waiting"]
    waiting = next(one for one in activity.rounds(aggregator.engine, limit=2) if one.outcome == "waiting")
    assert all(one.created < federation.clock() - DAY for one in sums.records(aggregator.engine))
    for member in stopped:
        await member.start()
    answered = [one for one in others if one.host in whole.survivors]
    for member in answered:
        await member.stop()
    result = await aggregator.ask()
    assert [told["outcome"] for told in result["sub_cohorts"]] == ["done", "done"]
    assert waiting.id in [told["round"] for told in result["sub_cohorts"]]
    for member in answered:
        await member.start()
    assert_plain(aggregator.config_file, [one.config_file for one in others])


async def test_a_sub_cohort_that_fails_three_times_is_missing_and_the_other_counts(
    federation: Federation,
) -> None:
    whole, _ = await lose_one(federation)
    aggregator = federation.aggregator
    for _ in range(TRIES - 1):
        with pytest.raises(JobError, match="abandoned"):
            await aggregator.ask()
    result = await aggregator.ask()
    assert sorted(told["outcome"] for told in result["sub_cohorts"]) == ["abandoned", "done"]
    assert [one.survivors for one in sums_of(aggregator, result["run"])] == [whole.survivors]
    assert result["survivors"] == sorted(whole.survivors)


def newest_model(member: Member) -> ModelRecord:
    return next(one for one in model_records.models(member.engine) if one.kind == "federated")
