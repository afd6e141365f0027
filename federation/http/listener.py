"""The listener for peers: every signed message is limited, checked and answered, or refused and logged, here.

Requests to a member go to the node, others (hello, blobs, what a group's host and members exchange) to their
handlers. Preparing a sum (fetching its blobs, counting) may outlast the time-out of a proxy: the answer is
then 202, and the aggregator sends the same bytes again until the answer is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import numpy as np
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from numpy.typing import NDArray

from federation import cbor, envelope
from federation.blob_access import check_blob, fetch_request, read_reference
from federation.carrier import PeerRefused, PeerUnreachable
from federation.envelope import VERSION, Envelope, Stage
from federation.errors import Code, Refusal, silence
from federation.http import CACHED_TYPE, CARD_PATH, CONTENT_TYPE, MESSAGE_PATH, load_limits
from federation.http.client import PeerClient
from federation.http.load_limits import Quotas, Readers, Slots
from federation.identity import Identity, format_key
from federation.limits import Limits
from federation.node import MemberNode, Preparation
from federation.proposal import BlobReference

log = logging.getLogger(__name__)

Prepare = Callable[[Preparation, Mapping[str, bytes]], Awaitable[NDArray[np.int64]]]
"""From a proposal that passed every check, and its blobs, to this instance's vector; raises Refusal."""

OnAnswer = Callable[[bytes, Stage, int, int], None]
"""Called with the sum, the stage of the request, and the bytes received and sent."""

CheckSender = Callable[[Envelope], str]
"""Called, in a thread, with each message before it is handled; raises Refusal. Returns the name under which
the sender's requests are counted: its host if its pinned key signed, otherwise that of all strangers."""

Handler = Callable[[Envelope], bytes]
"""From a message that belongs to no sum, its signature unchecked, to the signed answer, in a thread; raises
Refusal."""

LocalBlob = Callable[[BlobReference], bytes | None]
"""Returns a blob that came with the proposal, in a thread; None if it has to be fetched."""

