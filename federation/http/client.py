"""One signed request to one peer, with every bound a hostile answer could hit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from federation import cbor, cbor_fields
from federation.carrier import BY_PROXY, PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.http import CONTENT_TYPE, MESSAGE_PATH
from federation.http.unreachable import BusyError, Trouble, advice, sentence, trouble_of

_READ_CHUNK = 1 << 16
_MAX_REFUSAL = 2_000
_OK, _ACCEPTED = 200, 202
_LATER = frozenset({429, 503})
"""Too many requests, or busy: the same request may pass in a moment."""


@dataclass(frozen=True)
class Retry:
    """How often a request that did not get through is sent again; the same bytes get the same answer."""

    attempts: int = 4
    first_pause: float = 0.25
    """Seconds; doubled each time."""
    poll: float = 0.25
    """Seconds between asking again a peer that is still preparing its answer."""


class PeerClient:
    """Posts messages to peers. `round` must not follow redirects or proxies of its own accord."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        retry: Retry | None = None,
        on_traffic: Callable[[str, int, int], None] = lambda _host, _sent, _received: None,
    ) -> None:
        self._session = session
        self._retry = retry or Retry()
        self._on_traffic = on_traffic

    async def send(self, host: str, url: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Return the body that `host`, reached at `url`, answers with.

        Raises:
            PeerUnreachable: nothing usable came within `timeout` seconds, retries included.
            PeerRefused: it refused.
            Refusal: `oversized`, when the answer exceeds `max_answer` bytes.

        """
        try:
            async with asyncio.timeout(timeout):
                return await self._persist(host, url.rstrip("/") + MESSAGE_PATH, request, max_answer)
        except TimeoutError:
            raise _unreachable(host, Trouble.SILENT) from None

    async def _persist(self, host: str, url: str, request: bytes, max_answer: int) -> bytes:
        pause = self._retry.first_pause
        failures = 0
        while True:
            try:
                answer = await self._once(host, url, request, max_answer)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failures += 1
                if failures >= self._retry.attempts:
                    raise _unreachable(host, trouble_of(error)) from None
                await asyncio.sleep(pause)
                pause *= 2
                continue
            if answer is not None:
                return answer
            await asyncio.sleep(self._retry.poll)

    async def _once(self, host: str, url: str, request: bytes, max_answer: int) -> bytes | None:
        headers = {"Content-Type": CONTENT_TYPE, "Accept-Encoding": "identity"}
        async with self._session.post(url, data=request, headers=headers, allow_redirects=False) as response:
            body = await _read(response, max_answer, host)
            self._on_traffic(host, len(request), len(body))
            if response.status == _OK:
                return body
            if response.status == _ACCEPTED:
                return None
            if response.status in _LATER:
                raise BusyError
            raise _refused(host, response.status, body)


@dataclass(frozen=True)
class HttpCarrier:
    """A `Carrier` to members at pinned addresses; `urls` by host."""

    client: PeerClient
    urls: Mapping[str, str]

    async def send(self, host: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Post a request to a member; see `PeerClient.send`."""
        return await self.client.send(host, self.urls[host], request, max_answer=max_answer, timeout=timeout)


async def _read(response: aiohttp.ClientResponse, max_answer: int, host: str) -> bytes:
    allowed = max_answer if response.status == _OK else _MAX_REFUSAL
    body = bytearray()
    async for chunk in response.content.iter_chunked(_READ_CHUNK):
        body += chunk
        if len(body) > allowed:
            raise Refusal(Code.OVERSIZED, f"{host} answered with more than {allowed} bytes", host)
    return bytes(body)


def _unreachable(host: str, trouble: Trouble) -> PeerUnreachable:
    return PeerUnreachable(sentence(host, trouble), advice=advice(trouble))


def _refused(host: str, status: int, body: bytes) -> PeerRefused:
    try:
        content = cbor_fields.exact_map(cbor.decode(body), "code", "sentence")
        return PeerRefused(
            host, cbor_fields.text(content["code"]), cbor_fields.text(content["sentence"], 300)
        )
    except Refusal:
        return PeerRefused(host, BY_PROXY, f"it answered with HTTP status {status}")


def new_session() -> aiohttp.ClientSession:
    """Return a session as `PeerClient` needs it: no proxies, cookies or decompression, few connections."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit_per_host=2),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120),
    )
