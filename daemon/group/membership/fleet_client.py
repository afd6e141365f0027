"""The process that connects a member of a group to Flower's Fleet API at the host.

`python -m daemon.group.membership.fleet_client --parent PID`, settings as JSON on stdin.

It carries bytes between the host's SuperLink and the federation listener of its own daemon, and decides
nothing: requests and answers are signed. Its stdout is JSON lines: `connected`, `busy`, `lost`, `foreign` (a
message that is not ours, left unread), `refused`, `failed`, `ended`. Kept small, as every connected member
runs one: nothing here imports the daemon's configuration, store or web server.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from daemon.group.membership.blob_cache import BlobCache
from daemon.process.events import EventWriter, claim_stdout
from federation import cbor
from federation.carrier import BY_PROXY, PeerRefused
from federation.cbor_fields import exact_map, text
from federation.errors import Code, Refusal
from federation.flower.fleet import FleetRefused, NodeSettings, Pace, serve
from federation.group.node_key import public_node_key
from federation.http import CACHED_TYPE, CONTENT_TYPE, MESSAGE_PATH
from federation.limits import Limits

REFUSED_STATUS: Final = 3
_LATER: Final = frozenset({429, 503})
_OK, _ACCEPTED = 200, 202
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.25
_PREPARING_PAUSE: Final = 0.25
_ANSWER_WITHIN: Final = 60.0
"""Seconds in which the listener answers: while it prepares a sum it answers 202 long before."""
_PREPARED_WITHIN: Final = 1_800.0
_MAX_REFUSAL: Final = 2_000
_MAX_BODY: Final = Limits().max_request
_READ: Final = 1 << 16
_ME: Final = "this member"


@dataclass(frozen=True)
class ConnectionSettings:
    """The settings of a connection, as JSON on stdin.

    Attributes:
        address: `HOST:PORT` of the host's reverse proxy.
        ca: certificates to trust there (PEM), empty for those of this machine.
        key_file: PEM file with the private key of this node.
        listener: this daemon's federation listener, `http://127.0.0.1:PORT`.
        blobs: folder of the blob cache.
        start: from when on it polls every `poll_ms` milliseconds, Unix seconds.
        until: when it ends, Unix seconds.
        poll_ms: milliseconds.
        max_bytes: of one message, and of the blob cache.
    """

    address: str
    ca: str
    key_file: str
    listener: str
    blobs: str
    start: float
    until: float
    poll_ms: int
    max_bytes: int

    @classmethod
    def read(cls, stream: TextIO) -> ConnectionSettings:
        """Return the settings on a stream. Raises ValueError."""
        content = json.load(stream)
        names = {one.name for one in fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            raise ValueError(f"the settings of a connection are {', '.join(sorted(names))}")
        return cls(**content)


class ConnectionEvents(EventWriter):
    """The events of a connection, and how many messages had which outcome."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()

    def count(self, event: str) -> None:
        """Count the outcome of a message; report it unless it is routine."""
        with self._counting:
            self.counts[event] += 1
        if event not in ("answered", "dropped"):
            self.send(event, count=self.counts[event])