_SMALL = 65_536
"""Answers up to this size are left to the socket's buffer."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Preparing:
    aggregator: str
    task: asyncio.Task[bytes]


class PeerListener:
    """Connects one node to HTTP; other kinds of messages go to their `handlers`.

    `url_of` gives the pinned address of an approved host: unless `local_blob` has them, blobs are fetched
    from there, never from an address that a message names. `local_request` has requests that came to this
    machine otherwise, larger than one over HTTP may be. `check_preparation` is called with the aggregator's
    host before a sum is prepared, and raises Refusal; `on_stage` before a request is handled, `on_refusal`
    for each refusal, `on_sent` with the name under which a sender is counted and the bytes it was sent.
    """

    def __init__(
        self,
        identity: Identity,
        node: MemberNode,
        client: PeerClient,
        *,
        prepare: Prepare,
        url_of: Callable[[str], str | None],
        limits: Limits,
        check_sender: CheckSender = lambda message: message.sender,
        check_preparation: Callable[[str], None] = lambda _host: None,
        handlers: Mapping[Stage, Handler] | None = None,
        local_blob: LocalBlob = lambda _reference: None,
        local_request: LocalBlob = lambda _reference: None,
        on_stage: Callable[[Stage], None] = lambda _stage: None,
        on_refusal: Callable[[Refusal], None] = lambda _refusal: None,
        on_answer: OnAnswer = lambda _round_id, _stage, _received, _sent: None,
        on_sent: Callable[[str, int], None] = lambda _name, _bytes: None,
        answer_within: float = load_limits.ANSWER_WITHIN,
    ) -> None:
        self._identity = identity
        self._node = node
        self._client = client
        self._prepare = prepare
        self._url_of = url_of
        self._limits = limits
        self._check_sender = check_sender
        self._check_preparation = check_preparation
        self._handlers = dict(handlers or {})
        self._local_blob = local_blob
        self._local_request = local_request
        self._on_stage = on_stage
        self._on_refusal = on_refusal
        self._on_answer = on_answer
        self._on_sent = on_sent
        self._answer_within = answer_within
        self._node_lock = asyncio.Lock()
        self._readers = Readers()
        self._slots = Slots()
        # Few at once for each sender; for all of them as many as hold a slot, wait for one or are being sent.
        self._senders = Quotas(each=load_limits.MAX_PER_SENDER, total=load_limits.MAX_READING)
        self._sending = Quotas(each=load_limits.MAX_SENDING_EACH, total=load_limits.MAX_SENDING)
        self._preparing: dict[bytes, _Preparing] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount on the listener for peers."""
        return [web.post(MESSAGE_PATH, self._message), web.get(CARD_PATH, self._card)]

    async def prune(self) -> None:
        """Let the node close what has expired."""
        await self._with_node(self._node.prune)

    async def close(self) -> None:
        """Stop preparing."""
        tasks = [preparing.task for preparing in self._preparing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _with_node(self, work: Callable[[], T]) -> T:
        async def run() -> T:
            async with self._node_lock:
                return await asyncio.to_thread(work)

        # A caller that goes away must not free the lock while its thread still works on the node.
        return await asyncio.shield(asyncio.ensure_future(run()))

    async def _card(self, _request: web.Request) -> web.Response:
        """Answer with the host and the public key of this instance, signed by its PeerTube."""
        me = self._identity.public
        return web.json_response({"version": VERSION, "host": me.host, "key": format_key(me.key)})

    async def _message(self, request: web.Request) -> web.StreamResponse:
        """Answer one signed message, or say with 202 that the answer is being prepared."""
        try:
            raw, at_most = await self._body(request), self._limits.max_request
            async with self._slots.slot():
                if request.content_type == CACHED_TYPE:
                    at_most = load_limits.MAX_CACHED
                    raw = await asyncio.to_thread(self._cached, raw)
                message = envelope.parse(raw, max_size=at_most)
                self._on_stage(message.stage)
                name = await asyncio.to_thread(self._check_sender, message)
            with self._senders.hold(name):
                return await self._answered(request, message, name)
        except Refusal as refusal:
            self._on_refusal(refusal)
            log.info("refused", extra={"code": refusal.code.value, "culprit": refusal.culprit or ""})
            return _refuse(refusal)

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._limits.max_request:
            raise self._oversized()
        body = bytearray()
        # Bounded apart from the handling: a slow sender delays nobody's complete request.
        async with self._readers.reading():
            try:
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._limits.max_request:
                        raise self._oversized()
            except (ConnectionError, aiohttp.ClientError, HttpProcessingError):
                raise Refusal(Code.MALFORMED, "the request did not arrive whole") from None
        return bytes(body)

    def _cached(self, body: bytes) -> bytes:
        """Return the request that a body names. Whoever names one cannot change it: it is signed."""
        reference = read_reference(cbor.decode(body))
        if reference.size > load_limits.MAX_CACHED:
            raise Refusal(Code.OVERSIZED, f"a request has at most {load_limits.MAX_CACHED} bytes")
        raw = self._local_request(reference)
        if raw is None:
            raise Refusal(Code.BLOB_MISMATCH, "the request that is named is not here")
        return raw

    def _oversized(self) -> Refusal:
        return Refusal(Code.OVERSIZED, f"a request has at most {self._limits.max_request} bytes")

    async def _answered(self, request: web.Request, message: Envelope, name: str) -> web.StreamResponse:
        answer = await self._handle(message)
        if answer is None:
            return web.Response(status=202)
        self._on_sent(name, len(answer))
        if len(answer) <= _SMALL:
            return web.Response(body=answer, content_type=CONTENT_TYPE)
        with self._sending.hold(name, len(answer)):
            return await _sent(request, answer)

    async def _handle(self, message: Envelope) -> bytes | None:
        async with self._slots.slot():
            if message.stage in self._handlers:
                return await asyncio.to_thread(self._handlers[message.stage], message)
            answer: bytes | Preparation | None = await self._with_node(
                lambda: self._node.receive(message.raw)
            )
        round_id = message.round_id
        if isinstance(answer, Preparation):
            round_id = answer.signed.round_id
            answer = await self._prepared(answer)
        if answer is not None:
            received, sent = len(message.raw), len(answer)
            await asyncio.to_thread(self._on_answer, round_id, message.stage, received, sent)
        return answer

    async def _prepared(self, preparation: Preparation) -> bytes | None:
        round_id = preparation.signed.round_id
        known = self._preparing.get(round_id)
        task = known.task if known else self._begin(preparation)
        done, _ = await asyncio.wait({task}, timeout=self._answer_within)
        return task.result() if done else None

    def _begin(self, preparation: Preparation) -> asyncio.Task[bytes]:
        round_id, aggregator = preparation.signed.round_id, preparation.aggregator.host
        busy = [one.aggregator for one in self._preparing.values() if not one.task.done()]
        if aggregator in busy or len(busy) >= load_limits.MAX_PREPARING:
            raise silence()
        self._check_preparation(aggregator)
        task = asyncio.create_task(self._accept(preparation))
        self._preparing[round_id] = _Preparing(aggregator, task)
        task.add_done_callback(lambda done: self._forget_later(round_id, done))
        return task

    def _forget_later(self, round_id: bytes, done: asyncio.Task[bytes]) -> None:
        # Kept for a moment, so that the aggregator's next poll still finds the outcome.
        if not done.cancelled():
            done.exception()
            asyncio.get_running_loop().call_later(self._answer_within, self._preparing.pop, round_id, None)

    async def _accept(self, preparation: Preparation) -> bytes:
        blobs = await self._fetch(preparation)
        values = await self._prepare(preparation, blobs)
        return await self._with_node(lambda: self._node.accept(preparation, values))

    async def _fetch(self, preparation: Preparation) -> dict[str, bytes]:
        host = preparation.aggregator.host
        blobs = {}
        for name, reference in sorted(preparation.proposal.blobs.items()):
            local = await asyncio.to_thread(self._local_blob, reference)
            if local is not None:
                blobs[name] = check_blob(local, reference)
                continue
            url = self._url_of(host)
            if url is None:
                raise Refusal(Code.UNKNOWN_PEER, f"{host} is no longer an approved peer", host)
            request = fetch_request(self._identity, preparation.signed.round_id, host, name)
            try:
                data = await self._client.send(
                    host, url, request, max_answer=reference.size, timeout=load_limits.FETCH_WITHIN
                )
            except (PeerUnreachable, PeerRefused) as error:
                raise Refusal(
                    Code.AWAY,
                    f"{host} is away: it proposed a round, and its {name} could not be fetched ({error})",
                ) from None
            blobs[name] = check_blob(data, reference)
        return blobs


async def _sent(request: web.Request, answer: bytes) -> web.StreamResponse:
    """Send a large answer piece by piece, so that no more of it is buffered than the peer takes."""
    response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    response.content_length = len(answer)
    whole = memoryview(answer)
    try:
        async with asyncio.timeout(load_limits.SEND_WITHIN):
            await response.prepare(request)
            for start in range(0, len(whole), _SMALL):
                await response.write(whole[start : start + _SMALL])
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        # It left, or takes too long: the same request gets the same answer again.
        if request.transport is not None:
            request.transport.abort()
    return response


_STATUS = {Code.BUSY: 503, Code.AWAY: 503, Code.TOO_MANY: 429, Code.OVERSIZED: 413, Code.UNKNOWN_PEER: 403}


def _refuse(refusal: Refusal) -> web.Response:
    status = _STATUS.get(refusal.code, 400)
    body = cbor.encode({"code": refusal.code.value, "sentence": refusal.sentence})
    return web.Response(status=status, body=body, content_type=CONTENT_TYPE)
