"""HTTP client of PeerTube and its plugin: paced, bounded in time and size."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from daemon.errors import SourceError
from policies.rates import TokenBuckets

SECRET_HEADER: Final = "X-Shoal-Secret"  # noqa: S105 (a name)
EXPORT: Final = "/plugins/shoal/router/export/v1/"
MAX_ANSWER: Final = 16 * 2**20
TIMEOUT: Final = 20.0
DEFAULT_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 60.0
PATIENCE: Final = 5
"""How often an answer "too many requests" is waited out."""
PAUSES_AFTER_FAILURE: Final = (1.0, 3.0)
PASSING: Final = frozenset({502, 503, 504})
KEPT: Final = "The stored data was kept."

MOST_PER_SECOND: Final = 40
_BURST: Final = 2.0
"""Two requests may follow each other where the one before came late."""

Wall = Callable[[], datetime]


class Pace:
    """Lets at most `rate` requests per second through, and never more than 40 in any second.

    The clock is monotonic, in seconds; `sleep` waits that many of them.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < rate <= MOST_PER_SECOND:
            raise ValueError(f"a rate is more than 0 and at most {MOST_PER_SECOND}")
        # In any second pass at most what it gains and what it holds.
        self._bucket = TokenBuckets(_BURST, min(rate, MOST_PER_SECOND - _BURST), clock)
        self._bucket.owe(_BURST - 1.0)
        self._sleep = sleep

    def take(self) -> None:
        """Wait until the next request may be sent."""
        while not self._bucket.take():
            # A hair more than needed: rounding must not make this a busy loop.
            self._sleep(self._bucket.wait() + 1e-6)

    def pause(self, seconds: float) -> None:
        """Let nothing through for that long, and save nothing up meanwhile."""
        self._sleep(seconds)
        self._bucket.owe(max(0.0, self._bucket.left() - 1.0))


class ExportClient:
    """One connection to one PeerTube; use it as a context manager, from one thread.

    Attributes:
        requests: how many were sent.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        pace: Pace,
        *,
        timeout: float = TIMEOUT,
        wall: Wall = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._secret, self._pace = url, secret, pace
        self._timeout, self._wall, self._sleep = timeout, wall, sleep
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    def export(self, route: str, **parameters: int | str) -> dict[str, Any]:
        """Return the plugin's answer to a page that only this daemon may read.

        Raises:
            SourceError: there is no usable answer.
        """
        return self._ask("GET", EXPORT + route, parameters, {SECRET_HEADER: self._secret})

    def tell(self, route: str, **parameters: int | str) -> dict[str, Any]:
        """Tell the plugin what it is to keep, and return its answer.

        Raises:
            SourceError: there is no usable answer.
        """
        return self._ask("POST", EXPORT + route, parameters, {SECRET_HEADER: self._secret})

    def public(self, path: str, **parameters: int | str) -> dict[str, Any]:
        """Return PeerTube's answer to what anybody may ask; the secret is not sent.

        Raises:
            SourceError: there is no usable answer.
        """
        return self._ask("GET", path, parameters, {})

    def _ask(
        self, method: str, path: str, parameters: Mapping[str, int | str], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        waited, failures = 0, 0
        while True:
            self._pace.take()
            self.requests += 1
            try:
                status, after, body = self._runner.run(self._fetch(method, path, parameters, headers))
            except TimeoutError:
                raise _error(
                    f"PeerTube did not answer {_name(path)} within {self._timeout:g} seconds",
                    "Check whether it is overloaded, or lower source.page or source.requests_per_second.",
                ) from None
            except aiohttp.ClientError as error:
                if failures == len(PAUSES_AFTER_FAILURE):
                    raise _unreachable(path, error) from None
                status, after, body = 503, None, b""
            if status == 429:
                waited += 1
                self._pace.pause(self._told_to_wait(path, after, waited))
            elif status in PASSING and failures < len(PAUSES_AFTER_FAILURE):
                self._sleep(PAUSES_AFTER_FAILURE[failures])
                failures += 1
            else:
                return _json(path, status, body)

    async def _fetch(
        self, method: str, path: str, parameters: Mapping[str, int | str], headers: Mapping[str, str]
    ) -> tuple[int, str | None, bytes]:
        if self._session is None:
            # Bodies are taken as they are: a compressed one could unfold to any size.
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with asyncio.timeout(self._timeout):
            request = self._session.request(
                method,
                self._url + path,
                params=dict(parameters),
                headers=dict(headers),
                allow_redirects=False,
            )
            async with request as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        answer.close()
                        raise _error(
                            f"PeerTube's answer to {_name(path)} is larger than {MAX_ANSWER // 2**20} MiB",
                            "Lower source.page. If that does not help, reinstall the plugin.",
                        )
                return answer.status, answer.headers.get("Retry-After"), bytes(body)

    def _told_to_wait(self, path: str, header: str | None, waited: int) -> float:
        seconds = _retry_after(header, self._wall())
        if waited > PATIENCE or seconds > LONGEST_PAUSE:
            raise _error(
                f"PeerTube refuses {_name(path)}: too many requests",
                "Lower source.requests_per_second, or try again later.",
            )
        return seconds


def _retry_after(header: str | None, now: datetime) -> float:
    """Read seconds or a date (RFC 9110, section 10.2.3); PeerTube's own window where there is neither."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return DEFAULT_PAUSE


def _json(path: str, status: int, body: bytes) -> dict[str, Any]:
    if status == 404:
        raise _error(
            f"PeerTube has no page {_name(path)}" + (" for this secret" if path.startswith(EXPORT) else ""),
            "Install the plugin, and copy the secret from its settings page to source.secret."
            if path.startswith(EXPORT)
            else "Check that source.url is the address of PeerTube itself.",
        )
    if status != 200:
        raise _error(
            f"PeerTube answered {_name(path)} with status {status}",
            "Check PeerTube's log. The next sync tries again.",
        )
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _error(
            f"PeerTube's answer to {_name(path)} is not JSON, or not all of it",
            "Check that source.url is the address of PeerTube itself, not of a page in front of it.",
        ) from None
    if not isinstance(value, dict):
        raise _error(
            f"PeerTube's answer to {_name(path)} is not a JSON object",
            "Check that source.url is the address of PeerTube itself.",
        )
    return value


def _name(path: str) -> str:
    return path.removeprefix("/plugins/shoal/router/")


def _unreachable(path: str, error: aiohttp.ClientError) -> SourceError:
    if isinstance(error, aiohttp.ClientConnectorError):
        return _error("PeerTube cannot be reached", "Check source.url, and that PeerTube is running.")
    kind = type(error).__name__
    return _error(
        f"the connection to PeerTube broke off during {_name(path)} ({kind})",
        "Check PeerTube's log. The next sync tries again.",
    )


def _error(message: str, advice: str) -> SourceError:
    return SourceError(message, advice=f"{advice} {KEPT}")
