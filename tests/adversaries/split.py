"""An aggregator that shows two survivor sets, and what it can open with what it gets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from federation import masks, messages, shamir
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.keys import mask_key, self_mask_key
from federation.member import Masked
from federation.messages import Advertisement, Revealed
from tests.simulator.table import Table, read

VICTIM = "m000.example"


@dataclass
class Loot:
    """Shares of the victim's two secrets, by holder, and why members refused to give more."""

    seeds: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    refusals: Counter[Code] = field(default_factory=Counter)


def split_views(table: Table, *, colluding: int, with_victim: int, pad: bool = False) -> Loot:
    """Play the attack to its end.

    The victim and `with_victim` honest members are told that everybody survived, the other honest members
    that all but the victim did. The last `colluding` members sign whatever helps and hand over what they
    hold. With `pad`, confirmations of the other view are put in where some are missing.
    """
    table.play_until(Stage.SURVIVORS)
    hosts = list(table.hosts)
    honest, colluders = hosts[: len(hosts) - colluding], hosts[len(hosts) - colluding :]
    sides = {"alive": honest[: 1 + with_victim], "dead": honest[1 + with_victim :]}
    survivors = {"alive": hosts, "dead": [host for host in hosts if host != VICTIM]}
    loot = Loot()
    for host in colluders:
        state = table.instance(host).node._running[table.signed.round_id].member.state
        assert isinstance(state, Masked)
        loot.seeds[host], loot.keys[host] = state.held[VICTIM]
    confirmed = {
        view: _confirmations(table, side, colluders, survivors[view]) for view, side in sides.items()
    }
    for view, side in sides.items():
        other = confirmed["dead" if view == "alive" else "alive"]
        shown = (other if pad else {}) | confirmed[view]
        raw = table.request(Stage.CONFIRMATIONS, messages.encode_messages(shown))
        for host in side:
            try:
                answer = table.instance(host).handle(raw)
            except Refusal as refusal:
                loot.refusals[refusal.code] += 1
                continue
            revealed = Revealed.from_payload(bytes(read(answer).payload), table.cohort.limits)
            loot.seeds.update({host: revealed.self_seeds[VICTIM]} if view == "alive" else {})
            loot.keys.update({host: revealed.mask_keys[VICTIM]} if view == "dead" else {})
    return loot


def _confirmations(
    table: Table, side: list[str], colluders: list[str], survivors: list[str]
) -> dict[str, bytes]:
    raw = table.request(Stage.SURVIVORS, messages.encode_hosts(survivors))
    confirmed = {host: table.instance(host).handle(raw) for host in side}
    if confirmed:
        payload = bytes(read(next(iter(confirmed.values()))).payload)
        confirmed |= {host: table.answer(host, Stage.CONFIRM, payload) for host in colluders}
    return confirmed


def open_input(table: Table, loot: Loot) -> NDArray[np.int64] | None:
    """Return the victim's input if the loot opens it."""
    threshold, round_id = table.threshold, table.signed.round_id
    if min(len(loot.seeds), len(loot.keys)) < threshold:
        return None

    def combine(shares: dict[str, bytes]) -> bytes:
        holders = sorted(shares)[:threshold]
        points = [table.hosts.index(holder) + 1 for holder in holders]
        secret = shamir.combine(points, [shares[holder] for holder in holders])
        assert secret is not None
        return secret

    private = combine(loot.keys)
    unmasking = [(self_mask_key(combine(loot.seeds), round_id), False)]
    for host, raw in table.answers[Stage.PROPOSE].items():
        if host != VICTIM:
            public = Advertisement.from_payload(bytes(read(raw).payload)).mask_public
            # The victim added the mask where its name sorts behind the other's, and subtracted it elsewhere.
            unmasking.append((mask_key(private, public, round_id, VICTIM, host), host > VICTIM))
    masked = np.frombuffer(read(table.answers[Stage.SHARES][VICTIM]).payload, dtype="<u4").copy()
    masks.apply(masked, unmasking)
    return masks.from_ring(masked)
