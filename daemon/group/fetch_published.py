"""Fetching what the host published while this instance was not connected, over its endpoint for peers."""

from __future__ import annotations

import asyncio

from daemon.errors import JobError
from daemon.group.membership.rules import host_of
from daemon.group.published_store import EPOCH, MESSAGE, PublishedStore
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.store import traffic as totals
from daemon.store.traffic import TrafficCounter
from federation import envelope
from federation.blob_access import check_blob, fetch_request
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.group.epoch_document import MAX_EPOCH
from federation.group.published import MAX_PUBLISHED, Published
from federation.http.client import PeerClient, new_session

_WITHIN = 300.0


def fetch(context: JobContext, group: Membership, batch: bytes, shelf: PublishedStore) -> None:
    """Put a published batch on the shelf, checked against the host's signature.

    Raises:
        JobError: the host is away, or does not hand it out now.
        Refusal: it has it no more, or what it hands out does not fit: asking again would not help.

    """
    try:
        asyncio.run(_fetch(context, group, batch, shelf))
    except (PeerUnreachable, PeerRefused) as error:
        if isinstance(error, PeerRefused) and error.code == Code.UNKNOWN_SUM:
            raise Refusal(Code.UNKNOWN_SUM, f"{group.host} does not have it any more") from None
        raise JobError(
            f"the group's sum could not be fetched from {group.host}: {error}",
            advice="It is tried again; the next sum comes by itself.",
        ) from None


async def _fetch(context: JobContext, group: Membership, batch: bytes, shelf: PublishedStore) -> None:
    config = context.config
    identity = open_identity(config.identity_file, config.instance.host)
    host = host_of(context.engine, config, identity.public, group)
    if host is None:
        raise JobError(
            f"{group.host}, which hosts the group, is no approved peer any more",
            advice="Approve it again, or leave the group: shoal group leave",
        )
    limits = round_config.limits(config)
    exchanged = TrafficCounter()
    async with new_session() as session:
        client = PeerClient(session, on_traffic=exchanged.add)

        async def ask(name: str, at_most: int) -> bytes:
            request = fetch_request(identity, batch, group.host, name)
            return await client.send(group.host, group.url, request, max_answer=at_most, timeout=_WITHIN)

        try:
            raw = await ask(MESSAGE, MAX_PUBLISHED)
            published = Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), host, limits)
            if published.batch != batch:
                raise Refusal(Code.WRONG_STAGE, "another batch came than was asked for", group.host)
            shelf.require_news(published, host, limits)
            epoch = await ask(EPOCH, MAX_EPOCH)
            with shelf.filling(batch, raw, epoch) as put:
                for name, reference in sorted(published.blobs.items()):
                    put(name, check_blob(await ask(name, reference.size), reference))
        finally:
            totals.add_all(context.engine, totals.month_of(context.clock()), exchanged.by_peer())
