"""A cohort of eight, summed in two parts: they add up, and either can be left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from daemon.store import activity, content_arrays, model_records, sums
from daemon.store.model_records import ModelRecord
from models import artefact, statistics
from tests.daemon.in_process_federation import DAY, SAME_VIEWERS, Federation, Member, prepare, running
from tests.daemon.plain_sums import assert_plain, users_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("parts"), 9, privacy=SAME_VIEWERS, users=108)
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


def parts_of(aggregator: Member, batch: str) -> list[sums.SumRecord]:
    return [part for part in sums.records(aggregator.engine) if part.run == batch]


async def test_the_parts_of_a_cohort_add_up_to_the_plain_sum(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.session()
    assert_plain(aggregator.config_file, [one.config_file for one in others])
    parts = parts_of(aggregator, result["session"])
    assert [len(part.survivors) for part in parts] == [4, 4]
    # No member was in two parts.
    assert sorted(host for part in parts for host in part.survivors) == sorted(one.host for one in others)
    asked = [activity.session(aggregator.engine, part.session_id) for part in parts]
    assert [record.roster if record else [] for record in asked] == [list(part.survivors) for part in parts]


async def test_what_is_left_out_of_a_model_is_out_of_its_numbers_and_its_head(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.session()
    aggregator.train()
    assert newest_model(aggregator).survivors == sorted(one.host for one in others)
    kept_part, left_out = parts_of(aggregator, result["session"])
    sums.set_verdict(aggregator.engine, [left_out.session_id], "quarantined", {})
    kept = sums.load(aggregator.engine, aggregator.config.sums_dir, [kept_part.session_id])
    aggregator.train()
    model = newest_model(aggregator)
    assert model.state == "current"
    assert model.survivors == list(kept_part.survivors)
    least = kept.privacy.min_users
    own = statistics.counts(users_of(aggregator.config_file))
    catalogue, _ = content_arrays.read(aggregator.engine)
    place = {url: number for number, url in enumerate(catalogue.urls)}
    standing = [
        url for url, count in zip(kept.urls, kept.counts, strict=True) if count + own[place[url]] >= least
    ]
    assert 0 < len(standing) < len(kept.urls)
    served = artefact.load(aggregator.config.models_dir / model.directory)
    assert served.manifest["scalars"]["head_size"] == len(standing)


async def test_a_part_that_fails_is_missing_and_the_other_counts(federation: Federation) -> None:
    aggregator = federation.aggregator
    divided = parts_of(aggregator, (await aggregator.session())["session"])
    federation.clock.ahead += 8 * DAY
    for member in [one for one in federation.members if one.host in divided[1].survivors][:2]:
        await member.stop()
    result = await aggregator.session()
    assert sorted(told["outcome"] for told in result["sub_cohorts"]) == ["abandoned", "done"]
    last = parts_of(aggregator, result["session"])
    assert [part.survivors for part in last] == [divided[0].survivors]


def newest_model(member: Member) -> ModelRecord:
    return next(one for one in model_records.models(member.engine) if one.kind == "federated")