class Delivery:
    """Hands requests to the daemon's listener, each in the thread it came in."""

    def __init__(self, listener: str, blobs: BlobCache, max_answer: int, stop: threading.Event) -> None:
        parts = urlsplit(listener)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._blobs, self._max_answer, self._stop = blobs, max_answer, stop

    def __call__(self, request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        """Return the listener's answer.

        Raises:
            PeerRefused: it refused, is away, or was busy for several attempts.
            Refusal: the blobs, or the answer, are too large.

        """
        body, content_type = request, CONTENT_TYPE
        if len(request) > _MAX_BODY:
            # The listener takes it from the cache.
            blobs = {**blobs, "request": request}
            body = cbor.encode([hashlib.sha256(request).digest(), len(request)])
            content_type = CACHED_TYPE
        if blobs:
            self._blobs.put(blobs)
        failures = 0
        deadline = time.monotonic() + _PREPARED_WITHIN
        while True:
            try:
                status, answer = self._post(body, content_type)
            except (OSError, http.client.HTTPException):
                status, answer = 0, b""
            if status == _OK:
                return answer
            if status == _ACCEPTED and time.monotonic() < deadline:
                self._pause(_PREPARING_PAUSE)
                continue
            failures += 1
            if (status and status not in _LATER) or failures >= _ATTEMPTS:
                raise _refused(status, answer)
            self._pause(_FIRST_PAUSE * 2 ** (failures - 1))

    def _post(self, request: bytes, content_type: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_WITHIN)
        try:
            connection.request("POST", MESSAGE_PATH, body=request, headers={"Content-Type": content_type})
            response = connection.getresponse()
            allowed = self._max_answer if response.status == _OK else _MAX_REFUSAL
            # Returns its buffer without a copy: a masked vector is held once.
            body = io.BytesIO()
            while piece := response.read1(_READ):
                body.write(piece)
                if body.tell() > allowed:
                    raise Refusal(Code.OVERSIZED, f"an answer has at most {allowed} bytes")
            if response.length:
                raise ConnectionError("the answer was cut short")
            return response.status, body.getvalue()
        finally:
            connection.close()

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise PeerRefused(_ME, BY_PROXY, "this member disconnects")


def _refused(status: int, body: bytes) -> PeerRefused:
    try:
        content = exact_map(cbor.decode(body), "code", "sentence")
        return PeerRefused(_ME, text(content["code"]), text(content["sentence"], 300))
    except Refusal:
        what = f"answered with HTTP status {status}" if status else "did not answer"
        return PeerRefused(_ME, BY_PROXY, f"the daemon {what}")


def run(settings: ConnectionSettings, events: ConnectionEvents, stop: threading.Event) -> int:
    """Stay connected until told to stop, or until it is time; return the exit status."""
    key = Path(settings.key_file).read_bytes()
    folder, most = Path(settings.blobs), settings.max_bytes
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    id_file = folder / f"node-{hashlib.sha256(public_node_key(key)).hexdigest()[:16]}"
    ends = threading.Timer(max(0.0, settings.until - time.time()), stop.set)
    begins = threading.Timer(max(0.0, settings.start - time.time()), lambda: events.send("busy"))
    for timer in (ends, begins):
        timer.daemon = True
        timer.start()
    node = NodeSettings(
        settings.address,
        settings.ca.encode("ascii"),
        key,
        Delivery(settings.listener, BlobCache(folder, most), most, stop),
        most,
        busy=lambda: time.time() >= settings.start,
        pace=Pace(busy=settings.poll_ms / 1000),
        on_event=events.count,
        node_id=_read_id(id_file),
        on_node_id=lambda node_id: _write_id(id_file, node_id),
    )
    try:
        serve(node, stop)
    except FleetRefused as refused:
        events.send("refused", message=str(refused))
        return REFUSED_STATUS
    finally:
        for timer in (ends, begins):
            timer.cancel()
    events.send("ended", **events.counts)
    return 0


def _read_id(path: Path) -> int:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _write_id(path: Path, node_id: int) -> None:
    with contextlib.suppress(OSError):
        path.write_text(str(node_id), "ascii")


def main(argv: list[str]) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon.group.membership.fleet_client", description=__doc__
    )
    parser.add_argument("--parent", type=int, default=0, help="end when this process ends")
    options = parser.parse_args(argv)
    if options.parent:
        # The kernel's signal on parent death outlives exec; what setting it needs to import does not: 29 MB.
        # -P: a folder called `daemon` in the working directory must not be imported instead.
        python = [sys.executable, "-P", "-m"]
        wrapper = [*python, "daemon.process.exec_with_parent_death", str(options.parent)]
        os.execv(sys.executable, [*wrapper, *python, "daemon.group.membership.fleet_client"])  # noqa: S606
    events = ConnectionEvents(claim_stdout())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = ConnectionSettings.read(sys.stdin)
        return run(settings, events, stop)
    except (OSError, ValueError) as error:
        events.send("failed", message=f"the connection cannot start ({type(error).__name__}): {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
