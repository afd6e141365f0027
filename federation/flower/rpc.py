"""Protobuf over HTTPS, as Flower's services use it: every call is bounded in size and time."""

from __future__ import annotations

import http.client
import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from federation.errors import Code, FederationError, Refusal

_MEDIA_TYPE: Final = "application/protobuf"
_OK: Final = 200
_TEMPORARY: Final = frozenset({408, 429, 500, 502, 503, 504})
_KEPT: Final = 4.0
"""Seconds for which an idle connection is reused; the SuperLink's server closes it after five."""
_READ: Final = 1 << 16
_SMALL: Final = 1 << 20
_MAX_ERROR: Final = 4_096

Headers = Callable[[str, bytes], Mapping[str, str]]
"""From the name of a method and the body of a request to further headers."""


class RpcUnreachable(FederationError):
    """No answer, or one that says to try again: the same call may succeed in a moment."""


class RpcRefused(FederationError):
    """The service refused with an HTTP status, and Flower's own code where it gave one."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(f"refused with HTTP status {status}{code and f' ({code})'}")
        self.status = status
        self.code = code


class Channel:
    """Calls one service at `address`, a HOST:PORT. Threads may share it: each call has its own connection.

    `ca` holds the certificates (PEM) to trust, empty for those of this machine. Proxies are not used and
    redirects not followed.
    """

    def __init__(
        self,
        address: str,
        ca: bytes,
        headers: Headers = lambda _method, _body: {},
        *,
        timeout: float = 30.0,
    ) -> None:
        host, _, port = address.removeprefix("https://").rstrip("/").rpartition(":")
        if not host or not port.isdigit():
            host, port = address.removeprefix("https://").rstrip("/"), "443"
        self._host, self._port = host.strip("[]"), int(port)
        self._tls = ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
        self._headers = headers
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[tuple[http.client.HTTPSConnection, float]] = []
        self._closed = False

    def call(
        self,
        method: str,
        request: Any,
        answer: Any,
        *,
        most: int = _SMALL,
        timeout: float | None = None,
    ) -> Any:
        """Return the answer of a method, `/v1/SERVICE/NAME`, as a message of the type `answer`.

        Raises:
            RpcUnreachable: no answer within `timeout` seconds, or not as agreed.
            RpcRefused: the service refused.
            Refusal: `oversized`, when it has more than `most` bytes.

        """
        body = request.SerializeToString(deterministic=True)
        deadline = time.monotonic() + (timeout or self._timeout)
        reused = self._taken()
        if reused is not None:
            try:
                return self._once(reused, method, body, answer, most, deadline)
            except RpcUnreachable:
                # The other side may just have closed it: once more on a new one.
                if time.monotonic() >= deadline or self._closed:
                    raise
        return self._once(self._new(), method, body, answer, most, deadline)

    def close(self) -> None:
        """Close all connections that are not in use; those in use close after their call."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _new(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=min(self._timeout, 10.0), context=self._tls
        )

    def _taken(self) -> http.client.HTTPSConnection | None:
        now = time.monotonic()
        with self._lock:
            stale = [one for one, since in self._idle if now - since > _KEPT]
            self._idle = [(one, since) for one, since in self._idle if now - since <= _KEPT]
            taken = self._idle.pop()[0] if self._idle else None
        for connection in stale:
            connection.close()
        return taken

    def _kept(self, connection: http.client.HTTPSConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def _once(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        body: bytes,
        answer: Any,
        most: int,
        deadline: float,
    ) -> Any:
        try:
            status, raw, keep = self._exchange(connection, method, body, most, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            # The error's own text may hold addresses; its type says enough.
            raise RpcUnreachable(f"no answer ({type(error).__name__})") from None
        except BaseException:
            connection.close()
            raise
        if keep:
            self._kept(connection)
        else:
            connection.close()
        if status in _TEMPORARY:
            raise RpcUnreachable(f"HTTP status {status}")
        if status != _OK:
            raise RpcRefused(status, _code(raw))
        try:
            return answer.FromString(raw)
        # Protobuf's own error is not ours to import.
        except Exception:
            raise RpcUnreachable("the answer is not the message that was expected") from None

    def _exchange(
        self, connection: http.client.HTTPSConnection, method: str, body: bytes, most: int, deadline: float
    ) -> tuple[int, bytes, bool]:
        headers = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE, "Accept-Encoding": "identity"}
        fresh = connection.sock is None
        if fresh:
            connection.connect()
        connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
        connection.request("POST", method, body=body, headers=headers | dict(self._headers(method, body)))
        response = connection.getresponse()
        allowed = most if response.status == _OK else _MAX_ERROR
        read = io.BytesIO()
        while piece := response.read1(_READ):
            read.write(piece)
            if read.tell() > allowed:
                if response.status == _OK:
                    raise Refusal(Code.OVERSIZED, f"an answer has more than {most} bytes")
                return response.status, b"", False
            # A socket's time-out starts again with every byte that arrives.
            if time.monotonic() > deadline:
                raise TimeoutError
        if response.length:
            raise ConnectionError("the answer was cut short")
        keep = not response.will_close
        response.close()
        return response.status, read.getvalue(), keep


def _code(raw: bytes) -> str:
    """Return Flower's own code of an error (`supercore/error/base.py`), empty where there is none."""
    try:
        found = json.loads(raw)
        return str(int(found["code"]))
    except (ValueError, KeyError, TypeError):
        return ""
