"""With noise, and with a member that gives nothing: what each member of a group stores of one sum."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from daemon.lab.demo.compare import members_noise
from daemon.lab.demo.instances import DemoInstance
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.store import activity, releases
from daemon.store.sums import StoredSum
from models import counting
from models.interactions import Interactions
from tests.daemon.group.in_process_group import SETTINGS, Islander, Islands, islands

PRIVATE: dict[str, str | int] = {"level": "default", "window_max": "7d", "min_changed_users": 3}
SITS_OUT = 3


@pytest.fixture
async def six(tmp_path: Path) -> AsyncIterator[Islands]:
    async with islands(tmp_path, 6, extra=SETTINGS, privacy=PRIVATE, users=90) as found:
        one = found.people[SITS_OUT]
        text = one.config_file.read_text()
        one.config_file.write_text(text.replace('mode = "contribute"', 'mode = "consume"'))
        await one.restart()
        await found.form()
        yield found


def noise(members: Sequence[Islander], host: Islander, stored: StoredSum, segment: int, size: int) -> Any:
    drawn = members_noise(cast("Sequence[DemoInstance]", members), host.host, stored.privacy)
    return drawn(segment, size)


def assert_noisy(group: Islands, one: Islander, stored: StoredSum) -> None:
    """Check a stored sum, bit for bit, against the plain one of its survivors and the noise they drew."""
    members = [group[host] for host in stored.survivors]
    together = Interactions(csr_array(vstack([member.users().matrix for member in members], format="csr")))
    urls = one.urls()
    place = {url: at for at, url in enumerate(urls)}
    head = np.array([place[url] for url in stored.urls], np.int64)
    counts = counting.weighted_counts(together, head) + noise(members, group.host, stored, 0, len(urls))
    np.testing.assert_array_equal(stored.counts, counts[head])
    pairs = counting.pair_counts(together, head)
    np.testing.assert_array_equal(stored.triangle, pairs + noise(members, group.host, stored, 1, pairs.size))
    assert np.any(stored.triangle != pairs)


async def test_every_member_stores_the_others_sum_with_their_noise_and_who_only_learns_the_whole(
    six: Islands,
) -> None:
    result = await six.ask()
    everybody = sorted(six.ferry.people)
    out = six.people[SITS_OUT]
    givers = [host for host in everybody if host != out.host]
    assert result["survivors"] == givers
    # Nobody waits for it: it is in no part.
    assert result["lost"] == result["not_in_epoch"] == {}
    assert result["delivered"] == everybody
    for one in six.people:
        [stored] = one.stored(result["run"])
        assert stored.survivors == tuple(host for host in givers if host != one.host)
        assert_noisy(six, one, stored)
        record = activity.round_(one.engine, stored.round_id)
        assert record is not None
        assert (record.role, record.aggregator, record.outcome) == ("group", six.host.host, "done")
        # Half of what is declared comes from each member but this one, which is not in it.
        share = stored.privacy.pairs_noise_realised / len(stored.survivors)
        assert stored.privacy.survivors == len(stored.survivors)
        assert share * len(givers) >= stored.privacy.pairs_noise
        entries = ledger.newest(one.engine, limit=50)
        [published] = [e for e in entries if e.kind == Kind.GROUP and e.details["event"] == "published"]
        assert published.details["hash"] == six.host.group.published != ""
        assert published.details["survivors"] == [list(stored.survivors)]
        as_member = [r for r in activity.rounds(one.engine) if r.role == "member" and r.outcome == "done"]
        assert len(as_member) == (0 if one is out else 1)
        assert releases.any_given(one.engine) == (one is not out)
    hosted = [record for record in activity.rounds(six.host.engine) if record.role == "host"]
    assert [(r.aggregator, r.outcome, r.survivors) for r in hosted] == [(six.host.host, "done", givers)]
    [epoch] = [
        entry
        for entry in ledger.newest(six.host.engine, limit=50)
        if entry.kind == Kind.GROUP and entry.details["event"] == "epoch"
    ]
    assert epoch.details["members"] == [givers]
